//! A ledger's whole state as records, so that those before them are no longer needed.

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::encode::{Encoder, Error, Write};
use minicbor::{Decode, Encode};

use super::open::Open;
use super::record::{Pause, Wants};
use super::{Change, Counts, Delivery, Ledger, Repairs};

/// Bytes of the state in one record, where there is room for them.
pub(crate) const PART_BYTES: usize = 512 * 1024;

/// What is written: everything that [`PartialEq`] of a ledger compares. Borrowed, as there may be a million deliveries.
#[derive(Encode)]
struct Said<'a> {
    #[n(0)]
    wants: &'a Wants,
    #[n(1)]
    cursor: u64,
    #[n(2)]
    epoch: u64,
    #[n(3)]
    pause: Option<&'a Pause>,
    #[n(4)]
    #[cbor(encode_with = "write_open")]
    open: &'a Open,
    #[n(5)]
    counts: Counts,
    /// Left out where there are none.
    #[n(6)]
    repairs: Option<&'a Repairs>,
}

/// As a map from positions to deliveries.
fn write_open<C, W: Write>(
    open: &&Open,
    encoder: &mut Encoder<W>,
    context: &mut C,
) -> Result<(), Error<W::Error>> {
    encoder.map(open.iter().count() as u64)?;
    for (position, delivery) in open.iter() {
        encoder.u64(position)?;
        delivery.encode(encoder, context)?;
    }
    Ok(())
}

/// The same as it is read.
#[derive(Decode)]
struct State {
    #[n(0)]
    wants: Wants,
    #[n(1)]
    cursor: u64,
    #[n(2)]
    epoch: u64,
    #[n(3)]
    pause: Option<Pause>,
    #[n(4)]
    open: BTreeMap<u64, Delivery>,
    #[n(5)]
    counts: Counts,
    #[n(6)]
    repairs: Option<Repairs>,
}

impl Ledger {
    /// The state as changes, which are to be recorded one after the other with nothing between them.
    /// None has more than `part_bytes` of the state.
    pub(crate) fn restated(&self, part_bytes: usize) -> Vec<Change> {
        let state = Said {
            wants: &self.wants,
            cursor: self.cursor,
            epoch: self.epoch,
            pause: self.pause.as_ref(),
            open: &self.open,
            counts: self.counts,
            repairs: Some(&self.repairs).filter(|it| !it.is_empty()),
        };
        let bytes = Bytes::from(crate::engines::embedded::encode(&state));
        let count = bytes.len().div_ceil(part_bytes).max(1);
        let whole = parts(&bytes, part_bytes, u32::try_from(count).unwrap_or(u32::MAX));
        // Of a state that is just being said anew the rest is still to come.
        let begun = Bytes::from(self.parts.clone());
        let begun = parts(&begun, part_bytes, u32::MAX);
        whole.into_iter().chain(begun).collect()
    }

    /// Takes the next part. The last one makes the state what they say; parts that do not follow each other are of a
    /// restatement that was cut short, and say nothing.
    pub(super) fn restate(&mut self, part: u32, parts: u32, state: &[u8]) {
        if part == 0 {
            self.parts.clear();
        }
        self.parts.extend_from_slice(state);
        if part + 1 < parts {
            return;
        }
        let bytes = std::mem::take(&mut self.parts);
        let state = minicbor::decode::<State>(&bytes);
        self.is_unreadable = state.is_err();
        if let Ok(state) = state {
            self.wants = state.wants;
            self.cursor = state.cursor;
            self.epoch = state.epoch;
            self.pause = state.pause;
            self.open = state.open.into();
            self.counts = state.counts;
            self.repairs = state.repairs.unwrap_or_default();
            self.index();
        }
    }
}

/// The bytes as parts of so many.
fn parts(bytes: &Bytes, part_bytes: usize, parts: u32) -> Vec<Change> {
    let count = bytes.len().div_ceil(part_bytes);
    let part = |part| Change::Restated {
        part: u32::try_from(part).unwrap_or(u32::MAX),
        parts,
        state: bytes.slice(part * part_bytes..bytes.len().min((part + 1) * part_bytes)),
    };
    (0..count).map(part).collect()
}
