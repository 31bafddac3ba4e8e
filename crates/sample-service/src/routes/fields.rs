//! What bodies and queries of these routes may say.

use http_api::{Field, Kind, of};
use nanopore::sample::flow_cell::FlowCellState;
use nanopore::sample::{
    ConcentrationMethod, Priority, ProjectStatus, QcDecision, SampleType, Stage, Status,
};

use crate::model::{DecisionState, SubmissionStatus};

const STATUS: Kind = Kind::Of(of::<Status>);
const PRIORITY: Kind = Kind::Of(of::<Priority>);
const STAGE: Kind = Kind::Of(of::<Stage>);
const SAMPLE_TYPE: Kind = Kind::Of(of::<SampleType>);
const METHOD: Kind = Kind::Of(of::<ConcentrationMethod>);
const NOTES: Kind = Kind::Text(10_000);
const NAME: Kind = Kind::Text(255);
const WORDS: Kind = Kind::Text(100);
const PAGE: Field = Field::optional("page", Kind::Number(1, 4_294_967_295), "From 1");

const fn maybe(kind: &'static Kind) -> Kind {
    Kind::Maybe(kind)
}

/// The first fields of these, none of which must be there: what is left out stays as it is.
const fn changed<const N: usize>(fields: &[Field]) -> [Field; N] {
    let mut changed = [PAGE; N];
    let mut slots: &mut [Field] = &mut changed;
    let mut rest = fields;
    while let ([slot, more @ ..], [first, others @ ..]) = (slots, rest) {
        *slot = Field {
            is_required: false,
            ..*first
        };
        slots = more;
        rest = others;
    }
    changed
}

/// The form that a sample is entered with.
const FORM: [Field; 2] = [
    Field::required("fileId", Kind::Text(64), "Id of the upload"),
    Field::required("fileName", NAME, "What the form is called"),
];

/// What is said of a sample. What is unknown is left out, or `null`.
pub(super) const SAMPLE: [Field; 25] = [
    Field::required("sampleName", NAME, "Name that the submitter gave it"),
    Field::required("submitterName", NAME, "Who submits it"),
    Field::required(
        "submitterEmail",
        Kind::Text(254),
        "Where to reach the submitter",
    ),
    Field::required("sampleType", SAMPLE_TYPE, "Kind of molecule"),
    Field::required("chartField", WORDS, "Account that pays"),
    Field::optional(
        "projectId",
        maybe(&WORDS),
        "Service project of the facility",
    ),
    Field::optional("labName", maybe(&NAME), "Laboratory of the submitter"),
    Field::optional("material", maybe(&WORDS), "What the molecule is like"),
    Field::optional("sampleBuffer", maybe(&WORDS), "What it is dissolved in"),
    Field::optional("concentration", maybe(&Kind::Real), "In ng/µL"),
    Field::optional("concentrationMethod", maybe(&METHOD), "How it was measured"),
    Field::optional(
        "nanodropConcentration",
        maybe(&Kind::Real),
        "By absorbance, in ng/µL",
    ),
    Field::optional(
        "a260280Ratio",
        maybe(&Kind::Real),
        "Absorbance at 260 nm over 280 nm",
    ),
    Field::optional(
        "a260230Ratio",
        maybe(&Kind::Real),
        "Absorbance at 260 nm over 230 nm",
    ),
    Field::optional("volume", maybe(&Kind::Real), "In µL"),
    Field::optional("totalAmount", maybe(&Kind::Real), "In ng"),
    Field::optional(
        "flowCellType",
        maybe(&Kind::Text(50)),
        "Chemistry; of the catalogue",
    ),
    Field::optional(
        "flowCellProduct",
        maybe(&WORDS),
        "Flow cell; of the catalogue",
    ),
    Field::optional(
        "flowCellCount",
        maybe(&Kind::Number(1, 10)),
        "How many; 1 where it is missing",
    ),
    Field::optional("libraryKit", maybe(&WORDS), "Of the catalogue"),
    Field::optional("serviceType", maybe(&WORDS), "Of the catalogue"),
    Field::optional("priority", maybe(&PRIORITY), "`normal` where it is missing"),
    Field::optional("assignedTo", maybe(&NAME), "Who works on it"),
    Field::optional("libraryPrepBy", maybe(&NAME), "Who prepares the library"),
    Field::optional(
        "form",
        maybe(&Kind::Object(&FORM)),
        "The form to read, which was uploaded",
    ),
];

/// What is changed of a sample; `null` clears.
pub(super) const CHANGE: [Field; 22] = changed(&SAMPLE);

/// The details of a sample; `null` clears.
pub(super) const DETAILS: [Field; 17] = [
    Field::optional("organism", maybe(&WORDS), "Where it is from"),
    Field::optional(
        "genomeSize",
        maybe(&Kind::Text(50)),
        "In the submitter's words",
    ),
    Field::optional(
        "expectedReadLength",
        maybe(&Kind::Text(50)),
        "In the submitter's words",
    ),
    Field::optional("libraryPrepKit", maybe(&WORDS), "Of the catalogue"),
    Field::optional(
        "barcodingRequired",
        maybe(&Kind::Flag),
        "Whether it shares a flow cell",
    ),
    Field::optional("barcodeKit", maybe(&WORDS), "Of the catalogue"),
    Field::optional("barcode", maybe(&Kind::Text(50)), "Such as `barcode07`"),
    Field::optional(
        "runTimeHours",
        maybe(&Kind::Number(1, 1_000)),
        "How long it is sequenced",
    ),
    Field::optional("basecallingModel", maybe(&WORDS), "Model of the basecaller"),
    Field::optional(
        "dataDeliveryMethod",
        maybe(&Kind::Word(&["download", "cloud", "physical"])),
        "How the data are handed over",
    ),
    Field::optional(
        "fileFormat",
        maybe(&Kind::Word(&["FASTQ", "FAST5", "POD5", "BAM"])),
        "Format of the data",
    ),
    Field::optional(
        "analysisRequired",
        maybe(&Kind::Flag),
        "Whether the facility analyses the data",
    ),
    Field::optional("analysisType", maybe(&WORDS), "Which analysis"),
    Field::optional(
        "qcPassed",
        maybe(&Kind::Flag),
        "Whether its quality is good enough",
    ),
    Field::optional(
        "qcNotes",
        maybe(&NOTES),
        "What there is to say of its quality",
    ),
    Field::optional(
        "specialInstructions",
        maybe(&NOTES),
        "What the submitter asks for",
    ),
    Field::optional(
        "internalNotes",
        maybe(&NOTES),
        "What staff note for each other",
    ),
];

/// In whose hands a sample is put.
pub(super) const ASSIGN: [Field; 2] = [
    Field::required("assignedTo", NAME, "Who works on it"),
    Field::optional(
        "libraryPrepBy",
        maybe(&NAME),
        "Who prepares the library; unchanged where it is missing",
    ),
];

/// Where a sample is to stand.
pub(super) const SET_STATUS: [Field; 3] = [
    Field::required("status", STATUS, "Where it is to stand"),
    Field::optional(
        "reason",
        maybe(&Kind::AnyText),
        "Why; needed to override the transitions",
    ),
    Field::optional(
        "override",
        maybe(&Kind::Flag),
        "Whether a transition that is not allowed is made all the same",
    ),
];

/// The step that a sample is to be at.
pub(super) const SET_STAGE: [Field; 1] = [Field::required(
    "stage",
    STAGE,
    "The present step or the next",
)];

/// That a tube came.
pub(super) const RECEIVE: [Field; 1] = [Field::optional(
    "receivedAt",
    maybe(&Kind::Time),
    "When; now where it is missing",
)];

/// Why nothing is begun with a sample.
pub(super) const HOLD: [Field; 1] = [Field::required("reason", Kind::AnyText, "Why")];

/// Why it goes on.
pub(super) const RELEASE: [Field; 1] = [Field::optional("reason", maybe(&Kind::AnyText), "Why")];

/// What is said of work on a step: each act has some of these.
pub(super) const ACT: [Field; 7] = [
    Field::optional("assignedTo", maybe(&NAME), "Of `start`: who does it"),
    Field::optional(
        "estimatedDurationHours",
        maybe(&Kind::Number(0, 4_294_967_295)),
        "Of `start`",
    ),
    Field::optional("completedBy", maybe(&NAME), "Of `complete`: who did it"),
    Field::optional("notes", maybe(&NOTES), "Of all but `skip`"),
    Field::optional(
        "results",
        maybe(&Kind::AnyObject),
        "Of `complete` and `fail`: what came out",
    ),
    Field::optional(
        "error",
        maybe(&Kind::AnyText),
        "Of `fail`, where it is needed: what went wrong",
    ),
    Field::optional(
        "reason",
        maybe(&Kind::AnyText),
        "Of `skip`, where it is needed: why",
    ),
];

/// An operation on many samples; each has some of these besides the ids.
pub(super) const BULK: [Field; 8] = [
    Field::required(
        "operation",
        Kind::Word(&[
            "delete",
            "archive",
            "assign",
            "updateStatus",
            "updatePriority",
            "stage",
        ]),
        "What is done with each",
    ),
    Field::required(
        "ids",
        Kind::List(&Kind::AnyText),
        "1 to 100 samples, each once",
    ),
    Field::optional(
        "reason",
        maybe(&Kind::AnyText),
        "Of `archive` and `updateStatus`",
    ),
    Field::optional("assignedTo", NAME, "Of `assign`"),
    Field::optional("libraryPrepBy", maybe(&NAME), "Of `assign`"),
    Field::optional("status", STATUS, "Of `updateStatus`"),
    Field::optional("priority", PRIORITY, "Of `updatePriority`"),
    Field::optional("stage", STAGE, "Of `stage`"),
];

/// What became of one sample of many.
const BULK_RESULT: [Field; 5] = [
    Field::required("id", Kind::AnyText, "The sample"),
    Field::required("ok", Kind::Flag, "Whether it was done"),
    Field::optional(
        "version",
        maybe(&Kind::Number(1, u64::MAX)),
        "Its version now; `null` of one that is deleted",
    ),
    Field::optional("status", maybe(&STATUS), "Where it stands now"),
    Field::optional(
        "problem",
        Kind::Of(of::<nanopore::problem::Problem>),
        "Why it was not done",
    ),
];

/// What became of many samples.
pub(super) const BULK_RESULTS: [Field; 3] = [
    Field::required(
        "results",
        Kind::List(&Kind::Object(&BULK_RESULT)),
        "In the order of the ids",
    ),
    Field::required("succeeded", Kind::Number(0, 100), "How many were done"),
    Field::required("failed", Kind::Number(0, 100), "How many were not"),
];

/// A file to attach.
pub(super) const ATTACH: [Field; 4] = [
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
pub(super) const ITEM: [Field; 4] = [
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
pub(super) const ITEM_CHANGE: [Field; 4] = changed(&ITEM);

/// A project.
pub(super) const PROJECT: [Field; 6] = [
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
pub(super) const PROJECT_CHANGE: [Field; 6] = changed(&PROJECT);

/// An account to look up.
pub(super) const VALIDATE: [Field; 1] =
    [Field::required("chartField", Kind::AnyText, "The account")];

/// Whether it may pay.
pub(super) const IS_VALID: [Field; 1] =
    [Field::required("isValid", Kind::Flag, "Whether it may pay")];

/// Samples as JSON, to be taken as one submission.
pub(super) const INGEST: [Field; 5] = [
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
pub(super) const SHEET: [Field; 9] = [
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

const LISTED: Kind = Kind::List(&Kind::AnyText);
const TEXT: Kind = Kind::Text(255);

/// What a list of samples may be asked for: words of a list may be repeated, or stand in one with commas between.
pub(super) const FILTER: [Field; 17] = [
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
pub(super) const SEARCH: [Field; 17] = {
    let mut fields = FILTER;
    fields[16] = Field::optional(
        "limit",
        Kind::Number(1, 100),
        "Most samples; 20 where it is missing",
    );
    fields
};

/// What an export may be asked for.
pub(super) const EXPORT: [Field; 16] = {
    let mut fields: [Field; 16] = changed(&FILTER);
    fields[15] = Field::optional(
        "format",
        Kind::Word(&["csv", "json"]),
        "`csv` where it is missing",
    );
    fields
};

/// What is to become of a table, and what holds for all its rows.
pub(super) const IMPORT: [Field; 13] = [
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
pub(super) const QUEUE: [Field; 5] = [
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
pub(super) const PROJECTS: [Field; 3] = [
    Field::optional("status", Kind::Of(of::<ProjectStatus>), "That stand so"),
    PAGE,
    SMALL,
];

/// What a list of submissions may be asked for.
pub(super) const SUBMISSIONS: [Field; 3] = [
    Field::optional("status", Kind::Of(of::<SubmissionStatus>), "That stand so"),
    PAGE,
    SMALL,
];

/// What a catalogue may be asked for.
pub(super) const CATALOGUE: [Field; 1] = [Field::optional(
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
pub(super) const DECISIONS: [Field; 4] = [
    Field::optional("state", Kind::Of(of::<DecisionState>), "That stand so"),
    Field::optional(
        "overdue",
        Kind::Flag,
        "Only those that are overdue, or only the others",
    ),
    PAGE,
    OF_1000,
];

/// A decision.
pub(super) const DECIDE: [Field; 3] = [
    Field::required(
        "decision",
        Kind::Of(of::<QcDecision>),
        "What becomes of the sample",
    ),
    Field::required("author", Kind::AnyText, "Who decides"),
    Field::required("reason", Kind::AnyText, "Why"),
];

/// What a list of flow cells may be asked for.
pub(super) const FLOW_CELLS: [Field; 4] = [
    Field::optional("state", Kind::Of(of::<FlowCellState>), "That stand so"),
    Field::optional("product", Kind::AnyText, "Of this product"),
    PAGE,
    OF_1000,
];

/// A flow cell that came.
pub(super) const REGISTER: [Field; 3] = [
    Field::required("id", Kind::AnyText, "The number on it"),
    Field::required("product", Kind::AnyText, "Its product; of the catalogue"),
    Field::optional(
        "pores",
        maybe(&Kind::Number(0, 4_294_967_295)),
        "How many pores it has",
    ),
];

/// What is done with a flow cell: each act has some of these.
pub(super) const HANDLE: [Field; 8] = [
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
