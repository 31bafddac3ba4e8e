//! What a request says: its query, who asks and why.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use sagabus::{Clock, Error, event::Cause};

use super::reply::Failure;

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

/// Who asks, and in which piece of work.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) user_id: Option<String>,
    correlation_id: Option<String>,
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
        })
    }
}

impl Caller {
    pub(super) fn cause(&self, clock: &dyn Clock) -> Cause {
        Cause::new(self.correlation_id.clone(), clock)
    }
}
