//! What bodies and queries of these routes may say.

use http_api::{Field, Kind, of};
use nanopore::events::audit::{Category, Outcome, Severity};

const TEXT: Kind = Kind::Text(255);
const CATEGORY: Kind = Kind::Of(of::<Category>);
const SEVERITY: Kind = Kind::Of(of::<Severity>);
const OUTCOME: Kind = Kind::Of(of::<Outcome>);
const WHOLE: Kind = Kind::Number(0, u64::MAX);

const fn maybe(kind: &'static Kind) -> Kind {
    Kind::Maybe(kind)
}

/// What a list of entries may be asked for.
pub(super) const FILTER: [Field; 19] = [
    Field::optional(
        "dateFrom",
        TEXT,
        "Done on this day or at this time, or later",
    ),
    Field::optional(
        "dateTo",
        TEXT,
        "Done on this day or at this time, or earlier",
    ),
    Field::optional("page", Kind::Number(1, 4_294_967_295), "From 1"),
    Field::optional(
        "limit",
        Kind::Number(1, 100),
        "Most entries; 20 where it is missing",
    ),
    Field::optional("severity", SEVERITY, "Exactly this"),
    Field::optional("category", CATEGORY, "Exactly this"),
    Field::optional("outcome", OUTCOME, "Exactly this"),
    Field::optional("service", TEXT, "Exactly this"),
    Field::optional("action", TEXT, "Exactly this"),
    Field::optional("resource", TEXT, "Exactly this"),
    Field::optional("resourceId", TEXT, "Exactly this"),
    Field::optional("correlationId", TEXT, "Exactly this"),
    Field::optional("eventId", TEXT, "Exactly this"),
    Field::optional("userId", TEXT, "Exactly this"),
    Field::optional("userEmail", TEXT, "Exactly this"),
    Field::optional("sessionId", TEXT, "Exactly this"),
    Field::optional("ipAddress", TEXT, "Exactly this"),
    Field::optional("tags", TEXT, "All of these, with commas between"),
    Field::optional(
        "q",
        TEXT,
        "Words in what was done, to what, by whom, why, or in the details",
    ),
];

/// What a count may be asked for.
pub(super) const STATISTICS: [Field; 1] = [Field::optional(
    "daysBack",
    Kind::Number(1, 365),
    "Of how many days; 30 where it is missing",
)];

/// What a proof of inclusion may be asked for.
pub(super) const INCLUSION: [Field; 3] = [
    Field::optional(
        "sequence",
        WHOLE,
        "Place of the entry; it or `id` is needed",
    ),
    Field::optional(
        "size",
        WHOLE,
        "The tree of so many entries; the present one where it is missing",
    ),
    Field::optional("id", Kind::AnyText, "Id of the entry"),
];

/// What a proof of consistency may be asked for.
pub(super) const CONSISTENCY: [Field; 2] = [
    Field::required(
        "from",
        WHOLE,
        "The earlier tree, by how many entries it has",
    ),
    Field::optional(
        "to",
        WHOLE,
        "The later tree; the present one where it is missing",
    ),
];

/// An act that a service reports.
pub(super) const ACT: [Field; 19] = [
    Field::required(
        "service",
        TEXT,
        "Which service: letters, digits, `_`, `-` and dots",
    ),
    Field::required(
        "action",
        TEXT,
        "What was done: the same; not beginning with `audit.`",
    ),
    Field::required("resource", TEXT, "The kind of thing: the same"),
    Field::optional("resourceId", maybe(&TEXT), "Which one"),
    Field::optional("userId", maybe(&TEXT), "Who did it"),
    Field::optional("userEmail", maybe(&TEXT), "Where to reach who did it"),
    Field::optional(
        "outcome",
        maybe(&OUTCOME),
        "How it ended; `success` where it is missing",
    ),
    Field::optional(
        "severity",
        maybe(&SEVERITY),
        "How serious it is; `info` where it is missing",
    ),
    Field::optional(
        "category",
        maybe(&CATEGORY),
        "What sort of act it is; `system` where it is missing",
    ),
    Field::optional("details", Kind::Json, "Everything else"),
    Field::optional(
        "timestamp",
        maybe(&Kind::Time),
        "When; now where it is missing",
    ),
    Field::optional("reason", maybe(&TEXT), "Why"),
    Field::optional("ipAddress", maybe(&TEXT), "From where"),
    Field::optional("userAgent", maybe(&TEXT), "With what program"),
    Field::optional("sessionId", maybe(&TEXT), "In which session"),
    Field::optional(
        "tags",
        maybe(&Kind::List(&Kind::AnyText)),
        "Words to find it by",
    ),
    Field::optional(
        "durationMs",
        maybe(&WHOLE),
        "How long it took, in milliseconds",
    ),
    Field::optional(
        "oldValues",
        maybe(&Kind::AnyObject),
        "What was there before",
    ),
    Field::optional("newValues", maybe(&Kind::AnyObject), "What is there now"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Filter;

    #[test]
    fn what_a_list_may_be_asked_for_is_what_its_filter_reads() {
        assert_eq!(Field::names(&FILTER), Filter::NAMES);
    }
}
