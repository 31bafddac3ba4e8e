//! A flow cell of the facility, and what was done with it.

use nanopore::query::not_known;
use nanopore::sample::FieldErrors;
use nanopore::sample::flow_cell::{FlowCellState, Life};
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Filter, Page};

/// A flow cell.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowCell {
    /// The id on it.
    pub id: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// What the vendor calls such flow cells: an item of the catalogue.
    pub product: String,
    /// Where it is in its life.
    pub state: FlowCellState,
    /// How often it was loaded.
    pub loads: u32,
    /// How many pores it had when they were last counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pores: Option<u32>,
    /// The sequencer that it was last in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrument: Option<String>,
    /// Where in the sequencer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who entered it.
    pub created_by: String,
}

impl FlowCell {
    pub(crate) fn life(&self) -> Life {
        Life {
            state: self.state,
            loads: self.loads,
            pores: self.pores,
        }
    }

    /// The flow cell after something was done with it.
    pub(crate) fn live(&mut self, life: Life, now: Timestamp) {
        self.state = life.state;
        self.loads = life.loads;
        self.pores = life.pores;
        self.version += 1;
        self.updated_at = now;
    }
}

/// One thing that was done with a flow cell.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowCellAct {
    /// What was done: registered, loaded, checked, washed, used_up, returned.
    pub action: String,
    /// Which load it is, or was on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_number: Option<u32>,
    /// How many pores there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pores: Option<u32>,
    /// How much was loaded, in µL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<f64>,
    /// The sequencer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrument: Option<String>,
    /// Where in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// What there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The samples that were loaded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sample_ids: Vec<String>,
    /// When.
    pub created_at: Timestamp,
    /// Who did it.
    pub created_by: String,
}

/// What is done with a flow cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Handling {
    /// Samples are loaded.
    Load {
        /// Which.
        sample_ids: Vec<String>,
        /// The sequencer.
        instrument: Option<String>,
        /// Where in it.
        position: Option<String>,
        /// How many pores were counted before.
        pores: Option<u32>,
        /// How much, in µL.
        volume: Option<f64>,
        /// What there is to say.
        notes: Option<String>,
    },
    /// Its pores are counted.
    Check {
        /// How many there are.
        pores: u32,
        /// What there is to say.
        notes: Option<String>,
    },
    /// It is washed.
    Wash {
        /// How many pores were counted after it.
        pores: Option<u32>,
        /// What there is to say.
        notes: Option<String>,
    },
    /// It is not used any more.
    Retire {
        /// What became of it.
        outcome: FlowCellState,
        /// Why.
        reason: String,
    },
}

/// Which flow cells a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowCellFilter {
    /// In this state.
    pub state: Option<FlowCellState>,
    /// Of this product.
    pub product: Option<String>,
}

impl FlowCellFilter {
    /// The parameters that there are.
    pub const NAMES: [&str; 4] = ["state", "product", "page", "limit"];

    /// Reads a filter and a page from the pairs of a query.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(pairs: Vec<(String, String)>) -> Result<(Self, Page), FieldErrors> {
        FieldErrors::check_once(&pairs, &[])?;
        let mut filter = Self::default();
        let mut rest = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "state" => {
                    let state = FlowCellState::from_word(&value).ok_or_else(|| {
                        let text = format!("has no value `{}`", value.escape_debug());
                        FieldErrors::one("state", text)
                    })?;
                    filter.state = Some(state);
                }
                "product" => filter.product = Some(value),
                "page" | "limit" => rest.push((name, value)),
                _ => return Err(FieldErrors::one(name, not_known(&Self::NAMES))),
            }
        }
        let (_, page) = Filter::read(&rest, 100, 1_000)?;
        Ok((filter, page))
    }
}
