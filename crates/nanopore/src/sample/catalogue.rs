//! What a facility works with, as data: kits, flow cells, chemistries, instruments, services, and the accounts that pay.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chart_field::ChartField;
use super::draft::Draft;
use super::field::FieldErrors;
use super::flow_cell::ReuseRule;
use super::rule::{CATALOGUE, NOTES};

/// Largest attributes of an item, in bytes of JSON.
const ATTRIBUTES_BYTES_MAX: usize = 4 * 1024;
/// Longest time in which a service is to be done, in days.
const TARGET_DAYS_MAX: u64 = 366;
/// The attribute of a service that says in how many days it is to be done.
pub const TARGET_DAYS: &str = "targetDays";
/// The service of samples that name none.
pub const STANDARD_SERVICE: &str = "standard";

/// Kind of an item.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[schemars(rename = "CatalogueKind")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Kit for libraries or barcodes.
    Kit,
    /// Flow cell as the vendor sells it.
    FlowCell,
    /// Chemistry of flow cells.
    Chemistry,
    /// Sequencer.
    Instrument,
    /// What is offered, with the days that it takes.
    Service,
    /// Account that pays.
    ChartField,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Kit,
        Self::FlowCell,
        Self::Chemistry,
        Self::Instrument,
        Self::Service,
        Self::ChartField,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kit => "kit",
            Self::FlowCell => "flow_cell",
            Self::Chemistry => "chemistry",
            Self::Instrument => "instrument",
            Self::Service => "service",
            Self::ChartField => "chart_field",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One item of the catalogue.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Its kind.
    pub kind: Kind,
    /// How samples name it.
    pub name: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether new samples may name it.
    pub is_active: bool,
    /// What else there is to say of it.
    pub attributes: Map<String, Value>,
}

impl Item {
    /// Reads an item from JSON; it is active unless something else is said.
    ///
    /// # Errors
    /// Every field that breaks its rule, is missing, or does not exist.
    pub fn read(kind: Kind, fields: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut draft = Draft::of(fields, "an item of the catalogue");
        draft.require("name");
        let name = draft.text("name", CATALOGUE);
        let description = draft.text("description", NOTES);
        let is_active = draft.flag("isActive").unwrap_or(true);
        let attributes = draft.object("attributes").cloned().unwrap_or_default();
        if kind == Kind::ChartField
            && let Some(name) = &name
            && let Err(errors) = ChartField::try_from(name.clone())
        {
            for error in errors.0 {
                draft.wrong("name", error.message);
            }
        }
        let bytes = serde_json::to_vec(&attributes).map_or(0, |it| it.len());
        if bytes > ATTRIBUTES_BYTES_MAX {
            let text = format!("has {bytes} bytes, more than {ATTRIBUTES_BYTES_MAX}");
            draft.wrong("attributes", text);
        }
        let days = attributes.get(TARGET_DAYS);
        let is_known = days
            .and_then(Value::as_u64)
            .is_some_and(|days| (1..=TARGET_DAYS_MAX).contains(&days));
        if kind == Kind::Service && !is_known {
            let text = format!("must be a whole number of days, 1 to {TARGET_DAYS_MAX}");
            draft.wrong("attributes.targetDays", text);
        }
        if kind == Kind::FlowCell
            && let Err(errors) = ReuseRule::read(&attributes)
        {
            for error in errors.0 {
                draft.wrong(&error.field, error.message);
            }
        }
        draft.finish()?;
        let name = name.ok_or_else(|| FieldErrors::one("name", "is required"))?;
        Ok(Self {
            kind,
            name,
            description,
            is_active,
            attributes,
        })
    }
}
