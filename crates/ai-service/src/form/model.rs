//! What the submission form asks for, with the names that its data has outside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The filled-in form. Blank text is empty, a blank choice or number is absent, a blank list empty.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Form {
    /// The service project printed in the head, such as `HTSF--AB-123`.
    pub service_project: String,
    /// The project's owner, printed in the head.
    pub owner: String,
    /// The owner's lab, printed in the head.
    pub lab: String,
    /// The sequencing kit: one choice.
    pub kit: Option<String>,
    /// The ticked types of sample, in the order of the form.
    pub sample_types: Vec<String>,
    /// Whether the samples contain human DNA.
    pub human_dna: Option<bool>,
    /// The ticked buffers.
    pub buffer: Vec<String>,
    /// The rows of the sample table.
    pub samples: Vec<Sample>,
    /// The ticked flow cells.
    pub flow_cells: Vec<String>,
    /// Approximate size of the genome or transcriptome, as written.
    pub genome_size: String,
    /// Approximate coverage, as written.
    pub coverage: String,
    /// Estimated number of flow cells, as written.
    pub flow_cell_count: String,
    /// Comments, with the line breaks that the writer made.
    pub comments: String,
    /// The ticked ways of basecalling.
    pub basecalling: Vec<String>,
    /// The ticked file formats.
    pub formats: Vec<String>,
    /// Addresses to notify.
    pub emails: Vec<String>,
    /// How the data is to be delivered: one choice.
    pub delivery: Option<String>,
    /// What a document of another kind says of all its samples; absent on this form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said: Option<Box<Said>>,
}

/// What a simple form or a quote says of all its samples, as written. What is not written is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Said {
    /// Who submits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter_name: Option<String>,
    /// Where to reach the submitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter_email: Option<String>,
    /// The submitter's laboratory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lab_name: Option<String>,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The account that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart_field: Option<String>,
    /// The molecule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequencing_type: Option<String>,
    /// The material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_type: Option<String>,
    /// What it is dissolved in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_buffer: Option<String>,
    /// How the library is to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_type: Option<String>,
    /// Flow cell or device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_cell_type: Option<String>,
    /// How many flow cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_cell_count: Option<String>,
    /// How soon it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
}

/// One row of the sample table.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "FormSample")]
pub struct Sample {
    /// The name that the submitter gave it.
    pub sample_name: String,
    /// Volume in µL.
    pub volume_ul: Option<f64>,
    /// Concentration by Qubit in ng/µL.
    pub qubit_ng_ul: Option<f64>,
    /// Concentration by NanoDrop in ng/µL.
    pub nanodrop_ng_ul: Option<f64>,
    /// Concentration in ng/µL where the document does not say how it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concentration_ng_ul: Option<f64>,
    /// Absorbance ratio 260/280 nm.
    pub a260_280: Option<f64>,
    /// Absorbance ratio 260/230 nm.
    pub a260_230: Option<f64>,
}

impl Sample {
    /// The concentration in ng/µL to work with: Qubit before one of unsaid origin before NanoDrop, which counts more
    /// than the DNA. All of them are kept.
    #[must_use]
    pub fn concentration(&self) -> Option<f64> {
        self.qubit_ng_ul
            .or(self.concentration_ng_ul)
            .or(self.nanodrop_ng_ul)
    }
}
