//! The beginning of the log once most of it is needed by nobody.
//!
//! What is left is in one file, each record under the position that it always had, with what stands for the rest. It has the form of a segment, but its batches are numbered by their records from zero, each record's content
//! begins with its position, and the last record says how many there are before it. It is written as a whole and gets its
//! name when it is durable, so it has no torn tail: what cannot be read in it is damage.

use std::sync::Arc;

use super::disk::{Disk, DiskFile, write_zeros};
use super::frame::{
    BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, Salt,
    SegmentHeader, batch_bytes, push_batch, push_record, records, seal,
};
use super::log::{BATCH_BYTES_MAX, Visit, VisitShared};
use super::planted::{self, Bug};
use super::recovery::{damaged, unreadable};
use super::reserve;
use super::segment::walk;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// Name of the file while it is written.
pub(crate) const UNFINISHED_NAME: &str = "compacting.tmp";
/// What a name ends with.
const SUFFIX: &str = ".compacted";
/// Kind of the last record.
const END: u8 = u8::MAX;
/// Bytes of a position before a record's content.
const POSITION_BYTES: usize = 8;
/// Bytes of records after which a batch is closed.
const BATCH_BYTES: usize = 64 * 1024;

/// Name of the file that stands for all records before `upto`.
pub(crate) fn name_of(upto: u64) -> String {
    format!("{upto:020}{SUFFIX}")
}

/// The position up to which the file of this name stands for the log; `None` for other files.
pub(crate) fn upto_of(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)
        .filter(|digits| digits.len() == 20)?
        .parse()
        .ok()
}

/// Hands records to its caller, in the order of their positions; the same ones each time.
pub(crate) type Source<'a> = &'a dyn Fn(Visit<'_>) -> Result<()>;

/// Where a batch begins.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Position of its first record.
    position: u64,
    /// Number of its first record in the file.
    number: u64,
    /// Byte in the file.
    at: u64,
}

/// What stands for the beginning of a log.
#[derive(Debug)]
pub(crate) struct Compacted {
    name: String,
    upto: u64,
    salt: Salt,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    made_at: Timestamp,
    index: Vec<Entry>,
    /// Number of the last record, which is [`END`].
    end: u64,
    /// It was written where room was kept for it, as there was no other.
    took_reserve: bool,
}

impl Compacted {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// It stands for every record before this position.
    pub(crate) fn upto(&self) -> u64 {
        self.upto
    }

    /// Length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When it was written.
    pub(crate) fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// Whether it was written where room was kept for it.
    pub(crate) fn took_reserve(&self) -> bool {
        self.took_reserve
    }

    /// Writes what `source` hands out as the beginning of the log up to `upto`. The file has its name, and is durable, when
    /// this returns.
    pub(crate) fn write(
        disk: &dyn Disk,
        upto: u64,
        salt: Salt,
        made_at: Timestamp,
        source: Source<'_>,
    ) -> Result<Self> {
        let mut measure = Writer::new(None, salt);
        measure.write_all(upto, source)?;
        let made = Made::new(disk, measure.at).map_err(not_written)?;
        let bytes = made.file.len().map_err(not_written)?;
        let header = SegmentHeader {
            first_position: upto,
            salt,
            bytes,
            made_at: Some(made_at),
            is_compacted: true,
        };
        let written =
            Self::write_to(made.file.as_ref(), &header, measure.at, source).and_then(|()| {
                // Read before anything is dropped for it.
                Self::open(disk, UNFINISHED_NAME, upto, &mut |_, _, _| Ok(true))
            });
        let mut compacted = match written {
            Ok(compacted) => compacted,
            Err(error) => {
                made.give_up(disk);
                return Err(error);
            }
        };
        compacted.took_reserve = made.took_reserve;
        compacted.name = name_of(upto);
        disk.rename(UNFINISHED_NAME, &compacted.name)
            .map_err(not_written)?;
        Ok(compacted)
    }

    /// Writes the header, what `source` hands out, up to the byte that it was measured to end at, and zeros behind it.
    fn write_to(
        file: &dyn DiskFile,
        header: &SegmentHeader,
        end: u64,
        source: Source<'_>,
    ) -> Result<()> {
        file.write_at(0, &header.encode()).map_err(not_written)?;
        let mut writer = Writer::new(Some(file), header.salt);
        writer.write_all(header.first_position, source)?;
        write_zeros(file, end, header.bytes).map_err(not_written)?;
        if writer.at != end {
            return Err(Error::new(
                ErrorKind::Transient,
                "what is left of the log changed while it was written",
            ));
        }
        if !planted::has(Bug::CompactedUnsynced) {
            file.sync().map_err(not_written)?;
        }
        Ok(())
    }

    /// Opens the file and hands each of its records to `visit`.
    pub(crate) fn open(disk: &dyn Disk, name: &str, upto: u64, visit: Visit<'_>) -> Result<Self> {
        let file = disk.open(name).map_err(unreadable)?;
        let mut head = [0; SEGMENT_HEADER_BYTES];
        let read = file.read_at(0, &mut head).map_err(unreadable)?;
        let header = head
            .get(..read)
            .and_then(SegmentHeader::decode)
            .filter(|it| it.first_position == upto && it.is_compacted)
            .ok_or_else(|| damaged(name, 0, "its header is not readable"))?;
        let len = file.len().map_err(unreadable)?;
        if header.bytes != len {
            return Err(damaged(
                name,
                len,
                &format!("it was made with {} bytes", header.bytes),
            ));
        }
        let mut index = Vec::new();
        let mut end = None;
        let mut after = SEGMENT_HEADER_BYTES as u64;
        let salt = header.salt;
        let start = (0, after);
        let reached = walk(
            file.as_ref(),
            &salt,
            start,
            u64::MAX,
            &mut |at, header, body, _| {
                for (number, (kind, content)) in (header.first_position..).zip(records(body)) {
                    let (position, content) = split(content)
                        .ok_or_else(|| damaged(name, at, "a record has no position"))?;
                    if number == header.first_position {
                        index.push(Entry {
                            position,
                            number,
                            at,
                        });
                    }
                    match (kind, end) {
                        (_, Some(_)) => return Err(damaged(name, at, "it goes on after its end")),
                        (END, None) => end = Some((number, content == number.to_le_bytes())),
                        _ => {
                            visit(position, kind, content)?;
                        }
                    }
                }
                after = at + header.bytes as u64;
                Ok(true)
            },
        )?;
        match (reached, end) {
            (Some(reached), Some((end, true))) if reached == end + 1 => Ok(Self {
                name: name.to_owned(),
                upto,
                salt,
                file,
                bytes: len,
                made_at: header.made_at.unwrap_or_default(),
                index,
                end,
                took_reserve: false,
            }),
            _ => Err(damaged(name, after, "a part of it cannot be read")),
        }
    }

    /// Hands the records from `position` on to `visit`; false when it had enough.
    pub(crate) fn read(&self, position: u64, visit: VisitShared<'_>) -> Result<bool> {
        let after = self.index.partition_point(|it| it.position < position);
        let Some(place) = self.index.get(after.saturating_sub(1)) else {
            return Ok(true);
        };
        let start = (place.number, place.at);
        let mut goes_on = true;
        let reached = walk(
            self.file.as_ref(),
            &self.salt,
            start,
            self.end,
            &mut |_, header, body, chunk| {
                for (number, (kind, content)) in (header.first_position..).zip(records(body)) {
                    if number >= self.end {
                        return Ok(true);
                    }
                    let (at, content) = split(content).ok_or_else(|| self.lost(number))?;
                    if at >= position && !visit(at, kind, content, chunk)? {
                        goes_on = false;
                        return Ok(false);
                    }
                }
                Ok(true)
            },
        )?;
        match reached {
            Some(reached) if reached < self.end => Err(self.lost(reached)),
            _ => Ok(goes_on),
        }
    }

    fn lost(&self, number: u64) -> Error {
        let name = &self.name;
        Error::new(
            ErrorKind::Corrupt,
            format!("log file `{name}` is damaged: its record {number} cannot be read"),
        )
    }
}

/// The file while it is written.
struct Made {
    file: Arc<dyn DiskFile>,
    took_reserve: bool,
}

impl Made {
    /// A file of `bytes` or, where there is no room, what is kept for that, which is as long or longer.
    fn new(disk: &dyn Disk, bytes: u64) -> std::io::Result<Self> {
        let error = match disk.create(UNFINISHED_NAME, bytes) {
            Ok(file) => {
                return Ok(Self {
                    file,
                    took_reserve: false,
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => error,
            Err(error) => return Err(error),
        };
        let file = reserve::take(disk, UNFINISHED_NAME, bytes)?.ok_or(error)?;
        Ok(Self {
            file,
            took_reserve: true,
        })
    }

    fn give_up(&self, disk: &dyn Disk) {
        // If this fails too, the next start deletes it.
        let _gone = if self.took_reserve {
            reserve::put_back(disk, UNFINISHED_NAME)
        } else {
            disk.remove(UNFINISHED_NAME)
        };
    }
}

fn not_written(error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull => ErrorKind::Full,
        _ => ErrorKind::Transient,
    };
    Error::new(kind, "cannot write what is left of the log's beginning").with_source(error)
}

fn split(content: &[u8]) -> Option<(u64, &[u8])> {
    let (position, content) = content.split_first_chunk::<POSITION_BYTES>()?;
    Some((u64::from_le_bytes(*position), content))
}

/// Puts records into batches and these into a file, or only counts their bytes.
struct Writer<'a> {
    file: Option<&'a dyn DiskFile>,
    salt: Salt,
    /// Where the next batch goes.
    at: u64,
    /// Number of the next record.
    number: u64,
    body: Vec<u8>,
    /// Bytes and records of the batch that is open.
    open: (usize, u32),
    content: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(file: Option<&'a dyn DiskFile>, salt: Salt) -> Self {
        Self {
            file,
            salt,
            at: SEGMENT_HEADER_BYTES as u64,
            number: 0,
            body: Vec::new(),
            open: (0, 0),
            content: Vec::new(),
        }
    }

    fn write_all(&mut self, upto: u64, source: Source<'_>) -> Result<()> {
        source(&mut |position, kind, content| {
            self.push(position, kind, content)?;
            Ok(true)
        })?;
        let count = self.number.to_le_bytes();
        self.push(upto, END, &count)?;
        self.close()
    }

    fn push(&mut self, position: u64, kind: u8, content: &[u8]) -> Result<()> {
        let (bytes, count) = self.open;
        let added = RECORD_HEADER_BYTES + POSITION_BYTES + content.len();
        self.open = (bytes + added, count + 1);
        self.number += 1;
        if self.file.is_some() {
            self.content.clear();
            self.content.extend_from_slice(&position.to_le_bytes());
            self.content.extend_from_slice(content);
            push_record(&mut self.body, kind, &self.content);
        }
        if self.open.0 >= BATCH_BYTES {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let (bytes, count) = std::mem::take(&mut self.open);
        if count == 0 {
            return Ok(());
        }
        if bytes > 2 * BATCH_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a record of {bytes} bytes cannot be carried forward"
            )));
        }
        let first_position = self.number - u64::from(count);
        if let Some(file) = self.file {
            let header = BatchHeader {
                first_position,
                durable_upto: 0,
                records: count,
                bytes: 0,
            };
            let mut batch = Vec::with_capacity(BATCH_HEADER_BYTES + bytes);
            push_batch(&mut batch, &header, &self.body);
            seal(&mut batch, &self.salt);
            file.write_at(self.at, &batch).map_err(not_written)?;
            self.body.clear();
        }
        self.at += batch_bytes(bytes) as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
