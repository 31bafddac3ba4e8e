//! The event types that are known: their versions and schemas, and all of them as an AsyncAPI document.

use axum::Json;
use axum::extract::{Path, State};
use http_api::Reply;
use sagabus::Error;
use serde_json::Value;

use super::App;
use crate::wire;

/// `GET /api/schemas`: every type with its versions, in the order of the alphabet.
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    Json(wire::event_types(app.system.bus.registry()))
}

/// `GET /api/schemas/{type}`: the versions of one type, each with its JSON Schema.
pub(super) async fn show(
    State(app): State<App>,
    Path(event_type): Path<String>,
) -> Reply<Json<Value>> {
    let registry = app.system.bus.registry();
    let found = wire::event_type(registry, &event_type).ok_or_else(|| {
        let event_type = event_type.escape_debug();
        Error::not_found(format!("there is no schema of `{event_type}`"))
    })?;
    Ok(Json(found))
}

/// `GET /openapi.json`
pub(super) async fn openapi(State(app): State<App>) -> Json<Value> {
    Json(super::openapi::document(app.system.services.served()))
}

/// `GET /asyncapi.json`
pub(super) async fn asyncapi(State(app): State<App>) -> Json<Value> {
    Json(wire::asyncapi(app.system.bus.registry()))
}
