//! Perhaps `Bytes`, as one CBOR byte string.

use bytes::Bytes;
use minicbor::data::Type;
use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decoder, Encoder};

#[expect(clippy::ref_option, reason = "the derive hands the field as it is")]
pub(super) fn encode<C, W: Write>(
    bytes: &Option<Bytes>,
    encoder: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    match bytes {
        Some(bytes) => encoder.bytes(bytes)?.ok(),
        None => encoder.null()?.ok(),
    }
}

pub(super) fn decode<C>(
    decoder: &mut Decoder<'_>,
    _: &mut C,
) -> Result<Option<Bytes>, DecodeError> {
    if decoder.datatype()? == Type::Null {
        decoder.null()?;
        return Ok(None);
    }
    decoder.bytes().map(Bytes::copy_from_slice).map(Some)
}

#[expect(clippy::ref_option, reason = "the derive hands the field as it is")]
pub(super) fn is_nil(bytes: &Option<Bytes>) -> bool {
    bytes.is_none()
}

pub(super) fn nil() -> Option<Option<Bytes>> {
    Some(None)
}
