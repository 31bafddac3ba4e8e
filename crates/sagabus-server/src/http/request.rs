//! What requests have in common: headers that stand once, numbers within limits, who does something and why.

use std::fmt;

use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_api::Failure;
use nanopore::problem::OtherFormat;
use sagabus::event::check_visible;
use sagabus::ledger::By;
use sagabus::{Error, Result};
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::stream::LAST_EVENT_ID;

/// Headers of which one counts: of two, each reader might take another.
const ONCE: [&str; 6] = [
    "content-type",
    "idempotency-key",
    "if-match",
    LAST_EVENT_ID,
    "x-correlation-id",
    "x-user-id",
];
/// Most bytes of each of these but the first: they stand in events, entries and ids.
const HEADER_BYTES_MAX: usize = 255;
/// Start of the headers that are attributes of an event.
const ATTRIBUTE: &str = "ce-";

/// What the coding of a body that is not packed is called.
const PLAIN: &str = "identity";

/// A whole number in a body, whose limits are said where it is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<const LEAST: u32, const MOST: u32>(pub(super) u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor::<LEAST, MOST>)
    }
}

struct NumberVisitor<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Visitor<'_> for NumberVisitor<LEAST, MOST> {
    type Value = Number<LEAST, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_u64<E: serde::de::Error>(self, given: u64) -> Result<Self::Value, E> {
        let number = u32::try_from(given).ok();
        number
            .filter(|it| (LEAST..=MOST).contains(it))
            .map(Number)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(given), &self))
    }

    fn visit_i64<E: serde::de::Error>(self, given: i64) -> Result<Self::Value, E> {
        match u64::try_from(given) {
            Ok(given) => self.visit_u64(given),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(given), &self)),
        }
    }
}

/// Refuses requests with a header twice, or unreadable, that says who asks or what is meant.
pub(super) async fn headers_once(request: Request, next: Next) -> Response {
    match check_headers(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => Failure::from(error).into_response(),
    }
}

fn check_headers(headers: &HeaderMap) -> Result<()> {
    for name in headers.keys().map(|it| it.as_str()) {
        let is_one = ONCE.contains(&name);
        if !is_one && !name.starts_with(ATTRIBUTE) {
            continue;
        }
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(Error::invalid(format!("header `{name}` is there twice")));
        }
        // Attributes of events are percent-encoded, and decoded with care.
        let Some(first) = first.filter(|_| is_one) else {
            continue;
        };
        if first.to_str().is_err() {
            let text = format!("header `{name}` has a character that is not of plain ASCII");
            return Err(Error::invalid(text));
        }
        if name == CONTENT_TYPE {
            continue;
        }
        if first.as_bytes().contains(&b'\t') {
            let text = format!("header `{name}` has a tab, which is not to be seen");
            return Err(Error::invalid(text));
        }
        if first.len() > HEADER_BYTES_MAX {
            let text = format!("header `{name}` has more than {HEADER_BYTES_MAX} bytes");
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

/// Refuses bodies that are packed: read as they are, they would be something else.
pub(super) async fn bodies_plain(request: Request, next: Next) -> Response {
    let Some(coding) = coding(request.headers()) else {
        return next.run(request).await;
    };
    let text = format!(
        "`content-encoding` is `{}`, and only `identity` is taken: send the body as it is",
        coding.escape_debug()
    );
    let mut answer = Failure::from(Error::from(OtherFormat(text))).into_response();
    let plain = HeaderValue::from_static(PLAIN);
    answer.headers_mut().insert(ACCEPT_ENCODING, plain);
    answer
}

/// The first value that says that the body is packed.
fn coding(headers: &HeaderMap) -> Option<String> {
    let is_plain = |coding: &str| {
        let coding = coding.trim();
        coding.is_empty() || coding.eq_ignore_ascii_case(PLAIN)
    };
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let mut values = values.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    values.find(|it| !it.split(',').all(is_plain))
}

/// Who does something, and why; both are stored with it.
pub(super) fn by(author: Option<&str>, reason: Option<&str>) -> Result<By> {
    Ok(By {
        author: said("author", author)?,
        reason: said("reason", reason)?,
    })
}

/// The same for what needs no reason.
pub(super) fn by_whom(author: Option<&str>, reason: Option<&str>) -> Result<By> {
    let author = said("author", author)?;
    let reason = reason.unwrap_or_default();
    check_visible("reason", reason)?;
    Ok(By::new(&author, reason))
}

/// A text that must say something.
fn said(field: &str, text: Option<&str>) -> Result<String> {
    match text {
        Some(text) if !text.trim().is_empty() => {
            check_visible(field, text)?;
            Ok(text.to_owned())
        }
        Some(_) => Err(Error::invalid(format!("`{field}` is empty"))),
        None => Err(Error::invalid(format!("`{field}` is missing"))),
    }
}
