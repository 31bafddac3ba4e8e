//! What a check of the chain finds, and the counts of the trail.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What a check of the chain finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether every entry fits, from the first to the last.
    pub ok: bool,
    /// How many entries fit, counted from the first.
    pub count: u64,
    /// Hash of the last entry that fits, in hexadecimal.
    pub head: String,
    /// The first entry that does not fit, or is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad_sequence: Option<u64>,
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first_bad_sequence {
            None => write!(f, "{} entries verified, head {}", self.count, self.head),
            Some(bad) => write!(
                f,
                "entry {bad} does not fit the chain; {} entries before it do",
                self.count
            ),
        }
    }
}

/// Counts of the entries since some day.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// All of them.
    pub total_events: u64,
    /// By service.
    pub events_by_service: BTreeMap<String, u64>,
    /// By category.
    pub events_by_category: BTreeMap<String, u64>,
    /// By severity.
    pub events_by_severity: BTreeMap<String, u64>,
    /// By day, UTC.
    pub events_by_date: BTreeMap<String, u64>,
    /// The ten who did most.
    pub top_users: Vec<(String, u64)>,
    /// The ten most frequent acts.
    pub top_actions: Vec<(String, u64)>,
    /// The ten kinds of things most acts were done to.
    pub top_resources: Vec<(String, u64)>,
    /// Percentage of errors and critical entries.
    pub error_rate: f64,
}
