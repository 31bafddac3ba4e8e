//! How many deliveries of a subscription are where.

use minicbor::{Decode, Encode};

/// How many deliveries are where. What came is always where it went:
/// `matched = acked + filtered + skipped + discarded + expired + ready + leased + waiting + dead`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counts {
    /// Events looked at so far that fit the patterns.
    #[n(0)]
    pub matched: u64,
    /// Handled.
    #[n(1)]
    pub acked: u64,
    /// Passed over by the filter, those on which it failed included.
    #[n(2)]
    pub filtered: u64,
    /// Of the filtered ones, those on which the filter failed.
    #[n(3)]
    pub filter_errors: u64,
    /// Given up without a dead letter as the subscription asked, or skipped by somebody.
    #[n(4)]
    pub skipped: u64,
    /// Dead letters that somebody threw away.
    #[n(5)]
    pub discarded: u64,
    /// Past their time before they were handled.
    #[n(6)]
    pub expired: u64,
    /// Looked at, and not handed out yet; the parked ones are among them.
    #[n(7)]
    pub ready: u64,
    /// With a handler now.
    #[n(8)]
    pub leased: u64,
    /// Waiting for another attempt.
    #[n(9)]
    pub waiting: u64,
    /// Dead letters.
    #[n(10)]
    pub dead: u64,
    /// Of the ready and waiting ones, those behind a dead letter of their key.
    #[n(11)]
    pub parked: u64,
}

impl Counts {
    /// Whether nothing was lost and nothing appeared from nowhere.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let gone = self.acked + self.filtered + self.skipped + self.discarded + self.expired;
        self.matched == gone + self.pending() + self.dead
    }

    /// Deliveries that are to come: ready, leased or waiting.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.ready + self.leased + self.waiting
    }
}
