//! The life of flow cells, as told by the sample service.

use sagabus::{Payload, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::not_empty;
use crate::sample::flow_cell::FlowCellState;

/// Source of these events.
const SOURCE: &str = "sample-service";

/// `flowcell.registered`: a flow cell is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowCellRegistered {
    /// Id of the flow cell.
    #[schemars(length(min = 1))]
    pub flow_cell_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// What the vendor calls such flow cells.
    pub product: String,
    /// How many pores it has, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pores: Option<u32>,
}

impl Payload for FlowCellRegistered {
    const TYPE: &'static str = "flowcell.registered";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.flow_cell_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("flowCellId", &self.flow_cell_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `flowcell.loaded`: samples are on a flow cell, for the first time or again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowCellLoaded {
    /// Id of the flow cell.
    #[schemars(length(min = 1))]
    pub flow_cell_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// How often it was loaded, with this time.
    pub load_number: u32,
    /// Ids of the samples.
    pub sample_ids: Vec<String>,
    /// The sequencer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<String>,
    /// Where in the sequencer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How many pores it has, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pores: Option<u32>,
    /// How much was loaded, in µL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<f64>,
}

impl Payload for FlowCellLoaded {
    const TYPE: &'static str = "flowcell.loaded";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.flow_cell_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("flowCellId", &self.flow_cell_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `flowcell.checked`: the pores of a flow cell were counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowCellChecked {
    /// Id of the flow cell.
    #[schemars(length(min = 1))]
    pub flow_cell_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// How many there are.
    pub pores: u32,
}

impl Payload for FlowCellChecked {
    const TYPE: &'static str = "flowcell.checked";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.flow_cell_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("flowCellId", &self.flow_cell_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `flowcell.washed`: what was on a flow cell is washed off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowCellWashed {
    /// Id of the flow cell.
    #[schemars(length(min = 1))]
    pub flow_cell_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// How many pores it has after it, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pores: Option<u32>,
}

impl Payload for FlowCellWashed {
    const TYPE: &'static str = "flowcell.washed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.flow_cell_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("flowCellId", &self.flow_cell_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `flowcell.retired`: a flow cell is not used any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowCellRetired {
    /// Id of the flow cell.
    #[schemars(length(min = 1))]
    pub flow_cell_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Whether it is used up or went back to the vendor.
    pub outcome: FlowCellState,
    /// Why.
    pub reason: String,
    /// How often it was loaded.
    pub loads: u32,
}

impl Payload for FlowCellRetired {
    const TYPE: &'static str = "flowcell.retired";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.flow_cell_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("flowCellId", &self.flow_cell_id)?;
        not_empty("userId", &self.user_id)
    }
}
