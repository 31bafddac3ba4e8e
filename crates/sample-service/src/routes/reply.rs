//! A sample as an answer.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::Sample;

/// A sample with its version as entity tag.
#[derive(Debug)]
pub(super) struct Tagged(pub(super) StatusCode, pub(super) Sample);

impl IntoResponse for Tagged {
    fn into_response(self) -> Response {
        let tag = format!("\"{}\"", self.1.version);
        (self.0, [(header::ETAG, tag)], axum::Json(self.1)).into_response()
    }
}
