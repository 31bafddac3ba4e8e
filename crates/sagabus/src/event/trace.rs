//! The trace that an event belongs to, as the W3C's trace context has it: `traceparent` among the metadata.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{Event, METADATA_ENTRIES_MAX};
use crate::error::Error;

/// The entry of the metadata; the extension of a CloudEvent and the header of HTTP have the same name.
pub const TRACEPARENT: &str = "traceparent";

/// A span, and the trace that it is part of. Written as `00-<trace id>-<span id>-<flags>`, in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// The span that the event was published from; `None` where it says none, or what it says is none.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        event.metadata.get(TRACEPARENT)?.parse().ok()
    }

    /// Names the trace.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// Names the span within it.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn span(&self, span_id: u64) -> Self {
        Self {
            // No span is 0.
            span_id: span_id.max(1),
            ..*self
        }
    }

    /// The span of the same trace that has this name within it: the same parts are the same span, also after a crash.
    pub(crate) fn named(&self, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.span_id.to_be_bytes());
        for part in parts {
            // With its length first, no part can run into the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        self.span(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Says that the event was published from this span, unless it says another or has no room.
    pub(crate) fn mark(&self, event: &mut Event) {
        let has_room = event.metadata.len() < METADATA_ENTRIES_MAX;
        if has_room && !event.metadata.contains_key(TRACEPARENT) {
            event
                .metadata
                .insert(TRACEPARENT.to_owned(), self.to_string());
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl FromStr for TraceContext {
    type Err = Error;

    /// Reads version 00, and of a later version what this one has too.
    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).ok_or_else(|| {
            Error::invalid("`traceparent` is not `00-<32 digits>-<16 digits>-<2 digits>`")
        })
    }
}

fn read(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let mut next = |digits: usize| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(is_digit)).then_some(part)
    };
    let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    let has_more = parts.next().is_some();
    let context = TraceContext {
        trace_id: u128::from_str_radix(trace, 16).ok()?,
        span_id: u64::from_str_radix(span, 16).ok()?,
        flags: u8::from_str_radix(flags, 16).ok()?,
    };
    let is_known = version != "ff" && !(version == "00" && has_more);
    (is_known && context.trace_id != 0 && context.span_id != 0).then_some(context)
}

#[cfg(test)]
mod tests;
