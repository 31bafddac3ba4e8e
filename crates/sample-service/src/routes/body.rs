//! What a request says: its fields, its query, who asks and why.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use nanopore::problem::{OtherFormat, TooLarge};
use nanopore::sample::FieldErrors;
use sagabus::Error;
use sagabus::event::{json_fault, read_json, whole_number};
use serde_json::{Map, Value};

use super::reply::Failure;

/// The body as a JSON object.
#[derive(Debug)]
pub(super) struct Body(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(CONTENT_TYPE);
        OtherFormat::check_json(content_type.map(HeaderValue::as_bytes)).map_err(Error::from)?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(unreadable)?;
        // An act of which there is nothing to say needs no body.
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        let fields = read_json(&bytes).map_err(|error| {
            Error::invalid(format!("body is not a JSON object: {}", json_fault(&error)))
        })?;
        Ok(Self(fields))
    }
}

impl Body {
    /// A text that must be there.
    pub(super) fn text(&self, field: &str) -> Result<String, FieldErrors> {
        self.text_option(field)?
            .ok_or_else(|| FieldErrors::one(field, "is required"))
    }

    /// A text that may be left out.
    pub(super) fn text_option(&self, field: &str) -> Result<Option<String>, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(FieldErrors::one(field, "must be a text")),
        }
    }

    /// A whole number that may be left out.
    pub(super) fn count_option(&self, field: &str) -> Result<Option<u32>, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .map(Some)
                .ok_or_else(|| FieldErrors::one(field, "must be a whole number, from 0")),
        }
    }

    /// Yes or no; no when it is left out.
    pub(super) fn flag(&self, field: &str) -> Result<bool, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(FieldErrors::one(field, "must be `true` or `false`")),
        }
    }

    /// An object that may be left out.
    pub(super) fn object_option(
        &self,
        field: &str,
    ) -> Result<Option<Map<String, Value>>, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields.clone())),
            Some(_) => Err(FieldErrors::one(field, "must be an object")),
        }
    }

    /// Refuses every field that is not one of these.
    pub(super) fn only(&self, fields: &[&str]) -> Result<(), FieldErrors> {
        match self.0.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(key) => Err(FieldErrors::one(key.as_str(), "is not a field here")),
            None => Ok(()),
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
pub(super) fn unreadable(rejection: BytesRejection) -> Error {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return TooLarge::body().into();
    }
    Error::invalid("the body broke off")
}

/// The pairs of the query.
#[derive(Debug)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let Query(pairs) = Query::try_from_uri(&parts.uri)
            .map_err(|_| Error::invalid("the query cannot be read"))?;
        Ok(Self(pairs))
    }
}

/// Who asks, in which piece of work, and for which version.
#[derive(Debug)]
pub(super) struct Caller {
    user_id: Option<String>,
    correlation_id: Option<String>,
    if_match: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |name: HeaderName| {
            let value = parts.headers.get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        Ok(Self {
            user_id: text(HeaderName::from_static("x-user-id")),
            correlation_id: text(HeaderName::from_static("x-correlation-id")),
            if_match: text(IF_MATCH),
        })
    }
}

impl Caller {
    /// The version that the change depends on.
    pub(super) fn expected(&self) -> Result<Option<u64>, FieldErrors> {
        match self.if_match.as_deref() {
            None | Some("*") => Ok(None),
            Some(tag) => whole_number(tag.trim_matches('"'))
                .map(Some)
                .ok_or_else(|| FieldErrors::one("If-Match", "must be a version, such as \"3\"")),
        }
    }

    pub(super) fn actor(self, clock: &dyn sagabus::Clock) -> crate::Actor {
        crate::Actor {
            user_id: self.user_id.unwrap_or_else(|| "anonymous".to_owned()),
            cause: sagabus::event::Cause::new(self.correlation_id, clock),
        }
    }
}
