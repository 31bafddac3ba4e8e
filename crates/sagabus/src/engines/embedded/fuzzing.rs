//! What must hold for any bytes in a file of the log: targets of fuzzing.

#![expect(
    clippy::expect_used,
    reason = "a target is a test: what does not hold panics"
)]

use minicbor::{Decode, Encode};

use super::frame::{self, BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::record::{self, KeptKey, Schedule, StoredSagaRecord};
use super::segment;
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::ledger;
use crate::saga;

/// Bytes of a segment's header that its first checksum is about, and the checksum.
const CHECKED_BYTES: usize = 44;
/// The same of both checksums.
const ALL_CHECKED_BYTES: usize = 56;

/// The bytes as a header and a batch, and a header and a batch made of them, whole and with one bit turned.
pub(crate) fn frames(bytes: &[u8]) {
    if let Some(header) = SegmentHeader::decode(bytes) {
        assert_eq!(
            header.encode().get(..CHECKED_BYTES),
            bytes.get(..CHECKED_BYTES)
        );
    }
    if let Some((header, body)) = frame::read_batch(&[0; 16], bytes) {
        assert_eq!(
            bytes.get(BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + body.len()),
            Some(body)
        );
        assert_eq!(header.bytes, frame::batch_bytes(body.len()));
    }
    records_come_back(bytes);
    let Some(made) = Made::of(bytes) else {
        return;
    };
    made.header();
    made.batches();
}

/// The records of a body, written again, are its beginning.
fn records_come_back(body: &[u8]) {
    let mut again = Vec::new();
    for (kind, content) in frame::records(body) {
        frame::push_record(&mut again, kind, content);
    }
    assert_eq!(body.get(..again.len()), Some(&*again));
}

/// What an input stands for.
struct Made<'a> {
    salt: [u8; 16],
    first_position: u64,
    number: u64,
    /// Which bit is turned.
    bit: usize,
    body: &'a [u8],
}

impl<'a> Made<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (bit, body) = rest.split_first_chunk()?;
        Some(Self {
            salt: *salt,
            first_position: u64::from_le_bytes(*first),
            number: u64::from_le_bytes(*number),
            bit: usize::from(u16::from_le_bytes(*bit)),
            body,
        })
    }

    fn header(&self) {
        let header = SegmentHeader {
            first_position: self.first_position,
            salt: self.salt,
            bytes: self.number,
            made_at: Some(Timestamp::from_milliseconds(self.number.cast_signed())),
            is_compacted: self.number % 2 == 1,
        };
        let mut bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        turn(&mut bytes, self.bit % (ALL_CHECKED_BYTES * 8));
        assert_eq!(SegmentHeader::decode(&bytes), None, "a turned bit passes");
    }

    fn batches(&self) {
        let records = frame::records(self.body).count();
        let header = BatchHeader {
            first_position: self.first_position,
            durable_upto: self.number,
            records: u32::try_from(records).unwrap_or(u32::MAX),
            bytes: frame::batch_bytes(self.body.len()),
        };
        let mut bytes = Vec::new();
        frame::push_batch(&mut bytes, &header, self.body);
        frame::push_batch(&mut bytes, &header, b"");
        frame::seal(&mut bytes, &self.salt);
        assert_eq!(
            frame::read_batch(&self.salt, &bytes),
            Some((header, self.body))
        );
        let second = bytes.get(header.bytes..).unwrap_or_default();
        assert!(frame::read_batch(&self.salt, second).is_some_and(|it| it.1.is_empty()));
        let mut other = self.salt;
        turn(&mut other, self.bit % 128);
        assert_eq!(
            frame::read_batch(&other, &bytes),
            None,
            "another salt passes"
        );
        turn(
            &mut bytes,
            self.bit % ((BATCH_HEADER_BYTES + self.body.len()) * 8),
        );
        assert_eq!(
            frame::read_batch(&self.salt, &bytes),
            None,
            "a turned bit passes"
        );
    }
}

fn turn(bytes: &mut [u8], bit: usize) {
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

/// The bytes as the content of each kind of record: what is read comes back as it was.
pub(crate) fn records(bytes: &[u8]) {
    event(bytes);
    comes_back::<Schedule>(bytes);
    comes_back::<ledger::Record>(bytes);
    if let Ok(kept) = record::decode::<KeptKey<'_>>(bytes) {
        let again = record::encode(&kept);
        let again: KeptKey<'_> = record::decode(&again).expect("what is written is read");
        assert_eq!(
            (again.saga, again.key, again.at),
            (kept.saga, kept.key, kept.at)
        );
    }
    if let Ok(stored) = record::decode::<StoredSagaRecord<'_>>(bytes) {
        let again = record::encode(&stored);
        let again: StoredSagaRecord<'_> = record::decode(&again).expect("what is written is read");
        assert_eq!((again.saga, again.record), (stored.saga, stored.record));
        saga_record(stored.record);
    }
    saga_record(bytes);
    if let Some(position) = std::str::from_utf8(bytes)
        .ok()
        .and_then(segment::position_of)
    {
        assert_eq!(segment::name_of(position).as_bytes(), bytes);
    }
}

fn event(bytes: &[u8]) {
    // The short ways to a part of an event must not panic either.
    let (name, special) = (record::event_type(bytes), record::is_special(bytes));
    match record::decode_event(bytes) {
        Ok(event) => {
            assert_eq!(
                name.expect("its type is read alone"),
                event.event_type.as_str()
            );
            assert!(special.is_ok());
            let again = record::encode_event(&event);
            assert_eq!(
                record::decode_event(&again).expect("what is written is read"),
                event
            );
            let named = record::named(&again).expect("what is written is read");
            assert_eq!((named.id, named.data), (event.id.as_str(), &*event.data));
            assert_eq!(
                record::is_special(&again).expect("what is written is read"),
                event.is_special()
            );
        }
        Err(error) => {
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Corrupt | ErrorKind::Invalid),
                "{error}"
            );
        }
    }
}

fn saga_record(bytes: &[u8]) {
    match saga::record::Record::decode(bytes) {
        Ok(read) => {
            let again = read.encode().expect("what is read can be written");
            assert_eq!(
                saga::record::Record::decode(&again).expect("what is written is read"),
                read
            );
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
    }
}

fn comes_back<T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    match record::decode::<T>(bytes) {
        Ok(read) => {
            let again = record::encode(&read);
            assert_eq!(
                record::decode::<T>(&again).expect("what is written is read"),
                read
            );
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
    }
}
