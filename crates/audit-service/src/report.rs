//! A report: what it says, and how it is written. Pure.

mod csv;
mod pdf;

use std::collections::BTreeMap;

use nanopore::events::audit::{ReportFormat, ReportType};
use sagabus::{Error, Result, Timestamp};
use serde::Serialize;

use crate::model::Entry;

/// Most entries of a report or an export.
pub(crate) const ENTRIES_MAX: usize = 50_000;
/// Most bytes that their entries have, as JSON.
pub(crate) const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most words that a count names one by one.
const COUNTED_MAX: usize = 20;

/// What a report says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) report_id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) report_type: ReportType,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) generated_at: Timestamp,
    pub(crate) requested_by: String,
    pub(crate) summary: Summary,
    /// The newest first.
    pub(crate) entries: Vec<Entry>,
}

/// The counts of a report.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) record_count: usize,
    /// Whether there are older entries that have no room in it.
    pub(crate) is_cut: bool,
    pub(crate) by_action: Vec<(String, u64)>,
    pub(crate) by_actor: Vec<(String, u64)>,
    pub(crate) by_outcome: Vec<(String, u64)>,
    pub(crate) by_severity: Vec<(String, u64)>,
    /// Of the acts that say how long they took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<Durations>,
}

/// How long acts took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Durations {
    pub(crate) count: usize,
    pub(crate) mean: i64,
    pub(crate) median: i64,
    pub(crate) p95: i64,
    pub(crate) max: i64,
}

impl Summary {
    pub(crate) fn of(entries: &[Entry], is_cut: bool) -> Self {
        Self {
            record_count: entries.len(),
            is_cut,
            by_action: counts(entries, |it| Some(&it.action)),
            by_actor: counts(entries, |it| it.actor.id.as_ref()),
            by_outcome: counts(entries, |it| Some(&it.outcome)),
            by_severity: counts(entries, |it| Some(&it.severity)),
            duration_ms: durations(entries),
        }
    }
}

/// The most frequent words first.
fn counts(entries: &[Entry], word: impl Fn(&Entry) -> Option<&String>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&String, u64> = BTreeMap::new();
    for word in entries.iter().filter_map(word) {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(it, of)| (it.clone(), of))
        .collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(COUNTED_MAX);
    counts
}

fn durations(entries: &[Entry]) -> Option<Durations> {
    let mut all: Vec<i64> = entries.iter().filter_map(|it| it.duration_ms).collect();
    all.sort_unstable();
    let count = all.len();
    let max = *all.last()?;
    let at = |percent: usize| {
        let place = (count * percent).div_ceil(100).max(1) - 1;
        all.get(place).copied().unwrap_or(max)
    };
    let mean = all.iter().sum::<i64>() / i64::try_from(count).ok()?;
    Some(Durations {
        count,
        mean,
        median: at(50),
        p95: at(95),
        max,
    })
}

impl Report {
    /// The file of the report.
    pub(crate) fn write(&self, format: ReportFormat) -> Result<Vec<u8>> {
        match format {
            ReportFormat::Json => json(self),
            ReportFormat::Csv => Ok(csv::write(&self.entries)),
            ReportFormat::Pdf => Ok(pdf::write(self)),
        }
    }
}

/// Entries as a file without anything beside them.
pub(crate) fn write_entries(entries: &[Entry], format: ReportFormat) -> Result<Vec<u8>> {
    match format {
        ReportFormat::Csv => Ok(csv::write(entries)),
        ReportFormat::Json | ReportFormat::Pdf => json(&entries),
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::invalid("report cannot be written as JSON").with_source(error))
}

/// The media type of a format, and how the names of its files end.
pub(crate) fn kind(format: ReportFormat) -> (&'static str, &'static str) {
    match format {
        ReportFormat::Json => ("application/json", "json"),
        ReportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        ReportFormat::Pdf => ("application/pdf", "pdf"),
    }
}

/// The word of a type.
pub(crate) fn type_word(of: ReportType) -> &'static str {
    match of {
        ReportType::Activity => "activity",
        ReportType::Security => "security",
        ReportType::Compliance => "compliance",
        ReportType::Performance => "performance",
        ReportType::Custom => "custom",
    }
}

#[cfg(test)]
mod tests;
