//! The events about flow cells.

use nanopore::events::flowcell::{
    FlowCellChecked, FlowCellLoaded, FlowCellRegistered, FlowCellRetired, FlowCellWashed,
};
use sagabus::{Event, Result};

use super::Publisher;
use crate::model::{FlowCell, FlowCellAct, Handling};

impl Publisher<'_> {
    pub(crate) fn flow_cell_registered(self, it: &FlowCell) -> Result<Event> {
        self.event(&FlowCellRegistered {
            flow_cell_id: it.id.clone(),
            user_id: self.actor.user_id.clone(),
            product: it.product.clone(),
            pores: it.pores,
        })
    }

    pub(crate) fn flow_cell_handled(
        self,
        it: &FlowCell,
        handling: Handling,
        act: &FlowCellAct,
    ) -> Result<Event> {
        let flow_cell_id = it.id.clone();
        let user_id = self.actor.user_id.clone();
        match handling {
            Handling::Load {
                sample_ids,
                instrument,
                position,
                volume,
                ..
            } => self.event(&FlowCellLoaded {
                flow_cell_id,
                user_id,
                load_number: it.loads,
                sample_ids,
                instrument,
                position,
                pores: act.pores,
                volume,
            }),
            Handling::Check { pores, .. } => self.event(&FlowCellChecked {
                flow_cell_id,
                user_id,
                pores,
            }),
            Handling::Wash { pores, .. } => self.event(&FlowCellWashed {
                flow_cell_id,
                user_id,
                pores,
            }),
            Handling::Retire { outcome, reason } => self.event(&FlowCellRetired {
                flow_cell_id,
                user_id,
                outcome,
                reason,
                loads: it.loads,
            }),
        }
    }
}
