//! A sample as it is announced: its fields, read from JSON with every rule checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chart_field::ChartField;
use super::draft::Draft;
use super::field::FieldErrors;
use super::priority::Priority;
use super::rule::{CATALOGUE, LAB, PERSON, PROJECT, SAMPLE_NAME, SHORT};
use super::vocabulary::{ConcentrationMethod, SampleType};
use crate::events::sample::Change;

/// Any concentration, in ng/µL; [`SampleType::concentration_ng_ul`] is narrower.
const CONCENTRATION_NG_UL: (f64, f64) = (0.001, 10_000.0);
/// Any volume, in µL.
const VOLUME_UL: (f64, f64) = (0.1, 1_000.0);
/// Any amount, in ng.
const AMOUNT_NG: (f64, f64) = (0.001, 100_000.0);
/// How far an amount may be from concentration times volume, in ng.
const AMOUNT_DIFFERENCE_NG_MAX: f64 = 0.001;
/// An absorbance ratio; pure DNA has about 1.8 and 2.1. Above this it is no ratio.
const RATIO: (f64, f64) = (0.0, 10.0);
/// Most flow cells for one sample.
const FLOW_CELLS_MAX: u32 = 10;

/// Where a sample comes from, which decides what must be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Entered by a person or a program, who must name the account that pays.
    Entry,
    /// Read from a submission form, which has no account; staff add it later.
    Form,
}

/// What is said of a sample; every value has passed its rule.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSample {
    /// Name that the submitter gave it.
    pub sample_name: String,
    /// Service project of the facility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Who submits it.
    pub submitter_name: String,
    /// Where to reach the submitter.
    pub submitter_email: String,
    /// Laboratory of the submitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab_name: Option<String>,
    /// Kind of molecule.
    pub sample_type: SampleType,
    /// What the molecule is like, in the form's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub material: Option<String>,
    /// What it is dissolved in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_buffer: Option<String>,
    /// Concentration to work with, in ng/µL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concentration: Option<f64>,
    /// How `concentration` was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concentration_method: Option<ConcentrationMethod>,
    /// Concentration by absorbance, in ng/µL, kept beside a better one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nanodrop_concentration: Option<f64>,
    /// Absorbance at 260 nm over 280 nm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a260280_ratio: Option<f64>,
    /// Absorbance at 260 nm over 230 nm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a260230_ratio: Option<f64>,
    /// Volume, in µL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<f64>,
    /// Amount, in ng.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<f64>,
    /// Chemistry of the flow cell; in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_cell_type: Option<String>,
    /// Flow cell; in the catalogue, or in the form's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_cell_product: Option<String>,
    /// How many flow cells.
    pub flow_cell_count: u32,
    /// Library kit; in the catalogue, or in the form's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_kit: Option<String>,
    /// Service that it is to have; in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<String>,
    /// How soon it is wanted.
    pub priority: Priority,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
    /// Who prepares the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_prep_by: Option<String>,
    /// Account that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_field: Option<ChartField>,
}

impl NewSample {
    /// Reads the fields from JSON. Priority `normal` and one flow cell are the only things assumed.
    ///
    /// # Errors
    /// Every field that breaks its rule, is missing, or does not exist.
    pub fn read(fields: &Map<String, Value>, origin: Origin) -> Result<Self, FieldErrors> {
        let mut draft = Draft::new(fields);
        let sample = Self::read_draft(&mut draft, origin);
        draft.finish()?;
        sample.ok_or_else(|| FieldErrors::one("sample", "has no fields"))
    }

    /// The sample after `patch`: given fields replace, `null` clears. Also says what changed.
    ///
    /// # Errors
    /// As [`NewSample::read`]; persons are changed by assigning, not here.
    pub fn patched(
        &self,
        patch: &Map<String, Value>,
    ) -> Result<(Self, BTreeMap<String, Change>), FieldErrors> {
        let mut errors = FieldErrors::default();
        for field in ["assignedTo", "libraryPrepBy"] {
            if patch.contains_key(field) {
                errors.add(field, "is changed by assigning the sample");
            }
        }
        if self.chart_field.is_some() && patch.get("chartField").is_some_and(Value::is_null) {
            errors.add("chartField", "cannot be removed");
        }
        let sample = match self.overlaid(patch) {
            Ok(sample) if errors.0.is_empty() => sample,
            Ok(_) => return Err(errors),
            Err(more) => {
                errors.0.extend(more.0);
                return Err(errors);
            }
        };
        let (before, after) = (self.to_map(), sample.to_map());
        let changes = before
            .keys()
            .chain(after.keys())
            .filter(|field| before.get(*field) != after.get(*field))
            .map(|field| {
                let value = |of: &Map<String, Value>| of.get(field).cloned().unwrap_or_default();
                let change = Change {
                    old_value: value(&before),
                    new_value: value(&after),
                };
                (field.clone(), change)
            })
            .collect();
        Ok((sample, changes))
    }

    /// The sample in the hands of `assigned_to`; who prepares the library changes only when given.
    ///
    /// # Errors
    /// Each name that breaks the rule of names.
    pub fn assigned(
        &self,
        assigned_to: &str,
        library_prep_by: Option<&str>,
    ) -> Result<Self, FieldErrors> {
        let mut patch = Map::new();
        patch.insert("assignedTo".to_owned(), assigned_to.into());
        if let Some(person) = library_prep_by {
            patch.insert("libraryPrepBy".to_owned(), person.into());
        }
        self.overlaid(&patch)
    }

    /// All rules again, with some fields replaced.
    fn overlaid(&self, patch: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = self.to_map();
        for (field, value) in patch {
            fields.insert(field.clone(), value.clone());
        }
        // A sample from a form may stay without an account while other fields change.
        Self::read(&fields, Origin::Form)
    }

    /// The fields as JSON; fields without a value are left out.
    fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // A struct of texts and finite numbers is always an object.
            _ => Map::new(),
        }
    }

    fn read_draft(draft: &mut Draft<'_>, origin: Origin) -> Option<Self> {
        for field in [
            "sampleName",
            "submitterName",
            "submitterEmail",
            "sampleType",
        ] {
            draft.require(field);
        }
        if origin == Origin::Entry {
            draft.require("chartField");
        }
        let sample_name = draft.text("sampleName", SAMPLE_NAME);
        let project_id = draft.text("projectId", PROJECT);
        let submitter_name = draft.text("submitterName", PERSON);
        let submitter_email = draft.email("submitterEmail");
        let lab_name = draft.text("labName", LAB);
        let sample_type = draft.word(
            "sampleType",
            SampleType::from_word,
            &SampleType::ALL.map(SampleType::as_str),
        );
        let material = draft.text("material", CATALOGUE);
        let sample_buffer = draft.text("sampleBuffer", CATALOGUE);
        let concentration_range =
            sample_type.map_or(CONCENTRATION_NG_UL, SampleType::concentration_ng_ul);
        let concentration = draft.number("concentration", concentration_range, " ng/µL");
        let concentration_method = draft.word(
            "concentrationMethod",
            ConcentrationMethod::from_word,
            &ConcentrationMethod::ALL.map(ConcentrationMethod::as_str),
        );
        let nanodrop_concentration =
            draft.number("nanodropConcentration", CONCENTRATION_NG_UL, " ng/µL");
        let a260280_ratio = draft.number("a260280Ratio", RATIO, "");
        let a260230_ratio = draft.number("a260230Ratio", RATIO, "");
        let volume = draft.number("volume", VOLUME_UL, " µL");
        let total_amount = draft.number("totalAmount", AMOUNT_NG, " ng");
        check_amount(draft, concentration, volume, total_amount);
        let flow_cell_type = draft.text("flowCellType", SHORT);
        let flow_cell_product = draft.text("flowCellProduct", CATALOGUE);
        let flow_cell_count = draft.count("flowCellCount", 1, FLOW_CELLS_MAX).unwrap_or(1);
        let library_kit = draft.text("libraryKit", CATALOGUE);
        let service_type = draft.text("serviceType", CATALOGUE);
        let priority = draft
            .word(
                "priority",
                Priority::from_word,
                &Priority::ALL.map(Priority::as_str),
            )
            .unwrap_or_default();
        let assigned_to = draft.text("assignedTo", PERSON);
        let library_prep_by = draft.text("libraryPrepBy", PERSON);
        let chart_field = draft.text("chartField", CATALOGUE).and_then(|text| {
            ChartField::try_from(text)
                .map_err(|errors| {
                    for error in errors.0 {
                        draft.wrong(&error.field, error.message);
                    }
                })
                .ok()
        });
        Some(Self {
            sample_name: sample_name?,
            project_id,
            submitter_name: submitter_name?,
            submitter_email: submitter_email?,
            lab_name,
            sample_type: sample_type?,
            material,
            sample_buffer,
            concentration,
            concentration_method,
            nanodrop_concentration,
            a260280_ratio,
            a260230_ratio,
            volume,
            total_amount,
            flow_cell_type,
            flow_cell_product,
            flow_cell_count,
            library_kit,
            service_type,
            priority,
            assigned_to,
            library_prep_by,
            chart_field,
        })
    }
}

/// An amount that is given must be what concentration and volume make.
fn check_amount(
    draft: &mut Draft<'_>,
    concentration: Option<f64>,
    volume: Option<f64>,
    amount: Option<f64>,
) {
    let (Some(concentration), Some(volume), Some(amount)) = (concentration, volume, amount) else {
        return;
    };
    let product = concentration * volume;
    // A double of this size is exact to far less than a millionth of the limit.
    if (product - amount).abs() > AMOUNT_DIFFERENCE_NG_MAX + 1e-9 {
        draft.wrong(
            "totalAmount",
            format!("is {amount} ng, but `concentration` times `volume` is {product:.3} ng"),
        );
    }
}
