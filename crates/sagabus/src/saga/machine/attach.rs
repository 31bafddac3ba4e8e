//! Starts that are taken for a saga that has their concurrency key: it keeps their idempotency keys.

use std::sync::Arc;

use super::{Draft, Refusal, Stage, State};
use crate::error::ErrorKind;
use crate::saga::record::Fact;

/// Most idempotency keys of other starts that one saga keeps. Each is in memory and in the store for as long as the saga's own,
/// so the start beyond that is refused until the saga is over.
pub const ATTACHED_MAX: usize = 1_000;

/// Why a start with this idempotency key is not taken for the saga, if so.
#[must_use]
pub fn attach_refusal(state: &State, key: &str) -> Option<Refusal> {
    if state.has_key(key) {
        return None;
    }
    if matches!(state.stage, Stage::Ended(_)) {
        return Some(Refusal {
            kind: ErrorKind::Conflict,
            text: "it is over".to_owned(),
        });
    }
    (state.attached.len() >= ATTACHED_MAX).then(|| Refusal {
        kind: ErrorKind::Full,
        text: format!(
            "it has the `idempotencyKey` of {ATTACHED_MAX} starts that it was taken for, as many as may be"
        ),
    })
}

impl State {
    /// The idempotency keys that it is found by: its own, and those of the starts that were taken for it.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.idempotency_key().into_iter().chain(&*self.attached)
    }

    /// Whether it is found by this idempotency key.
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        self.keys().any(|own| **own == *key)
    }

    pub(super) fn attach(&mut self, key: &str) {
        Arc::make_mut(&mut self.attached).push(key.into());
    }
}

impl Draft<'_> {
    pub(super) fn attached(&mut self, key: &str) {
        if attach_refusal(&self.state, key).is_none() && !self.state.has_key(key) {
            self.record(Fact::Attached {
                key: key.to_owned(),
            });
        }
    }
}
