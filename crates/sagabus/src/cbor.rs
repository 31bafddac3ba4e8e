//! CBOR (RFC 8949) of what is written for every event, in one piece: what `minicbor` derives, without a call for each part.

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const NULL: u8 = 0xf6;

/// Adds a head: its major type, and a number in the fewest bytes.
fn push_head(bytes: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    match number {
        0..=0x17 => bytes.push(major | h),
        0x18..=0xff => bytes.extend_from_slice(&[major | 0x18, h]),
        0x100..=0xffff => bytes.extend_from_slice(&[major | 0x19, g, h]),
        0x1_0000..=0xffff_ffff => bytes.extend_from_slice(&[major | 0x1a, e, f, g, h]),
        _ => bytes.extend_from_slice(&[major | 0x1b, a, b, c, d, e, f, g, h]),
    }
}

#[inline]
pub(crate) fn push_unsigned(bytes: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        // A number of an attempt, and the like.
        Ok(small @ 0..=0x17) => bytes.push(small),
        _ => push_head(bytes, UNSIGNED, number),
    }
}

pub(crate) fn push_signed(bytes: &mut Vec<u8>, number: i64) {
    match u64::try_from(number) {
        Ok(number) => push_head(bytes, UNSIGNED, number),
        // -1 is written as 0, and so on.
        Err(_) => push_head(bytes, NEGATIVE, (!number).unsigned_abs()),
    }
}

pub(crate) fn push_bytes(bytes: &mut Vec<u8>, content: &[u8]) {
    push_head(bytes, BYTES, content.len() as u64);
    bytes.extend_from_slice(content);
}

pub(crate) fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_head(bytes, TEXT, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

/// Adds a text, or that there is none.
pub(crate) fn push_some_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_text(bytes, text),
        None => push_null(bytes),
    }
}

/// Adds the head of a list; its entries follow.
pub(crate) fn push_list(bytes: &mut Vec<u8>, entries: usize) {
    push_head(bytes, LIST, entries as u64);
}

/// Adds the head of a map; each key with its value follows.
pub(crate) fn push_map(bytes: &mut Vec<u8>, entries: usize) {
    push_head(bytes, MAP, entries as u64);
}

pub(crate) fn push_null(bytes: &mut Vec<u8>) {
    bytes.push(NULL);
}
