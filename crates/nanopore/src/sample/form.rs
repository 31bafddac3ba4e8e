//! A submission form as it was read, and the samples that it announces.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{FieldErrors, NewSample, Origin, SampleType, foreign};

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
    /// What a document of another kind than the facility's form says of all its samples.
    pub said: Option<Said>,
}

/// What a simple form or a quote says of all its samples, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Said {
    /// Who submits.
    pub submitter_name: Option<String>,
    /// Where to reach the submitter.
    pub submitter_email: Option<String>,
    /// The submitter's laboratory.
    pub lab_name: Option<String>,
    /// The project.
    pub project_name: Option<String>,
    /// The account that pays.
    pub chart_field: Option<String>,
    /// The molecule.
    pub sequencing_type: Option<String>,
    /// The material.
    pub sample_type: Option<String>,
    /// What it is dissolved in.
    pub sample_buffer: Option<String>,
    /// How the library is to be made.
    pub library_type: Option<String>,
    /// Flow cell or device.
    pub flow_cell_type: Option<String>,
    /// How many flow cells.
    pub flow_cell_count: Option<String>,
    /// How soon it is wanted.
    pub priority: Option<String>,
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
    /// Concentration in ng/µL where the document does not say how it was measured.
    pub concentration_ng_ul: Option<f64>,
    /// Absorbance ratio 260/280.
    pub a260_280: Option<f64>,
    /// Absorbance ratio 260/230.
    pub a260_230: Option<f64>,
}

/// Who submits, as whoever uploads the form says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Submitter<'a> {
    /// Their name.
    pub name: Option<&'a str>,
    /// Where to reach them.
    pub email: Option<&'a str>,
}

impl Form {
    /// Whether samples can be made of the form, whoever submits where the form itself does not say who.
    ///
    /// # Errors
    /// As [`Form::samples`].
    pub fn check(&self) -> Result<(), FieldErrors> {
        let simple = self.said.clone().unwrap_or_default();
        let name = either(simple.submitter_name.as_deref(), self.owner.as_deref());
        let email = either(simple.submitter_email.as_deref(), None)
            .or_else(|| self.emails.iter().find_map(|it| either(Some(it), None)));
        let submitter = Submitter {
            name: Some("anybody").filter(|_| name.is_none()),
            email: Some("anybody@example.org").filter(|_| email.is_none()),
        };
        self.samples(submitter).map(drop)
    }

    /// The samples of the form, all of them or none. What the form does not say stays unsaid.
    ///
    /// # Errors
    /// Every field that is wrong, with its row: `samples[2].volume`. A form without rows, owner or e-mail is refused.
    pub fn samples(&self, submitter: Submitter<'_>) -> Result<Vec<NewSample>, FieldErrors> {
        let common = self.common(submitter)?;
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
    fn common(&self, submitter: Submitter<'_>) -> Result<Map<String, Value>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let simple = self.said.clone().unwrap_or_default();
        // Whoever uploads knows better than the paper.
        let submitter_name = said(submitter.name)
            .or(said(simple.submitter_name.as_deref()))
            .or(said(self.owner.as_deref()));
        let first_email = self.emails.iter().find_map(|email| said(Some(email)));
        let submitter_email = said(submitter.email)
            .or(said(simple.submitter_email.as_deref()))
            .or(first_email);
        let kind = self.molecule();
        if kind.is_none() {
            errors.add(
                "sampleType",
                "is not said on the form, neither as its sequencing type nor as its sample type",
            );
        }
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
        let mut fields = self.words(&simple);
        for (field, value) in [
            ("submitterName", submitter_name),
            ("submitterEmail", submitter_email),
            ("sampleType", kind.map(SampleType::as_str)),
        ] {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value.into());
            }
        }
        simple.add_to(&mut fields);
        Ok(fields)
    }

    /// What is taken as it is written.
    fn words(&self, simple: &Said) -> Map<String, Value> {
        let mut fields = Map::new();
        for (field, value) in [
            (
                "projectId",
                either(
                    self.service_project.as_deref(),
                    simple.project_name.as_deref(),
                ),
            ),
            (
                "labName",
                either(self.lab.as_deref(), simple.lab_name.as_deref()),
            ),
            ("chartField", either(None, simple.chart_field.as_deref())),
            (
                "libraryKit",
                either(self.kit.as_deref(), simple.library_type.as_deref()),
            ),
            (
                "material",
                joined(&self.sample_types).or(either(None, simple.sample_type.as_deref())),
            ),
            (
                "sampleBuffer",
                joined(&self.buffer).or(either(None, simple.sample_buffer.as_deref())),
            ),
            (
                "flowCellProduct",
                joined(&self.flow_cells).or(either(None, simple.flow_cell_type.as_deref())),
            ),
        ] {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value.into());
            }
        }
        fields
    }

    /// What the samples are. The facility's form is for DNA; only when nothing but cDNA is ticked is it cDNA. Another
    /// document has to say it.
    fn molecule(&self) -> Option<SampleType> {
        if let Some(simple) = &self.said {
            let word =
                said(simple.sequencing_type.as_deref()).or(said(simple.sample_type.as_deref()));
            return foreign::sample_type(word?).map(|(kind, _)| kind);
        }
        let is_cdna = |kind: &String| kind.trim().eq_ignore_ascii_case("cDNA");
        let all = !self.sample_types.is_empty() && self.sample_types.iter().all(is_cdna);
        Some(if all {
            SampleType::Cdna
        } else {
            SampleType::Dna
        })
    }
}

impl Said {
    /// Adds what is a word or a number of this program; what is none of its own is refused by its rule.
    fn add_to(&self, fields: &mut Map<String, Value>) {
        if let Some(word) = said(self.priority.as_deref()) {
            let priority = foreign::priority(word).map_or(word, |it| it.as_str());
            fields.insert("priority".to_owned(), priority.into());
        }
        if let Some(text) = said(self.flow_cell_count.as_deref()) {
            let count = text.parse::<u32>().map_or(text.into(), Value::from);
            fields.insert("flowCellCount".to_owned(), count);
        }
    }
}

impl FormRow {
    /// Adds what the row says. Qubit counts the wanted molecule only, so it is the concentration to work with.
    fn add_to(&self, fields: &mut Map<String, Value>) {
        if let Some(name) = said(self.sample_name.as_deref()) {
            fields.insert("sampleName".to_owned(), name.into());
        }
        let measures = (
            self.qubit_ng_ul,
            self.concentration_ng_ul,
            self.nanodrop_ng_ul,
        );
        let (concentration, method) = match measures {
            (Some(qubit), _, _) => (Some(qubit), Some("Qubit")),
            (None, Some(unsaid), _) => (Some(unsaid), None),
            (None, None, Some(nanodrop)) => (Some(nanodrop), Some("NanoDrop")),
            (None, None, None) => (None, None),
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

/// The first text that says something.
fn either(first: Option<&str>, other: Option<&str>) -> Option<String> {
    said(first).or(said(other)).map(str::to_owned)
}

/// All ticked words, if there are any.
fn joined(words: &[String]) -> Option<String> {
    let words: Vec<_> = words.iter().filter_map(|word| said(Some(word))).collect();
    (!words.is_empty()).then(|| words.join("; "))
}
