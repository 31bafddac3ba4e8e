//! A submission form as it was read, and the samples that it announces.

use nanopore::sample::{FieldErrors, NewSample, Origin};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::submission::Submission;

/// Most samples on one form; a form of the facility has at most a few hundred.
const SAMPLES_MAX: usize = 1_000;

/// A form as it was read. An empty text or list means that nothing was written or ticked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Form {
    /// Service project of the facility.
    pub service_project: Option<String>,
    /// Owner of the project.
    pub owner: Option<String>,
    /// Laboratory of the owner.
    pub lab: Option<String>,
    /// Library kit that is ticked.
    pub kit: Option<String>,
    /// Kinds of material that are ticked.
    pub sample_types: Vec<String>,
    /// Buffers that are ticked.
    pub buffer: Vec<String>,
    /// Rows of the sample table.
    pub samples: Vec<FormRow>,
    /// Flow cells that are ticked.
    pub flow_cells: Vec<String>,
    /// Addresses for notifications.
    pub emails: Vec<String>,
}

/// One row of the sample table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FormRow {
    /// Name on the tube.
    pub sample_name: Option<String>,
    /// Volume, in µL.
    pub volume_ul: Option<f64>,
    /// Concentration by fluorescence, in ng/µL.
    pub qubit_ng_ul: Option<f64>,
    /// Concentration by absorbance, in ng/µL.
    pub nanodrop_ng_ul: Option<f64>,
    /// Absorbance ratio 260/280.
    pub a260_280: Option<f64>,
    /// Absorbance ratio 260/230.
    pub a260_230: Option<f64>,
}

impl Form {
    /// The samples of the form, all of them or none. What the form does not say stays unsaid.
    ///
    /// # Errors
    /// Every field that is wrong, with its row: `samples[2].volume`. A form without rows, owner or e-mail is refused.
    pub fn samples(&self, submission: &Submission) -> Result<Vec<NewSample>, FieldErrors> {
        let common = self.common(submission)?;
        if self.samples.is_empty() {
            return Err(FieldErrors::one(
                "samples",
                "has no row: the form names no sample",
            ));
        }
        if self.samples.len() > SAMPLES_MAX {
            return Err(FieldErrors::one(
                "samples",
                format!("has {} rows, more than {SAMPLES_MAX}", self.samples.len()),
            ));
        }
        // What is wrong with all rows alike is said once.
        let mut any_row = common.clone();
        any_row.insert("sampleName".to_owned(), "any".into());
        NewSample::read(&any_row, Origin::Form)?;
        let mut samples = Vec::with_capacity(self.samples.len());
        let mut errors = FieldErrors::default();
        for (index, row) in self.samples.iter().enumerate() {
            let mut fields = common.clone();
            row.add_to(&mut fields);
            match NewSample::read(&fields, Origin::Form) {
                Ok(sample) => samples.push(sample),
                Err(wrong) => errors
                    .0
                    .extend(wrong.inside(&format!("samples[{index}]")).0),
            }
        }
        if errors.0.is_empty() {
            Ok(samples)
        } else {
            Err(errors)
        }
    }

    /// What all samples of the form have in common.
    fn common(&self, submission: &Submission) -> Result<Map<String, Value>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let submitter_name =
            said(submission.submitter_name.as_deref()).or(said(self.owner.as_deref()));
        let first_email = self.emails.iter().find_map(|email| said(Some(email)));
        let submitter_email = said(submission.submitter_email.as_deref()).or(first_email);
        if submitter_name.is_none() {
            errors.add(
                "submitterName",
                "is neither given nor is there an owner on the form",
            );
        }
        if submitter_email.is_none() {
            errors.add(
                "submitterEmail",
                "is neither given nor is there an e-mail on the form",
            );
        }
        if !errors.0.is_empty() {
            return Err(errors);
        }
        let mut fields = Map::new();
        for (field, value) in [
            ("submitterName", submitter_name.map(str::to_owned)),
            ("submitterEmail", submitter_email.map(str::to_owned)),
            (
                "projectId",
                said(self.service_project.as_deref()).map(str::to_owned),
            ),
            ("labName", said(self.lab.as_deref()).map(str::to_owned)),
            ("libraryKit", said(self.kit.as_deref()).map(str::to_owned)),
            ("material", joined(&self.sample_types)),
            ("sampleBuffer", joined(&self.buffer)),
            ("flowCellProduct", joined(&self.flow_cells)),
        ] {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value.into());
            }
        }
        fields.insert("sampleType".to_owned(), self.molecule().into());
        Ok(fields)
    }

    /// The form is for DNA; only when nothing but cDNA is ticked is it cDNA.
    fn molecule(&self) -> &'static str {
        let is_cdna = |kind: &String| kind.trim().eq_ignore_ascii_case("cDNA");
        if !self.sample_types.is_empty() && self.sample_types.iter().all(is_cdna) {
            "cDNA"
        } else {
            "DNA"
        }
    }
}

impl FormRow {
    /// Adds what the row says. Qubit counts the wanted molecule only, so it is the concentration to work with.
    fn add_to(&self, fields: &mut Map<String, Value>) {
        if let Some(name) = said(self.sample_name.as_deref()) {
            fields.insert("sampleName".to_owned(), name.into());
        }
        let (concentration, method) = match (self.qubit_ng_ul, self.nanodrop_ng_ul) {
            (Some(qubit), _) => (Some(qubit), Some("Qubit")),
            (None, Some(nanodrop)) => (Some(nanodrop), Some("NanoDrop")),
            (None, None) => (None, None),
        };
        if let Some(method) = method {
            fields.insert("concentrationMethod".to_owned(), method.into());
        }
        for (field, number) in [
            ("concentration", concentration),
            ("nanodropConcentration", self.nanodrop_ng_ul),
            ("volume", self.volume_ul),
            ("a260280Ratio", self.a260_280),
            ("a260230Ratio", self.a260_230),
        ] {
            if let Some(number) = number {
                fields.insert(field.to_owned(), number.into());
            }
        }
    }
}

/// The text, if it says something.
fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// All ticked words, if there are any.
fn joined(words: &[String]) -> Option<String> {
    let words: Vec<_> = words.iter().filter_map(|word| said(Some(word))).collect();
    (!words.is_empty()).then(|| words.join("; "))
}
