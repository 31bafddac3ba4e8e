//! Failed calls as problem details (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nanopore::problem::{MEDIA_TYPE, Problem};
use nanopore::sample::FieldErrors;
use sagabus::{Error, ErrorKind};

/// A failed call.
#[derive(Debug)]
pub struct Failure(Error);

/// What a handler answers, or why it cannot.
pub type Reply<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<FieldErrors> for Failure {
    fn from(errors: FieldErrors) -> Self {
        Self(errors.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut problem = Problem::from(&self.0);
        match self.0.kind() {
            // RFC 4918: the server has no room to store what the request needs, or as many wait or are at work as may.
            ErrorKind::Full => problem.status = 507,
            ErrorKind::Closed => {
                problem.detail = format!(
                    "{}; where something was to be changed the outcome is unknown: repeat it with the same id",
                    problem.detail
                );
            }
            _ => {}
        }
        match problem.status {
            507 => tracing::warn!(error = self.0.chain(), "request was refused"),
            500.. => tracing::error!(error = self.0.chain(), "request failed"),
            _ => {}
        }
        respond(&problem)
    }
}

/// A problem as an answer with its status.
#[must_use]
pub fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}
