//! What a filter sees of an event: attributes by name, and the payload, which is read on first use and once.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::sql::{Fault, Scope, Value};
use crate::event::{Event, METADATA_ENTRIES_MAX};

/// Longest key in `metadata` that is found by another spelling, in bytes; longer ones are found as they are written.
const FOLDED_BYTES_MAX: usize = 64;
/// Whole numbers from here on have no exact binary fraction of 64 bits.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The name of an attribute.
///
/// The envelope's own names are `id`, `source`, `type`, `subject`, `time`, `specversion`, `datacontenttype`,
/// `schemaversion`, `correlationid`, `causationid`, `priority`, `expirytime` and `idempotencykey`, as in a CloudEvent; the
/// names of this project's envelope, such as `timestamp`, `version` and `expiresAt`, mean the same. Any other name is an
/// entry of `metadata`: the one with exactly this key, or else the first whose key is the same but for `-`, `_`, `.` and
/// the case of ASCII letters. So `traceparent` finds `traceParent` and `trace-parent`, though CloudEvents names have small
/// letters and digits only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    written: Box<str>,
    folded: Box<str>,
}

impl Name {
    /// A name as written.
    #[must_use]
    pub fn new(written: &str) -> Self {
        Self {
            written: written.into(),
            folded: String::from_utf8(fold(written).collect())
                .unwrap_or_default()
                .into(),
        }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What a look-up may cost: that of the longest search through `metadata`.
    pub(super) fn cost(&self) -> usize {
        self.written.len() + METADATA_ENTRIES_MAX
    }
}

/// The bytes that count when names are compared. Only whole ASCII characters go, so UTF-8 stays UTF-8.
fn fold(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes()
        .filter(|it| !matches!(it, b'-' | b'_' | b'.'))
        .map(|it| it.to_ascii_lowercase())
}

/// An event as filters see it. One view serves all filters that are asked about the event, so that its payload is read
/// once however many of them look into it.
#[derive(Debug)]
pub struct View<'e> {
    event: &'e Event,
    payload: OnceCell<Option<serde_json::Value>>,
}

impl<'e> View<'e> {
    /// A view of `event`; nothing is read yet.
    #[must_use]
    pub fn new(event: &'e Event) -> Self {
        Self {
            event,
            payload: OnceCell::new(),
        }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &'e Event {
        self.event
    }

    /// The attribute of that name, where the event has it.
    #[must_use]
    pub fn text(&self, name: &Name) -> Option<Cow<'e, str>> {
        envelope(self.event, &name.folded).unwrap_or_else(|| self.metadata(name))
    }

    fn metadata(&self, name: &Name) -> Option<Cow<'e, str>> {
        let metadata = &self.event.metadata;
        let exact = metadata.get(&*name.written);
        let found = exact.or_else(|| {
            let mut entries = metadata.iter().take(METADATA_ENTRIES_MAX);
            let found = entries.find(|(key, _)| {
                !name.folded.is_empty()
                    && key.len() <= FOLDED_BYTES_MAX
                    && fold(key).eq(name.folded.bytes())
            });
            found.map(|(_, value)| value)
        });
        found.map(|it| Cow::Borrowed(it.as_str()))
    }
}

/// The one place where the envelope's fields have names. The outer `None`: not a name of the envelope.
fn envelope<'e>(event: &'e Event, name: &str) -> Option<Option<Cow<'e, str>>> {
    Some(match name {
        "id" => Some(event.id.as_str().into()),
        "source" => Some(event.source.as_ref().into()),
        "type" => Some(event.event_type.as_str().into()),
        "subject" => event.subject.as_deref().map(Cow::from),
        "time" | "timestamp" => Some(event.time.to_string().into()),
        "specversion" => Some("1.0".into()),
        "datacontenttype" => Some("application/json".into()),
        "schemaversion" | "version" => Some(event.version.as_ref().into()),
        "correlationid" => event.correlation_id.as_deref().map(Cow::from),
        "causationid" => event.causation_id.as_ref().map(|it| it.as_str().into()),
        "priority" => Some(event.priority.as_str().into()),
        "expirytime" | "expiresat" => event.expires_at.map(|it| it.to_string().into()),
        "idempotencykey" => event.idempotency_key.as_deref().map(Cow::from),
        _ => return None,
    })
}

impl Scope for View<'_> {
    fn attribute(&self, name: &Name) -> Option<Value<'_>> {
        self.text(name).map(Value::Text)
    }

    fn data(&self, pointer: &str) -> Result<Value<'_>, Fault> {
        let payload = self
            .payload
            .get_or_init(|| serde_json::from_slice(&self.event.data).ok());
        let payload = payload.as_ref().ok_or(Fault::NotJson)?;
        match payload.pointer(pointer).ok_or(Fault::MissingData)? {
            serde_json::Value::Null => Err(Fault::MissingData),
            serde_json::Value::Bool(it) => Ok(Value::Boolean(*it)),
            serde_json::Value::Number(it) => number(it),
            serde_json::Value::String(it) => Ok(Value::from(it.as_str())),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Err(Fault::NotScalar),
        }
    }
}

/// A whole number of 32 bits, however it is written (`3`, `3.0`, `3e0`), is an integer. Other numbers are text, since
/// the language has no such type: whole ones digit by digit, fractions in their shortest form (`0.50` is `'0.5'`).
fn number(number: &serde_json::Number) -> Result<Value<'static>, Fault> {
    let whole = if number.is_f64() {
        let it = number.as_f64().unwrap_or(f64::INFINITY);
        if it.abs() >= EXACT_MAX {
            return Err(Fault::NotExact);
        }
        if it.fract() != 0.0 {
            return Ok(number.to_string().into());
        }
        format!("{it:.0}")
    } else {
        number.to_string()
    };
    Ok(match whole.parse::<i32>() {
        Ok(it) => it.into(),
        Err(_) => whole.into(),
    })
}
