//! What a request says: its fields, its query, and the piece of work it belongs to.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use nanopore::problem::{OtherFormat, TooLarge};
use sagabus::event::{Cause, json_fault, read_json};
use sagabus::{Clock, Error};
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
        let fields = read_json(&bytes).map_err(|error| {
            Error::invalid(format!("body is not a JSON object: {}", json_fault(&error)))
        })?;
        Ok(Self(fields))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
fn unreadable(rejection: BytesRejection) -> Error {
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

/// The piece of work that the request belongs to, from `x-correlation-id`.
#[derive(Debug)]
pub(super) struct Work(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Work {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = parts
            .headers
            .get("x-correlation-id")
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
            .filter(|id| !id.is_empty());
        Ok(Self(id.map(str::to_owned)))
    }
}

impl Work {
    pub(super) fn cause(self, clock: &dyn Clock) -> Cause {
        Cause::new(self.0, clock)
    }
}
