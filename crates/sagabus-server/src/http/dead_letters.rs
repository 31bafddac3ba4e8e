//! Dead letters: look at them, hand them out again, throw them away.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use sagabus::event::envelope;
use sagabus::transport::{DeadLetter, DeadLetterQuery};
use sagabus::{Error, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::App;
use super::events::raw;
use super::reply::{Reply, bounded, unreadable};

/// Most dead letters of one answer or one order.
const LIMIT_MAX: usize = 1000;

/// Which dead letters to show.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    subscription: Option<String>,
    /// After this position; needs a subscription.
    after: Option<u64>,
    limit: Option<usize>,
}

/// Which dead letters of one subscription are meant: some positions, or all.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Chosen {
    subscription: String,
    positions: Option<Vec<u64>>,
    #[serde(default)]
    all: bool,
    /// Why; needed to discard.
    reason: Option<String>,
}

/// Some of all dead letters.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    total: u64,
    dead_letters: Vec<Shown>,
}

/// `GET /api/dead-letters`
pub(super) async fn list(
    State(app): State<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Reply<Json<Part>> {
    let Query(wanted) = wanted.map_err(|error| Error::invalid(error.body_text()))?;
    if wanted.after.is_some() && wanted.subscription.is_none() {
        return Err(Error::invalid("`after` needs a `subscription`").into());
    }
    let query = DeadLetterQuery {
        subscription: wanted.subscription,
        after: wanted.after.unwrap_or(0),
        max: bounded("limit", wanted.limit, 100, LIMIT_MAX)?,
    };
    let letters = app.system.bus.dead_letters(query).await?;
    let dead_letters: Result<Vec<Shown>, Error> = letters.into_iter().map(shown).collect();
    Ok(Json(Part {
        total: app.system.bus.stats().dead_letters,
        dead_letters: dead_letters?,
    }))
}

/// `POST /api/dead-letters/redrive`: hands them out again, to their own subscription only.
pub(super) async fn redrive(
    State(app): State<App>,
    chosen: Result<Json<Chosen>, JsonRejection>,
) -> Reply<Json<Value>> {
    let (chosen, positions) = positions(&app, chosen).await?;
    let ledgers = app.system.bus.ledgers();
    let redriven = ledgers.redrive(&chosen.subscription, &positions).await?;
    tracing::info!(
        subscription = chosen.subscription,
        redriven,
        "dead letters redriven"
    );
    Ok(Json(json!({ "redriven": redriven })))
}

/// `POST /api/dead-letters/discard`: throws them away, for a reason that is kept.
pub(super) async fn discard(
    State(app): State<App>,
    chosen: Result<Json<Chosen>, JsonRejection>,
) -> Reply<Json<Value>> {
    let (chosen, positions) = positions(&app, chosen).await?;
    let Some(reason) = chosen.reason.filter(|it| !it.trim().is_empty()) else {
        return Err(Error::invalid("`reason` is missing: say why they are thrown away").into());
    };
    let ledgers = app.system.bus.ledgers();
    let discarded = ledgers
        .discard(&chosen.subscription, &positions, &reason)
        .await?;
    tracing::info!(
        subscription = chosen.subscription,
        discarded,
        "dead letters discarded"
    );
    Ok(Json(json!({ "discarded": discarded })))
}

async fn positions(
    app: &App,
    chosen: Result<Json<Chosen>, JsonRejection>,
) -> Reply<(Chosen, Vec<u64>)> {
    let Json(chosen) = chosen.map_err(|it| unreadable(&it))?;
    let positions = match (&chosen.positions, chosen.all) {
        (Some(positions), false) if positions.len() <= LIMIT_MAX => positions.clone(),
        (None, true) => {
            let query = DeadLetterQuery {
                subscription: Some(chosen.subscription.clone()),
                after: 0,
                max: usize::MAX,
            };
            let letters = app.system.bus.dead_letters(query).await?;
            letters.iter().map(|letter| letter.position).collect()
        }
        _ => {
            return Err(Error::invalid(format!(
                "give either `positions` (at most {LIMIT_MAX}) or `all: true`"
            ))
            .into());
        }
    };
    Ok((chosen, positions))
}

/// A dead letter as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    subscription: String,
    position: u64,
    attempts: u32,
    redrives: u32,
    first_failed_at: Option<Timestamp>,
    dead_at: Timestamp,
    faults: Vec<ShownFault>,
    /// Its payload as received, byte for byte.
    event: Box<RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownFault {
    attempt: u32,
    at: Timestamp,
    duration_ms: u64,
    kind: String,
    error: String,
}

fn shown(letter: DeadLetter) -> Result<Shown, Error> {
    let faults: Vec<ShownFault> = letter
        .faults
        .into_iter()
        .map(|fault| ShownFault {
            attempt: fault.attempt,
            at: fault.at,
            duration_ms: fault.duration_ms,
            kind: fault.kind,
            error: fault.error,
        })
        .collect();
    Ok(Shown {
        subscription: letter.subscription,
        position: letter.position,
        attempts: letter.attempts,
        redrives: letter.redrives,
        first_failed_at: faults.first().map(|fault| fault.at),
        dead_at: letter.dead_at,
        faults,
        event: raw(envelope::to_json(&letter.event)?)?,
    })
}
