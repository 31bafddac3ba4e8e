//! What queries of these routes may ask for.

use http_api::{Field, Kind, of};
use nanopore::sample::ProjectStatus;
use nanopore::sample::flow_cell::FlowCellState;

use super::{NAME, PAGE, PRIORITY, SAMPLE_TYPE, STAGE, STATUS, changed};
use crate::model::{DecisionState, SubmissionStatus};

const LISTED: Kind = Kind::List(&Kind::AnyText);
const TEXT: Kind = Kind::Text(255);

/// What a list of samples may be asked for: words of a list may be repeated, or stand in one with commas between.
pub(in crate::routes) const FILTER: [Field; 17] = [
    Field::optional("status", Kind::List(&STATUS), "Any of these"),
    Field::optional("priority", Kind::List(&PRIORITY), "Any of these"),
    Field::optional("sampleType", Kind::List(&SAMPLE_TYPE), "Any of these"),
    Field::optional("flowCellType", LISTED, "Any of these"),
    Field::optional(
        "dateFrom",
        TEXT,
        "Submitted on this day or at this time, or later",
    ),
    Field::optional(
        "dateTo",
        TEXT,
        "Submitted on this day or at this time, or earlier",
    ),
    Field::optional(
        "searchTerm",
        TEXT,
        "Part of the name, the submitter, the laboratory or the project",
    ),
    Field::optional("q", TEXT, "Short for `searchTerm`"),
    Field::optional("assignedTo", TEXT, "Exactly this"),
    Field::optional("submitterName", TEXT, "Exactly this"),
    Field::optional("submitterEmail", TEXT, "Exactly this"),
    Field::optional("labName", TEXT, "Exactly this"),
    Field::optional("projectId", TEXT, "Exactly this"),
    Field::optional("chartField", TEXT, "Exactly this"),
    Field::optional("submissionId", TEXT, "Exactly this"),
    PAGE,
    Field::optional(
        "limit",
        Kind::Number(1, 1_000),
        "Most samples; 100 where it is missing",
    ),
];

/// The same for a search, whose pages are smaller.
pub(in crate::routes) const SEARCH: [Field; 17] = {
    let mut fields = FILTER;
    fields[16] = Field::optional(
        "limit",
        Kind::Number(1, 100),
        "Most samples; 20 where it is missing",
    );
    fields
};

/// What an export may be asked for.
pub(in crate::routes) const EXPORT: [Field; 16] = {
    let mut fields: [Field; 16] = changed(&FILTER);
    fields[15] = Field::optional(
        "format",
        Kind::Word(&["csv", "json"]),
        "`csv` where it is missing",
    );
    fields
};

/// What is to become of a table, and what holds for all its rows.
pub(in crate::routes) const IMPORT: [Field; 13] = [
    Field::optional("preview", Kind::Flag, "Whether nothing is stored"),
    Field::optional(
        "accept",
        Kind::Word(&["all", "valid"]),
        "Whether rows that are right are taken without the others",
    ),
    Field::optional("fileName", NAME, "What the table is called"),
    Field::optional("project", Kind::AnyText, "The project that it belongs to"),
    Field::optional(
        "submitterName",
        Kind::AnyText,
        "Of all rows that do not say it",
    ),
    Field::optional(
        "submitterEmail",
        Kind::AnyText,
        "Of all rows that do not say it",
    ),
    Field::optional("labName", Kind::AnyText, "Of all rows that do not say it"),
    Field::optional("projectId", Kind::AnyText, "Of all rows that do not say it"),
    Field::optional(
        "sampleType",
        Kind::AnyText,
        "Of all rows that do not say it",
    ),
    Field::optional("priority", Kind::AnyText, "Of all rows that do not say it"),
    Field::optional(
        "chartField",
        Kind::AnyText,
        "Of all rows that do not say it",
    ),
    Field::optional(
        "serviceType",
        Kind::AnyText,
        "Of all rows that do not say it",
    ),
    Field::optional(
        "libraryKit",
        Kind::AnyText,
        "Of all rows that do not say it",
    ),
];

/// What the queue may be asked for.
pub(in crate::routes) const QUEUE: [Field; 5] = [
    Field::optional(
        "show",
        Kind::Word(&["ready", "held", "expected"]),
        "`ready` where it is missing",
    ),
    Field::optional("stage", STAGE, "At this step"),
    Field::optional("assignedTo", Kind::AnyText, "In the hands of this person"),
    PAGE,
    Field::optional(
        "limit",
        Kind::Number(1, 1_000),
        "Most samples; 100 where it is missing",
    ),
];

const SMALL: Field = Field::optional(
    "limit",
    Kind::Number(1, 100),
    "Most entries; 20 where it is missing",
);

/// What a list of projects may be asked for.
pub(in crate::routes) const PROJECTS: [Field; 3] = [
    Field::optional("status", Kind::Of(of::<ProjectStatus>), "That stand so"),
    PAGE,
    SMALL,
];

/// What a list of submissions may be asked for.
pub(in crate::routes) const SUBMISSIONS: [Field; 3] = [
    Field::optional("status", Kind::Of(of::<SubmissionStatus>), "That stand so"),
    PAGE,
    SMALL,
];

/// What a catalogue may be asked for.
pub(in crate::routes) const CATALOGUE: [Field; 1] = [Field::optional(
    "active",
    Kind::Flag,
    "Only what new samples may name, or only what they may not",
)];

const OF_1000: Field = Field::optional(
    "limit",
    Kind::Number(1, 1_000),
    "Most entries; 100 where it is missing",
);

/// What a list of decisions may be asked for.
pub(in crate::routes) const DECISIONS: [Field; 4] = [
    Field::optional("state", Kind::Of(of::<DecisionState>), "That stand so"),
    Field::optional(
        "overdue",
        Kind::Flag,
        "Only those that are overdue, or only the others",
    ),
    PAGE,
    OF_1000,
];

/// What a list of flow cells may be asked for.
pub(in crate::routes) const FLOW_CELLS: [Field; 4] = [
    Field::optional("state", Kind::Of(of::<FlowCellState>), "That stand so"),
    Field::optional("product", Kind::AnyText, "Of this product"),
    PAGE,
    OF_1000,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DecisionFilter, Filter, FlowCellFilter, QueueFilter};

    #[test]
    fn what_a_list_may_be_asked_for_is_what_its_filter_reads() {
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        for (described, read) in [
            (Field::names(&FILTER).to_vec(), Filter::NAMES.to_vec()),
            (Field::names(&SEARCH).to_vec(), Filter::NAMES.to_vec()),
            (Field::names(&QUEUE).to_vec(), QueueFilter::NAMES.to_vec()),
            (
                Field::names(&DECISIONS).to_vec(),
                DecisionFilter::NAMES.to_vec(),
            ),
            (
                Field::names(&FLOW_CELLS).to_vec(),
                FlowCellFilter::NAMES.to_vec(),
            ),
        ] {
            assert_eq!(sorted(described), sorted(read));
        }
    }
}
