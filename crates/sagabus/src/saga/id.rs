//! The name of one saga.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::event::EventId;

/// Longest saga id, in bytes: event ids are made from it.
const ID_BYTES_MAX: usize = 96;

/// Names one saga for ever. Generated ids are UUIDv7, so that they sort by time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(Arc<str>);

impl SagaId {
    /// A new id from `clock`'s time and chance.
    #[must_use]
    pub fn generate(clock: &dyn Clock) -> Self {
        Self(EventId::generate(clock).as_str().into())
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
