//! An event as CloudEvents attributes beside its payload (binary mode), without knowing how they are sent. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::strict::Entries;
use super::{Event, envelope};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::words::json_fault;

/// The extension that carries, as JSON, the metadata whose names no CloudEvents attribute may have.
const OTHER_METADATA: &str = "sagabusmetadata";

/// Names that mean something else in a CloudEvent, or are kept for it.
const RESERVED: [&str; 15] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "data",
    "schemaversion",
    "correlationid",
    "causationid",
    "priority",
    "expirytime",
    "idempotencykey",
    OTHER_METADATA,
];

/// The attributes of an event in binary mode, in the order of the alphabet; the payload goes beside them as it is, as
/// `application/json`.
///
/// # Errors
/// As [`envelope::to_cloud_event`].
pub fn to_attributes(event: &Event) -> Result<Vec<(String, String)>> {
    let mut bare = event.clone();
    bare.data = Bytes::from_static(b"null");
    let json = envelope::to_cloud_event(&bare)?;
    let all: BTreeMap<String, Value> = serde_json::from_slice(&json)
        .map_err(|error| Error::invalid("event cannot be read back").with_source(error))?;
    let attributes = all
        .into_iter()
        .filter(|(name, _)| name != "data" && name != "datacontenttype")
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            value => (name, value.to_string()),
        });
    Ok(attributes.collect())
}

/// Reads an event in binary mode: its attributes, and its payload, whose media type is one of the attributes as
/// `datacontenttype` or is JSON.
///
/// # Errors
/// `Invalid`, naming the attribute.
pub fn from_attributes(
    attributes: impl IntoIterator<Item = (String, String)>,
    data: &[u8],
    clock: &dyn Clock,
) -> Result<Event> {
    /// The same event in structured mode.
    #[derive(Serialize)]
    struct Structured<'a> {
        #[serde(flatten)]
        attributes: BTreeMap<String, String>,
        data: &'a RawValue,
    }
    let mut all = BTreeMap::new();
    for (name, value) in attributes {
        if name == "data" {
            return Err(no_attribute(&name));
        }
        check_name(&name)?;
        if all.contains_key(&name) {
            return Err(Error::invalid(format!("attribute `{name}` is there twice")));
        }
        all.insert(name, value);
    }
    if let Some(media_type) = all.get("datacontenttype") {
        check_media_type(media_type)?;
    }
    let structured = Structured {
        attributes: all,
        data: serde_json::from_slice(data).map_err(|error| {
            Error::invalid(format!(
                "`data` is not one JSON value: {}",
                json_fault(&error)
            ))
        })?,
    };
    let json = serde_json::to_vec(&structured)
        .map_err(|error| Error::invalid("event cannot be written as JSON").with_source(error))?;
    envelope::from_structured(&json, clock)
}

/// Metadata as extensions: each under its own name where that is one, all others together.
pub(super) fn extensions(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let (mut own, other): (BTreeMap<_, _>, BTreeMap<_, _>) = metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .partition(|(key, _)| is_attribute_name(key) && !RESERVED.contains(&key.as_str()));
    if !other.is_empty() {
        let other = other
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)));
        let json = Value::Object(other.collect()).to_string();
        own.insert(OTHER_METADATA.to_owned(), json);
    }
    own
}

/// Extensions as metadata: the reverse of [`extensions`].
pub(super) fn metadata(
    mut extensions: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    if let Some(json) = extensions.remove(OTHER_METADATA) {
        let other: Entries<String> = serde_json::from_str(&json).map_err(|error| {
            Error::invalid(format!(
                "extension `{OTHER_METADATA}` is not a JSON object of texts"
            ))
            .with_source(error)
        })?;
        if let Some(name) = other.0.keys().find(|it| extensions.contains_key(*it)) {
            let name = name.escape_debug();
            return Err(Error::invalid(format!(
                "`{name}` is an extension, and is in `{OTHER_METADATA}` too"
            )));
        }
        extensions.extend(other.0);
    }
    Ok(extensions)
}

/// Checks that CloudEvents allows an attribute of that name. It only advises against more than 20 characters.
pub(super) fn check_name(name: &str) -> Result<()> {
    if is_attribute_name(name) {
        return Ok(());
    }
    Err(no_attribute(name))
}

fn no_attribute(name: &str) -> Error {
    Error::invalid(format!(
        "`{}` is no name of a CloudEvents attribute, which has small letters and digits",
        name.escape_debug()
    ))
}

fn is_attribute_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Checks that the payload's media type is JSON in UTF-8.
pub(super) fn check_media_type(media_type: &str) -> Result<()> {
    if is_json(media_type) {
        return Ok(());
    }
    Err(Error::invalid(
        "`datacontenttype` must be `application/json`, in UTF-8",
    ))
}

/// Whether a media type is JSON in UTF-8, as payloads are.
#[must_use]
pub fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|it| it.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}
