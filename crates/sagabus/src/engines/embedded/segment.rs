//! One file of the log: what is known about it while it is open.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::disk::DiskFile;
use super::frame::{
    BATCH_HEADER_BYTES, BatchHeader, SEGMENT_HEADER_BYTES, Salt, SegmentHeader, bytes_of_batch,
    read_batch,
};
use super::log::BATCH_BYTES_MAX;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// Distance between two entries of the index, in bytes of the file.
pub(crate) const INDEX_STEP_BYTES: u64 = 16 * 1024;
/// Bytes read at once: few enough for a processor's cache, and for a payload that keeps them in memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// Name of the segment that begins with the record at `position`.
pub(crate) fn name_of(position: u64) -> String {
    format!("{position:020}.log")
}

/// Position of the first record of the segment with this name; `None` for other files.
pub(crate) fn position_of(name: &str) -> Option<u64> {
    name.strip_suffix(".log")
        .filter(|digits| digits.len() == 20)?
        .parse()
        .ok()
}

/// Takes the position of a batch's first record, its body and what this lies in; says whether to go on.
type VisitBody<'a> = &'a mut dyn FnMut(u64, &[u8], &Bytes) -> Result<bool>;

/// One file of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    name: String,
    first_position: u64,
    salt: Salt,
    bytes: u64,
    made_at: Option<Timestamp>,
    file: Arc<dyn DiskFile>,
    /// Some batches: (position of the first record, byte in the file), in order.
    index: RwLock<Vec<(u64, u64)>>,
}

impl Segment {
    pub(crate) fn new(name: &str, header: &SegmentHeader, file: Arc<dyn DiskFile>) -> Self {
        Self {
            name: name.to_owned(),
            first_position: header.first_position,
            salt: header.salt,
            bytes: header.bytes,
            made_at: header.made_at,
            file,
            index: RwLock::new(Vec::new()),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn first_position(&self) -> u64 {
        self.first_position
    }

    pub(crate) fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When it became part of the log; `None` in a file of a version that did not write this down.
    pub(crate) fn made_at(&self) -> Option<Timestamp> {
        self.made_at
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    /// Notes where a batch begins, if the last note is far enough back.
    pub(crate) fn index(&self, position: u64, at: u64) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if index
            .last()
            .is_none_or(|(_, last)| at >= last + INDEX_STEP_BYTES)
        {
            index.push((position, at));
        }
    }

    /// Hands the batches from the one with `position` on to `visit` until it returns `false`, or `upto` or the end of
    /// the segment is reached. Returns the position that was reached, or `None` when `visit` had enough.
    pub(crate) fn read(
        &self,
        position: u64,
        upto: u64,
        visit: VisitBody<'_>,
    ) -> Result<Option<u64>> {
        let start = self.seek(position);
        walk(
            self.file(),
            &self.salt,
            start,
            upto,
            &mut |_, header, body, chunk| {
                let next = header.first_position + u64::from(header.records);
                Ok(next <= position || visit(header.first_position, body, chunk)?)
            },
        )
    }

    /// The latest batch noted at or before `position`: (position of its first record, byte in the file).
    fn seek(&self, position: u64) -> (u64, u64) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let after = index.partition_point(|(first, _)| *first <= position);
        after
            .checked_sub(1)
            .and_then(|it| index.get(it))
            .copied()
            .unwrap_or((self.first_position, SEGMENT_HEADER_BYTES as u64))
    }
}

/// Takes where a batch begins in the file, its header, its body and what this lies in; says whether to go on.
type VisitBatch<'a> = &'a mut dyn FnMut(u64, &BatchHeader, &[u8], &Bytes) -> Result<bool>;

/// Hands the batches from the one that begins with the record and at the byte of `start` on to `visit`, until it returns
/// `false`, or `upto` or the last batch is reached. Returns the record that was reached, or `None` when `visit` had
/// enough.
pub(crate) fn walk(
    file: &dyn DiskFile,
    salt: &Salt,
    start: (u64, u64),
    upto: u64,
    visit: VisitBatch<'_>,
) -> Result<Option<u64>> {
    let (mut expected, mut at) = start;
    // What was read of a batch and not its end.
    let mut begun = Bytes::new();
    let mut want = CHUNK_BYTES;
    loop {
        let chunk = read_chunk(file, at, &begun, want)?;
        let mut used = 0;
        while let Some((header, body)) = chunk
            .get(used..)
            .and_then(|rest| read_batch(salt, rest))
            .filter(|(header, _)| header.first_position == expected)
        {
            if header.first_position >= upto {
                return Ok(Some(expected));
            }
            if !visit(at + used as u64, &header, body, &chunk)? {
                return Ok(None);
            }
            used += header.bytes;
            expected += u64::from(header.records);
        }
        let rest = chunk.slice(used.min(chunk.len())..);
        // A batch may go on behind what was read; there is none where its end lies before.
        let goes_on = match bytes_of_batch(&rest) {
            Some(bytes) => rest.len() < bytes && bytes <= 2 * BATCH_BYTES_MAX,
            None => rest.len() < BATCH_HEADER_BYTES,
        };
        if chunk.len() < want || !goes_on || expected >= upto {
            return Ok(Some(expected));
        }
        want = CHUNK_BYTES.max(bytes_of_batch(&rest).unwrap_or_default());
        at += used as u64;
        begun = rest;
    }
}

/// `want` bytes at `at` of the file, or fewer at its end; they begin with `begun`, which was read before.
fn read_chunk(file: &dyn DiskFile, at: u64, begun: &[u8], want: usize) -> Result<Bytes> {
    let mut chunk = Vec::with_capacity(want);
    chunk.extend_from_slice(begun);
    chunk.resize(want.max(begun.len()), 0);
    let to = chunk.get_mut(begun.len()..).unwrap_or_default();
    let read = file.read_at(at + begun.len() as u64, to).map_err(|error| {
        Error::new(ErrorKind::Transient, "cannot read the log").with_source(error)
    })?;
    chunk.truncate(begun.len() + read);
    Ok(chunk.into())
}
