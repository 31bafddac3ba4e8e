//! A batch is read back as written, or not at all.

use super::*;

const SALT: Salt = [7; 16];

fn batch(contents: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for content in contents {
        push_record(&mut body, 3, content);
    }
    let header = BatchHeader {
        first_position: 42,
        durable_upto: 40,
        records: u32::try_from(contents.len()).unwrap(),
        bytes: 0,
    };
    let mut bytes = Vec::new();
    push_batch(&mut bytes, &header, &body);
    seal(&mut bytes, &SALT);
    bytes
}

#[test]
fn a_batch_is_read_back_as_written() {
    let bytes = batch(&[b"one", b"", b"three"]);
    let (header, body) = read_batch(&SALT, &bytes).unwrap();
    assert_eq!(
        (header.first_position, header.durable_upto, header.records),
        (42, 40, 3)
    );
    assert_eq!(header.bytes, bytes.len());
    assert_eq!(bytes.len() % ALIGNMENT, 0);
    let read: Vec<_> = records(body).collect();
    assert_eq!(read, [(3, &b"one"[..]), (3, b""), (3, b"three")]);
}

#[test]
fn batches_that_are_sealed_together_are_the_same_as_each_sealed_alone() {
    let (one, two) = (batch(&[b"one", b"two"]), batch(&[b"three"]));
    let mut together = [one.clone(), two.clone()].concat();
    seal(&mut together, &[9; 16]);
    assert_ne!(together, [one.clone(), two.clone()].concat());
    seal(&mut together, &SALT);
    assert_eq!(together, [one, two].concat());
}

#[test]
fn any_changed_bit_before_the_padding_makes_a_batch_invalid() {
    let bytes = batch(&[b"one", b"two"]);
    let body_end = BATCH_HEADER_BYTES + 2 * (RECORD_HEADER_BYTES + 3);
    for at in 0..body_end {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(read_batch(&SALT, &damaged).is_none(), "byte {at} bit {bit}");
        }
    }
    assert!(
        read_batch(&[8; 16], &bytes).is_none(),
        "another segment's salt"
    );
    for len in 0..body_end {
        assert!(read_batch(&SALT, &bytes[..len]).is_none(), "cut to {len}");
    }
}

#[test]
fn the_format_of_version_1_stays_readable() {
    let header = SegmentHeader {
        first_position: 9,
        salt: SALT,
        bytes: 4096,
        made_at: None,
        is_compacted: false,
    };
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect::<String>()
    };
    assert_eq!(
        hex(&header.encode()[..44]),
        "534147414c4f47010900000000000000070707070707070707070707070707070010000000000000816b28ad"
    );
    assert_eq!(SegmentHeader::decode(&header.encode()), Some(header));
    assert_eq!(
        hex(&batch(&[b"x"])),
        "53427401060000002a0000000000000028000000000000000100000092093bb70301000000780000"
    );
}

#[test]
fn a_segment_says_when_it_was_made_and_any_changed_bit_of_that_makes_its_header_invalid() {
    let header = SegmentHeader {
        first_position: 9,
        salt: SALT,
        bytes: 4096,
        made_at: Some(Timestamp::from_milliseconds(1_767_225_600_000)),
        is_compacted: true,
    };
    let bytes = header.encode();
    assert!(bytes.starts_with(b"SAGACMP\x01"));
    assert_eq!(SegmentHeader::decode(&bytes), Some(header));
    for at in 0..SEGMENT_HEADER_BYTES - 8 {
        for bit in 0..8 {
            let mut damaged = bytes;
            damaged[at] ^= 1 << bit;
            assert_eq!(SegmentHeader::decode(&damaged), None, "byte {at} bit {bit}");
        }
    }
}
