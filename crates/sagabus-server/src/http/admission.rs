//! New work is taken only while there is room for what follows from it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sagabus::ErrorKind;

use super::reply::Failure;
use crate::assemble::System;

/// What a service takes into a file of its own, before the log is asked. All else that is new the log refuses by itself.
const INTAKES: [&str; 5] = [
    "/api/submissions",
    "/api/submissions/import",
    "/api/samples",
    "/api/uploads",
    "/api/process/pdf",
];

/// Refuses new work as `Full` while the disk has too little room.
pub(super) async fn with_room(
    State(system): State<Arc<System>>,
    request: Request,
    next: Next,
) -> Response {
    let is_new = request.method() == Method::POST && INTAKES.contains(&request.uri().path());
    if is_new
        && let Err(error) = system.bus.condition()
        && error.kind() == ErrorKind::Full
    {
        return Failure::from(error).into_response();
    }
    next.run(request).await
}
