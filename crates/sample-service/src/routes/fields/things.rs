//! What bodies say of things beside samples: files, items, projects, tables, decisions, flow cells.

use http_api::{Field, Kind, of};
use nanopore::sample::{ProjectStatus, QcDecision};

use super::{NAME, NOTES, WORDS, changed, maybe};

/// A file to attach.
pub(in crate::routes) const ATTACH: [Field; 4] = [
    Field::required("fileId", Kind::Text(64), "Id of the upload"),
    Field::required("fileName", NAME, "What it is called"),
    Field::optional(
        "fileType",
        maybe(&WORDS),
        "Its media type; `application/octet-stream` where it is missing",
    ),
    Field::optional("description", maybe(&Kind::AnyText), "What it is"),
];

/// An item of the catalogue.
pub(in crate::routes) const ITEM: [Field; 4] = [
    Field::required("name", WORDS, "How samples name it"),
    Field::optional("description", maybe(&NOTES), "What it is"),
    Field::optional(
        "isActive",
        maybe(&Kind::Flag),
        "Whether new samples may name it; yes where it is missing",
    ),
    Field::optional(
        "attributes",
        maybe(&Kind::AnyObject),
        "What else there is to say; a service needs `targetDays`",
    ),
];

/// What is changed of an item.
pub(in crate::routes) const ITEM_CHANGE: [Field; 4] = changed(&ITEM);

/// A project.
pub(in crate::routes) const PROJECT: [Field; 6] = [
    Field::required("name", WORDS, "Its name; no other has it"),
    Field::optional("description", maybe(&NOTES), "What it is for"),
    Field::optional("ownerName", maybe(&NAME), "Whose it is"),
    Field::optional(
        "ownerEmail",
        maybe(&Kind::Text(254)),
        "Where to reach the owner",
    ),
    Field::optional(
        "status",
        maybe(&Kind::Of(of::<ProjectStatus>)),
        "`active` where it is missing",
    ),
    Field::optional(
        "chartPrefix",
        maybe(&Kind::Word(&["HTSF", "NANO", "SEQ"])),
        "Which accounts may pay; any where it is missing",
    ),
];

/// What is changed of a project; `null` clears.
pub(in crate::routes) const PROJECT_CHANGE: [Field; 6] = changed(&PROJECT);

/// An account to look up.
pub(in crate::routes) const VALIDATE: [Field; 1] =
    [Field::required("chartField", Kind::AnyText, "The account")];

/// Whether it may pay.
pub(in crate::routes) const IS_VALID: [Field; 1] =
    [Field::required("isValid", Kind::Flag, "Whether it may pay")];

/// Samples as JSON, to be taken as one submission.
pub(in crate::routes) const INGEST: [Field; 5] = [
    Field::required(
        "samples",
        Kind::List(&Kind::Json),
        "One object each, with the fields of a sample",
    ),
    Field::optional("preview", maybe(&Kind::Flag), "Whether nothing is stored"),
    Field::optional(
        "accept",
        maybe(&Kind::Word(&["all", "valid"])),
        "Whether rows that are right are taken without the others",
    ),
    Field::optional("name", maybe(&NAME), "What the submission is called"),
    Field::optional(
        "project",
        maybe(&Kind::AnyText),
        "The project that it belongs to",
    ),
];

/// A sample on a sheet.
const SHEET_SAMPLE: [Field; 4] = [
    Field::required("id", Kind::AnyText, "The sample"),
    Field::optional(
        "alias",
        maybe(&Kind::AnyText),
        "What its reads are to be called",
    ),
    Field::optional(
        "barcode",
        maybe(&Kind::AnyText),
        "Its barcode, where it differs from that of the details",
    ),
    Field::optional(
        "type",
        maybe(&Kind::AnyText),
        "Kind of row, such as `positive_control`",
    ),
];

/// A run of which a sheet is made.
pub(in crate::routes) const SHEET: [Field; 9] = [
    Field::required("experimentId", Kind::AnyText, "Name of the experiment"),
    Field::required("kit", Kind::AnyText, "Kit that the library was made with"),
    Field::required(
        "samples",
        Kind::List(&Kind::Either(&[Kind::AnyText, Kind::Object(&SHEET_SAMPLE)])),
        "1 to 384 samples, by their ids or with what differs",
    ),
    Field::optional(
        "flowCellId",
        maybe(&Kind::AnyText),
        "The flow cell; it or `positionId` is needed",
    ),
    Field::optional(
        "positionId",
        maybe(&Kind::AnyText),
        "Where the flow cell is",
    ),
    Field::optional(
        "flowCellProductCode",
        maybe(&Kind::AnyText),
        "Product code of the flow cell",
    ),
    Field::optional(
        "protocolRunId",
        maybe(&Kind::AnyText),
        "The run, where the sheet is made after it",
    ),
    Field::optional(
        "sampleId",
        maybe(&Kind::AnyText),
        "Name of what is on the flow cell",
    ),
    Field::optional(
        "format",
        maybe(&Kind::Word(&["json", "csv"])),
        "`json` where it is missing",
    ),
];

/// A decision.
pub(in crate::routes) const DECIDE: [Field; 3] = [
    Field::required(
        "decision",
        Kind::Of(of::<QcDecision>),
        "What becomes of the sample",
    ),
    Field::required(
        "author",
        Kind::AnyText,
        "Who decides: a name, without digits",
    ),
    Field::required("reason", Kind::AnyText, "Why"),
];

/// A flow cell that came.
pub(in crate::routes) const REGISTER: [Field; 3] = [
    Field::required("id", Kind::AnyText, "The number on it"),
    Field::required("product", Kind::AnyText, "Its product; of the catalogue"),
    Field::optional(
        "pores",
        maybe(&Kind::Number(0, 4_294_967_295)),
        "How many pores it has",
    ),
];

/// What is done with a flow cell: each act has some of these.
pub(in crate::routes) const HANDLE: [Field; 8] = [
    Field::optional(
        "sampleIds",
        Kind::List(&Kind::AnyText),
        "Of `load`, where it is needed: what is on it",
    ),
    Field::optional(
        "instrument",
        maybe(&Kind::AnyText),
        "Of `load`: of the catalogue",
    ),
    Field::optional(
        "position",
        maybe(&Kind::AnyText),
        "Of `load`: where on the instrument",
    ),
    Field::optional(
        "pores",
        maybe(&Kind::Number(0, 4_294_967_295)),
        "Of all but `retire`; `check` needs it",
    ),
    Field::optional("volume", maybe(&Kind::Real), "Of `load`: in µL"),
    Field::optional("notes", maybe(&Kind::AnyText), "Of all but `retire`"),
    Field::optional(
        "outcome",
        Kind::Word(&["used_up", "returned"]),
        "Of `retire`, where it is needed",
    ),
    Field::optional(
        "reason",
        Kind::AnyText,
        "Of `retire`, where it is needed: why",
    ),
];
