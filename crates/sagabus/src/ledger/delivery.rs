//! One event in one subscription, from the first look at it until it is settled for good.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::few::Few;
use super::policy::{Key, Priority};
use super::record::{By, Fault};
use crate::clock::Timestamp;
use crate::planted::{self, DeliveryBug};

/// Most faults kept of one delivery: the first one and the latest ones.
pub(crate) const FAULTS_MAX: usize = 32;
/// Most bytes of the texts of one delivery's faults: dead letters are kept in memory.
pub(crate) const FAULT_TEXTS_BYTES_MAX: usize = 16 * 1024;
/// Leases without any outcome after which a delivery is suspected to end the process: it is handed out alone.
pub(crate) const SUSPECT_AFTER: u32 = 2;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DeliveryState {
    /// It was not handed out yet, or was handed back.
    #[n(0)]
    Ready,
    /// A handler has it.
    #[n(1)]
    Leased,
    /// It is handed out again at this time.
    #[n(2)]
    Waiting(#[n(0)] Timestamp),
    /// Given up since this time, kept until somebody redrives, skips or discards it.
    #[n(3)]
    Dead(#[n(0)] Timestamp),
}

impl DeliveryState {
    /// The state in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Waiting(_) => "waiting",
            Self::Dead(_) => "dead",
        }
    }
}

/// A payload that somebody put in place of the one that was published, for one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Revision {
    /// From 1; the payload as published is 0.
    #[n(0)]
    pub number: u32,
    /// When.
    #[n(1)]
    pub at: Timestamp,
    /// Who and why.
    #[n(2)]
    pub by: By,
    /// The payload: one JSON value.
    #[n(3)]
    #[cbor(with = "super::record::bytes_form")]
    pub data: Bytes,
}

/// A delivery that is not settled for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Delivery {
    #[n(0)]
    pub(crate) state: DeliveryState,
    #[n(1)]
    pub(crate) key: Option<Key>,
    #[n(2)]
    pub(crate) priority: Priority,
    /// Attempts since the first delivery or the last redrive, the running one included.
    #[n(3)]
    pub(crate) attempts: u32,
    /// The latest leases that ended without an outcome: their process ended, or their member went silent.
    #[n(4)]
    pub(crate) silent: u32,
    /// One per failed attempt: the first and the latest, at most [`FAULTS_MAX`].
    #[n(5)]
    pub(crate) faults: Few<Fault>,
    /// How often it was redriven.
    #[n(6)]
    pub(crate) redrives: u32,
    /// Not delivered after this time.
    #[n(7)]
    pub(crate) expires_at: Option<Timestamp>,
    /// Which other deliveries it takes turns with.
    #[n(8)]
    pub(crate) group: u64,
    /// Payloads that replaced the one published, oldest first.
    #[n(9)]
    pub(crate) revisions: Few<Revision>,
    /// When its state was set: what is left of a delay when the clock was changed while nobody looked.
    #[n(10)]
    pub(crate) since: Timestamp,
    /// The member that has it, by its epoch.
    #[n(11)]
    pub(crate) epoch: u64,
    /// Attempts among them that do not count, see [`Fault::is_counted`].
    #[n(12)]
    #[cbor(default, skip_if = "is_none")]
    pub(crate) uncounted: u32,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

impl Delivery {
    pub(crate) fn new() -> Self {
        Self {
            state: DeliveryState::Ready,
            key: None,
            priority: Priority::Normal,
            attempts: 0,
            silent: 0,
            faults: Few::default(),
            redrives: 0,
            expires_at: None,
            group: 0,
            revisions: Few::default(),
            since: Timestamp::default(),
            epoch: 0,
            uncounted: 0,
        }
    }

    pub(crate) fn note(&mut self, fault: &Fault) {
        let faults = self.faults.list();
        if faults.len() >= FAULTS_MAX {
            faults.remove(1);
        }
        if planted::has(DeliveryBug::FaultsCut) {
            faults.clear();
        }
        faults.push(Fault {
            redrives: self.redrives,
            ..fault.clone()
        });
        self.shorten();
    }

    /// Leaves out texts in the middle, oldest first, until the rest is within the limit. The first and the latest stay.
    pub(crate) fn shorten(&mut self) {
        let mut bytes: usize = self.faults.iter().map(|it| it.error.len()).sum();
        let middle = 1..self.faults.len().saturating_sub(1);
        for fault in self.faults.list().get_mut(middle).into_iter().flatten() {
            if bytes <= FAULT_TEXTS_BYTES_MAX {
                return;
            }
            bytes -= std::mem::take(&mut fault.error).len();
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, DeliveryState::Dead(_))
    }

    /// Whether it has to be handed out alone, since it may be what ends the process.
    pub(crate) fn is_suspect(&self) -> bool {
        self.silent >= SUSPECT_AFTER && !planted::has(DeliveryBug::SuspectInCompany)
    }
}
