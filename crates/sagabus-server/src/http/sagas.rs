//! Sagas: list, look at one, start.

mod operate;
mod tell;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_api::{Reply, Sent};
use nanopore::sample::FieldErrors;
use sagabus::event::trace::{TRACEPARENT, TraceContext};
use sagabus::saga::{self, Definition, Earlier, Priority, SagaId, Started, Status};
use sagabus::{Error, Result, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(super) use self::operate::{Said, VERBS, operate};
pub(super) use self::tell::{Answer, Told, approve, refuse, signal};
use super::App;
use super::query::{Asked, Parameters, from_one, pairs, unknown};
use crate::wire::{self, Include};

/// What to start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    /// The name of a definition that the server knows, or of the one that `steps` make.
    name: Option<String>,
    /// The steps, as in a definition file.
    #[schemars(with = "Option<serde_json::Value>")]
    steps: Option<Box<RawValue>>,
    /// A whole definition, as in a file.
    #[schemars(with = "Option<serde_json::Value>")]
    definition: Option<Box<RawValue>>,
    #[schemars(with = "serde_json::Value")]
    context: Box<RawValue>,
    correlation_id: Option<String>,
    idempotency_key: Option<String>,
    /// What it can be found by.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    priority: Option<String>,
}

/// `GET /api/sagas`: those that fit, the one that was started last first, in pages.
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Reply<Json<Value>> {
    let page = app.system.sagas.search(&query(pairs(&uri)?)?)?;
    let shown = page.sagas.iter();
    let shown: Vec<Value> = shown
        .map(|saga| wire::saga(saga, Include::Nothing))
        .collect();
    let next = page.next.map(|next| next.to_string());
    Ok(Json(json!({ "sagas": shown, "next": next })))
}

/// The parameters of a search.
const QUERY: [&str; 8] = [
    "name",
    "status",
    "attribute",
    "inconsistent",
    "from",
    "before",
    "after",
    "limit",
];

/// What the parameters ask for; `status` and `attribute` may be there more than once.
fn query(parameters: Vec<(String, String)>) -> Result<saga::Query> {
    let mut query = saga::Query::default();
    FieldErrors::check_once(&parameters, &["status", "attribute"])?;
    for (name, value) in parameters {
        match name.as_str() {
            "name" => query.name = Some(value),
            "status" => query.status.push(status(&value)?),
            "attribute" => {
                let pair = value.split_once('=');
                let (name, value) = pair
                    .ok_or_else(|| Error::invalid("`attribute` is not of the form `name=value`"))?;
                query.attributes.push((name.to_owned(), value.to_owned()));
            }
            "inconsistent" => {
                let wanted = value.parse().ok();
                let wanted = wanted.ok_or_else(|| {
                    Error::invalid("`inconsistent` is neither `true` nor `false`")
                })?;
                query.inconsistent = Some(wanted);
            }
            "from" => query.started_from = Some(time("from", &value)?),
            "before" => query.started_before = Some(time("before", &value)?),
            "after" => query.after = Some(value.parse()?),
            "limit" => query.limit = from_one("limit", &value, saga::PAGE_MAX)?,
            other => return Err(Error::invalid(unknown(other, &QUERY))),
        }
    }
    Ok(query)
}

fn status(word: &str) -> Result<Status> {
    let known = Status::ALL.into_iter().find(|it| it.as_str() == word);
    known.ok_or_else(|| {
        let words = Status::ALL.map(Status::as_str).join(", ");
        let word = word.escape_debug();
        Error::invalid(format!("`status` is `{word}`, not one of {words}"))
    })
}

fn time(name: &str, text: &str) -> Result<Timestamp> {
    let time = text.parse::<Timestamp>();
    time.map_err(|error| Error::invalid(format!("`{name}`: {error}")))
}

fn priority(word: &str) -> Result<Priority> {
    let known = Priority::ALL.into_iter().find(|it| it.as_str() == word);
    known.ok_or_else(|| {
        let words = Priority::ALL.map(Priority::as_str).join(", ");
        let word = word.escape_debug();
        Error::invalid(format!("`priority` is `{word}`, not one of {words}"))
    })
}

/// What is shown of a saga besides how it stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    #[schemars(extend("enum" = ["outputs"]))]
    include: Option<String>,
}

impl Parameters for Shown {}

/// `GET /api/sagas/{id}`: with `include=outputs` its input and the outputs of its steps as well.
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    Asked(shown): Asked<Shown>,
) -> Reply<Json<Value>> {
    let include = match shown.include.as_deref() {
        None => Include::Nothing,
        Some("outputs") => Include::Outputs,
        Some(other) => {
            let text = format!("`include` is `{}`, not `outputs`", other.escape_debug());
            return Err(Error::invalid(text).into());
        }
    };
    let status = app.system.sagas.status(&saga_id(&id)?)?;
    Ok(Json(wire::saga(&status, include)))
}

/// `GET /api/sagas/health`: 503 where something is wrong with the sagas.
pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let health = app.system.sagas.health();
    let status = match health.healthy {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "healthy": health.healthy,
        "activeSagas": health.active_sagas,
        "completedSagas": health.completed_sagas,
        "issues": health.issues,
        "warnings": health.warnings,
    });
    (status, Json(body))
}

/// `POST /api/sagas`: returns as soon as the saga is stored, and says whether it is that of an earlier start. It is part of the trace that the header `traceparent` names.
pub(super) async fn start(
    State(app): State<App>,
    headers: HeaderMap,
    Sent(order): Sent<Order>,
) -> Reply<Response> {
    let key = order.idempotency_key.clone();
    let sagas = &app.system.sagas;
    let started = match ordered(&app, order, &headers) {
        Ok((definition, start)) => sagas.start_or_find(&definition, start).await?,
        Err(refused) => {
            // A repeat is the saga of before, whatever is wrong with it otherwise.
            let earlier = match &key {
                Some(key) => sagas.find_start(key).await?,
                None => None,
            };
            earlier.ok_or(refused)?
        }
    };
    let known = started.earlier.and_then(|_| sagas.status(&started.id).ok());
    Ok(told(&started, known.map(|saga| saga.status)))
}

/// What is to be done, and what with.
fn ordered(app: &App, order: Order, headers: &HeaderMap) -> Result<(Definition, saga::Start)> {
    let definition = definition(app, &order)?;
    let mut start = saga::Start::new(order.context.get().to_owned());
    if let Some(correlation_id) = order.correlation_id {
        start = start.correlated(correlation_id);
    }
    if let Some(key) = order.idempotency_key {
        start = start.keyed(key);
    }
    for (name, value) in order.attributes {
        start = start.attribute(name, value);
    }
    if let Some(word) = &order.priority {
        start = start.priority(priority(word)?);
    }
    if let Some(span) = trace(headers) {
        start = start.traced(span);
    }
    Ok((definition, start))
}

/// Which saga it is, where, and why it is that of an earlier start, if it is, with where that stands.
fn told(started: &Started, status: Option<Status>) -> Response {
    let place = match started.earlier {
        Some(Earlier::Forgotten) => None,
        _ => Some(format!("/api/sagas/{}", started.id)),
    };
    let (by, is_other) = match started.earlier {
        None => (None, None),
        Some(Earlier::Keyed { is_other }) => (Some("idempotencyKey"), Some(is_other)),
        Some(Earlier::Forgotten | Earlier::Unreadable) => (Some("idempotencyKey"), None),
        Some(Earlier::Attached { is_other }) => (Some("concurrencyKey"), Some(is_other)),
    };
    let body = Json(json!({
        "sagaId": started.id.as_str(),
        "saga": place,
        "duplicate": started.earlier.is_some(),
        "sameBy": by,
        "otherOrder": is_other,
        "status": status.map(Status::as_str),
    }));
    match place {
        Some(place) => (StatusCode::ACCEPTED, [("location", place)], body).into_response(),
        None => (StatusCode::ACCEPTED, body).into_response(),
    }
}

/// The span that a request comes from. What is none is left out, as the W3C says: a trace is no reason to refuse work.
fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let first = all.next()?;
    all.next().is_none().then_some(())?;
    first.to_str().ok()?.parse().ok()
}

fn definition(app: &App, order: &Order) -> Result<Definition> {
    let json = match (&order.definition, &order.name, &order.steps) {
        (Some(definition), None, None) => definition.get().to_owned(),
        // As text: the steps are read once, as they came, with all checks of a definition.
        (None, Some(name), Some(steps)) => {
            format!(r#"{{"name":{},"steps":{}}}"#, json!(name), steps.get())
        }
        (None, Some(name), None) => return app.system.shipped.named(name).cloned(),
        _ => {
            let text = "give the `name` of a definition, its `name` and `steps`, or a `definition`";
            return Err(Error::invalid(text));
        }
    };
    read_definition(&json)
}

/// A definition that was sent. A path says where in any text it is; lines are those of what was sent only by chance.
fn read_definition(json: &str) -> Result<Definition> {
    Definition::from_json(json.as_bytes()).map_err(|error| {
        let path = &error.place.path;
        Error::invalid(format!("the definition is refused at `{path}`")).with_source(error.fault)
    })
}

fn saga_id(id: &str) -> Result<SagaId> {
    id.parse()
}
