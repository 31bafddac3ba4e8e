//! Names in the envelope: event ids and event types.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use arrayvec::ArrayString;

use crate::clock::Clock;
use crate::error::{Error, Result};

/// Longest event id, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Longest event type or pattern, in bytes.
pub(crate) const TYPE_BYTES_MAX: usize = 255;
/// Most words in an event type or a pattern.
pub(crate) const TOKENS_MAX: usize = 16;

/// Bytes of a UUID as text, in the form with hyphens.
pub(crate) const UUID_BYTES: usize = 36;
/// Bytes of an id that stands in place. In memory it takes 48 bytes with its length and kind, as it would for a UUID alone.
const SHORT_BYTES: usize = 40;

/// Names one event for ever. Generated ids are UUIDv7 (RFC 9562); ids of other producers are kept as they are.
#[derive(Clone)]
pub struct EventId(Id);

#[derive(Clone)]
enum Id {
    /// As nearly all are, UUIDs and those of sagas with their numbers: these need no memory of their own.
    Short(ArrayString<SHORT_BYTES>),
    Long(Arc<str>),
}

impl EventId {
    /// A new UUIDv7 from `clock`'s time and chance.
    #[must_use]
    pub fn generate(clock: &dyn Clock) -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        Self::of(new_uuid(clock).encode_lower(&mut text))
    }

    fn of(id: &str) -> Self {
        Self(ArrayString::from(id).map_or_else(|_| Id::Long(id.into()), Id::Short))
    }

    /// An id as a producer gave it.
    ///
    /// # Errors
    /// `Invalid` when it is empty, longer than 128 bytes, or has control characters.
    pub fn new(id: impl Into<String>) -> Result<Self> {
        Self::read(&id.into())
    }

    /// As [`EventId::new`], of text that is not to be kept.
    pub(crate) fn read(id: &str) -> Result<Self> {
        Self::read_as("id", id)
    }

    /// The same of a field that has this name.
    pub(super) fn read_as(field: &str, id: &str) -> Result<Self> {
        let has_control = if id.is_ascii() {
            // To the end in any case: so many bytes at a time instead of each by itself.
            id.bytes()
                .fold(false, |so_far, it| so_far | it.is_ascii_control())
        } else {
            id.chars().any(char::is_control)
        };
        if id.is_empty() || id.len() > ID_BYTES_MAX || has_control {
            return Err(Error::invalid(format!(
                "event `{field}` must have 1 to {ID_BYTES_MAX} bytes and no control characters"
            )));
        }
        Ok(Self::of(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Id::Short(text) => text,
            Id::Long(text) => text,
        }
    }
}

impl PartialEq for EventId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for EventId {}

impl PartialOrd for EventId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EventId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for EventId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventId").field(&self.as_str()).finish()
    }
}

/// A new UUIDv7 as text.
pub(crate) fn uuid_v7(clock: &dyn Clock) -> String {
    let mut text = uuid::Uuid::encode_buffer();
    new_uuid(clock).encode_lower(&mut text).to_owned()
}

fn new_uuid(clock: &dyn Clock) -> uuid::fmt::Hyphenated {
    let random = u128::from(clock.random()) << 64 | u128::from(clock.random());
    let bytes = random.to_be_bytes();
    let milliseconds = u64::try_from(clock.now().milliseconds()).unwrap_or_default();
    let mut tail = [0_u8; 10];
    for (to, from) in tail.iter_mut().zip(bytes) {
        *to = from;
    }
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &tail)
        .into_uuid()
        .hyphenated()
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

/// What happened, as dot-separated words of ASCII letters, digits, `_` and `-`, such as `sample.created`.
#[derive(Clone)]
pub struct EventType(Type);

#[derive(Clone)]
enum Type {
    /// A word of this program: it needs no memory of its own.
    Known(&'static str),
    Read(Arc<str>),
}

impl EventType {
    /// A type of this crate, which fits the rules.
    pub(crate) const fn known(name: &'static str) -> Self {
        Self(Type::Known(name))
    }

    /// A type as text.
    ///
    /// # Errors
    /// `Invalid`, saying which rule is broken: 1 to 255 bytes, 1 to 16 words, no other characters, no empty word.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        Self::read_as("type", name.into())
    }

    /// The same of a field that has this name.
    pub(super) fn read_as(field: &str, name: String) -> Result<Self> {
        if name.len() > TYPE_BYTES_MAX {
            return Err(Error::invalid(format!(
                "event `{field}` has {} bytes, more than {TYPE_BYTES_MAX}",
                name.len()
            )));
        }
        let tokens = name.split('.').count();
        if tokens > TOKENS_MAX {
            return Err(Error::invalid(format!(
                "event `{field}` has {tokens} words, more than {TOKENS_MAX}"
            )));
        }
        if !name.split('.').all(is_token) {
            return Err(Error::invalid(format!(
                "event `{field}` `{}` must be words of letters, digits, `_`, `-`, joined by dots",
                name.escape_debug()
            )));
        }
        Ok(Self(Type::Read(name.into())))
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Type::Known(name) => name,
            Type::Read(name) => name,
        }
    }
}

impl PartialEq for EventType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for EventType {}

impl PartialOrd for EventType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EventType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for EventType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventType").field(&self.as_str()).finish()
    }
}

/// Whether `word` can stand between the dots of an event type.
pub(crate) fn is_token(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

impl Borrow<str> for EventType {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}
