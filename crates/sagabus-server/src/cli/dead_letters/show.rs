//! Prints what the server answers about dead letters, for people.

use serde_json::Value;

use crate::cli::print::say;
use crate::cli::table::{plain, print};

/// Longest text of a fault that is shown as a whole.
const TEXT_MAX: usize = 2048;

pub(super) fn done(answer: &Value, is_dry_run: bool) {
    let fields = answer.as_object().into_iter().flatten();
    for (done, count) in fields.filter(|(_, it)| it.is_u64()) {
        let would = if is_dry_run { "would be " } else { "" };
        say!("{count} {would}{done}");
    }
    if answer["lastDue"].is_string() {
        say!("the last is due at {}", text(&answer["lastDue"]));
    }
}

pub(super) fn list(answer: &Value) {
    let letters = answer["deadLetters"].as_array();
    let rows = letters.into_iter().flatten().map(|letter| {
        let fault = letter["faults"].as_array().and_then(|it| it.last());
        let in_event = |field: &str| letter["event"].get(field).unwrap_or(&Value::Null);
        let of_fault = |field: &str| {
            let value = fault.and_then(|it| it.get(field));
            text(value.unwrap_or(&Value::Null))
        };
        [
            id(letter),
            text(in_event("type")),
            text(in_event("subject")),
            text(&letter["attempts"]),
            text(&letter["redrives"]),
            text(&letter["deadAt"]),
            of_fault("kind"),
            of_fault("error"),
        ]
    });
    let heads = [
        "id", "type", "subject", "attempts", "redrives", "dead at", "kind", "error",
    ];
    print(heads, rows.collect());
    say!("{} dead letters in all", answer["total"]);
    if answer["next"].is_string() {
        say!(
            "more with --after {}",
            plain(&text(&answer["next"]), TEXT_MAX)
        );
    }
}

pub(super) fn repairs(answer: &Value) {
    let repairs = answer["repairs"].as_array();
    let rows = repairs.into_iter().flatten().map(|repair| {
        let positions = repair["positions"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let named: Vec<String> = positions.iter().take(5).map(ToString::to_string).collect();
        let more = if positions.len() > named.len() {
            ", …"
        } else {
            ""
        };
        [
            text(&repair["number"]),
            text(&repair["at"]),
            text(&repair["act"]),
            positions.len().to_string(),
            format!("{}{more}", named.join(", ")),
            text(&repair["author"]),
            text(&repair["reason"]),
        ]
    });
    let heads = [
        "number",
        "at",
        "act",
        "events",
        "positions",
        "author",
        "reason",
    ];
    print(heads, rows.collect());
    if let Some(next) = answer["next"].as_u64() {
        say!("more with --before {next}");
    }
}

pub(super) fn one(letter: &Value) {
    say!("{}", plain(&id(letter), TEXT_MAX));
    for field in ["attempts", "redrives", "parked", "firstFailedAt", "deadAt"] {
        say!(
            "{field}: {}",
            text(letter.get(field).unwrap_or(&Value::Null))
        );
    }
    let faults = letter["faults"].as_array().into_iter().flatten();
    let rows = faults.map(|fault| {
        [
            text(&fault["redrives"]),
            text(&fault["attempt"]),
            text(&fault["at"]),
            text(&fault["durationMs"]),
            text(&fault["member"]),
            text(&fault["kind"]),
            text(&fault["errorType"]),
            text(&fault["error"]),
        ]
    });
    let heads = [
        "redrive", "attempt", "at", "ms", "member", "kind", "type", "error",
    ];
    print(heads, rows.collect());
    let revisions = letter["revisions"].as_array().into_iter().flatten();
    for revision in revisions {
        let line = format!(
            "revision {} at {} by {}, {}: {}",
            revision["number"],
            text(&revision["at"]),
            text(&revision["author"]),
            text(&revision["reason"]),
            revision["data"]
        );
        say!("{}", plain(&line, TEXT_MAX));
    }
    say!("event: {}", letter["event"]);
}

fn id(letter: &Value) -> String {
    format!("{}/{}", text(&letter["subscription"]), letter["position"])
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
