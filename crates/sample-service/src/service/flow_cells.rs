//! Flow cells of the facility: what is done with them, by the rules of their products.

use nanopore::sample::flow_cell::{Life, PORES_MAX, ReuseRule, check_flow_cell_id};
use nanopore::sample::{FieldErrors, Kind, Status};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, Result};

use super::{Act, Actor, SampleService, conflict};
use crate::model::{FlowCell, FlowCellAct, FlowCellFilter, Handling, Page, check_said, check_text};
use crate::repository as rows;

/// Most samples of one load.
const SAMPLES_MAX: usize = 100;
/// Largest volume of one load, in µL.
const VOLUME_MAX: f64 = 1_000.0;

impl SampleService {
    /// Enters a flow cell; publishes `flowcell.registered`.
    ///
    /// # Errors
    /// `Invalid`, naming the field; `Conflict` when there is one with its id.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn register_flow_cell(
        &self,
        id: String,
        product: String,
        pores: Option<u32>,
        actor: Actor,
    ) -> Result<FlowCell> {
        let mut errors = FieldErrors::default();
        if let Err(message) = check_flow_cell_id(&id) {
            errors.add("id", message);
        }
        check_pores(&mut errors, pores);
        self.change(actor, move |tx, act| {
            let item = rows::find_item(tx, Kind::FlowCell, &product)?;
            if !item.is_some_and(|it| it.is_active) {
                let product = product.escape_debug();
                let text = format!("`{product}` is not an active flow_cell of the catalogue");
                errors.add("product", text);
            }
            if !errors.0.is_empty() {
                return Err(errors.into());
            }
            if rows::find_flow_cell(tx, &id)?.is_some() {
                let text = format!("is `{id}`, which is there already");
                let errors = FieldErrors::one("id", text);
                return Err(conflict("there is such a flow cell", errors));
            }
            let flow_cell = FlowCell {
                id,
                version: 1,
                product,
                state: nanopore::sample::flow_cell::FlowCellState::New,
                loads: 0,
                pores,
                instrument: None,
                position: None,
                created_at: act.now,
                updated_at: act.now,
                created_by: act.user_id().to_owned(),
            };
            rows::insert_flow_cell(tx, &flow_cell)?;
            let done = FlowCellAct {
                pores,
                ..done("registered", &act)
            };
            rows::add_flow_cell_act(tx, &flow_cell.id, &done)?;
            let event = act.publisher.flow_cell_registered(&flow_cell)?;
            Ok((flow_cell, vec![event]))
        })
        .await
    }

    /// Does something with a flow cell; publishes `flowcell.loaded`, `_checked`, `_washed` or `_retired`.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, naming the field; `Conflict` when its state or the rule of its product stands against it, or the
    /// version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn handle_flow_cell(
        &self,
        id: String,
        handling: Handling,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<FlowCell> {
        check(&handling)?;
        self.change(actor, move |tx, act| {
            let mut flow_cell = rows::get_flow_cell(tx, &id)?;
            if let Some(version) = expected
                && version != flow_cell.version
            {
                let text = format!("flow cell has version {}, not {version}", flow_cell.version);
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            let life = life_after(tx, &flow_cell, &handling)?;
            if let Handling::Load {
                instrument,
                position,
                ..
            } = &handling
            {
                flow_cell.instrument.clone_from(instrument);
                flow_cell.position.clone_from(position);
            }
            flow_cell.live(life, act.now);
            rows::update_flow_cell(tx, &flow_cell)?;
            let done = act_of(&handling, &flow_cell, &act);
            rows::add_flow_cell_act(tx, &flow_cell.id, &done)?;
            let event = act
                .publisher
                .flow_cell_handled(&flow_cell, handling, &done)?;
            Ok((flow_cell, vec![event]))
        })
        .await
    }

    /// One flow cell, and what was done with it, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn flow_cell(&self, id: String) -> Result<(FlowCell, Vec<FlowCellAct>)> {
        self.read(move |tx| {
            let flow_cell = rows::get_flow_cell(tx, &id)?;
            Ok((flow_cell, rows::flow_cell_acts(tx, &id)?))
        })
        .await
    }

    /// One page of flow cells, the newest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn flow_cells(
        &self,
        filter: FlowCellFilter,
        page: Page,
    ) -> Result<(Vec<FlowCell>, u64)> {
        self.read(move |tx| rows::list_flow_cells(tx, &filter, page))
            .await
    }

    /// The flow cells that a sample was on, the first one first.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn flow_cells_of(&self, sample_id: String) -> Result<Vec<FlowCell>> {
        self.read(move |tx| rows::flow_cells_of(tx, &sample_id))
            .await
    }
}

/// Checks what is said.
fn check(handling: &Handling) -> Result<()> {
    let mut errors = FieldErrors::default();
    let notes = match handling {
        Handling::Load {
            sample_ids,
            pores,
            volume,
            notes,
            ..
        } => {
            if !(1..=SAMPLES_MAX).contains(&sample_ids.len()) {
                let text = format!("has {} ids, not 1 to {SAMPLES_MAX}", sample_ids.len());
                errors.add("sampleIds", text);
            }
            if volume.is_some_and(|it| !(it > 0.0 && it <= VOLUME_MAX)) {
                errors.add("volume", format!("must be above 0, to {VOLUME_MAX} µL"));
            }
            check_pores(&mut errors, *pores);
            notes
        }
        Handling::Check { pores, notes } => {
            check_pores(&mut errors, Some(*pores));
            notes
        }
        Handling::Wash { pores, notes } => {
            check_pores(&mut errors, *pores);
            notes
        }
        Handling::Retire { reason, .. } => return check_said("reason", reason),
    };
    match errors.0.is_empty() {
        true => check_text("notes", notes.as_deref().unwrap_or_default()),
        false => Err(errors.into()),
    }
}

fn check_pores(errors: &mut FieldErrors, pores: Option<u32>) {
    if pores.is_some_and(|it| it > PORES_MAX) {
        errors.add("pores", format!("must be a whole number, 0 to {PORES_MAX}"));
    }
}

/// The life of a flow cell after something was done with it.
fn life_after(tx: &Transaction<'_>, flow_cell: &FlowCell, handling: &Handling) -> Result<Life> {
    let before = flow_cell.life();
    let after = match handling {
        Handling::Load {
            sample_ids,
            instrument,
            pores,
            ..
        } => {
            check_loaded(tx, sample_ids, instrument.as_deref())?;
            before.loaded(rule_of(tx, &flow_cell.product)?, *pores)
        }
        Handling::Check { pores, .. } => before.checked(*pores),
        Handling::Wash { pores, .. } => before.washed(*pores),
        Handling::Retire { outcome, .. } => before.ended(*outcome),
    };
    after.map_err(|errors| conflict("flow cell cannot be used so", errors))
}

/// The rule of a product. One that cannot be read is no rule: it was checked when it was entered.
fn rule_of(tx: &Transaction<'_>, product: &str) -> Result<ReuseRule> {
    let item = rows::find_item(tx, Kind::FlowCell, product)?;
    Ok(item
        .and_then(|it| ReuseRule::read(&it.attributes).ok())
        .unwrap_or_default())
}

/// Samples that are loaded are there and not on hold, each once, and the sequencer is one of the catalogue.
fn check_loaded(
    tx: &Transaction<'_>,
    sample_ids: &[String],
    instrument: Option<&str>,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    if let Some(name) = instrument
        && !rows::find_item(tx, Kind::Instrument, name)?.is_some_and(|it| it.is_active)
    {
        let name = name.escape_debug();
        let text = format!("`{name}` is not an active instrument of the catalogue");
        errors.add("instrument", text);
    }
    for (index, id) in sample_ids.iter().enumerate() {
        let field = format!("sampleIds[{index}]");
        if sample_ids.iter().take(index).any(|it| it == id) {
            errors.add(field, "is given twice");
            continue;
        }
        match rows::find_sample(tx, id)? {
            None => errors.add(field, "is no sample"),
            Some(sample) if sample.hold.is_some() => {
                errors.add(field, "is on hold; release it first");
            }
            Some(sample) if sample.status == Status::Archived => errors.add(field, "is archived"),
            Some(_) => {}
        }
    }
    match errors.0.is_empty() {
        true => Ok(()),
        false => Err(errors.into()),
    }
}

fn done(action: &str, act: &Act<'_>) -> FlowCellAct {
    FlowCellAct {
        action: action.to_owned(),
        load_number: None,
        pores: None,
        volume: None,
        instrument: None,
        position: None,
        notes: None,
        sample_ids: Vec::new(),
        created_at: act.now,
        created_by: act.user_id().to_owned(),
    }
}

/// What is kept of what was done.
fn act_of(handling: &Handling, flow_cell: &FlowCell, act: &Act<'_>) -> FlowCellAct {
    let load_number = (flow_cell.loads > 0).then_some(flow_cell.loads);
    match handling.clone() {
        Handling::Load {
            sample_ids,
            instrument,
            position,
            pores,
            volume,
            notes,
        } => FlowCellAct {
            load_number,
            pores,
            volume,
            instrument,
            position,
            notes,
            sample_ids,
            ..done("loaded", act)
        },
        Handling::Check { pores, notes } => FlowCellAct {
            load_number,
            pores: Some(pores),
            notes,
            ..done("checked", act)
        },
        Handling::Wash { pores, notes } => FlowCellAct {
            load_number,
            pores,
            notes,
            ..done("washed", act)
        },
        Handling::Retire { outcome, reason } => FlowCellAct {
            load_number,
            notes: Some(reason),
            ..done(outcome.as_str(), act)
        },
    }
}
