//! How an event is judged from its type and payload alone.

use nanopore::events::audit::{Category, Outcome, Severity};
use serde_json::Value;

/// What sort of act an event tells of, how it ended, and how serious it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What sort of act it is.
    pub category: Category,
    /// How it ended.
    pub outcome: Outcome,
    /// How serious it is.
    pub severity: Severity,
}

/// Judges an event by its type; `success: false` in the payload makes it a failure too.
#[must_use]
pub fn judge(event_type: &str, data: &Value) -> Judgement {
    let mut words = event_type.split('.');
    let family = words.next().unwrap_or_default();
    let last = words.next_back().unwrap_or_default();
    let category = match family {
        "sample" | "submission" | "run" | "flowcell" | "delivery" | "qc" | "storage" => {
            Category::DataModification
        }
        "auth" => Category::Authentication,
        "security" => Category::Security,
        _ => Category::System,
    };
    let has_failed = last == "failed" || last.ends_with("_failed");
    let says_failure = data.get("success") == Some(&Value::Bool(false));
    let outcome = if has_failed || says_failure {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    let severity = if last == "compensation_failed" {
        Severity::Critical
    } else if has_failed {
        Severity::Error
    } else if says_failure
        || last.starts_with("compensation_")
        || last.ends_with("_degraded")
        || last.ends_with("_low")
        || last.ends_with("_overdue")
        || last.ends_with("deleted")
    {
        Severity::Warn
    } else {
        Severity::Info
    };
    Judgement {
        category,
        outcome,
        severity,
    }
}

#[cfg(test)]
mod tests;
