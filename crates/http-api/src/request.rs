//! What a request says: its query, its body, who asks and in which piece of work.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use nanopore::problem::{OtherFormat, TooLarge};
use nanopore::sample::FieldErrors;
use sagabus::event::{Cause, Object, json_fault, read_json, whole_number};
use sagabus::{Clock, Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::reply::Failure;

/// Who asks where nobody says it.
pub const NOBODY: &str = "anonymous";

/// The pairs of the query.
#[derive(Debug)]
pub struct Pairs(pub Vec<(String, String)>);

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
pub struct Caller {
    user_id: Option<String>,
    correlation_id: Option<String>,
    if_match: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        Ok(Self {
            user_id: text("x-user-id"),
            correlation_id: text("x-correlation-id"),
            if_match: text(IF_MATCH.as_str()),
        })
    }
}

impl Caller {
    /// Who asks, where that is said.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The piece of work that it belongs to; a new one where none is named.
    #[must_use]
    pub fn cause(&self, clock: &dyn Clock) -> Cause {
        Cause::new(self.correlation_id.clone(), clock)
    }

    /// The version that a change depends on.
    ///
    /// # Errors
    /// `If-Match` is none.
    pub fn expected(&self) -> Result<Option<u64>, FieldErrors> {
        match self.if_match.as_deref() {
            None | Some("*") => Ok(None),
            Some(tag) => whole_number(tag.trim_matches('"'))
                .map(Some)
                .ok_or_else(|| FieldErrors::one("If-Match", "must be a version, such as \"3\"")),
        }
    }
}

/// The body as a JSON object, whose fields are looked at one by one. An act of which there is nothing to say needs none.
#[derive(Debug)]
pub struct Body(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = json(request, state).await?;
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
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn text(&self, field: &str) -> Result<String, FieldErrors> {
        self.text_option(field)?
            .ok_or_else(|| FieldErrors::one(field, "is required"))
    }

    /// A text that may be left out.
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn text_option(&self, field: &str) -> Result<Option<String>, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(FieldErrors::one(field, "must be a text")),
        }
    }

    /// A whole number that may be left out.
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn count_option(&self, field: &str) -> Result<Option<u32>, FieldErrors> {
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
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn flag(&self, field: &str) -> Result<bool, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(FieldErrors::one(field, "must be `true` or `false`")),
        }
    }

    /// An object that may be left out.
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn object_option(&self, field: &str) -> Result<Option<Map<String, Value>>, FieldErrors> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields.clone())),
            Some(_) => Err(FieldErrors::one(field, "must be an object")),
        }
    }

    /// Refuses every field that is not one of these.
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn only(&self, fields: &[&str]) -> Result<(), FieldErrors> {
        match self.0.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(key) => Err(FieldErrors::one(key.as_str(), "is not a field here")),
            None => Ok(()),
        }
    }
}

/// A body that is one JSON object, as a type. A field that takes JSON of any shape is a `RawValue`, which [`sagabus::event::read_json`] reads.
#[derive(Debug)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        Ok(Self(read(&json(request, state).await?)?))
    }
}

/// The bytes of a body that is JSON by its type.
async fn json<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    let content_type = request.headers().get(CONTENT_TYPE);
    OtherFormat::check_json(content_type.map(HeaderValue::as_bytes))?;
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(unreadable)
}

/// Why the bytes of a body are not all there.
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
pub fn unreadable(rejection: BytesRejection) -> Error {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => TooLarge::body().into(),
        _ => broken(),
    }
}

/// A body that ends before all of it is there.
#[must_use]
pub fn broken() -> Error {
    Error::invalid("the body broke off")
}

/// Reads a body as an object. What a field takes as raw JSON is checked where its name and limits are known.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Object(read) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let fault = json_fault(error.inner());
        Error::invalid(match path.as_str() {
            "." => format!("the body is wrong: {fault}"),
            path => format!("the body is wrong at `{path}`: {fault}"),
        })
    })?;
    let end = reader.end();
    end.map_err(|error| Error::invalid(format!("the body is wrong: {}", json_fault(&error))))?;
    Ok(read)
}

#[cfg(test)]
mod tests;
