//! CloudEvents 1.0 over HTTP: which form a request has, and events as `ce-` headers beside their payload (binary mode).

mod header_text;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use nanopore::problem::OtherFormat;
use sagabus::event::attributes::is_in_utf8;
use sagabus::event::{attributes, envelope};
use sagabus::{Clock, Error, Event};

use header_text::{decoded, encoded};

/// Media type of one event in structured mode.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";
/// Media type of a batch.
const BATCH: &str = "application/cloudevents-batch+json";
/// Start of the headers that are attributes.
const PREFIX: &str = "ce-";
/// Most bytes of `ce-` headers in an answer: clients stop reading heads between 8 and 64 KiB.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// What was published: one event, or several that are stored together or not at all.
#[derive(Debug)]
pub(super) enum Published {
    One(Box<Event>),
    Batch(Vec<Event>),
}

/// Reads the body of a publish in the form that its headers say.
pub(super) fn read(
    headers: &HeaderMap,
    body: &[u8],
    clock: &dyn Clock,
) -> Result<Published, Error> {
    let given = media_type(headers);
    if is_in_utf8(&given, BATCH) {
        return envelope::from_batch(body, clock).map(Published::Batch);
    }
    let event = if is_in_utf8(&given, STRUCTURED) {
        envelope::from_structured(body, clock)
    } else if !attributes::is_json(&given) {
        return Err(OtherFormat(format!(
            "`{}` is not taken; an event comes as `application/json`, with its attributes as `ce-` headers or \
             without, as `{STRUCTURED}`, or with others as `{BATCH}`, all in UTF-8",
            given.escape_debug()
        ))
        .into());
    } else if headers.contains_key("ce-specversion") {
        from_binary(headers, body, clock)
    } else {
        envelope::from_json(body, clock)
    };
    event.map(|it| Published::One(Box::new(it)))
}

/// The media type of the body, with its parameters; where none is said it is JSON, as CloudEvents have it.
fn media_type(headers: &HeaderMap) -> String {
    match headers.get(header::CONTENT_TYPE) {
        None => "application/json".to_owned(),
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}

/// Whether what is percent-encoded in a text is UTF-8.
pub(super) fn is_percent_encoded(text: &str) -> bool {
    decoded(text.as_bytes()).is_some()
}

fn from_binary(headers: &HeaderMap, body: &[u8], clock: &dyn Clock) -> Result<Event, Error> {
    let mut all = Vec::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if attribute == "datacontenttype" {
            return Err(Error::invalid(
                "`ce-datacontenttype` is not taken: the media type of `data` is the `content-type`",
            ));
        }
        let text = decoded(value.as_bytes()).ok_or_else(|| {
            Error::invalid(format!(
                "header `{name}` is not percent-encoded UTF-8 as CloudEvents have it"
            ))
        })?;
        all.push((attribute.to_owned(), text));
    }
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        let kind = String::from_utf8_lossy(kind.as_bytes()).into_owned();
        all.push(("datacontenttype".to_owned(), kind));
    }
    attributes::from_prefixed(PREFIX, all, body, clock)
}

/// An event in binary mode.
pub(super) fn to_binary(event: &Event) -> Result<Response, Error> {
    let mut answer = Response::new(Body::from(event.data.clone()));
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let mut bytes = 0;
    for (name, value) in attributes::to_attributes(event)? {
        let name = format!("{PREFIX}{name}");
        let value = encoded(&value);
        bytes += name.len() + value.len();
        if bytes > HEADER_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the attributes have more than {HEADER_BYTES_MAX} bytes as headers; read the event as `{STRUCTURED}`"
            )));
        }
        let bad = |_| Error::invalid(format!("attribute `{name}` cannot be a header"));
        let header = HeaderName::try_from(name.as_str()).map_err(|error| {
            Error::invalid(format!("attribute `{name}` cannot be a header")).with_source(error)
        })?;
        let value = HeaderValue::try_from(value).map_err(bad)?;
        headers.insert(header, value);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
