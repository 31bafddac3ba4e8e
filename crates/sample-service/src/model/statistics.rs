//! Counts of all samples.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// Counts of all samples.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// All of them.
    pub total_samples: u64,
    /// How many in each status; no entry for none.
    pub samples_by_status: BTreeMap<String, u64>,
    /// How many of each priority; no entry for none.
    pub samples_by_priority: BTreeMap<String, u64>,
    /// Submitted within the last seven days.
    pub recent_samples: u64,
}
