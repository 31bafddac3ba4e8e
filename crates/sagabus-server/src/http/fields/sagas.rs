//! What the routes of sagas answer.

use http_api::{Field, Kind};
use sagabus::saga::{self, Status};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{COUNT, FLAG, MAYBE_COUNT, MAYBE_TEXT, MAYBE_TIME, REAL, TEXT, TEXTS, TIME, field};

/// Where a saga may stand.
const STATUS: Kind = Kind::Of(status);

fn status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": Status::ALL.map(Status::as_str)})
}

/// A saga's state is wrong, or not.
pub(in crate::http) const HEALTH: [Field; 5] = [
    field("healthy", FLAG, "Whether nothing is wrong"),
    field("activeSagas", COUNT, "Sagas that go on"),
    field(
        "completedSagas",
        COUNT,
        "Sagas that were completed since the start",
    ),
    field("issues", TEXTS, "What is wrong"),
    field("warnings", TEXTS, "What is to be looked at"),
];

/// How a saga was started.
pub(in crate::http) const STARTED: [Field; 6] = [
    field("sagaId", TEXT, "The saga"),
    field(
        "saga",
        MAYBE_TEXT,
        "Where to read it; `null` of one that is forgotten",
    ),
    field("duplicate", FLAG, "Whether it was there before"),
    field("sameBy", MAYBE_TEXT, "By which key it is the same"),
    field(
        "otherOrder",
        Kind::Maybe(&FLAG),
        "Whether it was ordered otherwise before",
    ),
    field(
        "status",
        MAYBE_TEXT,
        "Where it stands, of one that was there before",
    ),
];

/// What an operator did to a saga.
const OPERATED: [Field; 5] = [
    field("verb", TEXT, "What was done"),
    field("step", MAYBE_TEXT, "To which step"),
    field("author", TEXT, "By whom"),
    field("reason", TEXT, "Why"),
    field("at", TIME, "When"),
];

/// What a saga was told.
const SIGNAL: [Field; 4] = [
    field("name", TEXT, "Its name"),
    field("approved", Kind::Maybe(&FLAG), "Of an answer: yes or no"),
    field("author", TEXT, "By whom"),
    field("reason", TEXT, "Why"),
];

/// A step of a saga.
const STEP: [Field; 17] = [
    field("id", TEXT, "Its id"),
    field("name", TEXT, "What it is called"),
    field("service", TEXT, "Which service does it"),
    field("action", TEXT, "What it does"),
    field("compensationAction", MAYBE_TEXT, "What takes it back"),
    field("version", MAYBE_COUNT, "Version of its handler"),
    field("dependencies", TEXTS, "What comes before it"),
    field("child", MAYBE_TEXT, "The saga that it is"),
    field("timeout", MAYBE_COUNT, "In milliseconds"),
    field("status", TEXT, "Where it stands"),
    field("attempts", COUNT, "How often it was tried"),
    field("startedAt", MAYBE_TIME, "When it was first begun"),
    field("endedAt", MAYBE_TIME, "When it ended"),
    field("durationMs", Kind::Maybe(&REAL), "How long it took"),
    field("error", MAYBE_TEXT, "Why it failed"),
    field(
        "compensationAttempts",
        COUNT,
        "How often it was tried to be taken back",
    ),
    field("waits", MAYBE_TEXT, "For what it waits"),
];

/// What became of a step.
const RESULT: [Field; 6] = [
    field("stepId", TEXT, "Which step"),
    field("status", TEXT, "Where it stands"),
    field("error", MAYBE_TEXT, "Why it failed"),
    field("executionTime", Kind::Maybe(&REAL), "In milliseconds"),
    field("retryCount", COUNT, "How often it was tried again"),
    Field::optional("result", Kind::Json, "Its output, with `include=outputs`"),
];

/// A saga.
pub(in crate::http) const SAGA: [Field; 28] = [
    field("id", TEXT, "Its id"),
    field("name", TEXT, "What it is called"),
    field("definition", TEXT, "Hash of its definition"),
    field("status", STATUS, "Where it stands"),
    field("startedAt", TIME, "When it was started"),
    field("endedAt", MAYBE_TIME, "When it ended"),
    field("completedAt", MAYBE_TIME, "When it was completed"),
    field("failedAt", MAYBE_TIME, "When it failed"),
    field("compensatedAt", MAYBE_TIME, "When all was taken back"),
    field("correlationId", TEXT, "The piece of work"),
    field("parent", MAYBE_TEXT, "The saga that it is a step of"),
    field("attributes", Kind::Map(&TEXT), "What it can be found by"),
    field("priority", TEXT, "How soon it is wanted"),
    field(
        "concurrencyKey",
        MAYBE_TEXT,
        "Of what there is one at a time",
    ),
    field("currentStep", MAYBE_TEXT, "The step that goes on"),
    field("error", MAYBE_TEXT, "Why it failed"),
    field("turnedBackBy", Kind::Json, "What made it go back"),
    field(
        "parked",
        MAYBE_TEXT,
        "Why it is not run: it was interrupted too often",
    ),
    field("paused", MAYBE_TEXT, "Why an operator paused it"),
    field("deadline", MAYBE_TIME, "When it must have ended"),
    field(
        "inconsistent",
        FLAG,
        "Whether effects stayed that should not",
    ),
    field("unsettled", TEXTS, "Steps whose effects these may be"),
    field(
        "operated",
        Kind::List(&Kind::Object(&OPERATED)),
        "What operators did",
    ),
    field(
        "signals",
        Kind::List(&Kind::Object(&SIGNAL)),
        "What it was told",
    ),
    field("waits", MAYBE_TEXT, "For what it waits"),
    field("steps", Kind::List(&Kind::Object(&STEP)), "Its steps"),
    field(
        "stepResults",
        Kind::Map(&Kind::Object(&RESULT)),
        "What became of those that were begun",
    ),
    Field::optional(
        "context",
        Kind::Json,
        "Input and outputs, with `include=outputs`",
    ),
];

/// A page of sagas.
pub(in crate::http) const SAGAS: [Field; 2] = [
    field(
        "sagas",
        Kind::List(&Kind::Object(&SAGA)),
        "The one that was started last first",
    ),
    field(
        "next",
        MAYBE_TEXT,
        "To be given as `after`; `null` at the end",
    ),
];

/// What a list of sagas may be asked for.
pub(in crate::http) const SEARCH: [Field; 8] = [
    Field::optional("name", TEXT, "Of this definition"),
    Field::optional("status", Kind::List(&STATUS), "Any of these"),
    Field::optional("attribute", TEXTS, "All of these, as `name=value`"),
    Field::optional(
        "inconsistent",
        FLAG,
        "Only those whose effects stayed, or only the others",
    ),
    Field::optional("from", TIME, "Started then or later"),
    Field::optional("before", TIME, "Started before then"),
    Field::optional("after", TEXT, "`next` of the page before"),
    Field::optional(
        "limit",
        Kind::Number(1, saga::PAGE_MAX as u64),
        "Most sagas",
    ),
];
