//! Entries as a table (RFC 4180).

use serde_json::Value;

use crate::model::Entry;

const HEADER: &str = "sequence,id,timestamp,recordedAt,service,actorId,actorEmail,action,resource,resourceId,outcome,severity,\
category,reason,correlationId,causationId,eventId,durationMs,oldValues,newValues,details,hash\r\n";

/// The table, the entries in their order.
pub(super) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut text = HEADER.to_owned();
    for entry in entries {
        let json = |it: &Value| match it {
            Value::Null => String::new(),
            json => json.to_string(),
        };
        let option = |it: &Option<String>| it.clone().unwrap_or_default();
        let cells = [
            entry.sequence.to_string(),
            entry.id.clone(),
            entry.timestamp.to_string(),
            entry.recorded_at.to_string(),
            entry.actor.service.clone(),
            option(&entry.actor.id),
            option(&entry.actor.email),
            entry.action.clone(),
            entry.resource.clone(),
            option(&entry.resource_id),
            entry.outcome.clone(),
            entry.severity.clone(),
            entry.category.clone(),
            option(&entry.reason),
            option(&entry.correlation_id),
            option(&entry.causation_id),
            option(&entry.event_id),
            entry
                .duration_ms
                .map(|it| it.to_string())
                .unwrap_or_default(),
            json(&entry.old_values),
            json(&entry.new_values),
            json(&entry.details),
            entry.hash.clone(),
        ];
        let line: Vec<_> = cells.iter().map(|it| cell(it)).collect();
        text.push_str(&line.join(","));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// A cell; one that a spreadsheet program would take for a formula has an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if is_formula || text.contains([',', '"', '\n', '\r']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}
