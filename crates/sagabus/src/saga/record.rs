//! What is stored of a saga: numbered records whose fold is the saga's state.

mod blob;
mod maybe_blob;

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{By, Priority};

/// The newest version of records. A reader takes this one and the one before; fields that it does not know are skipped.
///
/// Version 2 has facts that version 1 lacks and is the same otherwise. A fact is written as the oldest version that has it, so
/// that a log without new facts is read by the program before, and one with them is named as newer and not as damaged.
pub const VERSION: u8 = 2;
/// The oldest version that is read.
pub const VERSION_MIN: u8 = 1;
/// Room for nearly every record without its output.
const RECORD_BYTES: usize = 96;

/// One fact about a saga. Field numbers are never used again for something else.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Record {
    /// The form of this record, [`VERSION_MIN`] to [`VERSION`].
    #[n(0)]
    pub version: u8,
    /// When it became a fact.
    #[n(1)]
    pub at: Timestamp,
    /// What became a fact.
    #[n(2)]
    pub fact: Fact,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What a [`Record`] says. Steps are named by their position in the definition that the first record pins; behind those come
/// the items of lists, in the order in which they were spread.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Fact {
    /// The first record: everything that the saga was started with.
    #[n(0)]
    Created {
        /// Canonical JSON of the definition.
        #[n(0)]
        #[cbor(with = "blob")]
        definition: Bytes,
        /// SHA-256 of the definition.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        hash: [u8; 32],
        /// The input context, one JSON value.
        #[n(2)]
        #[cbor(with = "blob")]
        input: Bytes,
        /// Ties the saga to other work.
        #[n(3)]
        correlation_id: String,
        /// A second start with this key is the same saga.
        #[n(4)]
        idempotency_key: Option<String>,
        /// The event that led to this saga.
        #[n(5)]
        causation_id: Option<String>,
        /// What it can be found by.
        #[n(7)]
        attributes: Option<BTreeMap<String, String>>,
        /// How urgent it is, where that is not what its definition says.
        #[n(8)]
        priority: Option<Priority>,
        /// The key that its definition makes of the input.
        #[n(9)]
        concurrency_key: Option<String>,
        /// The saga that waits for this one.
        #[n(10)]
        parent: Option<String>,
        /// The span that it was started from, as a `traceparent`. What a reader before does not know it leaves out.
        #[n(11)]
        trace: Option<String>,
    },
    /// An attempt of a step begins.
    #[n(1)]
    StepStarted {
        /// The step.
        #[n(0)]
        step: u32,
        /// 1 for the first.
        #[n(1)]
        attempt: u32,
        /// The epoch of the process that started it: see [`SagaStore::epoch`](crate::saga_store::SagaStore::epoch).
        #[n(2)]
        epoch: Option<u64>,
    },
    /// An attempt succeeded.
    #[n(2)]
    StepSucceeded {
        /// The step.
        #[n(0)]
        step: u32,
        /// The attempt.
        #[n(1)]
        attempt: u32,
        /// What it returned, one JSON value.
        #[n(2)]
        #[cbor(with = "blob")]
        output: Bytes,
    },
    /// An attempt failed and another one follows.
    #[n(3)]
    AttemptFailed {
        /// The step.
        #[n(0)]
        step: u32,
        /// The attempt.
        #[n(1)]
        attempt: u32,
        /// Whether it may have had an effect.
        #[n(2)]
        effect: Effect,
        /// Why.
        #[n(3)]
        error: String,
        /// When the next attempt is due.
        #[n(4)]
        retry_at: Timestamp,
        /// Whether it does not count as one of those that the step has: what it needs was unavailable.
        #[n(5)]
        #[cbor(default, skip_if = "is_false")]
        is_uncounted: bool,
    },
    /// The step failed for good.
    #[n(4)]
    StepFailed {
        /// The step.
        #[n(0)]
        step: u32,
        /// The last attempt.
        #[n(1)]
        attempt: u32,
        /// Whether the last attempt may have had an effect.
        #[n(2)]
        effect: Effect,
        /// Why.
        #[n(3)]
        error: String,
    },
    /// From here on nothing is done, only taken back.
    #[n(5)]
    TurnedBack {
        /// What turned the saga back.
        #[n(0)]
        cause: Cause,
        /// In words.
        #[n(1)]
        reason: String,
    },
    /// An attempt to take a step back begins.
    #[n(6)]
    CompensationStarted {
        /// The step.
        #[n(0)]
        step: u32,
        /// 1 for the first.
        #[n(1)]
        attempt: u32,
        /// The epoch of the process that started it.
        #[n(2)]
        epoch: Option<u64>,
    },
    /// The step is taken back.
    #[n(7)]
    CompensationSucceeded {
        /// The step.
        #[n(0)]
        step: u32,
        /// The attempt.
        #[n(1)]
        attempt: u32,
        /// Whether an effect that came to light late is taken back with it. A reader before, and one of a record without it, takes
        /// that effect for one that is left.
        #[n(2)]
        #[cbor(default, skip_if = "is_false")]
        takes_late_effect: bool,
    },
    /// An attempt to take a step back failed and another one follows.
    #[n(8)]
    CompensationAttemptFailed {
        /// The step.
        #[n(0)]
        step: u32,
        /// The attempt.
        #[n(1)]
        attempt: u32,
        /// Why.
        #[n(2)]
        error: String,
        /// When the next attempt is due.
        #[n(3)]
        retry_at: Timestamp,
        /// Whether it does not count as one of those that there are: what it needs was unavailable.
        #[n(4)]
        #[cbor(default, skip_if = "is_false")]
        is_uncounted: bool,
    },
    /// The step could not be taken back; the saga waits for an operator.
    #[n(9)]
    CompensationStuck {
        /// The step.
        #[n(0)]
        step: u32,
        /// The last attempt.
        #[n(1)]
        attempt: u32,
        /// Why.
        #[n(2)]
        error: String,
    },
    /// An operator asked for another series of attempts.
    #[n(10)]
    CompensationResumed,
    /// The saga is over. The last record, unless something is left to repair.
    #[n(11)]
    Ended {
        /// How it ended.
        #[n(0)]
        outcome: Outcome,
        /// Why it did not complete; empty when it did. Where an operator ended it, what had failed, or else what they said.
        #[n(1)]
        error: String,
    },
    /// An operator did something to it.
    #[n(12)]
    Operated {
        /// What.
        #[n(0)]
        verb: Verb,
        /// To which step.
        #[n(1)]
        step: Option<u32>,
        /// Who and why.
        #[n(2)]
        by: By,
        /// What the step is said to have returned, one JSON value.
        #[n(3)]
        #[cbor(with = "maybe_blob", has_nil)]
        output: Option<Bytes>,
    },
    /// A step that follows from the pivot failed for good; the saga waits for an operator.
    #[n(13)]
    ForwardStuck {
        /// The step.
        #[n(0)]
        step: u32,
        /// The last attempt.
        #[n(1)]
        attempt: u32,
        /// Why.
        #[n(2)]
        error: String,
        /// Whether the last attempt may have had an effect.
        #[n(3)]
        effect: Effect,
    },
    /// An attempt answered after the saga had gone on without it.
    #[n(14)]
    LateResult {
        /// The step.
        #[n(0)]
        step: u32,
        /// The attempt.
        #[n(1)]
        attempt: u32,
        /// What it returned, if it succeeded.
        #[n(2)]
        #[cbor(with = "maybe_blob", has_nil)]
        output: Option<Bytes>,
        /// Whether it may have had an effect, if it failed.
        #[n(3)]
        effect: Effect,
        /// Why it failed.
        #[n(4)]
        error: Option<String>,
    },
    /// Nothing is started and nothing is taken back until an operator says so.
    #[n(15)]
    Paused {
        /// Why.
        #[n(0)]
        cause: PauseCause,
    },
    /// Somebody told the saga something that a step waits for, or will.
    #[n(16)]
    Signalled {
        /// What is told: the name of a signal, or the id of a step that asks a person.
        #[n(0)]
        name: String,
        /// The same signal given again has the same key.
        #[n(1)]
        key: Option<String>,
        /// One JSON value.
        #[n(2)]
        #[cbor(with = "blob")]
        payload: Bytes,
        /// Who and why.
        #[n(3)]
        by: By,
        /// Of a person that was asked: whether they said yes.
        #[n(4)]
        approved: Option<bool>,
    },
    /// A step is done for each item of a list: so many steps come behind those that there are, one for each item in its order.
    #[n(17)]
    Spread {
        /// The step.
        #[n(0)]
        step: u32,
        /// How many items.
        #[n(1)]
        count: u32,
    },
    /// The saga goes on with another definition. From here on steps are named by their position in that one, with the items of
    /// lists behind them as before.
    #[n(19)]
    Migrated {
        /// Canonical JSON of the definition.
        #[n(0)]
        #[cbor(with = "blob")]
        definition: Bytes,
        /// SHA-256 of the definition.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        hash: [u8; 32],
        /// Who and why.
        #[n(2)]
        by: By,
    },
    /// Nothing follows: the time in which a saga that ended with something left to repair is kept for an operator is over.
    #[n(20)]
    Closed,
    /// Its turn has come, and all steps that it could begin with wait for a slot at their service.
    #[n(21)]
    Begun,
    /// A start was taken for this saga, since this one has its concurrency key. A later start with its idempotency key is this
    /// saga too.
    #[n(22)]
    Attached {
        /// The idempotency key of that start.
        #[n(0)]
        key: String,
    },
}

/// Whether an attempt had an effect on the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Effect {
    /// Certainly not.
    #[n(0)]
    None,
    /// It cannot be known: a timeout, a crash, a handler that says so.
    #[n(1)]
    Unknown,
}

/// What an operator does to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Verb {
    /// Takes it back.
    #[n(0)]
    Cancel,
    /// Has a step, or its compensation, tried again with all its attempts; without a step, all that are stuck.
    #[n(1)]
    Retry,
    /// Goes on without a step, or without taking it back.
    #[n(2)]
    Skip,
    /// Says that a step is taken back.
    #[n(3)]
    ForceDone,
    /// Says that a step is done, with an output.
    #[n(4)]
    Complete,
    /// Gives up what is stuck.
    #[n(5)]
    Abandon,
    /// Has a step of a saga that is over taken back.
    #[n(6)]
    Recompensate,
    /// Lets it do nothing.
    #[n(7)]
    Pause,
    /// Lets a paused saga go on.
    #[n(8)]
    Resume,
    /// Ends it as it is.
    #[n(9)]
    Terminate,
    /// Lets it go on with another definition.
    #[n(10)]
    Migrate,
}

/// What pauses a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum PauseCause {
    /// It was cut off by the end of the process again and again without progress, and may be what ends the process.
    #[n(0)]
    Poison,
    /// The end of the process cut off a step that asks for an operator then.
    #[n(1)]
    InDoubt(#[n(0)] u32),
    /// An operator wanted it; the record of the verb says so.
    #[n(2)]
    Operator,
}

/// What turns a saga back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Cause {
    /// A step failed for good.
    #[n(0)]
    Step(#[n(0)] u32),
    /// Somebody cancelled it.
    #[n(1)]
    Cancelled,
    /// It took longer than its deadline.
    #[n(2)]
    Deadline,
    /// It waited too long for its turn.
    #[n(5)]
    QueueTimeout,
}

/// How a saga ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// Every step succeeded.
    #[n(0)]
    Completed,
    /// A step failed, and what had been done is taken back.
    #[n(1)]
    Compensated,
    /// It was cancelled, and what had been done is taken back.
    #[n(2)]
    Cancelled,
    /// An operator gave up what was stuck: not everything is done, or not everything is taken back.
    #[n(3)]
    Failed,
    /// An operator ended it as it was.
    #[n(4)]
    Terminated,
}

impl Verb {
    /// The verb as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::ForceDone => "force-done",
            Self::Complete => "complete",
            Self::Abandon => "abandon",
            Self::Recompensate => "recompensate",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Terminate => "terminate",
            Self::Migrate => "migrate",
        }
    }
}

impl Fact {
    /// The oldest version of records that has this fact.
    fn version(&self) -> u8 {
        match self {
            Self::TurnedBack {
                cause: Cause::Deadline | Cause::QueueTimeout,
                ..
            }
            | Self::Ended {
                outcome: Outcome::Terminated,
                ..
            }
            | Self::Created {
                parent: Some(_), ..
            } => 2,
            Self::Created { .. }
            | Self::StepStarted { .. }
            | Self::StepSucceeded { .. }
            | Self::AttemptFailed { .. }
            | Self::StepFailed { .. }
            | Self::TurnedBack { .. }
            | Self::CompensationStarted { .. }
            | Self::CompensationSucceeded { .. }
            | Self::CompensationAttemptFailed { .. }
            | Self::CompensationStuck { .. }
            | Self::CompensationResumed
            | Self::Ended { .. } => 1,
            Self::Operated { .. }
            | Self::ForwardStuck { .. }
            | Self::LateResult { .. }
            | Self::Paused { .. }
            | Self::Signalled { .. }
            | Self::Spread { .. }
            | Self::Migrated { .. }
            | Self::Begun
            | Self::Attached { .. }
            | Self::Closed => 2,
        }
    }
}

impl Record {
    /// A record of the oldest version that has the fact.
    #[must_use]
    pub fn new(at: Timestamp, fact: Fact) -> Self {
        Self {
            version: fact.version(),
            at,
            fact,
        }
    }

    /// The stored form.
    ///
    /// # Errors
    /// `Invalid` when it cannot be written.
    pub fn encode(&self) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        minicbor::encode(self, &mut bytes)
            .map(|()| Bytes::from(bytes))
            .map_err(|error| Error::invalid("saga record cannot be written").with_source(error))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a record of a version that this reader knows.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        // The version comes first, so that a later form is named as such and not as damage.
        let mut decoder = minicbor::Decoder::new(bytes);
        let version = decoder.array().and_then(|_| decoder.u8());
        match version {
            Ok(VERSION_MIN..=VERSION) => minicbor::decode(bytes).map_err(|error| {
                Error::new(ErrorKind::Corrupt, "saga record is damaged").with_source(error)
            }),
            Ok(other) => Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "saga record has version {other}, this program reads {VERSION_MIN} to {VERSION}"
                ),
            )),
            Err(error) => {
                Err(Error::new(ErrorKind::Corrupt, "saga record is damaged").with_source(error))
            }
        }
    }
}
