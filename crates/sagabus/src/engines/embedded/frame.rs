//! The bytes of a segment: a header, then batches of records. Pure.
//!
//! ```text
//! segment  magic 8 │ first position 8 │ salt 16 │ bytes of the file 8 │ crc 4 │ made at 8 │ crc 4 │ zero 8 = 64 bytes
//! batch    magic 4 │ body bytes 4 │ first position 8 │ durable_upto 8 │ records 4 │ crc 4            = 32 bytes, then
//!          its body: records, each kind 1 │ bytes 4 │ content; the whole padded with zeros to 8 bytes
//! ```
//! Numbers are little-endian. A checksum is CRC-32C over the segment's salt and everything of the header or batch but
//! itself, so bytes of an older file never pass for new ones. A batch is valid as a whole or not at all.

use super::planted::{self, Bug};
use crate::clock::Timestamp;

/// Bytes of a segment header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a batch header.
pub(crate) const BATCH_HEADER_BYTES: usize = 32;
/// Bytes before each record's content.
pub(crate) const RECORD_HEADER_BYTES: usize = 5;
/// Batches begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

/// First bytes of a segment; the last of them is the version of this format.
const SEGMENT_MAGIC: [u8; 8] = *b"SAGALOG\x01";
/// First bytes of a file that stands for a log's beginning.
const COMPACTED_MAGIC: [u8; 8] = *b"SAGACMP\x01";
/// First bytes of a batch.
pub(crate) const BATCH_MAGIC: [u8; 4] = *b"SBt\x01";

/// Makes bytes of one segment unlike those of any other.
pub(crate) type Salt = [u8; 16];

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Position of the first record in the segment.
    pub(crate) first_position: u64,
    /// See [`Salt`].
    pub(crate) salt: Salt,
    /// Length of the file, so that a file which lost its end is known.
    pub(crate) bytes: u64,
    /// When the file became part of the log; earlier versions did not write it down, and left zeros in its place.
    pub(crate) made_at: Option<Timestamp>,
    /// It is not a segment, but stands for all of the log before the position.
    pub(crate) is_compacted: bool,
}

/// Bytes of a segment's header before its first checksum.
const SEGMENT_FIELDS_BYTES: usize = 40;

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut fields = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        fields.extend_from_slice(if self.is_compacted {
            &COMPACTED_MAGIC
        } else {
            &SEGMENT_MAGIC
        });
        fields.extend_from_slice(&self.first_position.to_le_bytes());
        fields.extend_from_slice(&self.salt);
        fields.extend_from_slice(&self.bytes.to_le_bytes());
        let crc = crc32c::crc32c(&fields);
        fields.extend_from_slice(&crc.to_le_bytes());
        if let Some(made_at) = self.made_at {
            let made_at = made_at.milliseconds().to_le_bytes();
            fields.extend_from_slice(&made_at);
            fields.extend_from_slice(&crc32c::crc32c_append(crc, &made_at).to_le_bytes());
        }
        fields.resize(SEGMENT_HEADER_BYTES, 0);
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes.copy_from_slice(&fields);
        bytes
    }

    /// `None` when the bytes are not a header of this format.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, rest) = bytes.split_at_checked(SEGMENT_FIELDS_BYTES)?;
        let crc = u32::from_le_bytes(array(rest, 0)?);
        let is_compacted = fields.starts_with(&COMPACTED_MAGIC);
        if !(is_compacted || fields.starts_with(&SEGMENT_MAGIC)) || crc32c::crc32c(fields) != crc {
            return None;
        }
        let made_at: [u8; 8] = array(rest, 4)?;
        let made_crc = u32::from_le_bytes(array(rest, 12)?);
        let has_time = made_at != [0; 8] || made_crc != 0;
        if has_time && crc32c::crc32c_append(crc, &made_at) != made_crc {
            return None;
        }
        Some(Self {
            first_position: u64::from_le_bytes(array(fields, 8)?),
            salt: array(fields, 16)?,
            bytes: u64::from_le_bytes(array(fields, 32)?),
            made_at: has_time.then(|| Timestamp::from_milliseconds(i64::from_le_bytes(made_at))),
            is_compacted,
        })
    }
}

/// What a batch's header says, its checksum already compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Position of the first record.
    pub(crate) first_position: u64,
    /// Every record before this position was durable when the batch was written.
    pub(crate) durable_upto: u64,
    /// Number of records; zero for a mark that only carries `durable_upto`.
    pub(crate) records: u32,
    /// Bytes of the whole batch in the file, padding included.
    pub(crate) bytes: usize,
}

/// Appends the bytes of one record to a batch's body.
pub(crate) fn push_record(body: &mut Vec<u8>, kind: u8, content: &[u8]) {
    body.push(kind);
    // A record never exceeds a segment, and segments are at most 1 GiB.
    let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&bytes.to_le_bytes());
    body.extend_from_slice(content);
}

/// Bytes that a batch with this body takes in the file.
pub(crate) fn batch_bytes(body_bytes: usize) -> usize {
    (BATCH_HEADER_BYTES + body_bytes).next_multiple_of(ALIGNMENT)
}

/// Appends the head of a batch with a body of so many bytes to `buffer`, all but its checksum: see [`seal`]. Then come
/// its records and [`pad`].
pub(crate) fn push_head(buffer: &mut Vec<u8>, header: &BatchHeader, body_bytes: usize) {
    buffer.reserve(batch_bytes(body_bytes));
    let body_bytes = u32::try_from(body_bytes).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&BATCH_MAGIC);
    buffer.extend_from_slice(&body_bytes.to_le_bytes());
    buffer.extend_from_slice(&header.first_position.to_le_bytes());
    buffer.extend_from_slice(&header.durable_upto.to_le_bytes());
    buffer.extend_from_slice(&header.records.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
}

/// Ends the batch that began at `start` of `buffer`.
pub(crate) fn pad(buffer: &mut Vec<u8>, start: usize) {
    let bytes = (buffer.len() - start).next_multiple_of(ALIGNMENT);
    buffer.resize(start + bytes, 0);
}

/// Appends a whole batch to `buffer`, all but its checksum: see [`seal`].
pub(crate) fn push_batch(buffer: &mut Vec<u8>, header: &BatchHeader, body: &[u8]) {
    let start = buffer.len();
    push_head(buffer, header, body.len());
    buffer.extend_from_slice(body);
    pad(buffer, start);
}

/// Writes the checksums of all the batches that `buffer` consists of. Done at once for many: the bytes of a record come
/// from another thread, and a checksum would wait for each of them.
pub(crate) fn seal(buffer: &mut [u8], salt: &Salt) {
    let mut rest = buffer;
    while let Some((fields, after)) = rest.split_at_mut_checked(BATCH_HEADER_BYTES - 4)
        && let Some(body_bytes) =
            array(fields, 4).and_then(|bytes| usize::try_from(u32::from_le_bytes(bytes)).ok())
        && let Some((batch, next)) =
            after.split_at_mut_checked(batch_bytes(body_bytes) + 4 - BATCH_HEADER_BYTES)
        && let Some((crc, body)) = batch.split_at_mut_checked(4)
    {
        let sum = checksum(salt, fields, body.get(..body_bytes).unwrap_or_default());
        crc.copy_from_slice(&sum.to_le_bytes());
        rest = next;
    }
}

/// Bytes in the file of the batch at the start of `bytes`, as its header says; `None` when there is no whole header.
pub(crate) fn bytes_of_batch(bytes: &[u8]) -> Option<usize> {
    let (fields, _) = bytes.split_at_checked(BATCH_HEADER_BYTES)?;
    let body_bytes = usize::try_from(u32::from_le_bytes(array(fields, 4)?)).ok()?;
    fields
        .starts_with(&BATCH_MAGIC)
        .then(|| batch_bytes(body_bytes))
}

/// Reads the batch at the start of `bytes`; `None` when there is no valid one.
pub(crate) fn read_batch<'a>(salt: &Salt, bytes: &'a [u8]) -> Option<(BatchHeader, &'a [u8])> {
    let (fields, rest) = bytes.split_at_checked(BATCH_HEADER_BYTES - 4)?;
    if !fields.starts_with(&BATCH_MAGIC) {
        return None;
    }
    let body_bytes = usize::try_from(u32::from_le_bytes(array(fields, 4)?)).ok()?;
    let (crc, rest) = rest.split_at_checked(4)?;
    let body = rest.get(..body_bytes)?;
    if !planted::has(Bug::ChecksumIgnored)
        && checksum(salt, fields, body) != u32::from_le_bytes(array(crc, 0)?)
    {
        return None;
    }
    let header = BatchHeader {
        first_position: u64::from_le_bytes(array(fields, 8)?),
        durable_upto: u64::from_le_bytes(array(fields, 16)?),
        records: u32::from_le_bytes(array(fields, 24)?),
        bytes: batch_bytes(body_bytes),
    };
    Some((header, body))
}

/// The records of a batch's body, as (kind, content).
pub(crate) fn records(mut body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = body.split_at_checked(RECORD_HEADER_BYTES)?;
        let kind = *head.first()?;
        let bytes = usize::try_from(u32::from_le_bytes(array(head, 1)?)).ok()?;
        let (content, rest) = rest.split_at_checked(bytes)?;
        body = rest;
        Some((kind, content))
    })
}

fn checksum(salt: &Salt, fields: &[u8], body: &[u8]) -> u32 {
    let salt = if planted::has(Bug::SaltIgnored) {
        &[0; 16]
    } else {
        salt
    };
    let crc = crc32c::crc32c(salt);
    let crc = crc32c::crc32c_append(crc, fields);
    crc32c::crc32c_append(crc, body)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests;
