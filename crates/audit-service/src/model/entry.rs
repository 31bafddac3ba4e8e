//! One entry of the trail.

use nanopore::events::audit::Actor;
use sagabus::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// One entry, as it stands in the trail. Words are shown as stored, so that a damaged entry can still be seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its place in the trail, from 1.
    pub sequence: u64,
    /// Its id.
    pub id: String,
    /// The event that tells of the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// When the act was done.
    pub timestamp: Timestamp,
    /// When the entry was made.
    pub recorded_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// The kind of thing.
    pub resource: String,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// How serious it is.
    pub severity: String,
    /// What sort of act it is.
    pub category: String,
    /// The piece of work that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Everything else.
    pub details: Value,
    /// Hash of the entry before, in hexadecimal.
    pub prev_hash: String,
    /// Hash of this entry, in hexadecimal.
    pub hash: String,
}
