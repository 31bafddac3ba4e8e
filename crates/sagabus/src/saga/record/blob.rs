//! `Bytes` as one CBOR byte string.

use bytes::Bytes;
use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decoder, Encoder};

pub(super) fn encode<C, W: Write>(
    bytes: &Bytes,
    encoder: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    encoder.bytes(bytes)?.ok()
}

pub(super) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Bytes, DecodeError> {
    decoder.bytes().map(Bytes::copy_from_slice)
}
