//! Flow cells over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::sample::FieldErrors;
use nanopore::sample::flow_cell::FlowCellState;
use sagabus::Error;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::actor::actor;
use crate::model::{FlowCell, FlowCellAct, FlowCellFilter, Handling};
use crate::service::SampleService;

type Service = State<SampleService>;

/// One page of flow cells.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlowCells {
    flow_cells: Vec<FlowCell>,
    total: u64,
    page: u32,
    limit: u32,
}

/// A flow cell with what was done with it.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Life {
    #[serde(flatten)]
    flow_cell: FlowCell,
    history: Vec<FlowCellAct>,
}

/// A flow cell with its version as entity tag.
fn tagged(status: StatusCode, flow_cell: FlowCell) -> impl IntoResponse {
    let tag = format!("\"{}\"", flow_cell.version);
    (status, [(header::ETAG, tag)], Json(flow_cell))
}

pub(super) async fn list(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<FlowCells>> {
    let (filter, page) = FlowCellFilter::read(pairs)?;
    let (flow_cells, total) = service.flow_cells(filter, page).await?;
    Ok(Json(FlowCells {
        flow_cells,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

pub(super) async fn register(
    State(service): Service,
    caller: Caller,
    body: Body,
) -> Reply<impl IntoResponse> {
    body.only(&["id", "product", "pores"])?;
    let (id, product) = (body.text("id")?, body.text("product")?);
    let pores = body.count_option("pores")?;
    let actor = actor(&caller, &*service.clock);
    let flow_cell = service
        .register_flow_cell(id, product, pores, actor)
        .await?;
    Ok(tagged(StatusCode::CREATED, flow_cell))
}

pub(super) async fn read(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<impl IntoResponse> {
    let (flow_cell, history) = service.flow_cell(id).await?;
    let tag = format!("\"{}\"", flow_cell.version);
    Ok(([(header::ETAG, tag)], Json(Life { flow_cell, history })))
}

pub(super) async fn of_sample(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Vec<FlowCell>>> {
    Ok(Json(service.flow_cells_of(id).await?))
}

pub(super) async fn handle(
    State(service): Service,
    Path((id, act)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Reply<impl IntoResponse> {
    let handling = match act.as_str() {
        "load" => load(&body)?,
        "check" => {
            body.only(&["pores", "notes"])?;
            Handling::Check {
                pores: body
                    .count_option("pores")?
                    .ok_or_else(|| FieldErrors::one("pores", "is required"))?,
                notes: body.text_option("notes")?,
            }
        }
        "wash" => {
            body.only(&["pores", "notes"])?;
            Handling::Wash {
                pores: body.count_option("pores")?,
                notes: body.text_option("notes")?,
            }
        }
        "retire" => {
            body.only(&["outcome", "reason"])?;
            let word = body.text("outcome")?;
            let outcome = FlowCellState::from_word(&word).filter(|it| it.is_over());
            Handling::Retire {
                outcome: outcome.ok_or_else(|| {
                    FieldErrors::one("outcome", "must be `used_up` or `returned`")
                })?,
                reason: body.text("reason")?,
            }
        }
        other => {
            let other = other.escape_debug();
            let text = format!("act `{other}` does not exist; there are load, check, wash, retire");
            return Err(Error::not_found(text).into());
        }
    };
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let flow_cell = service
        .handle_flow_cell(id, handling, expected, actor)
        .await?;
    Ok(tagged(StatusCode::OK, flow_cell))
}

fn load(body: &Body) -> Result<Handling, FieldErrors> {
    body.only(&[
        "sampleIds",
        "instrument",
        "position",
        "pores",
        "volume",
        "notes",
    ])?;
    let ids = body.0.get("sampleIds").and_then(Value::as_array);
    let ids = ids.ok_or_else(|| FieldErrors::one("sampleIds", "must be a list of ids"))?;
    let ids: Option<Vec<String>> = ids
        .iter()
        .map(|it| it.as_str().map(str::to_owned))
        .collect();
    let volume = match body.0.get("volume") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_f64()
                .ok_or_else(|| FieldErrors::one("volume", "must be a number"))?,
        ),
    };
    Ok(Handling::Load {
        sample_ids: ids.ok_or_else(|| FieldErrors::one("sampleIds", "must be texts"))?,
        instrument: body.text_option("instrument")?,
        position: body.text_option("position")?,
        pores: body.count_option("pores")?,
        volume,
        notes: body.text_option("notes")?,
    })
}
