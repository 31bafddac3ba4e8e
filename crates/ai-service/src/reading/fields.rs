//! The fields that a form of pairs may have: their labels and the rules for their values.

use super::units::{CONCENTRATION, LENGTH, MASS, Unit, VOLUME};
use crate::form::key;

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Any text.
    Text,
    /// Letters, digits, `_`, `.`, `-` and space.
    Name,
    /// An e-mail address.
    Email,
    /// One of these, or a text with one of these in it.
    Choice(&'static [&'static str]),
    /// A number with one of these units.
    Measure(&'static [Unit]),
    /// One or two numbers with `/` between them.
    Ratio,
    /// A whole number.
    Count,
    /// Yes or no.
    YesNo,
}

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name outside.
    pub(super) name: &'static str,
    /// A form without it is not complete.
    pub(super) required: bool,
    /// What its value must look like.
    pub(super) rule: Rule,
    /// The labels that people give it. A label of two fields goes to the first one whose rule fits the value.
    labels: &'static [&'static str],
}

const fn field(
    name: &'static str,
    required: bool,
    rule: Rule,
    labels: &'static [&'static str],
) -> Field {
    Field {
        name,
        required,
        rule,
        labels,
    }
}

const MOLECULES: &[&str] = &["DNA", "RNA", "cDNA"];
const MATERIALS: &[&str] = &[
    "Genomic DNA",
    "gDNA",
    "Total RNA",
    "Plasmid DNA",
    "PCR Product",
    "PCR Amplicons",
    "cDNA",
];
const LIBRARIES: &[&str] = &["Ligation", "Rapid", "PCR-free", "Amplicon", "Direct RNA"];
const FLOW_CELLS: &[&str] = &[
    "MinION",
    "GridION",
    "PromethION",
    "Flongle",
    "R9.4.1",
    "R10.4.1",
    "FLO-MIN",
    "FLO-PRO",
    "FLO-FLG",
];
const PRIORITIES: &[&str] = &["Standard", "High", "Rush", "Urgent", "Low"];
const BASECALLING: &[&str] = &["Standard", "High Accuracy", "Fast", "HAC", "SUP"];
const DELIVERY: &[&str] = &["Raw", "Processed", "FASTQ", "BAM", "VCF", "POD5"];

/// The 19 fields, and what simple forms have beside them.
///
/// Of the words that go with a field only those are here that name it; `rush`, `guppy` or `ng/µL` are values and units.
/// Labels are compared whole: a heading such as `Sample Information` is no `Sample`.
pub(super) const FIELDS: &[Field] = &[
    field(
        "sampleName",
        true,
        Rule::Name,
        &[
            "sample name",
            "sample id",
            "specimen name",
            "sample identifier",
            "sample code",
        ],
    ),
    field(
        "submitterName",
        true,
        Rule::Text,
        &[
            "submitter name",
            "submitter",
            "researcher name",
            "principal investigator",
            "contact person",
            "scientist name",
        ],
    ),
    field(
        "submitterEmail",
        true,
        Rule::Email,
        &[
            "submitter email",
            "email",
            "e-mail",
            "contact email",
            "researcher email",
            "submitter email address",
        ],
    ),
    field(
        "labName",
        false,
        Rule::Text,
        &[
            "lab name",
            "lab",
            "laboratory",
            "research group",
            "department",
        ],
    ),
    field(
        "projectName",
        false,
        Rule::Text,
        &[
            "project name",
            "project",
            "study name",
            "research project",
            "grant number",
        ],
    ),
    field(
        "sequencingType",
        true,
        Rule::Choice(MOLECULES),
        &[
            "sequencing type",
            "nucleic acid type",
            "material type",
            "sample type",
        ],
    ),
    field(
        "sampleType",
        true,
        Rule::Choice(MATERIALS),
        &[
            "sample type",
            "specimen type",
            "biological material",
            "source material",
        ],
    ),
    field(
        "libraryType",
        true,
        Rule::Choice(LIBRARIES),
        &[
            "library type",
            "library prep",
            "library preparation",
            "sequencing library",
        ],
    ),
    field(
        "flowCellType",
        true,
        Rule::Choice(FLOW_CELLS),
        &[
            "flow cell type",
            "flow cell",
            "sequencing platform",
            "nanopore device",
        ],
    ),
    field(
        "concentration",
        false,
        Rule::Measure(CONCENTRATION),
        &[
            "concentration",
            "dna concentration",
            "rna concentration",
            "conc",
        ],
    ),
    field(
        "qubitConcentration",
        false,
        Rule::Measure(CONCENTRATION),
        &["qubit concentration", "qubit conc", "qubit"],
    ),
    field(
        "nanodropConcentration",
        false,
        Rule::Measure(CONCENTRATION),
        &["nanodrop concentration", "nanodrop conc", "nanodrop"],
    ),
    field(
        "volume",
        false,
        Rule::Measure(VOLUME),
        &["volume", "sample volume", "total volume", "vol"],
    ),
    field(
        "purity",
        false,
        Rule::Ratio,
        &[
            "purity",
            "260/280",
            "260/230",
            "a260/a280",
            "a260/280",
            "a260/a280 ratio",
            "ratio",
        ],
    ),
    field(
        "fragmentSize",
        false,
        Rule::Measure(LENGTH),
        &["fragment size", "fragment length", "average fragment size"],
    ),
    field(
        "priority",
        false,
        Rule::Choice(PRIORITIES),
        &["priority", "urgency", "turnaround time"],
    ),
    field(
        "basecalling",
        false,
        Rule::Choice(BASECALLING),
        &["basecalling", "base calling", "basecaller"],
    ),
    field(
        "demultiplexing",
        false,
        Rule::YesNo,
        &["demultiplexing", "demux", "barcoding", "multiplexing"],
    ),
    field(
        "referenceGenome",
        false,
        Rule::Text,
        &[
            "reference genome",
            "reference",
            "genome",
            "organism",
            "species",
        ],
    ),
    field(
        "analysisType",
        false,
        Rule::Text,
        &["analysis type", "analysis", "bioinformatics", "pipeline"],
    ),
    field(
        "dataDelivery",
        false,
        Rule::Choice(DELIVERY),
        &[
            "data delivery",
            "delivery method",
            "output format",
            "results format",
        ],
    ),
    field(
        "chartField",
        false,
        Rule::Text,
        &["chart field", "chartfield"],
    ),
    field(
        "sampleBuffer",
        false,
        Rule::Text,
        &["sample buffer", "buffer"],
    ),
    field(
        "totalAmount",
        false,
        Rule::Measure(MASS),
        &["total amount", "amount"],
    ),
    field(
        "flowCellCount",
        false,
        Rule::Count,
        &["flow cell count", "number of flow cells"],
    ),
    field("assignedTo", false, Rule::Text, &["assigned to"]),
    field("libraryPrepBy", false, Rule::Text, &["library prep by"]),
];

/// The fields that a label may mean.
pub(super) fn labelled(label: &str) -> impl Iterator<Item = &'static Field> + use<> {
    let label = key(label);
    FIELDS
        .iter()
        .filter(move |field| field.labels.iter().any(|it| key(it) == label))
}

impl Field {
    /// The labels that people give it.
    pub(super) fn labels(&self) -> &'static [&'static str] {
        self.labels
    }
}

impl Rule {
    /// Whether the value has the form that the rule asks for.
    pub(super) fn fits(self, value: &str) -> bool {
        let value_key = key(value);
        match self {
            Self::Choice(options) => options.iter().any(|option| key(option) == value_key),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sample_type_is_a_label_of_two_fields() {
        let labels = FIELDS.iter().flat_map(|field| field.labels);
        let mut shared: Vec<&str> = labels
            .copied()
            .filter(|label| labelled(label).count() > 1)
            .collect();
        shared.dedup();
        assert_eq!(shared, ["sample type"]);
    }

    #[test]
    fn a_heading_is_no_label() {
        for text in [
            "Sample Information",
            "Sample",
            "Information",
            "ng/µL",
            "High",
        ] {
            assert_eq!(labelled(text).count(), 0, "{text}");
        }
        assert_eq!(labelled("E-MAIL").next().unwrap().name, "submitterEmail");
    }
}
