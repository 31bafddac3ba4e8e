//! What the routes of the bus and of sagas answer, where no type of the program says it.

pub(super) mod sagas;

use http_api::{Field, Kind, of};
use sagabus::Timestamp;

use super::events::Told;

const TEXT: Kind = Kind::AnyText;
const MAYBE_TEXT: Kind = Kind::Maybe(&TEXT);
const COUNT: Kind = Kind::Number(0, u64::MAX);
const MAYBE_COUNT: Kind = Kind::Maybe(&COUNT);
const TIME: Kind = Kind::Of(of::<Timestamp>);
const MAYBE_TIME: Kind = Kind::Maybe(&TIME);
const TEXTS: Kind = Kind::List(&TEXT);
const FLAG: Kind = Kind::Flag;
const REAL: Kind = Kind::Real;

const fn field(name: &'static str, kind: Kind, says: &'static str) -> Field {
    Field::required(name, kind, says)
}

/// That the process lives.
pub(super) const LIVE: [Field; 1] = [field("status", Kind::Word(&["live"]), "It answers")];

/// Whether the process can work.
pub(super) const READY: [Field; 7] = [
    field(
        "status",
        Kind::Word(&["ready", "not ready"]),
        "Whether it can work",
    ),
    field("issues", TEXTS, "Why not"),
    field("warnings", TEXTS, "What is to be looked at"),
    field("durability", TEXT, "When what is published is stored"),
    field("activeSagas", COUNT, "Sagas that go on"),
    field(
        "completedSagas",
        COUNT,
        "Sagas that were completed since the start",
    ),
    Field::optional(
        "pdfWorker",
        Kind::Json,
        "How far the reader of documents is locked in, where documents are read",
    ),
];

/// Since when a subscription is paused, by whom, and why.
const PAUSE: [Field; 4] = [
    field("since", TIME, "Since when"),
    field("author", TEXT, "By whom"),
    field("reason", TEXT, "Why"),
    field("until", MAYBE_TIME, "When it ends by itself"),
];

/// How many deliveries are where.
const COUNTS: [Field; 10] = [
    field("matched", COUNT, "All: the sum of the others"),
    field("acked", COUNT, "Handled"),
    field("filtered", COUNT, "Not wanted by the filter"),
    field("skipped", COUNT, "Given up by an operator"),
    field("discarded", COUNT, "Thrown away by an operator"),
    field("expired", COUNT, "Too old"),
    field("ready", COUNT, "To be handed out"),
    field("leased", COUNT, "At work"),
    field("waiting", COUNT, "To be tried again"),
    field("dead", COUNT, "Dead letters"),
];

/// A subscription.
pub(super) const SUBSCRIPTION: [Field; 13] = [
    field("name", TEXT, "Its name"),
    field("patterns", TEXTS, "Which types of events it is of"),
    field("filter", MAYBE_TEXT, "Which of these it wants"),
    field(
        "order",
        Kind::Word(&["unordered", "perKey", "strict"]),
        "In which order they are handed out",
    ),
    field(
        "exhausted",
        Kind::Word(&["skipAhead", "parkKey", "pause"]),
        "What a dead letter stops",
    ),
    field("members", TEXTS, "Who handles them now"),
    field(
        "pause",
        Kind::Maybe(&Kind::Object(&PAUSE)),
        "Whether it is paused",
    ),
    field("isStalled", FLAG, "Whether nothing can be handed out"),
    field("ahead", COUNT, "Events that it has not come to"),
    field(
        "counts",
        Kind::Object(&COUNTS),
        "How many deliveries are where",
    ),
    field(
        "parked",
        COUNT,
        "Of those ready, how many wait for a dead letter before them",
    ),
    field("filterErrors", COUNT, "How often the filter failed"),
    field("isConserved", FLAG, "Whether the counts add up"),
];

/// All subscriptions.
pub(super) const SUBSCRIPTIONS: [Field; 1] = [field(
    "subscriptions",
    Kind::List(&Kind::Object(&SUBSCRIPTION)),
    "All, also those that do not run",
)];

/// What somebody did to deliveries.
const REPAIR: [Field; 6] = [
    field("number", COUNT, "Its number"),
    field("at", TIME, "When"),
    field("act", TEXT, "What was done"),
    field("author", TEXT, "By whom"),
    field("reason", TEXT, "Why"),
    field("positions", Kind::List(&COUNT), "To which"),
];

/// Some repairs.
pub(super) const REPAIRS: [Field; 2] = [
    field(
        "repairs",
        Kind::List(&Kind::Object(&REPAIR)),
        "The latest first",
    ),
    field(
        "next",
        MAYBE_COUNT,
        "To be given as `before`; `null` at the end",
    ),
];

/// What was removed.
pub(super) const REMOVED: [Field; 1] = [field("removed", TEXT, "The subscription")];

/// What became of an event.
pub(super) const TOLD: Kind = Kind::Of(of::<Told<'_>>);
/// The same of a batch.
pub(super) const ALL_TOLD: Kind = Kind::Either(&[TOLD, Kind::List(&TOLD)]);

/// What was cancelled.
pub(super) const CANCELLED: [Field; 2] = [
    field("cancelKey", TEXT, "The key"),
    field("cancelled", FLAG, "That it is not published"),
];

/// What was moved.
pub(super) const MOVED: [Field; 2] = [
    field("cancelKey", TEXT, "The key"),
    field("due", TIME, "When it is published"),
];

/// What was redriven.
pub(super) const REDRIVEN: [Field; 3] = [
    field("redriven", COUNT, "How many"),
    field(
        "lastDue",
        MAYBE_TIME,
        "When the last one is handed out, where there is a rate",
    ),
    field("dryRun", FLAG, "Whether nothing was done"),
];

/// What was skipped.
pub(super) const SKIPPED: [Field; 2] = [
    field("skipped", COUNT, "How many"),
    field("dryRun", FLAG, "Whether nothing was done"),
];

/// What was discarded.
pub(super) const DISCARDED: [Field; 2] = [
    field("discarded", COUNT, "How many"),
    field("dryRun", FLAG, "Whether nothing was done"),
];

/// What was revised.
pub(super) const REVISED: [Field; 2] = [
    field("revision", COUNT, "Its number"),
    field("redriven", COUNT, "Whether it is handed out: 1 or 0"),
];

/// What was published again.
pub(super) const REPUBLISHED: [Field; 2] = [
    field("id", TEXT, "The new event"),
    field("position", COUNT, "Its place"),
];

/// What was imported.
pub(super) const IMPORTED: [Field; 2] = [
    field("restored", COUNT, "How many are dead letters again"),
    field("left", COUNT, "How many were there already"),
];

/// One version of a type.
const VERSION: [Field; 3] = [
    field("version", TEXT, "Such as `1.0`"),
    field("isUpcast", FLAG, "Whether an older one becomes this one"),
    field("schema", Kind::Json, "Its JSON Schema"),
];

/// A type of events.
pub(super) const EVENT_TYPE: [Field; 3] = [
    field("type", TEXT, "Its name"),
    field("source", MAYBE_TEXT, "Who publishes it"),
    field(
        "versions",
        Kind::List(&Kind::Object(&VERSION)),
        "The oldest first",
    ),
];

/// A type in a list.
const LISTED_TYPE: [Field; 3] = [
    field("type", TEXT, "Its name"),
    field("source", MAYBE_TEXT, "Who publishes it"),
    field("versions", TEXTS, "The oldest first"),
];

/// All types.
pub(super) const EVENT_TYPES: [Field; 1] = [field(
    "schemas",
    Kind::List(&Kind::Object(&LISTED_TYPE)),
    "In the order of the alphabet",
)];

/// A form that was taken.
pub(super) const SUBMITTED: [Field; 6] = [
    field("submissionId", TEXT, "The submission"),
    field("submissionNumber", TEXT, "Its number, for people"),
    field("sagaId", TEXT, "The saga that works on it"),
    field("correlationId", TEXT, "The piece of work"),
    field("submission", TEXT, "Where to read the submission"),
    field("saga", TEXT, "Where to read the saga"),
];

/// A form.
pub(super) const FORM: [Field; 3] = [
    field("file", Kind::Bytes, "A PDF of at most 50 MiB"),
    Field::optional(
        "submitterName",
        TEXT,
        "Who submits it, where the form does not say",
    ),
    Field::optional(
        "submitterEmail",
        TEXT,
        "Where to reach the submitter, where the form does not say",
    ),
];

/// What a subscription keeps from being dropped.
const HOLDING: [Field; 2] = [
    field("subscription", TEXT, "Which"),
    field("bytes", COUNT, "How much"),
];

/// What is kept of the log.
const KEPT: [Field; 4] = [
    field("oldest", COUNT, "Place of the oldest event"),
    field("bytes", COUNT, "How much it takes"),
    field(
        "holding",
        Kind::List(&Kind::Object(&HOLDING)),
        "What is kept for subscriptions",
    ),
    field(
        "remembered",
        COUNT,
        "How much is kept because ids are remembered",
    ),
];

/// How late scheduled events were published.
const LATENESS: [Field; 4] = [
    field("count", COUNT, "Of how many"),
    field("p50Ms", REAL, "Half of them at most so late"),
    field("p99Ms", REAL, "99 of 100 at most so late"),
    field("maxMs", REAL, "The latest"),
];

/// A subscription in numbers.
const SUBSCRIPTION_STATS: [Field; 26] = [
    field("name", TEXT, "Its name"),
    field("patterns", TEXTS, "Which types of events it is of"),
    field("isRunning", FLAG, "Whether the program handles it"),
    field("members", TEXTS, "Who handles it now"),
    field("isStalled", FLAG, "Whether nothing can be handed out"),
    field(
        "pause",
        Kind::Maybe(&Kind::Object(&PAUSE)),
        "Whether it is paused",
    ),
    field("ahead", COUNT, "Events that it has not come to"),
    COUNTS[0],
    COUNTS[1],
    COUNTS[2],
    field("filterErrors", COUNT, "How often the filter failed"),
    COUNTS[3],
    COUNTS[4],
    COUNTS[5],
    COUNTS[6],
    field(
        "parked",
        COUNT,
        "Of those ready, how many wait for a dead letter before them",
    ),
    COUNTS[7],
    COUNTS[8],
    COUNTS[9],
    field("isConserved", FLAG, "Whether the counts add up"),
    field("attempts", COUNT, "Attempts since the start"),
    field("failed", COUNT, "Of these, those that failed"),
    field("retried", COUNT, "Of these, those that were re-tries"),
    field("averageMs", REAL, "How long an attempt takes"),
    field("p50Ms", REAL, "Half of them take at most so long"),
    field("p99Ms", REAL, "99 of 100 take at most so long"),
];

/// Sagas in numbers.
const SAGA_STATS: [Field; 14] = [
    field("active", COUNT, "That go on"),
    field("queued", COUNT, "That wait to go on"),
    field("stuck", COUNT, "Whose compensation failed"),
    field("forwardStuck", COUNT, "That can go neither on nor back"),
    field(
        "inconsistent",
        COUNT,
        "Whose effects stayed that should not",
    ),
    field("parked", COUNT, "That were interrupted too often"),
    field("paused", COUNT, "That an operator paused"),
    field("started", COUNT, "Since the start"),
    field("completed", COUNT, "Since the start"),
    field("compensated", COUNT, "Since the start"),
    field("cancelled", COUNT, "Since the start"),
    field("failed", COUNT, "Since the start"),
    field("terminated", COUNT, "Since the start"),
    field(
        "lateEffects",
        COUNT,
        "Effects that were told after their time",
    ),
];

/// Numbers about bus and sagas.
pub(super) const STATS: [Field; 15] = [
    field("totalEvents", COUNT, "Published since the start"),
    field("eventsByType", Kind::Map(&COUNT), "Of each type"),
    field("eventsBySource", Kind::Map(&COUNT), "Of each source"),
    field("attempts", COUNT, "Attempts of handlers since the start"),
    field("failedAttempts", COUNT, "Of these, those that failed"),
    field(
        "errorRate",
        REAL,
        "The part of attempts that failed, 0 to 1",
    ),
    field(
        "retryQueueSize",
        COUNT,
        "Deliveries that wait to be tried again",
    ),
    field("deadLetterEvents", COUNT, "Dead letters"),
    field("queueSize", COUNT, "Deliveries that are not settled"),
    field("averageProcessingTimeMs", REAL, "How long an attempt takes"),
    field("kept", Kind::Object(&KEPT), "What is kept of the log"),
    field("scheduledEvents", COUNT, "Events that are published later"),
    field(
        "scheduledLateness",
        Kind::Object(&LATENESS),
        "How late they were",
    ),
    field(
        "subscriptions",
        Kind::List(&Kind::Object(&SUBSCRIPTION_STATS)),
        "Those of the program",
    ),
    field("sagas", Kind::Object(&SAGA_STATS), "The sagas"),
];
