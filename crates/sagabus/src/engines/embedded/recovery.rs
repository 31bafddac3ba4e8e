//! Reads a log back after a stop of any kind, and tells a torn tail from damage.
//!
//! A batch that cannot be read, with nothing after it that says it had been durable, was never acknowledged: it is a
//! torn tail and is cut. If a later batch or segment shows that it was durable, acknowledged data is damaged: the log
//! refuses to open and changes nothing.

use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::{
    ALIGNMENT, BATCH_MAGIC, SEGMENT_HEADER_BYTES, SegmentHeader, read_batch, records,
};
use super::segment::{Segment, position_of};
use crate::error::{Error, ErrorKind, Result};

/// Takes a record's position, kind and content.
type Visit<'a> = &'a mut dyn FnMut(u64, u8, &[u8]) -> Result<()>;

/// A log as found.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// All segments, oldest first; the last one is written on.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Position of the next record.
    pub(crate) next_position: u64,
    /// Where the next batch goes in the last segment.
    pub(crate) end: u64,
    /// Bytes of a torn tail that were cut.
    pub(crate) torn_bytes: u64,
}

/// Opens every segment, hands every record to `visit` in order, and cuts a torn tail.
pub(crate) fn recover(disk: &dyn Disk, visit: Visit<'_>) -> Result<Recovered> {
    let mut names: Vec<(u64, String)> = disk
        .list()
        .map_err(unreadable)?
        .into_iter()
        .filter_map(|name| Some((position_of(&name)?, name)))
        .collect();
    names.sort();
    let last = names.len().saturating_sub(1);
    let mut found: Option<Recovered> = None;
    for (number, (first_position, name)) in names.iter().enumerate() {
        let file = disk.open(name).map_err(unreadable)?;
        let bytes = read_whole(file.as_ref())?;
        let header = bytes
            .get(..SEGMENT_HEADER_BYTES)
            .and_then(SegmentHeader::decode)
            .filter(|header| header.first_position == *first_position)
            .ok_or_else(|| damaged(name, 0, "its header is not readable"))?;
        if header.bytes != bytes.len() as u64 {
            return Err(damaged(
                name,
                bytes.len() as u64,
                &format!("it was made with {} bytes", header.bytes),
            ));
        }
        let expected = found.as_ref().map_or(1, |it| it.next_position);
        if expected != *first_position {
            return Err(damaged(
                name,
                0,
                &format!("records {expected} to {first_position} before it are missing"),
            ));
        }
        let segment = Arc::new(Segment::new(name, &header, file));
        let scanned = scan(&segment, &bytes, *first_position, visit)?;
        let state = found.get_or_insert_with(|| Recovered {
            segments: Vec::new(),
            next_position: *first_position,
            end: 0,
            torn_bytes: 0,
        });
        state.next_position = scanned.next_position;
        state.end = scanned.end;
        state.segments.push(Arc::clone(&segment));
        if number == last {
            state.torn_bytes = cut_tail(&segment, &bytes, &scanned)?;
        }
    }
    Ok(found.unwrap_or(Recovered {
        segments: Vec::new(),
        next_position: 1,
        end: 0,
        torn_bytes: 0,
    }))
}

struct Scanned {
    next_position: u64,
    end: u64,
}

/// Visits the valid batches from the start of a segment.
fn scan(segment: &Segment, bytes: &[u8], first_position: u64, visit: Visit<'_>) -> Result<Scanned> {
    let mut at = SEGMENT_HEADER_BYTES;
    let mut position = first_position;
    while let Some((header, body)) = bytes
        .get(at..)
        .and_then(|rest| read_batch(segment.salt(), rest))
        .filter(|(header, _)| header.first_position == position)
    {
        segment.index(position, at as u64);
        let mut count = 0;
        for (kind, content) in records(body) {
            visit(position + count, kind, content)?;
            count += 1;
        }
        if count != u64::from(header.records) {
            return Err(damaged(
                segment.name(),
                at as u64,
                "a batch has fewer records than its header says",
            ));
        }
        position += count;
        at += header.bytes;
    }
    Ok(Scanned {
        next_position: position,
        end: at as u64,
    })
}

/// Zeroes what lies after the last valid batch, after making sure that none of it had been acknowledged.
fn cut_tail(segment: &Segment, bytes: &[u8], scanned: &Scanned) -> Result<u64> {
    let start = usize::try_from(scanned.end).unwrap_or(usize::MAX);
    let tail = bytes.get(start..).unwrap_or_default();
    let Some(last) = tail.iter().rposition(|byte| *byte != 0) else {
        // What the page cache shows may not be on the disk, after a failed sync for one: make it so before trusting it.
        segment.file().sync().map_err(unreadable)?;
        return Ok(0);
    };
    for at in (0..=last).step_by(ALIGNMENT) {
        let Some(rest) = tail.get(at..).filter(|it| it.starts_with(&BATCH_MAGIC)) else {
            continue;
        };
        // The next batch is written only after the mark before it is durable: what lies between is a damaged mark.
        if let Some((header, _)) = read_batch(segment.salt(), rest)
            && (header.durable_upto > scanned.next_position
                || (header.records > 0 && header.first_position == scanned.next_position))
        {
            return Err(damaged(
                segment.name(),
                scanned.end,
                &format!(
                    "record {} was acknowledged and cannot be read",
                    scanned.next_position
                ),
            ));
        }
    }
    let torn = last + 1;
    segment
        .file()
        .write_at(scanned.end, &vec![0; torn])
        .and_then(|()| segment.file().sync())
        .map_err(unreadable)?;
    Ok(torn as u64)
}

fn read_whole(file: &dyn DiskFile) -> Result<Vec<u8>> {
    let len = file.len().map_err(unreadable)?;
    let len = usize::try_from(len).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "segment is larger than memory can hold").with_source(error)
    })?;
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes).map_err(unreadable)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Transient, "cannot read the log").with_source(error)
}

fn damaged(name: &str, offset: u64, what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "log file `{name}` is damaged at byte {offset}: {what}; nothing was changed. \
             Copy the data directory, then restore the file from a backup"
        ),
    )
}
