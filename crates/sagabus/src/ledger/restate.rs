//! A ledger's whole state as records, so that those before them are no longer needed.

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::record::{Pause, Wants};
use super::{Change, Counts, Delivery, Ledger};

/// Bytes of the state in one record.
const PART_BYTES: usize = 512 * 1024;

/// What is written: everything that [`PartialEq`] of a ledger compares.
#[derive(Encode, Decode)]
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
}

impl Ledger {
    /// The state as changes, which are to be recorded one after the other with nothing between them.
    pub(crate) fn restated(&self) -> Vec<Change> {
        let state = State {
            wants: self.wants.clone(),
            cursor: self.cursor,
            epoch: self.epoch,
            pause: self.pause.clone(),
            open: (&self.open).into(),
            counts: self.counts,
        };
        let bytes = Bytes::from(crate::engines::embedded::encode(&state));
        let parts = bytes.len().div_ceil(PART_BYTES).max(1);
        (0..parts)
            .map(|part| Change::Restated {
                part: u32::try_from(part).unwrap_or(u32::MAX),
                parts: u32::try_from(parts).unwrap_or(u32::MAX),
                state: bytes.slice(part * PART_BYTES..bytes.len().min((part + 1) * PART_BYTES)),
            })
            .collect()
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
            self.index();
        }
    }
}
