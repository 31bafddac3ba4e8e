//! How lists that have an entry for each delivery are written: as their derived forms, in one piece.

use minicbor::decode::{Decode, Decoder, Error};
use minicbor::encode::{Encode, Encoder, Write};

use super::record::Settled;
use crate::cbor::push_unsigned as push;

/// Bytes of an entry at most: three heads of lists and numbers, and a position.
const ENTRY_BYTES: usize = 16;

/// Leases: pairs of position and attempt.
pub(super) mod leases {
    use super::{Decode, Decoder, ENTRY_BYTES, Encoder, Error, Write, push};

    /// Head of a list of two.
    const PAIR: u8 = 0x82;

    pub(crate) fn encode<C, W: Write>(
        leases: &[(u64, u32)],
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let mut bytes = Vec::with_capacity(leases.len() * ENTRY_BYTES);
        for (position, attempt) in leases {
            bytes.push(PAIR);
            push(&mut bytes, *position);
            push(&mut bytes, u64::from(*attempt));
        }
        encoder.array(leases.len() as u64)?;
        encoder
            .writer_mut()
            .write_all(&bytes)
            .map_err(minicbor::encode::Error::write)
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        ctx: &mut C,
    ) -> Result<Vec<(u64, u32)>, Error> {
        Vec::decode(decoder, ctx)
    }
}

/// Ends of attempts, nearly all of which are acks.
pub(super) mod settles {
    use super::{Decode, Decoder, ENTRY_BYTES, Encode, Encoder, Error, Settled, Write, push};

    /// Heads of an ack: variant 0 of a list of two, and a list of one.
    const ACK: [u8; 3] = [0x82, 0x00, 0x81];

    pub(crate) fn encode<C, W: Write>(
        settles: &[Settled],
        encoder: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let write = minicbor::encode::Error::write;
        encoder.array(settles.len() as u64)?;
        let mut bytes = Vec::with_capacity(settles.len() * ENTRY_BYTES);
        for settle in settles {
            if let Settled::Acked { position } = settle {
                bytes.extend_from_slice(&ACK);
                push(&mut bytes, *position);
            } else {
                encoder.writer_mut().write_all(&bytes).map_err(write)?;
                bytes.clear();
                settle.encode(encoder, ctx)?;
            }
        }
        encoder.writer_mut().write_all(&bytes).map_err(write)
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, ctx: &mut C) -> Result<Vec<Settled>, Error> {
        Vec::decode(decoder, ctx)
    }
}

#[cfg(test)]
mod tests;
