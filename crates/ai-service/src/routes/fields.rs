//! What bodies and queries of these routes may say, and what they answer.

use http_api::{Field, Kind, of};

use nanopore::events::ai::{JobType, Method};

use crate::model::{JobStatus, ReviewStatus};

const ID: Kind = Kind::Text(1_024);

/// What a list of jobs may be asked for.
pub(super) const FILTER: [Field; 5] = [
    Field::optional("status", Kind::Of(of::<JobStatus>), "That stand so"),
    Field::optional("type", Kind::Of(of::<JobType>), "That do this"),
    Field::optional("submissionId", Kind::AnyText, "Of this submission"),
    Field::optional(
        "limit",
        Kind::Number(1, 100),
        "Most entries; 50 where it is missing",
    ),
    Field::optional(
        "offset",
        Kind::Number(0, 4_294_967_295),
        "How many to pass over",
    ),
];

/// What the queue of reviews may be asked for.
pub(super) const REVIEWS: [Field; 3] = [
    Field::optional(
        "status",
        Kind::Of(of::<ReviewStatus>),
        "That stand so; those that are not decided where it is missing",
    ),
    FILTER[3],
    FILTER[4],
];

/// A document.
pub(super) const FILE: [Field; 1] = [Field::required(
    "file",
    Kind::Bytes,
    "A PDF of at most 50 MiB",
)];

/// A document to read at once.
pub(super) const DOCUMENT: [Field; 4] = [
    FILE[0],
    Field::optional("submissionId", ID, "The submission that it came with"),
    Field::optional("sampleId", ID, "The sample that it belongs to"),
    Field::optional(
        "method",
        Kind::Of(of::<Method>),
        "How it is read; as the settings say where it is missing",
    ),
];

/// An upload that is kept.
pub(super) const KEPT: [Field; 3] = [
    Field::required("fileId", Kind::AnyText, "Its id"),
    Field::required("fileName", Kind::AnyText, "What it is called"),
    Field::required("fileSize", Kind::Number(0, u64::MAX), "Its size, in bytes"),
];

/// A job that was begun.
pub(super) const BEGUN: [Field; 7] = [
    Field::required("jobId", Kind::AnyText, "Its id"),
    Field::required("status", Kind::Of(of::<JobStatus>), "Where it stands"),
    Field::required("statusUrl", Kind::AnyText, "Where to see how far it is"),
    KEPT[0],
    KEPT[1],
    KEPT[2],
    Field::required(
        "correlationId",
        Kind::AnyText,
        "The piece of work that it belongs to",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobFilter, ReviewFilter};

    #[test]
    fn what_a_list_may_be_asked_for_is_what_its_filter_reads() {
        assert_eq!(Field::names(&FILTER), JobFilter::NAMES);
        assert_eq!(Field::names(&REVIEWS), ReviewFilter::NAMES);
    }
}
