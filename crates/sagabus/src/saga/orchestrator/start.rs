//! What a saga is started with, and its first record.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::Sagas;
use super::book::Known;
use super::saga::Saga;
use crate::error::{Error, Result};
use crate::event::strict;
use crate::event::trace::TraceContext;
use crate::event::{ATTRIBUTE_BYTES_MAX, DATA_BYTES_MAX, EventId};
use crate::ledger::Priority;
use crate::saga::definition::Definition;
use crate::saga::id::SagaId;
use crate::saga::machine::State;
use crate::saga::record::{Fact, Record};
use crate::text::check_visible;

/// Most attributes of one saga: all of them are in memory and looked at by each search.
pub const ATTRIBUTES_MAX: usize = 16;
/// Longest name of an attribute, in bytes.
const ATTRIBUTE_NAME_BYTES_MAX: usize = 64;

/// What a saga is started with besides its definition.
#[derive(Clone, Debug)]
#[must_use]
pub struct Start {
    input: Bytes,
    correlation_id: Option<String>,
    idempotency_key: Option<String>,
    causation_id: Option<EventId>,
    id: Option<SagaId>,
    parent: Option<SagaId>,
    attributes: Vec<(String, String)>,
    priority: Option<Priority>,
    trace: Option<TraceContext>,
}

/// The saga of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub id: SagaId,
    /// Why it is one that was there before, if it is: nothing of this start is stored or done.
    pub earlier: Option<Earlier>,
}

/// Why a start is taken for the saga of an earlier one. That has the idempotency key of this one too, and keeps it as its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// That one had the same idempotency key, or was for the same event.
    Keyed {
        /// Whether it has another definition or another input than this start.
        is_other: bool,
    },
    /// The same, and its saga has ended and left the memory: nothing can be shown of it any more, also whether it is one that a
    /// start was taken for.
    Forgotten,
    /// The same, and its saga cannot be read: see [`Sagas::unreadable`].
    Unreadable,
    /// That one has the concurrency key of this start, whose definition says [`OnConflict::Attach`](crate::saga::OnConflict); or
    /// it had that of an earlier start with the idempotency key of this one, and may be over by now.
    Attached {
        /// Whether it has another definition or another input than this start.
        is_other: bool,
    },
}

impl Start {
    /// Starts with `input`, one JSON value, usually an object.
    pub fn new(input: impl Into<Bytes>) -> Self {
        Self {
            input: input.into(),
            correlation_id: None,
            idempotency_key: None,
            causation_id: None,
            id: None,
            parent: None,
            attributes: Vec::new(),
            priority: None,
            trace: None,
        }
    }

    /// Ties the saga to other work; its own id is taken where nothing is given.
    pub fn correlated(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation_id = Some(correlation_id.into());
        self
    }

    /// Makes a second start with the same key the same saga.
    pub fn keyed(mut self, idempotency_key: impl Into<String>) -> Self {
        self.idempotency_key = Some(idempotency_key.into());
        self
    }

    /// Lets the saga be found by `value` under `name`: see [`Sagas::search`]. Shown to whoever sees the saga, so no personal
    /// data. At most [`ATTRIBUTES_MAX`], each value at most 255 bytes.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// How urgent the saga is while it waits for its turn; what its definition says where nothing is given.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    pub(in crate::saga) fn correlated_unless_it_is(mut self, correlation_id: String) -> Self {
        self.correlation_id.get_or_insert(correlation_id);
        self
    }

    /// Gives the saga an id that is made of what it follows from, instead of a new one.
    pub(in crate::saga) fn identified(mut self, id: SagaId) -> Self {
        self.id = Some(id);
        self
    }

    /// Makes the saga one that `parent` waits for, with an id that is made of what the parent says.
    pub(super) fn child_of(mut self, parent: SagaId, id: SagaId) -> Self {
        (self.parent, self.id) = (Some(parent), Some(id));
        self
    }

    /// Makes the saga part of a trace, started from this span: its handlers, its events and what follows from those are of
    /// the same trace.
    pub fn traced(mut self, span: TraceContext) -> Self {
        self.trace = Some(span);
        self
    }

    pub(in crate::saga) fn traced_unless_it_is(mut self, span: Option<TraceContext>) -> Self {
        self.trace = self.trace.or(span);
        self
    }

    /// Names the event that led to the saga.
    pub fn caused_by(mut self, event: EventId) -> Self {
        self.causation_id = Some(event);
        self
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    pub(super) fn input(&self) -> &Bytes {
        &self.input
    }

    fn take_attributes(&mut self) -> Result<Option<BTreeMap<String, String>>> {
        let given = std::mem::take(&mut self.attributes);
        if given.is_empty() {
            return Ok(None);
        }
        if given.len() > ATTRIBUTES_MAX {
            let text = format!("a saga has at most {ATTRIBUTES_MAX} attributes");
            return Err(Error::invalid(text));
        }
        let mut attributes = BTreeMap::new();
        for (name, value) in given {
            let shown = name.escape_debug();
            let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            if !(1..=ATTRIBUTE_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_named)
            {
                return Err(Error::invalid(format!(
                    "name of attribute `{shown}` must be 1 to {ATTRIBUTE_NAME_BYTES_MAX} letters, digits, `_`, `-`, `.`"
                )));
            }
            if !(1..=ATTRIBUTE_BYTES_MAX).contains(&value.len()) {
                return Err(Error::invalid(format!(
                    "attribute `{shown}` must have 1 to {ATTRIBUTE_BYTES_MAX} bytes"
                )));
            }
            check_visible("attribute", &value)?;
            if attributes.insert(name.clone(), value).is_some() {
                return Err(Error::invalid(format!(
                    "attribute `{shown}` is given twice"
                )));
            }
        }
        Ok(Some(attributes))
    }
}

impl Sagas {
    /// Whether this process has all handlers of the definition.
    pub(in crate::saga) fn check_handlers(&self, definition: &Definition) -> Result<()> {
        self.0.handlers.bind(definition)?;
        Ok(())
    }

    /// The saga that a start is taken for which orders this; nothing that could be done where there is none.
    pub(super) fn earlier(&self, known: Known, order: Option<(&Definition, &Bytes)>) -> Started {
        let is_other = |saga: &Saga| order.is_none_or(|order| is_other(&saga.state(), order));
        let earlier = match &known.saga {
            Some(saga) if known.is_attached => Earlier::Attached {
                is_other: is_other(saga),
            },
            Some(saga) => Earlier::Keyed {
                is_other: is_other(saga),
            },
            None if self.0.book().why_unreadable(&known.id).is_some() => Earlier::Unreadable,
            None => Earlier::Forgotten,
        };
        Started {
            id: known.id,
            earlier: Some(earlier),
        }
    }

    pub(super) fn first_record(
        &self,
        definition: &Definition,
        mut start: Start,
    ) -> Result<(State, Record)> {
        if start.input.len() > DATA_BYTES_MAX {
            return Err(Error::invalid(format!(
                "saga `input` has {} bytes, more than {DATA_BYTES_MAX}",
                start.input.len()
            )));
        }
        strict::check("input", &start.input)?;
        for (field, value) in [
            ("correlationId", &start.correlation_id),
            ("idempotencyKey", &start.idempotency_key),
        ] {
            if let Some(value) = value {
                check_text(field, value)?;
            }
        }
        if let Some(id) = &start.causation_id {
            check_visible("causationId", id.as_str())?;
        }
        let attributes = start.take_attributes()?;
        let priority = start.priority;
        let options = definition.options();
        let key = options.concurrency_key.as_ref();
        let key = key.map(|key| key.render(&start.input)).transpose();
        let concurrency_key = key.map_err(|reason| {
            Error::invalid(format!(
                "`concurrencyKey` cannot be made of the input: {reason}"
            ))
        })?;
        definition
            .event_input(&start.input)
            .map_err(|reason| Error::invalid(format!("saga cannot be told of: {reason}")))?;
        let clock = self.0.clock.as_ref();
        // Where a key was forgotten, the store may have a saga that is over with the id that was made of the event. A child is
        // kept for as long as its parent may ask for it.
        let is_child = start.parent.is_some();
        let derived = (start.id).filter(|_| is_child || !self.0.book().has_forgotten_keys);
        let id = derived.unwrap_or_else(|| SagaId::generate(clock));
        let record = Record::new(
            clock.now(),
            Fact::Created {
                definition: definition.to_json(),
                hash: definition.hash().0,
                input: start.input,
                correlation_id: start.correlation_id.unwrap_or_else(|| id.to_string()),
                idempotency_key: start.idempotency_key,
                causation_id: start.causation_id.map(|id| id.to_string()),
                parent: start.parent.map(|id| id.to_string()),
                attributes,
                priority: priority.filter(|it| *it != options.priority),
                concurrency_key,
                trace: start.trace.map(|span| span.to_string()),
            },
        );
        let state = State::first(id, &record, |_| Ok(definition.clone()))?;
        Ok((state, record))
    }
}

pub(super) fn check_text(field: &str, value: &str) -> Result<()> {
    if !(1..=ATTRIBUTE_BYTES_MAX).contains(&value.len()) {
        return Err(Error::invalid(format!(
            "saga `{field}` must have 1 to {ATTRIBUTE_BYTES_MAX} bytes"
        )));
    }
    check_visible(field, value)
}

/// Whether a start orders other work than the saga does. White space and the order of fields make no difference.
fn is_other(saga: &State, (definition, input): (&Definition, &Bytes)) -> bool {
    let value = |json: &Bytes| serde_json::from_slice::<Value>(json).ok();
    saga.definition().hash() != definition.hash()
        || saga.input() != input && value(saga.input()) != value(input)
}
