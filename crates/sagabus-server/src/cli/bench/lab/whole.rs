//! Looks whether everything is there: each sample once, with its events, and a trail that is whole.

use std::collections::BTreeMap;
use std::time::Duration;

use sagabus::{Clock, SystemClock};
use serde_json::Value;

use super::{Order, failed, name, text, total};
use crate::cli::Failure;
use crate::client::Client;

/// Longest time in which the trail may get no entry while some are missing.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);
/// What a sample of a form tells, each once.
const EVENTS: [&str; 2] = ["sample.created", "sample.status_changed"];

/// What was found.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) samples: usize,
    pub(super) lost: usize,
    pub(super) doubled: usize,
    /// Samples that one of their events does not tell of, or more than one does.
    pub(super) without_events: usize,
    /// Events about samples that are not in the trail once.
    pub(super) without_entry: u64,
    /// In the trail.
    pub(super) entries: u64,
    pub(super) trail_is_whole: bool,
}

impl Whole {
    pub(super) async fn look(client: &Client, order: Order) -> Result<Self, Failure> {
        let samples = (order.submissions * order.samples) as u64;
        // The sample that was there before has told of itself once.
        let mut without_entry = 0;
        for (event, expected) in EVENTS.into_iter().zip([samples + 1, samples]) {
            without_entry += in_trail(client, event, expected).await?;
        }
        let ids = samples_by_name(client).await?;
        let (mut told, mut entered) = (BTreeMap::new(), BTreeMap::new());
        for event in EVENTS {
            told.insert(event, subjects(client, event).await?);
            entered.insert(event, entries_about(client, event).await?);
        }
        let mut not_entered = 0;
        let mut whole = Self {
            samples: 0,
            lost: 0,
            doubled: 0,
            without_events: 0,
            without_entry,
            entries: 0,
            trail_is_whole: false,
        };
        for submission in 0..order.submissions {
            for row in 0..order.samples {
                let found = ids
                    .get(&name(submission, row))
                    .map_or(&[][..], Vec::as_slice);
                whole.samples += found.len();
                whole.lost += usize::from(found.is_empty());
                whole.doubled += found.len().saturating_sub(1);
                let is_told = |id: &&String| told.values().all(|of| of.get(*id) == Some(&1));
                whole.without_events += found.len() - found.iter().filter(is_told).count();
                for of in entered.values() {
                    not_entered += found.iter().filter(|id| of.get(*id) != Some(&1)).count();
                }
            }
        }
        whole.without_entry = whole.without_entry.max(not_entered as u64);
        // One was there before; what is more than those of the forms is nobody's.
        let all: usize = ids.values().map(Vec::len).sum();
        whole.doubled += all.saturating_sub(whole.samples + 1);
        let verified = client.get("/api/audit/verify").await?;
        whole.trail_is_whole = verified.get("ok") == Some(&Value::Bool(true));
        let count = verified.get("count").and_then(Value::as_u64);
        whole.entries = count.unwrap_or(0);
        Ok(whole)
    }

    /// Fails where something is missing.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let wrong = self.lost + self.doubled + self.without_events;
        match wrong == 0 && self.without_entry == 0 && self.trail_is_whole {
            true => Ok(()),
            false => Err(failed("not everything is there once")),
        }
    }
}

/// Waits until the trail has so many entries of this event; how many are missing or too many when no more come.
async fn in_trail(client: &Client, event: &str, expected: u64) -> Result<u64, Failure> {
    let (mut before, mut since) = (0, SystemClock.elapsed());
    loop {
        let path = format!("/api/audit/events?action={event}&limit=1");
        let found = total(&client.get(&path).await?)?;
        let now = SystemClock.elapsed();
        if found != before {
            (before, since) = (found, now);
        }
        if found == expected || now.saturating_sub(since) > PATIENCE {
            return Ok(found.abs_diff(expected));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How often entries of this event are about each sample.
async fn entries_about(client: &Client, event: &str) -> Result<BTreeMap<String, u32>, Failure> {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for page in 1.. {
        let path = format!("/api/audit/events?action={event}&limit=100&page={page}");
        let list = client.get(&path).await?;
        let entries = list.get("events").and_then(Value::as_array);
        let Some(entries) = entries.filter(|it| !it.is_empty()) else {
            break;
        };
        for entry in entries {
            let about = text(entry, "resourceId")?.to_owned();
            *count.entry(about).or_default() += 1;
        }
    }
    Ok(count)
}

/// The ids of all samples, by name.
async fn samples_by_name(client: &Client) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for page in 1.. {
        let path = format!("/api/samples?limit=1000&page={page}");
        let list = client.get(&path).await?;
        let samples = list.get("samples").and_then(Value::as_array);
        let Some(samples) = samples.filter(|it| !it.is_empty()) else {
            break;
        };
        for sample in samples {
            let id = text(sample, "id")?.to_owned();
            let name = text(sample, "sampleName")?.to_owned();
            ids.entry(name).or_default().push(id);
        }
    }
    Ok(ids)
}

/// How often events of this type are about each subject.
async fn subjects(client: &Client, event: &str) -> Result<BTreeMap<String, u32>, Failure> {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    let mut from = 1;
    loop {
        let path = format!("/api/events?type={event}&from={from}&limit=1000");
        let page = client.get(&path).await?;
        let events = page.get("events").and_then(Value::as_array);
        for event in events.into_iter().flatten() {
            let event = event.get("event").unwrap_or(&Value::Null);
            *count.entry(text(event, "subject")?.to_owned()).or_default() += 1;
        }
        if page.get("isLast") == Some(&Value::Bool(true)) {
            return Ok(count);
        }
        let next = page.get("next").and_then(Value::as_u64);
        from = next.ok_or_else(|| failed("a page of events has no next one"))?;
    }
}
