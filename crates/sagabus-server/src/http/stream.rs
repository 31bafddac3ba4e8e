//! Events as they are stored, for whoever watches: server-sent events, which are read from the log at the reader's own pace.

mod end;
mod reader;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use http_api::Reply;
use sagabus::event::whole_number;
use sagabus::filter::{Filter, Outcome};
use sagabus::{Error, ErrorKind, Event, Pattern, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::reader::Reader;
use super::App;
use super::query::{Asked, Parameters, pattern};

/// Media type of server-sent events.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// The last position that a reader has seen, which a browser says when it connects again.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// The first position of a log.
const FIRST: u64 = 1;

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    /// Type or pattern.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// An expression of CESQL, as a subscription may have.
    filter: Option<String>,
    subject: Option<String>,
    correlation_id: Option<String>,
    /// First position; without it and without `Last-Event-ID` only what is stored from now on.
    from: Option<u64>,
}

impl Parameters for Wanted {}

/// What a reader wants to see.
#[derive(Debug)]
struct Chosen {
    pattern: Option<Pattern>,
    filter: Option<Filter>,
    subject: Option<String>,
    correlation_id: Option<String>,
}

impl Chosen {
    fn of(wanted: Wanted) -> Result<Self> {
        Ok(Self {
            pattern: pattern(wanted.event_type.as_deref())?,
            filter: wanted.filter.as_deref().map(Filter::sql).transpose()?,
            subject: wanted.subject,
            correlation_id: wanted.correlation_id,
        })
    }

    /// Whether an event is one of those. What the filter cannot tell of is none.
    fn fits(&self, event: &Event) -> bool {
        let of_type = |it: &Pattern| it.matches(&event.event_type);
        self.pattern.as_ref().is_none_or(of_type)
            && (self.subject.is_none() || self.subject == event.subject)
            && (self.correlation_id.is_none() || self.correlation_id == event.correlation_id)
            && (self.filter.as_ref()).is_none_or(|it| it.evaluate(event) == Outcome::Pass)
    }
}

/// All streams that are open.
#[derive(Debug)]
pub(super) struct Streams {
    turns: Arc<Semaphore>,
    max: usize,
    /// The first position that nothing is stored at yet, as far as it is known.
    end: watch::Sender<u64>,
    opened: Notify,
    /// Ends all of them.
    stop: CancellationToken,
}

impl Streams {
    /// None yet; at most `max` at one time, until `stop` fires.
    pub(super) fn new(max: usize, stop: CancellationToken) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(max)),
            max,
            end: watch::Sender::new(FIRST),
            opened: Notify::new(),
            stop,
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.max.saturating_sub(self.turns.available_permits())
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        let turn = turn.map_err(|_| {
            let text = format!(
                "there are {} streams of events already, the most that are allowed",
                self.max
            );
            Error::new(ErrorKind::Transient, text)
        })?;
        self.opened.notify_one();
        Ok(turn)
    }
}

/// `GET /api/events/stream`: a message for each event that is stored, with its position as `id`. Each is the event as a
/// CloudEvent in JSON.
pub(super) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Asked(wanted): Asked<Wanted>,
) -> Reply<Response> {
    let from = wanted.from;
    let chosen = Chosen::of(wanted)?;
    let last = last_seen(&headers)?;
    let (streams, bus) = (&app.streams, &app.system.bus);
    let turn = streams.enter()?;
    let end = streams.look(bus).await?;
    let first = first(last, from, end)?;
    let reader = Reader::new(bus.clone(), chosen, first, streams, turn);
    let messages = futures_util::stream::unfold(reader, |mut reader| async move {
        let message = reader.next().await?;
        Some((Ok::<_, Infallible>(message), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(messages)).into_response())
}

/// The position that the reader has seen last, where it says one.
fn last_seen(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(last) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = last.to_str().unwrap_or_default().trim();
    let wrong = || {
        let text = text.escape_debug();
        Error::invalid(format!(
            "header `Last-Event-ID` is `{text}`, and must be a position in the log: the `id` of the last message"
        ))
    };
    whole_number(text).map(Some).ok_or_else(wrong)
}

/// Where to begin in a log that ends before `end`.
fn first(last: Option<u64>, from: Option<u64>, end: u64) -> Result<u64> {
    let (name, given, first) = match (last, from) {
        (None, None) => return Ok(end),
        (Some(last), _) => ("header `Last-Event-ID`", last, last.checked_add(1)),
        (None, Some(from)) => ("`from`", from, Some(from)),
    };
    first.filter(|it| *it <= end).ok_or_else(|| {
        Error::invalid(format!(
            "{name} is {given}, and the log ends at {}: that is a position in another one",
            end.saturating_sub(1)
        ))
    })
}

#[cfg(test)]
mod tests;
