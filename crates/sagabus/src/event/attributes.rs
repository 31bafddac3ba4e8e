//! An event as CloudEvents attributes beside its payload (binary mode), without knowing how they are sent. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use super::named::{Named, OTHER_METADATA};
use super::strict::Entries;
use super::{Event, envelope};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::words::{json_fault, json_reason};

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
    from_prefixed("", attributes, data, clock)
}

/// The same of attributes that have this before their names where they come from, such as `ce-`: errors name them so.
///
/// # Errors
/// As [`from_attributes`].
pub fn from_prefixed(
    prefix: &str,
    attributes: impl IntoIterator<Item = (String, String)>,
    data: &[u8],
    clock: &dyn Clock,
) -> Result<Event> {
    let named = Named::CloudEvent { prefix };
    let mut all = BTreeMap::new();
    for (name, value) in attributes {
        if name == "data" {
            return Err(no_attribute(&name, named));
        }
        check_name(&name, named)?;
        if all.contains_key(&name) {
            let name = named.attribute(&name);
            return Err(Error::invalid(format!("attribute `{name}` is there twice")));
        }
        all.insert(name, value);
    }
    if let Some(media_type) = all.get("datacontenttype") {
        check_media_type(media_type)?;
    }
    let data: &RawValue = serde_json::from_slice(data).map_err(|error| {
        let fault = json_fault(&error);
        Error::invalid(format!("`data` is not one JSON value: {fault}"))
    })?;
    envelope::from_texts(all, data, named, clock)
}

/// Metadata as extensions: each under its own name where that is one, all others together.
pub(super) fn extensions(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let (mut own, other): (BTreeMap<_, _>, BTreeMap<_, _>) = metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .partition(|(key, _)| is_own(key));
    if !other.is_empty() {
        let other = other
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)));
        let json = Value::Object(other.collect()).to_string();
        own.insert(OTHER_METADATA.to_owned(), json);
    }
    own
}

/// Whether an entry of the metadata is an extension of its own.
pub(super) fn is_own(key: &str) -> bool {
    is_attribute_name(key) && !RESERVED.contains(&key)
}

/// Extensions as metadata: the reverse of [`extensions`].
pub(super) fn metadata(
    mut extensions: BTreeMap<String, String>,
    named: Named<'_>,
) -> Result<BTreeMap<String, String>> {
    if let Some(json) = extensions.remove(OTHER_METADATA) {
        let other = other_metadata(&json, named)?;
        if let Some(name) = other.keys().find(|it| extensions.contains_key(*it)) {
            let (own, other) = (named.attribute(name), named.other_metadata());
            return Err(Error::invalid(format!(
                "`{own}` is an extension, and `{name}` is in `{other}` too"
            )));
        }
        extensions.extend(other);
    }
    Ok(extensions)
}

/// The metadata that stands together, as JSON: of that its sender knows names and values, and neither lines nor columns.
fn other_metadata(json: &str, named: Named<'_>) -> Result<BTreeMap<String, String>> {
    let name = named.other_metadata();
    let wrong = |place: &str, error: &serde_json::Error| {
        let reason = json_reason(error);
        Error::invalid(format!("`{name}` is wrong{place}: {reason}"))
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = serde_path_to_error::deserialize::<_, Entries<String>>(&mut reader);
    let Entries(other) = read.map_err(|error| {
        let place = match error.path().iter().next() {
            Some(Segment::Map { key }) => format!(" at `{key}`"),
            _ => String::new(),
        };
        wrong(&place, error.inner())
    })?;
    reader.end().map_err(|error| wrong("", &error))?;
    Ok(other)
}

/// Checks that CloudEvents allows an attribute of that name. It only advises against more than 20 characters.
pub(super) fn check_name(name: &str, named: Named<'_>) -> Result<()> {
    if is_attribute_name(name) {
        return Ok(());
    }
    Err(no_attribute(name, named))
}

fn no_attribute(name: &str, named: Named<'_>) -> Error {
    let name = named.attribute(name);
    Error::invalid(format!(
        "`{name}` is no name of a CloudEvents attribute, which has small letters and digits"
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
    is_in_utf8(media_type, "application/json")
}

/// Whether a media type is `wanted`, in UTF-8 where it says in what.
#[must_use]
pub fn is_in_utf8(media_type: &str, wanted: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let is_wanted = parts
        .next()
        .is_some_and(|it| it.eq_ignore_ascii_case(wanted));
    is_wanted
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}
