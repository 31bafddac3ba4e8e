//! Dead letters: look at them, hand them out again, change, skip or discard them, carry them away.

pub(super) mod import;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_api::{Reply, Sent};
use sagabus::bus::dead_letter::{DeadLetters, Export, PER_SECOND_MAX, RetryPlan, to_json};
use sagabus::event::{Object, whole_number};
use sagabus::transport::{DEAD_LETTERS_MAX, DeadLetterId, DeadLetterQuery};
use sagabus::{Error, Timestamp};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::App;
use super::events::raw;
use super::query::{Asked, Parameters, number, pattern};
use super::request::{Number, by, by_whom};

/// Dead letters of one answer unless said otherwise.
const LIMIT: usize = 100;
/// Most positions that one order may name.
const POSITIONS_MAX: usize = 1000;
/// Media type of an export: one JSON value a line.
const LINES: &str = "application/x-ndjson";

/// Which dead letters: in a query, or under `query` of an order.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    subscription: Option<String>,
    /// Type or pattern of the event.
    #[serde(rename = "type")]
    event_type: Option<String>,
    kind: Option<String>,
    error_type: Option<String>,
    /// Somewhere in the text of the latest fault.
    error: Option<String>,
    key: Option<String>,
    dead_from: Option<Timestamp>,
    dead_before: Option<Timestamp>,
    /// `next` of the page before; a position alone is one of `subscription`.
    after: Option<String>,
    #[schemars(range(min = 1, max = DEAD_LETTERS_MAX))]
    limit: Option<usize>,
}

impl Parameters for Wanted {
    const LIMIT_MAX: usize = DEAD_LETTERS_MAX;
}

/// Which ones, of any number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transform = any_number)]
pub(super) struct Exported(Wanted);

/// Takes the most of a page away: an export has none.
fn any_number(schema: &mut Schema) {
    let limit = schema.pointer_mut("/properties/limit");
    if let Some(fields) = limit.and_then(Value::as_object_mut) {
        fields.remove("maximum");
    }
}

impl Parameters for Exported {}

impl Wanted {
    fn query(self, max: usize) -> Result<DeadLetterQuery, Error> {
        let number = self.after.as_deref().and_then(whole_number);
        let after = match (self.after, number, &self.subscription) {
            (None, ..) => None,
            (_, Some(position), Some(name)) => Some(DeadLetterId::new(name, position)),
            (Some(text), ..) => Some(text.parse::<DeadLetterId>().map_err(|error| {
                Error::invalid(
                    "`after` must be `next` of the page before, or a position with a `subscription`",
                )
                .with_source(error)
            })?),
        };
        Ok(DeadLetterQuery {
            subscription: self.subscription,
            positions: Vec::new(),
            pattern: pattern(self.event_type.as_deref())?,
            kind: self.kind,
            error_type: self.error_type,
            error: self.error,
            key: self.key,
            dead_from: self.dead_from,
            dead_before: self.dead_before,
            after,
            max,
        })
    }
}

/// Something that is to be done to dead letters: to some positions of a subscription, to a key of it, to all of it, or to
/// those that fit a query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    subscription: Option<String>,
    positions: Option<Vec<u64>>,
    key: Option<String>,
    #[serde(default)]
    all: bool,
    #[schemars(with = "Option<Wanted>")]
    query: Option<Object<Wanted>>,
    /// At most so many a second; of a redrive only.
    #[schemars(with = "Option<u32>", range(min = 1, max = PER_SECOND_MAX))]
    rate_per_second: Option<Number<1, PER_SECOND_MAX>>,
    /// Say how many, and do nothing.
    #[serde(default)]
    dry_run: bool,
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    reason: Option<String>,
}

impl Order {
    fn query(&mut self) -> Result<DeadLetterQuery, Error> {
        let subscription = self.subscription.take();
        let named = || {
            let subscription = subscription.clone();
            subscription.ok_or_else(|| Error::invalid("`subscription` is missing"))
        };
        match (
            self.positions.take(),
            self.key.take(),
            self.all,
            self.query.take(),
        ) {
            (Some(positions), None, false, None) if positions.len() > POSITIONS_MAX => {
                Err(Error::invalid(format!(
                    "`positions` has {} entries, more than {POSITIONS_MAX}; use `query`",
                    positions.len()
                )))
            }
            (Some(positions), None, false, None) => {
                // No position is not any position.
                let max = positions.len();
                Ok(DeadLetterQuery {
                    max,
                    ..DeadLetterQuery::at(&named()?, &positions)
                })
            }
            (None, Some(key), false, None) => Ok(DeadLetterQuery::key(&named()?, &key)),
            (None, None, true, None) => Ok(DeadLetterQuery::of(&named()?)),
            (None, None, false, Some(Object(mut wanted))) => {
                wanted.subscription = wanted.subscription.or(subscription);
                let max = wanted.limit.unwrap_or(usize::MAX);
                wanted.query(max)
            }
            _ => Err(Error::invalid(format!(
                "give one of `positions` (at most {POSITIONS_MAX}), `key`, `query`, or `all: true`"
            ))),
        }
    }
}

/// Another payload for one dead letter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Revision {
    subscription: String,
    position: u64,
    #[schemars(with = "serde_json::Value")]
    data: Box<RawValue>,
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    reason: Option<String>,
    /// Hand it out with the new payload at once.
    #[serde(default)]
    retry: bool,
}

/// One dead letter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct One {
    subscription: String,
    position: u64,
}

/// Some of all dead letters.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "DeadLetterPage")]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    /// Of all subscriptions.
    total: u64,
    #[schemars(with = "Vec<serde_json::Value>")]
    dead_letters: Vec<Box<RawValue>>,
    /// To be given as `after`; null at the end.
    next: Option<String>,
}

fn letters(app: &App) -> DeadLetters {
    app.system.bus.letters()
}

/// `GET /api/dead-letters`
pub(super) async fn list(
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Reply<Json<Part>> {
    let max = wanted.limit.unwrap_or(LIMIT);
    let page = letters(&app).page(&wanted.query(max)?).await?;
    let shown: Result<Vec<Box<RawValue>>, Error> = page
        .letters
        .iter()
        .map(|letter| raw(to_json(letter)?))
        .collect();
    Ok(Json(Part {
        total: app.system.bus.stats().dead_letters,
        dead_letters: shown?,
        next: page.next.map(|id| id.to_string()),
    }))
}

/// `GET /api/dead-letters/{subscription}/{position}`
pub(super) async fn show(
    State(app): State<App>,
    Path((subscription, position)): Path<(String, String)>,
) -> Reply<Json<Box<RawValue>>> {
    let id = DeadLetterId::new(&subscription, number("position", &position)?);
    let letter = letters(&app).get(&id).await?;
    Ok(Json(raw(to_json(&letter)?)?))
}

/// `GET /api/dead-letters/export`: all that fit, one a line, a page in memory at a time. An answer that was cut short
/// for an error ends without its last chunk.
pub(super) async fn export(
    State(app): State<App>,
    Asked(Exported(wanted)): Asked<Exported>,
) -> Reply<Response> {
    let max = wanted.limit.unwrap_or(usize::MAX);
    let mut export = letters(&app).export(wanted.query(max)?);
    // What is wrong with the query is said before the answer begins.
    let first = export.next().await?.unwrap_or_default();
    let rest = stream::try_unfold(export, following);
    let lines = stream::StreamExt::chain(stream::iter([Ok::<_, Error>(first)]), rest);
    let kind = [(header::CONTENT_TYPE, LINES)];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn following(mut export: Export) -> Result<Option<(Vec<u8>, Export)>, Error> {
    let page = export.next().await?;
    Ok(page.map(|page| (page, export)))
}

/// `POST /api/dead-letters/redrive`: hands them out again, to their own subscription only.
pub(super) async fn redrive(
    State(app): State<App>,
    Sent(mut order): Sent<Order>,
) -> Reply<Json<Value>> {
    let plan = RetryPlan {
        per_second: order.rate_per_second.map(|Number(it)| it),
        is_dry_run: order.dry_run,
        by: by_whom(order.author.as_deref(), order.reason.as_deref())?,
    };
    let retried = letters(&app).retry(&order.query()?, &plan).await?;
    tracing::info!(
        author = plan.by.author,
        reason = plan.by.reason,
        redriven = retried.count,
        is_dry_run = plan.is_dry_run,
        "dead letters redriven"
    );
    Ok(Json(json!({
        "redriven": retried.count,
        "lastDue": retried.last_due,
        "dryRun": plan.is_dry_run,
    })))
}

/// `POST /api/dead-letters/skip`: not to be delivered any more; what waits behind them goes on.
pub(super) async fn skip(State(app): State<App>, Sent(order): Sent<Order>) -> Reply<Json<Value>> {
    give_up(&app, order, "skipped").await
}

/// `POST /api/dead-letters/discard`: throws them away, for a reason that is kept.
pub(super) async fn discard(
    State(app): State<App>,
    Sent(order): Sent<Order>,
) -> Reply<Json<Value>> {
    give_up(&app, order, "discarded").await
}

async fn give_up(app: &App, mut order: Order, what: &'static str) -> Reply<Json<Value>> {
    let by = by(order.author.as_deref(), order.reason.as_deref())?;
    if order.rate_per_second.is_some() {
        return Err(Error::invalid("`ratePerSecond` is of a redrive only").into());
    }
    let query = order.query()?;
    let letters = letters(app);
    let count = match what {
        _ if order.dry_run => letters.count(&query).await?,
        "skipped" => letters.skip(&query, &by).await?,
        _ => letters.discard(&query, &by).await?,
    };
    tracing::info!(
        author = by.author,
        reason = by.reason,
        count,
        is_dry_run = order.dry_run,
        "dead letters {what}"
    );
    Ok(Json(json!({ what: count, "dryRun": order.dry_run })))
}

/// `POST /api/dead-letters/revise`: another payload for one, for a reason; what was published stays.
pub(super) async fn revise(
    State(app): State<App>,
    Sent(revision): Sent<Revision>,
) -> Reply<Json<Value>> {
    let id = DeadLetterId::new(&revision.subscription, revision.position);
    let data = String::from(Box::<str>::from(revision.data)).into();
    let by = by(revision.author.as_deref(), revision.reason.as_deref())?;
    let letters = letters(&app);
    let number = if revision.retry {
        letters.revise_and_retry(&id, data, by.clone()).await?
    } else {
        letters.revise(&id, data, by.clone()).await?
    };
    tracing::info!(
        author = by.author,
        reason = by.reason,
        letter = %id,
        number,
        "dead letter revised"
    );
    Ok(Json(json!({
        "revision": number,
        "redriven": u64::from(revision.retry),
    })))
}

/// `POST /api/dead-letters/republish`: a new event with its payload, to **all** subscriptions.
pub(super) async fn republish(State(app): State<App>, Sent(one): Sent<One>) -> Reply<Json<Value>> {
    let id = DeadLetterId::new(&one.subscription, one.position);
    let receipt = letters(&app).republish(&id).await?;
    tracing::info!(letter = %id, event = receipt.id.as_str(), "dead letter republished");
    Ok(Json(json!({
        "id": receipt.id.as_str(),
        "position": receipt.position,
    })))
}
