//! What bodies of these routes may say of samples.

pub(super) mod queries;
pub(super) mod things;

use http_api::{Field, Kind, of};
use nanopore::sample::{ConcentrationMethod, Priority, SampleType, Stage, Status};

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
