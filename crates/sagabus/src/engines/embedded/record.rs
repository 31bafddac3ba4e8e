//! What the log's records say: their kinds, and how an event is written.

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::window::Named;
use crate::cbor;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId, EventType};
use crate::ledger::Priority;
use crate::saga_store::KEYS_KEPT;

/// An event.
pub(crate) const EVENT: u8 = 1;
/// A change of a subscription's ledger.
pub(crate) const LEDGER: u8 = 2;
/// A record of a saga.
pub(crate) const SAGA: u8 = 3;

/// A change of what is scheduled.
pub(crate) const SCHEDULE: u8 = 4;

/// A key of a saga that is over, whose records were dropped or which has others too. A program that does not know it drops it.
pub(crate) const SAGA_KEY: u8 = 5;

/// Room for an envelope of usual size.
const ENVELOPE_BYTES: usize = 256;

/// The version that nearly all events have.
const USUAL_VERSION: &str = "1.0";

/// An event as stored. Fields are numbered: an older reader skips newer ones. [`encode_event`] writes it.
#[derive(Decode)]
#[cfg_attr(test, derive(Encode))]
struct StoredEvent<'a> {
    #[b(0)]
    id: &'a str,
    #[b(1)]
    event_type: &'a str,
    #[b(2)]
    source: &'a str,
    #[b(3)]
    subject: Option<&'a str>,
    #[n(4)]
    time: Timestamp,
    #[b(5)]
    version: &'a str,
    #[b(6)]
    correlation_id: Option<&'a str>,
    #[b(7)]
    causation_id: Option<&'a str>,
    #[b(8)]
    metadata: BTreeMap<&'a str, &'a str>,
    #[b(9)]
    #[cbor(with = "minicbor::bytes")]
    data: &'a [u8],
    /// Left out where it is the usual one.
    #[n(10)]
    priority: Option<Priority>,
    #[n(11)]
    expires_at: Option<Timestamp>,
    #[b(12)]
    idempotency_key: Option<&'a str>,
}

/// Writes an event: the derived form of [`StoredEvent`], in one piece.
pub(crate) fn encode_event(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + event.data.len());
    let priority = Some(event.priority).filter(|it| *it != Priority::Normal);
    // What is not there is left out behind the last that is.
    let fields = match event {
        _ if event.idempotency_key.is_some() => 13,
        _ if event.expires_at.is_some() => 12,
        _ if priority.is_some() => 11,
        _ => 10,
    };
    cbor::push_list(&mut bytes, fields);
    cbor::push_text(&mut bytes, event.id.as_str());
    cbor::push_text(&mut bytes, event.event_type.as_str());
    cbor::push_text(&mut bytes, &event.source);
    cbor::push_some_text(&mut bytes, event.subject.as_deref());
    cbor::push_signed(&mut bytes, event.time.milliseconds());
    cbor::push_text(&mut bytes, &event.version);
    cbor::push_some_text(&mut bytes, event.correlation_id.as_deref());
    let causation_id = event.causation_id.as_ref().map(EventId::as_str);
    cbor::push_some_text(&mut bytes, causation_id);
    cbor::push_map(&mut bytes, event.metadata.len());
    for (key, value) in &event.metadata {
        cbor::push_text(&mut bytes, key);
        cbor::push_text(&mut bytes, value);
    }
    cbor::push_bytes(&mut bytes, &event.data);
    if fields > 10 {
        match priority {
            Some(priority) => bytes = encode_in(bytes, &priority),
            None => cbor::push_null(&mut bytes),
        }
    }
    if fields > 11 {
        match event.expires_at {
            Some(time) => cbor::push_signed(&mut bytes, time.milliseconds()),
            None => cbor::push_null(&mut bytes),
        }
    }
    if fields > 12 {
        cbor::push_some_text(&mut bytes, event.idempotency_key.as_deref());
    }
    bytes
}

/// Writes an event as derived.
#[cfg(test)]
fn encode_derived(event: &Event) -> Vec<u8> {
    let stored = StoredEvent {
        id: event.id.as_str(),
        event_type: event.event_type.as_str(),
        source: &event.source,
        subject: event.subject.as_deref(),
        time: event.time,
        version: &event.version,
        correlation_id: event.correlation_id.as_deref(),
        causation_id: event.causation_id.as_ref().map(EventId::as_str),
        metadata: event
            .metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect(),
        data: &event.data,
        priority: Some(event.priority).filter(|it| *it != Priority::Normal),
        expires_at: event.expires_at,
        idempotency_key: event.idempotency_key.as_deref(),
    };
    encode_in(Vec::new(), &stored)
}

/// Reads an event.
pub(crate) fn decode_event(bytes: &[u8]) -> Result<Event> {
    decode_next(bytes, None, &mut None)
}

/// Reads an event whose payload stays where it lies in `chunk`, or is copied where there is none. Events that follow each
/// other are often of one type, which they then share: the latest one is kept.
pub(crate) fn decode_next(
    bytes: &[u8],
    chunk: Option<&Bytes>,
    latest: &mut Option<EventType>,
) -> Result<Event> {
    let stored: StoredEvent<'_> = decode(bytes)?;
    let data = match chunk {
        Some(chunk) => chunk.slice_ref(stored.data),
        None => Bytes::copy_from_slice(stored.data),
    };
    let event_type = match latest {
        Some(latest) if latest.as_str() == stored.event_type => latest.clone(),
        _ => latest.insert(EventType::new(stored.event_type)?).clone(),
    };
    Ok(Event {
        id: EventId::read(stored.id)?,
        event_type,
        source: stored.source.to_owned().into(),
        subject: stored.subject.map(str::to_owned),
        time: stored.time,
        version: match stored.version {
            USUAL_VERSION => USUAL_VERSION.into(),
            version => version.to_owned().into(),
        },
        correlation_id: stored.correlation_id.map(str::to_owned),
        causation_id: stored.causation_id.map(EventId::read).transpose()?,
        metadata: stored
            .metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        priority: stored.priority.unwrap_or_default(),
        expires_at: stored.expires_at,
        idempotency_key: stored.idempotency_key.map(str::to_owned),
        data,
    })
}

/// A change of what is scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Schedule {
    /// An event is to be published at `due`; it is named by the position of this record.
    #[n(0)]
    Set {
        #[n(0)]
        due: Timestamp,
        #[n(1)]
        cancel_key: Option<String>,
        /// As stored.
        #[n(2)]
        #[cbor(with = "minicbor::bytes")]
        event: Vec<u8>,
    },
    /// They were published.
    #[n(1)]
    Fired {
        #[n(0)]
        positions: Vec<u64>,
    },
    /// It is not to be published.
    #[n(2)]
    Cancelled {
        #[n(0)]
        position: u64,
    },
    /// It is to be published at another time.
    #[n(3)]
    Moved {
        #[n(0)]
        position: u64,
        #[n(1)]
        due: Timestamp,
    },
}

/// What names a stored event.
pub(crate) fn named(bytes: &[u8]) -> Result<Named<'_>> {
    let stored: StoredEvent<'_> = decode(bytes)?;
    Ok(Named {
        id: stored.id,
        source: stored.source,
        idempotency_key: stored.idempotency_key,
        event_type: stored.event_type,
        subject: stored.subject,
        data: stored.data,
    })
}

/// The type of a stored event, without reading the rest.
pub(crate) fn event_type(bytes: &[u8]) -> Result<&str> {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder
        .array()
        .and_then(|_| decoder.str())
        .and_then(|_id| decoder.str())
        .map_err(unreadable)
}

/// Whether a stored event has a priority or an end of its time, so that it cannot be handed out as it comes.
pub(crate) fn is_special(bytes: &[u8]) -> Result<bool> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let fields = decoder.array().map_err(unreadable)?;
    if fields.is_some_and(|it| it <= 10) {
        return Ok(false);
    }
    let stored: StoredEvent<'_> = decode(bytes)?;
    Ok(stored.priority.is_some() || stored.expires_at.is_some())
}

/// A record of one saga.
#[derive(Encode, Decode)]
pub(crate) struct StoredSagaRecord<'a> {
    #[b(0)]
    pub(crate) saga: &'a str,
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) record: &'a [u8],
    /// It is the last one of the saga.
    #[n(2)]
    pub(crate) is_last: Option<bool>,
    /// With the last one: what outlives the saga.
    #[b(3)]
    pub(crate) kept: Option<KeptKey<'a>>,
}

/// The key of a saga that is over. It stands for the saga once that is dropped.
#[derive(Clone, Encode, Decode)]
pub(crate) struct KeptKey<'a> {
    #[b(0)]
    pub(crate) saga: &'a str,
    #[b(1)]
    pub(crate) key: &'a str,
    /// When the saga was over.
    #[n(2)]
    pub(crate) at: Timestamp,
}

impl KeptKey<'_> {
    /// Whether it is to be kept.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.at) < KEYS_KEPT
    }
}

/// Writes any record.
pub(crate) fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    encode_in(Vec::with_capacity(256), record)
}

#[expect(
    clippy::expect_used,
    reason = "encoding fails only where its writer does, and a vector never does"
)]
fn encode_in<T: Encode<()>>(mut bytes: Vec<u8>, record: &T) -> Vec<u8> {
    minicbor::encode(record, &mut bytes).expect("a vector takes every byte");
    bytes
}

/// Reads any record.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T> {
    minicbor::decode(bytes).map_err(unreadable)
}

fn unreadable(error: minicbor::decode::Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "a record of the log is whole but cannot be read; it may come from a newer version",
    )
    .with_source(error)
}

#[cfg(test)]
mod tests;
