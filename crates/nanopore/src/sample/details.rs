//! What may be said of a sample beside its fields: how it is to be prepared, sequenced and delivered, and its quality.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::draft::Draft;
use super::field::FieldErrors;
use super::rule::{CATALOGUE, NOTES, SHORT};
use crate::events::sample::Change;

/// Longest run, in hours.
const RUN_TIME_HOURS_MAX: u32 = 1_000;
/// Ways to hand over data.
const DELIVERY_METHODS: [&str; 3] = ["download", "cloud", "physical"];
/// Formats of data.
const FILE_FORMATS: [&str; 4] = ["FASTQ", "FAST5", "POD5", "BAM"];

/// The details of a sample; every value has passed its rule.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Where it is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organism: Option<String>,
    /// Size of the genome, in the submitter's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genome_size: Option<String>,
    /// Length of reads that is expected, in the submitter's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_read_length: Option<String>,
    /// Kit that the library is made with; in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_prep_kit: Option<String>,
    /// Whether it shares a flow cell with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcoding_required: Option<bool>,
    /// Kit of its barcode; in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode_kit: Option<String>,
    /// Its barcode, such as `barcode07`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// How long it is sequenced, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_time_hours: Option<u32>,
    /// Model of the basecaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basecalling_model: Option<String>,
    /// How the data are handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_delivery_method: Option<String>,
    /// Format of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_format: Option<String>,
    /// Whether the facility analyses the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_required: Option<bool>,
    /// Which analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_type: Option<String>,
    /// Whether its quality is good enough; unknown until somebody says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qc_passed: Option<bool>,
    /// What there is to say of its quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qc_notes: Option<String>,
    /// What the submitter asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_instructions: Option<String>,
    /// What staff note for each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_notes: Option<String>,
}

impl Details {
    /// Reads details from JSON. Nothing is assumed.
    ///
    /// # Errors
    /// Every field that breaks its rule or does not exist.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut draft = Draft::of(fields, "the details of a sample");
        let word = |words: &'static [&'static str]| {
            move |draft: &mut Draft<'_>, field: &'static str| {
                let text = draft.text(field, SHORT)?;
                if words.contains(&text.as_str()) {
                    return Some(text);
                }
                let text = text.escape_debug();
                draft.wrong(
                    field,
                    format!("is `{text}`, not one of {}", words.join(", ")),
                );
                None
            }
        };
        let details = Self {
            organism: draft.text("organism", CATALOGUE),
            genome_size: draft.text("genomeSize", SHORT),
            expected_read_length: draft.text("expectedReadLength", SHORT),
            library_prep_kit: draft.text("libraryPrepKit", CATALOGUE),
            barcoding_required: draft.flag("barcodingRequired"),
            barcode_kit: draft.text("barcodeKit", CATALOGUE),
            barcode: barcode(&mut draft),
            run_time_hours: draft.count("runTimeHours", 1, RUN_TIME_HOURS_MAX),
            basecalling_model: draft.text("basecallingModel", CATALOGUE),
            data_delivery_method: word(&DELIVERY_METHODS)(&mut draft, "dataDeliveryMethod"),
            file_format: word(&FILE_FORMATS)(&mut draft, "fileFormat"),
            analysis_required: draft.flag("analysisRequired"),
            analysis_type: draft.text("analysisType", CATALOGUE),
            qc_passed: draft.flag("qcPassed"),
            qc_notes: draft.text("qcNotes", NOTES),
            special_instructions: draft.text("specialInstructions", NOTES),
            internal_notes: draft.text("internalNotes", NOTES),
        };
        draft.finish()?;
        Ok(details)
    }

    /// The details after `patch`: given fields replace, `null` clears. Also says what changed, as `details.organism`.
    ///
    /// # Errors
    /// As [`Details::read`].
    pub fn patched(
        &self,
        patch: &Map<String, Value>,
    ) -> Result<(Self, BTreeMap<String, Change>), FieldErrors> {
        let before = self.to_map();
        let mut fields = before.clone();
        for (field, value) in patch {
            fields.insert(field.clone(), value.clone());
        }
        let details = Self::read(&fields)?;
        let after = details.to_map();
        let changes = before
            .keys()
            .chain(after.keys())
            .filter(|field| before.get(*field) != after.get(*field))
            .map(|field| {
                let change = Change {
                    old_value: before.get(field).cloned().unwrap_or_default(),
                    new_value: after.get(field).cloned().unwrap_or_default(),
                };
                (format!("details.{field}"), change)
            })
            .collect();
        Ok((details, changes))
    }

    fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // A struct of texts, flags and numbers is always an object.
            _ => Map::new(),
        }
    }
}

/// A barcode as the sequencer's software writes it.
fn barcode(draft: &mut Draft<'_>) -> Option<String> {
    let text = draft.text("barcode", SHORT)?;
    if is_barcode(&text) {
        return Some(text);
    }
    draft.wrong(
        "barcode",
        "must be `barcode` and two digits, such as `barcode07`",
    );
    None
}

/// Whether it is `barcode` and two digits or more.
#[must_use]
pub fn is_barcode(text: &str) -> bool {
    text.strip_prefix("barcode").is_some_and(|digits| {
        (2..=4).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
    })
}
