//! Reads a log back after a stop of any kind, and tells a torn tail from damage.
//!
//! A batch that cannot be read, with nothing after it that says it had been durable, was never acknowledged: it is a
//! torn tail and is cut. If a later batch or segment shows that it was durable, acknowledged data is damaged: the log
//! refuses to open and changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::compacted::{self, Compacted};
use super::disk::{Disk, DiskFile, write_zeros};
use super::frame::{
    ALIGNMENT, BATCH_MAGIC, SEGMENT_HEADER_BYTES, SegmentHeader, read_batch, records,
};
use super::planted::{self, Bug};
use super::segment::{Segment, position_of};
use crate::error::{Error, ErrorKind, Result};

/// Takes a record's position, kind and content, and where it was found.
type Visit<'a> = &'a mut dyn FnMut(u64, u8, &[u8], Place) -> Result<()>;

/// Where a record was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In what is left of the log's beginning.
    Compacted,
    Segment,
}

/// A log as found.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// What is left of the records before the segments.
    pub(crate) compacted: Option<Arc<Compacted>>,
    /// All segments, oldest first; the last one is written on.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Position of the next record.
    pub(crate) next_position: u64,
    /// Where the next batch goes in the last segment.
    pub(crate) end: u64,
    /// Bytes of a torn tail that were cut.
    pub(crate) torn_bytes: u64,
    /// Where the last batch with records ends in the last segment; zero when there is none.
    pub(crate) records_end: u64,
    /// The log ends with a mark: see [`Committer::rest`](super::committer::Committer::rest).
    pub(crate) is_marked: bool,
}

/// The files of a log by their names.
struct Names {
    /// The latest of those that stand for the log's beginning.
    compacted: Option<(u64, String)>,
    /// Segments that it does not stand for, oldest first.
    segments: Vec<(u64, String)>,
    /// Files that are not needed any more, or never were whole.
    leftovers: Vec<String>,
}

impl Names {
    fn sort(names: Vec<String>) -> Self {
        let mut compacted: Vec<(u64, String)> = Vec::new();
        let mut segments = Vec::new();
        let mut leftovers = Vec::new();
        for name in names {
            if let Some(upto) = compacted::upto_of(&name) {
                compacted.push((upto, name));
            } else if let Some(position) = position_of(&name) {
                segments.push((position, name));
            } else if name == compacted::UNFINISHED_NAME {
                leftovers.push(name);
            }
        }
        compacted.sort();
        segments.sort();
        let latest = compacted.pop();
        let first = latest.as_ref().map_or(0, |(upto, _)| *upto);
        let (before, segments) = segments.into_iter().partition(|(it, _)| *it < first);
        for (_, name) in compacted.into_iter().chain::<Vec<_>>(before) {
            leftovers.push(name);
        }
        Self {
            compacted: latest,
            segments,
            leftovers,
        }
    }
}

/// Opens every file of the log, hands every record to `visit` in order, and cuts a torn tail.
pub(crate) fn recover(disk: &dyn Disk, visit: Visit<'_>) -> Result<Recovered> {
    let names = Names::sort(disk.list().map_err(unreadable)?);
    let compacted = match &names.compacted {
        None => None,
        Some((upto, name)) => Some(Arc::new(Compacted::open(
            disk,
            name,
            *upto,
            &mut |position, kind, content| {
                visit(position, kind, content, Place::Compacted).map(|()| true)
            },
        )?)),
    };
    let first = compacted.as_ref().map_or(1, |it| it.upto());
    let mut state = Recovered {
        compacted,
        segments: Vec::new(),
        next_position: first,
        end: 0,
        torn_bytes: 0,
        records_end: 0,
        // An empty log needs no mark.
        is_marked: true,
    };
    let last = names.segments.len().saturating_sub(1);
    let mut bytes = Vec::new();
    for (number, (first_position, name)) in names.segments.iter().enumerate() {
        let file = disk.open(name).map_err(unreadable)?;
        read_whole(file.as_ref(), &mut bytes)?;
        let header = bytes
            .get(..SEGMENT_HEADER_BYTES)
            .and_then(SegmentHeader::decode)
            .filter(|it| it.first_position == *first_position && !it.is_compacted)
            .ok_or_else(|| damaged(name, 0, "its header is not readable"))?;
        if header.bytes != bytes.len() as u64 && !planted::has(Bug::LengthIgnored) {
            return Err(damaged(
                name,
                bytes.len() as u64,
                &format!("it was made with {} bytes", header.bytes),
            ));
        }
        if state.next_position != *first_position {
            return Err(damaged(
                name,
                0,
                &format!(
                    "records {} to {first_position} before it are missing",
                    state.next_position
                ),
            ));
        }
        let segment = Arc::new(Segment::new(name, &header, file));
        let scanned = scan(&segment, &bytes, *first_position, visit)?;
        state.next_position = scanned.next_position;
        state.end = scanned.end;
        state.segments.push(Arc::clone(&segment));
        if number == last {
            state.torn_bytes = settle_tail(&segment, &bytes, &scanned)?;
            state.records_end = scanned.records_end;
            state.is_marked = scanned.is_marked && state.torn_bytes == 0;
        }
    }
    if let (Some(compacted), true) = (&state.compacted, state.segments.is_empty()) {
        return Err(damaged(
            compacted.name(),
            0,
            &format!("the file with record {first} after it is missing"),
        ));
    }
    for name in &names.leftovers {
        // Whatever happens to them: they are found again at the next start.
        if let Err(error) = disk.remove(name) {
            tracing::warn!(name, %error, "cannot delete a file that is not needed any more");
        }
    }
    Ok(state)
}

struct Scanned {
    next_position: u64,
    end: u64,
    /// Where the last batch with records ends.
    records_end: u64,
    /// No batch says that what lies from here on was durable.
    unproven: u64,
    /// The last batch is a mark: all before it was durable, and nothing was written after it.
    is_marked: bool,
}

/// Visits the valid batches from the start of a segment.
fn scan(segment: &Segment, bytes: &[u8], first_position: u64, visit: Visit<'_>) -> Result<Scanned> {
    let mut at = SEGMENT_HEADER_BYTES;
    let mut position = first_position;
    let mut unproven: VecDeque<(u64, u64)> = VecDeque::new();
    let mut records_end = 0;
    let mut is_marked = false;
    while let Some((header, body)) = bytes
        .get(at..)
        .and_then(|rest| read_batch(segment.salt(), rest))
        .filter(|(header, _)| header.first_position == position)
    {
        segment.index(position, at as u64);
        let mut count = 0;
        for (kind, content) in records(body) {
            visit(position + count, kind, content, Place::Segment)?;
            count += 1;
        }
        if count != u64::from(header.records) {
            return Err(damaged(
                segment.name(),
                at as u64,
                "a batch has fewer records than its header says",
            ));
        }
        unproven.push_back((position, at as u64));
        while unproven
            .front()
            .is_some_and(|(position, _)| *position < header.durable_upto)
        {
            unproven.pop_front();
        }
        position += count;
        at += header.bytes;
        is_marked = count == 0 && header.durable_upto == position;
        if count > 0 {
            records_end = at as u64;
        }
    }
    Ok(Scanned {
        next_position: position,
        end: at as u64,
        records_end,
        unproven: unproven.front().map_or(at as u64, |(_, at)| *at),
        is_marked,
    })
}

/// Makes the end of the log what reading it shows, after making sure that nothing acknowledged is missing there.
/// Returns the bytes of a torn tail.
///
/// What the operating system shows may not be on the disk: after a failed sync it calls pages clean that were never
/// written, and syncing them again does nothing. So what no mark or later batch vouches for is written again, and all
/// behind it is written over, lest bytes come back that nobody sees now.
fn settle_tail(segment: &Segment, bytes: &[u8], scanned: &Scanned) -> Result<u64> {
    let end = usize::try_from(scanned.end).unwrap_or(usize::MAX);
    let tail = bytes.get(end..).unwrap_or_default();
    let torn = tail
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |it| it + 1);
    check_torn(segment, tail, scanned)?;
    let start = usize::try_from(scanned.unproven).unwrap_or(usize::MAX);
    let unproven = bytes.get(start..end).unwrap_or_default();
    let file = segment.file();
    if !planted::has(Bug::CacheTrusted) {
        file.write_at(scanned.unproven, unproven)
            .map_err(unreadable)?;
    }
    let zeroed = if planted::has(Bug::TornTailKept) || (scanned.is_marked && torn == 0) {
        0
    } else if planted::has(Bug::CacheTrusted) {
        torn
    } else {
        tail.len()
    };
    write_zeros(file, scanned.end, scanned.end + zeroed as u64).map_err(unreadable)?;
    file.sync().map_err(unreadable)?;
    Ok(torn as u64)
}

/// A torn tail holds nothing that says that more was durable than could be read.
fn check_torn(segment: &Segment, tail: &[u8], scanned: &Scanned) -> Result<()> {
    for at in (0..tail.len()).step_by(ALIGNMENT) {
        let Some(rest) = tail.get(at..).filter(|it| it.starts_with(&BATCH_MAGIC)) else {
            continue;
        };
        // The next batch is written only after the mark before it is durable: what lies between is a damaged mark.
        if let Some((header, _)) = read_batch(segment.salt(), rest)
            && !planted::has(Bug::DamageCut)
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
    Ok(())
}

/// Reads a file into memory that an earlier one has made room in.
fn read_whole(file: &dyn DiskFile, bytes: &mut Vec<u8>) -> Result<()> {
    let len = file.len().map_err(unreadable)?;
    let len = usize::try_from(len).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "segment is larger than memory can hold").with_source(error)
    })?;
    bytes.resize(len, 0);
    let read = file.read_at(0, bytes).map_err(unreadable)?;
    bytes.truncate(read);
    Ok(())
}

pub(crate) fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Transient, "cannot read the log").with_source(error)
}

pub(crate) fn damaged(name: &str, offset: u64, what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "log file `{name}` is damaged at byte {offset}: {what}; nothing was changed. \
             Copy the data directory, then restore the file from a backup"
        ),
    )
}
