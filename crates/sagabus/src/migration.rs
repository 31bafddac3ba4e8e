//! From calls, or another bus, to this one: event type by event type, with a way back at each step.
//!
//! | step | with |
//! |---|---|
//! | the old way and the bus side by side, one of them leads | [`Dual`], [`Phases`] |
//! | the new handler runs on real events, and what it would do is compared | [`shadow`](crate::bus::SubscriptionBuilder::shadow), [`Comparison`] |
//! | the bus alone, and where it refuses the call of before, with a record | `Fallback` (feature `sqlite`) |
//!
//! Which way an event has its effect on is decided once, when it is first routed, and goes with it as metadata
//! ([`LEADER`]). So a phase can be changed forth and back while events are on their way: none has its effect on both
//! ways, and none on neither.

mod comparison;
mod dual;
#[cfg(feature = "sqlite")]
mod fallback;
mod phase;
mod shadow;

pub use comparison::{Comparison, Mismatch, Tally};
pub use dual::{Difference, Dual, Sent, TypeCounts};
#[cfg(feature = "sqlite")]
pub use fallback::{
    Cause, FALLBACK_RAN, Fallback, FallbackCounts, FallbackRecord, FallbackState, TABLE, Took,
    Verdict,
};
pub use phase::{LEADER, Phase, Phases, Role, Way};

#[cfg(test)]
mod guide;
