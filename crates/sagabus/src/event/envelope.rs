//! Forms of an event on the wire: this project's own envelope, and CloudEvents 1.0 in structured mode, one or a batch.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::attributes::{check_media_type, check_name, extensions, metadata};
use super::named::Named;
use super::strict::Entries;
use super::{Event, EventId, EventType};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::ledger::Priority;
use crate::words::json_fault;

/// What CloudEvents have in the place of `data` where it is no JSON.
const BASE64: &str = "data_base64";

/// The envelope: `id, type, timestamp, version, source, subject, correlationId, causationId, metadata, data`.
///
/// A field that is not known is refused: a misspelt `correlationId` would be lost without a word.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    causation_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_normal")]
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Entries::is_empty")]
    metadata: Entries<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// CloudEvents 1.0.2, JSON event format, with the extensions `correlationid`, `causationid`, `schemaversion`,
/// `priority`, `expirytime` and `idempotencykey`.
#[derive(Serialize, Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    schemaversion: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    correlationid: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    causationid: Option<Cow<'a, str>>,
    #[serde(
        default,
        deserialize_with = "unless_null",
        skip_serializing_if = "is_normal"
    )]
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    expirytime: Option<Timestamp>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    idempotencykey: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(flatten)]
    extensions: Entries<serde_json::Value>,
}

/// Reads either form: a `specversion` makes it a CloudEvent. Id and time are filled in from `clock` where the
/// envelope leaves them out; CloudEvents must bring an id. The payload may be nested 64 deep and have no name twice in
/// one object, since readers differ in what they make of that.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn from_json(bytes: &[u8], clock: &dyn Clock) -> Result<Event> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        specversion: Option<&'a RawValue>,
    }
    let probe: Probe<'_> = parse(bytes)?;
    if probe.specversion.is_some() {
        return from_structured(bytes, clock);
    }
    checked(from_envelope(parse(bytes)?, clock)?, Named::Envelope)
}

/// Reads a CloudEvent in structured mode, and nothing else.
///
/// # Errors
/// As [`from_json`].
pub fn from_structured(bytes: &[u8], clock: &dyn Clock) -> Result<Event> {
    let named = Named::STRUCTURED;
    checked(from_cloud_event(parse(bytes)?, named, clock)?, named)
}

/// A CloudEvent of attributes that came as texts beside the payload.
pub(super) fn from_texts(
    mut all: BTreeMap<String, String>,
    data: &RawValue,
    named: Named<'_>,
    clock: &dyn Clock,
) -> Result<Event> {
    let mut text = |name: &str| all.remove(name).map(Cow::Owned);
    let missing = |name: &str| {
        let name = named.attribute(name);
        Error::invalid(format!("`{name}` is missing"))
    };
    let wrong = |name: &str, given: &str, why: &str| {
        let name = named.attribute(name);
        Error::invalid(format!("`{name}` is `{given}`{why}"))
    };
    let time = |name: &str, given: Option<Cow<'_, str>>| {
        let read = given.map(|given| {
            let time = given.parse::<Timestamp>();
            time.map_err(|error| wrong(name, &given, &format!(": {error}")))
        });
        read.transpose()
    };
    let event = CloudEvent {
        specversion: text("specversion").ok_or_else(|| missing("specversion"))?,
        id: text("id").ok_or_else(|| missing("id"))?,
        source: text("source").ok_or_else(|| missing("source"))?,
        event_type: text("type").ok_or_else(|| missing("type"))?,
        time: time("time", text("time"))?,
        subject: text("subject"),
        datacontenttype: text("datacontenttype"),
        schemaversion: text("schemaversion"),
        correlationid: text("correlationid"),
        causationid: text("causationid"),
        priority: match text("priority") {
            None => Priority::default(),
            Some(given) => given.parse().map_err(|_| {
                let words = Priority::ALL.map(|it| format!("`{it}`")).join(", ");
                wrong("priority", &given, &format!(", and must be one of {words}"))
            })?,
        },
        expirytime: time("expirytime", text("expirytime"))?,
        idempotencykey: text("idempotencykey"),
        data: Some(data),
        extensions: Entries(
            all.into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        ),
    };
    checked(from_cloud_event(event, named, clock)?, named)
}

fn checked(event: Event, named: Named<'_>) -> Result<Event> {
    event.check_as(named)?;
    super::strict::check("data", &event.data)?;
    Ok(event)
}

/// Reads a batch of CloudEvents: a JSON array of events in structured mode.
///
/// # Errors
/// As [`from_json`]; the text says which event, from 0.
pub fn from_batch(bytes: &[u8], clock: &dyn Clock) -> Result<Vec<Event>> {
    let batch: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(|error| {
        let fault = json_fault(&error);
        Error::invalid(format!("batch is not a JSON array: {fault}"))
    })?;
    batch
        .into_iter()
        .enumerate()
        .map(|(index, event)| {
            from_structured(event.get().as_bytes(), clock).map_err(|error| {
                Error::invalid(format!("event {index} of the batch is not taken"))
                    .with_source(error)
            })
        })
        .collect()
}

/// Writes the envelope form.
///
/// # Errors
/// `Invalid` when the payload is not JSON.
pub fn to_json(event: &Event) -> Result<Vec<u8>> {
    let envelope = Envelope {
        id: Some(event.id.as_str().into()),
        event_type: event.event_type.as_str().into(),
        timestamp: Some(event.time),
        version: Some(event.version.as_ref().into()),
        source: event.source.as_ref().into(),
        subject: event.subject.as_deref().map(Cow::from),
        correlation_id: event.correlation_id.as_deref().map(Cow::from),
        causation_id: event.causation_id.as_ref().map(|id| id.as_str().into()),
        priority: event.priority,
        expires_at: event.expires_at,
        idempotency_key: event.idempotency_key.as_deref().map(Cow::from),
        metadata: Entries(event.metadata.clone()),
        data: raw(&event.data)?,
    };
    serde_json::to_vec(&envelope)
        .map_err(|error| Error::invalid("event cannot be written as JSON").with_source(error))
}

/// Writes the CloudEvents 1.0 structured form.
///
/// # Errors
/// `Invalid` when the payload is not JSON.
pub fn to_cloud_event(event: &Event) -> Result<Vec<u8>> {
    let cloud_event = CloudEvent {
        specversion: "1.0".into(),
        id: event.id.as_str().into(),
        source: event.source.as_ref().into(),
        event_type: event.event_type.as_str().into(),
        time: Some(event.time),
        subject: event.subject.as_deref().map(Cow::from),
        datacontenttype: Some("application/json".into()),
        schemaversion: Some(event.version.as_ref().into()),
        correlationid: event.correlation_id.as_deref().map(Cow::from),
        causationid: event.causation_id.as_ref().map(|id| id.as_str().into()),
        priority: event.priority,
        expirytime: event.expires_at,
        idempotencykey: event.idempotency_key.as_deref().map(Cow::from),
        data: Some(raw(&event.data)?),
        extensions: Entries(
            extensions(&event.metadata)
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        ),
    };
    serde_json::to_vec(&cloud_event)
        .map_err(|error| Error::invalid("event cannot be written as JSON").with_source(error))
}

fn from_envelope(envelope: Envelope<'_>, clock: &dyn Clock) -> Result<Event> {
    Ok(Event {
        id: match envelope.id {
            Some(id) => EventId::new(id)?,
            None => EventId::generate(clock),
        },
        event_type: EventType::new(envelope.event_type)?,
        source: owned(envelope.source),
        subject: envelope.subject.map(Cow::into_owned),
        time: envelope.timestamp.unwrap_or_else(|| clock.now()),
        version: envelope.version.map_or(Cow::Borrowed("1.0"), owned),
        correlation_id: envelope.correlation_id.map(Cow::into_owned),
        causation_id: envelope
            .causation_id
            .map(|id| EventId::read_as("causationId", &id))
            .transpose()?,
        priority: envelope.priority,
        expires_at: envelope.expires_at,
        idempotency_key: envelope.idempotency_key.map(Cow::into_owned),
        metadata: envelope.metadata.0,
        data: Bytes::copy_from_slice(envelope.data.get().as_bytes()),
    })
}

fn from_cloud_event(event: CloudEvent<'_>, named: Named<'_>, clock: &dyn Clock) -> Result<Event> {
    if event.specversion != "1.0" {
        let name = named.of("specversion");
        return Err(Error::invalid(format!("`{name}` must be `1.0`")));
    }
    if let Some(kind) = &event.datacontenttype {
        check_media_type(kind)?;
    }
    let mut extensions = event.extensions.0;
    // What is `null` is as if it were left out.
    let base64 = extensions.remove(BASE64).filter(|it| !it.is_null());
    let data = match (event.data, base64.is_some()) {
        (Some(data), false) => data,
        (Some(_), true) => {
            return Err(Error::invalid(
                "`data` and `data_base64` are there together; `data` is taken alone",
            ));
        }
        (None, _) => {
            return Err(Error::invalid(
                "`data` is missing; `data_base64` is not taken",
            ));
        }
    };
    let texts = texts(extensions)?;
    Ok(Event {
        id: EventId::read_as(&named.of("id"), &event.id)?,
        event_type: EventType::read_as(&named.of("type"), event.event_type.into_owned())?,
        source: owned(event.source),
        subject: event.subject.map(Cow::into_owned),
        time: event.time.unwrap_or_else(|| clock.now()),
        version: event.schemaversion.map_or(Cow::Borrowed("1.0"), owned),
        correlation_id: event.correlationid.map(Cow::into_owned),
        causation_id: event
            .causationid
            .map(|id| EventId::read_as(&named.of("causationId"), &id))
            .transpose()?,
        priority: event.priority,
        expires_at: event.expirytime,
        idempotency_key: event.idempotencykey.map(Cow::into_owned),
        metadata: metadata(texts, named)?,
        data: Bytes::copy_from_slice(data.get().as_bytes()),
    })
}

/// Extensions as texts.
fn texts(extensions: BTreeMap<String, serde_json::Value>) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for (key, value) in extensions {
        check_name(&key, Named::STRUCTURED)?;
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.to_string(),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                return Err(Error::invalid(format!(
                    "extension `{key}` must be text, a number or a boolean"
                )));
            }
        };
        texts.insert(key, text);
    }
    Ok(texts)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_normal(priority: &Priority) -> bool {
    *priority == Priority::Normal
}

/// A value, or the usual one where it is `null`.
fn unless_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    value: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(value).map(Option::unwrap_or_default)
}

/// A value that is there, be it `null`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    // A list of its fields would be read as well.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Error::invalid(
            "event is not a JSON envelope: it is a list, and must be an object",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // Read again only for the name of the field, so that good events do not pay for it.
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let place = serde_path_to_error::deserialize::<_, T>(&mut reader)
            .err()
            .map(|error| error.path().to_string())
            .filter(|path| path != ".")
            .map_or_else(String::new, |path| format!(" at `{path}`"));
        let fault = json_fault(&error);
        Error::invalid(format!("event is not a JSON envelope{place}: {fault}"))
    })
}

fn raw(data: &[u8]) -> Result<&RawValue> {
    serde_json::from_slice(data)
        .map_err(|error| Error::invalid("`data` is not JSON").with_source(error))
}
