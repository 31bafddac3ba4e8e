//! One entry of the trail.

use nanopore::events::audit::Actor;
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// One entry, as it stands in the trail. Words are shown as stored, so that a damaged entry can still be seen.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
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
    /// Why it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From where it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// With what program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// In which session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub tags: Value,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// What was there before.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub old_values: Value,
    /// What is there now.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub new_values: Value,
    /// Everything else.
    pub details: Value,
    /// Its leaf in the tree, in hexadecimal.
    pub hash: String,
}
