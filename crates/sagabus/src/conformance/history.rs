//! A random course of work with an engine, written down, and a check of what must hold after any.
//!
//! [`run`] does the work by a seed and notes every publish, lease, settling and repair with its answer; [`check`] is pure
//! and knows no engine. What must hold has the ids of the contract; I15 is about effects,
//! which an engine has not:
//!
//! | id | what |
//! |---|---|
//! | I1 | nothing is lost: what came is where it went |
//! | I2 | nothing is delivered after it was settled for good |
//! | I3 | the events of a key are settled in the order of the log |
//! | I4 | one live lease for each event, and for each key where there is an order |
//! | I5 | a settling counts when its lease is held, and changes nothing otherwise |
//! | I6 | attempts are counted one by one |
//! | I7 | nothing comes before its time |
//! | I8 | no event is passed over by more urgent ones more often than the bound |
//! | I9 | an event that is published again is told the first position |
//! | I10 | what was given up is a dead letter once, with each of its faults |
//! | I11 | what happens in one subscription has its cause there |
//! | I12 | the events delivered are those that a simple reading of pattern and filter wants |
//! | I13 | what a subscription still needs is not dropped |
//! | I14 | who leaves in good order leaves nothing begun, and no attempt counted for what was not begun |
//! | R07 | what may be what ends the process is handed out alone |
//! | L05 | nothing is handed out during a pause, over restarts too |

mod check;
mod work;

use crate::clock::Timestamp;
use crate::event::EventId;
use crate::ledger::{Counts, Priority};
use crate::transport::LeaseToken;

pub use check::{Violation, check};
pub use work::{Summary, run};

/// A subscription of the history.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// The types that it wants.
    pub pattern: &'static str,
    /// It wants marked events only.
    pub wants_marked: bool,
    /// In which way its events are in order.
    pub keys: Keys,
}

/// Whether events of a key are in order, and what happens behind a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// There is no order.
    Free,
    /// In order; those behind a dead letter go on.
    SkipAhead,
    /// In order; those behind a dead letter wait.
    Park,
}

/// The subscriptions of every history, by number.
pub const SUBJECTS: [Subject; 3] = [
    Subject {
        name: "free",
        pattern: "a.*",
        wants_marked: false,
        keys: Keys::Free,
    },
    Subject {
        name: "parking",
        pattern: "**",
        wants_marked: false,
        keys: Keys::Park,
    },
    Subject {
        name: "marked",
        pattern: "*.y",
        wants_marked: true,
        keys: Keys::SkipAhead,
    },
];

/// How often an event of the subscriptions without order may be passed over by more urgent ones that came after it.
pub const PASSES_MAX: u32 = 3;

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Handled.
    Ack,
    /// To be tried again, not before this time.
    RetryAt(Timestamp),
    /// Given up.
    Dead,
    /// Given up without a dead letter.
    Skip,
    /// Handed back unstarted.
    Release,
}

/// What somebody did to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Handed out again.
    Redriven,
    /// A dead letter thrown away.
    Discarded,
    /// Passed over.
    Skipped,
}

/// A dead letter at the end: its position and the attempts of its faults.
pub type Letter = (u64, Vec<u32>);

/// One line of a history. Subjects and members are numbers; a member's is never used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A publish and what it was told.
    Published {
        /// Name of the event.
        id: EventId,
        /// Its type.
        event_type: String,
        /// What it is about.
        key: String,
        /// Whether it is marked.
        is_marked: bool,
        /// How urgent it is.
        priority: Priority,
        /// Where it stands.
        position: u64,
        /// It is said to have been there before.
        is_duplicate: bool,
    },
    /// An event was handed out.
    Leased {
        /// The subscription.
        subject: usize,
        /// To whom.
        member: u32,
        /// The lease.
        token: LeaseToken,
        /// Earlier leases in a row that ended without an outcome, as the engine says.
        silent: u32,
        /// When it was known to be.
        at: Timestamp,
    },
    /// A lease was settled, or was tried to be.
    Settled {
        /// The subscription.
        subject: usize,
        /// By whom.
        member: u32,
        /// The lease.
        token: LeaseToken,
        /// How.
        ended: Ended,
        /// The engine's answer.
        counted: bool,
    },
    /// A member was killed, replaced or silent: its leases may be void from now on.
    Gone {
        /// Which.
        member: u32,
    },
    /// A member left in good order.
    Left {
        /// Which.
        member: u32,
    },
    /// A repair that was asked for.
    Repaired {
        /// The subscription.
        subject: usize,
        /// The event.
        position: u64,
        /// What was to be done.
        repaired: Repaired,
        /// The engine's answer: it was done.
        counted: bool,
    },
    /// A pause that was begun, and is ended by nobody else.
    Paused {
        /// The subscription.
        subject: usize,
    },
    /// The end of a pause is about to be asked for.
    Resumed {
        /// The subscription.
        subject: usize,
    },
    /// A call for leases was given up before its answer: what it may have taken is put back, and stands behind what was
    /// ready meanwhile.
    GivenUp {
        /// The subscription.
        subject: usize,
    },
    /// Which events can be read, of all up to a position.
    Kept {
        /// They stand there, in order.
        positions: Vec<u64>,
        /// Everything was looked at up to here.
        upto: u64,
    },
    /// The store and all processes end; they start again.
    Restarted,
    /// The end, when nobody has anything to do.
    Ended {
        /// The subscription.
        subject: usize,
        /// Its ledger.
        counts: Counts,
        /// Events that were never looked at.
        ahead: u64,
        /// Its dead letters, as they are listed.
        dead: Vec<Letter>,
    },
}

#[cfg(test)]
mod tests;
