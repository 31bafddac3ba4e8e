//! The name of one saga.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::event::EventId;

/// Longest saga id, in bytes: event ids are made from it.
pub(super) const ID_BYTES_MAX: usize = 96;

/// Names one saga for ever. Generated ids are UUIDv7, so that they sort by time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(Arc<str>);

impl SagaId {
    /// A new id from `clock`'s time and chance.
    #[must_use]
    pub fn generate(clock: &dyn Clock) -> Self {
        Self(EventId::generate(clock).as_str().into())
    }

    /// The id that is made of these parts: a UUID (version 8, RFC 9562), the same whenever it is made.
    /// The id of the saga that this attempt of a step starts: after a crash the same is meant.
    pub(crate) fn of_child(parent: &str, step: &str, attempt: u32) -> Result<Self> {
        Self::derived(&["child", parent, step, &attempt.to_string()])
    }

    pub(super) fn derived(parts: &[&str]) -> Result<Self> {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length first, no part can run into the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
        id.hyphenated().to_string().parse()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SagaId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits || text.is_empty() || text.len() > ID_BYTES_MAX {
            return Err(Error::invalid(format!(
                "saga `id` must be 1 to {ID_BYTES_MAX} letters, digits and `-`"
            )));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
