//! Prints what the server answers about sagas, for people.

use sagabus::saga::Status;
use serde_json::Value;

use crate::cli::print::say;
use crate::cli::table::{plain, print};

/// Longest text that is shown as a whole, as long as the longest error that a saga keeps.
const TEXT_MAX: usize = 2048;

pub(super) fn list(answer: &Value) {
    let sagas = answer["sagas"].as_array();
    let rows = sagas.into_iter().flatten().map(|saga| {
        [
            text(&saga["id"]),
            text(&saga["name"]),
            text(&saga["status"]),
            text(&saga["startedAt"]),
            text(&saga["currentStep"]),
            match left(saga) {
                Some(left) => format!("{left}; {}", why(saga)),
                None => why(saga),
            },
        ]
    });
    let heads = ["id", "name", "status", "started at", "step", "why"];
    print(heads, rows.collect());
    if let Some(next) = answer["next"].as_str() {
        say!("more with --after {}", plain(next, TEXT_MAX));
    }
}

/// What a saga that is over has left, if anything.
fn left(saga: &Value) -> Option<String> {
    let steps = saga["unsettled"].as_array().into_iter().flatten();
    let steps: Vec<String> = steps.map(text).collect();
    match (saga["inconsistent"] == true, steps.is_empty()) {
        (false, _) => None,
        (true, false) => Some(format!("effects left: {}", steps.join(", "))),
        (true, true) => Some("work left".to_owned()),
    }
}

/// What a saga or a step of one waits for, and what went wrong there.
fn why(it: &Value) -> String {
    let own = |it: &Value| it["error"].as_str().map(str::to_owned);
    let current = || {
        let mut steps = it["steps"].as_array().into_iter().flatten();
        let current = steps.find(|step| step["id"] == it["currentStep"])?;
        own(current)
    };
    match (it["waits"].as_str(), own(it).or_else(current)) {
        (Some(waits), Some(error)) => format!("{waits}; {error}"),
        (Some(waits), None) => waits.to_owned(),
        (None, error) => error.unwrap_or_else(|| text(&Value::Null)),
    }
}

/// How the sagas are.
pub(super) fn health(health: &Value) {
    let well = match health["healthy"].as_bool() {
        Some(true) => "yes",
        Some(false) | None => "no",
    };
    line("all is well", &well.into());
    line("not over", &health["activeSagas"]);
    line("over", &health["completedSagas"]);
    for issue in health["issues"].as_array().into_iter().flatten() {
        line("issue", issue);
    }
}

/// A name and what there is to say under it.
fn line(name: &str, value: &Value) {
    if !value.is_null() {
        say!("{name:<13}{}", plain(&text(value), TEXT_MAX));
    }
}

pub(super) fn one(saga: &Value) {
    line("saga", &saga["id"]);
    line("name", &saga["name"]);
    line("definition", &saga["definition"]);
    line("status", &saga["status"]);
    line("waits", &saga["waits"]);
    line("error", &saga["error"]);
    let effects = saga["unsettled"].as_array().filter(|it| !it.is_empty());
    if let Some(steps) = effects {
        let steps: Vec<String> = steps.iter().map(text).collect();
        line("effects left", &steps.join(", ").into());
    } else if saga["inconsistent"] == true {
        line(
            "work left",
            &"it was given up behind its pivot: what it did stays, and the rest is not done".into(),
        );
    }
    line("turned back", &turned_back(&saga["turnedBackBy"]));
    line("correlation", &saga["correlationId"]);
    line("parent", &saga["parent"]);
    line("attributes", &attributes(&saga["attributes"]));
    line("priority", &saga["priority"]);
    line("key", &saga["concurrencyKey"]);
    line("started", &saga["startedAt"]);
    line("deadline", &saga["deadline"]);
    line("ended", &saga["endedAt"]);
    line("context", &saga["context"]);
    let each = |field: &str| saga[field].as_array().into_iter().flatten();
    for operated in each("operated") {
        let verb = match operated["step"].as_str() {
            Some(step) => format!("{} {step}", text(&operated["verb"])),
            None => text(&operated["verb"]),
        };
        let told = format!("{verb} at {} {}", text(&operated["at"]), who(operated));
        line("operator", &told.into());
    }
    for signal in each("signals") {
        let answer = match signal["approved"].as_bool() {
            Some(true) => ": yes",
            Some(false) => ": no",
            None => "",
        };
        let told = format!("{}{answer} {}", text(&signal["name"]), who(signal));
        line("told", &told.into());
    }
    say!();
    let steps = saga["steps"].as_array();
    let rows = steps.into_iter().flatten().map(|step| {
        [
            text(&step["id"]),
            handler(step, "action"),
            text(&step["status"]),
            count(&step["attempts"]),
            text(&step["startedAt"]),
            milliseconds(&step["durationMs"]),
            compensation(step),
            why(step),
        ]
    });
    let heads = [
        "step",
        "handler",
        "status",
        "attempts",
        "started at",
        "ms",
        "compensation",
        "why",
    ];
    print(heads, rows.collect());
    let results = saga["stepResults"].as_object().into_iter().flatten();
    for (step, result) in results.filter(|(_, it)| !it["result"].is_null()) {
        let line = format!("output of {step}: {}", result["result"]);
        say!("{}", plain(&line, TEXT_MAX));
    }
}

/// What it can be found by.
fn attributes(attributes: &Value) -> Value {
    let all = attributes.as_object().into_iter().flatten();
    let all: Vec<String> = all
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    match all.is_empty() {
        true => Value::Null,
        false => all.join(", ").into(),
    }
}

/// What turned it back: a step, or one word.
fn turned_back(cause: &Value) -> Value {
    match (cause["step"].as_str(), cause.as_str()) {
        (Some(step), _) => format!("by step {step}").into(),
        (None, Some(word)) => format!("by {word}").into(),
        (None, None) => Value::Null,
    }
}

/// Who, and why.
fn who(by: &Value) -> String {
    format!("by {}: {}", text(&by["author"]), text(&by["reason"]))
}

fn handler(step: &Value, field: &str) -> String {
    if let Some(child) = step["child"].as_str() {
        return format!("saga {child}");
    }
    match step["service"].as_str() {
        Some("") | None => text(&step[field]),
        Some(service) => format!("{service}/{}", text(&step[field])),
    }
}

fn compensation(step: &Value) -> String {
    let attempts = step["compensationAttempts"].as_u64().unwrap_or_default();
    match (&step["compensationAction"], attempts) {
        (Value::Null, _) => "-".to_owned(),
        (action, 0) => text(action),
        (action, 1) => format!("{}, 1 attempt", text(action)),
        (action, attempts) => format!("{}, {attempts} attempts", text(action)),
    }
}

fn count(value: &Value) -> String {
    match value.as_u64() {
        Some(0) | None => "-".to_owned(),
        Some(count) => count.to_string(),
    }
}

fn milliseconds(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// What there is to say of a start that is taken for an earlier one.
pub(super) fn earlier(started: &Value) -> Option<String> {
    let id = text(&started["sagaId"]);
    let is_other = started["otherOrder"].as_bool() == Some(true);
    let by = started["sameBy"].as_str()?;
    let said = match by {
        "concurrencyKey" => attached(&id, &started["status"]),
        _ => format!("saga `{id}` is that of an earlier start with this idempotency key"),
    };
    let more = match by {
        _ if started["saga"].is_null() => "; it has ended, and is shown no more",
        "concurrencyKey" if is_other => {
            "; it is of another definition or context, and nothing of this one is done"
        }
        "concurrencyKey" => "; no other is started",
        _ if is_other => ", of another definition or context; nothing of this one is done",
        _ => "",
    };
    Some(said + more)
}

/// A start that was taken for the saga that has its concurrency key, or had it then.
fn attached(id: &str, status: &Value) -> String {
    let stands = Status::ALL.iter().find(|it| status == it.as_str());
    match stands.filter(|it| it.is_final()) {
        Some(over) => format!(
            "this start was taken for saga `{id}`, which had the concurrency key and is over, `{over}`"
        ),
        None => format!("saga `{id}` has the concurrency key"),
    }
}
