//! What a check of the trail finds, and the counts of the trail.

use std::collections::BTreeMap;
use std::fmt;

use sagabus::Result;
use schemars::JsonSchema;
use serde::Serialize;

/// What a check of the trail finds.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether every entry fits, from the first to the last, and the trail is what was signed of it.
    pub ok: bool,
    /// How many entries are proven, counted from the first.
    pub count: u64,
    /// Root of the tree over the entries that were looked at, in hexadecimal.
    pub root: String,
    /// How many signed checkpoints the trail fits.
    pub checkpoints: u64,
    /// How many of the entries have no content any more, as entries say.
    pub emptied: u64,
    /// The first entry that is not proven or is missing, or one that an index does not find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad_sequence: Option<u64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Verification {
    /// The same, unless not every entry can be found, although all are proven; what is wrong with them counts more.
    pub(crate) fn unless(
        self,
        hidden: impl FnOnce() -> Result<Option<(Option<u64>, String)>>,
    ) -> Result<Self> {
        if !self.ok {
            return Ok(self);
        }
        Ok(match hidden()? {
            Some((sequence, fault)) => Self {
                ok: false,
                first_bad_sequence: sequence,
                fault: Some(fault),
                ..self
            },
            None => self,
        })
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            None => write!(f, "{} entries verified, root {}", self.count, self.root),
            Some(fault) => write!(f, "{fault}; {} entries are proven", self.count),
        }
    }
}

/// Something that is among the most frequent.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Top {
    /// What it is.
    pub name: String,
    /// Of how many entries.
    pub count: u64,
}

/// Counts of the entries since some day.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "TrailStatistics")]
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
    pub top_users: Vec<Top>,
    /// The ten most frequent acts.
    pub top_actions: Vec<Top>,
    /// The ten kinds of things most acts were done to.
    pub top_resources: Vec<Top>,
    /// Percentage of errors and critical entries.
    pub error_rate: f64,
    /// How long the acts took on average, in milliseconds, of those that say so.
    pub average_response_time: Option<f64>,
}
