//! Tables and lists of samples over HTTP: import, export, the sample sheet.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_api::Field;
use http_api::{Body, Caller, Pairs, Reply, unreadable};
use nanopore::problem::OtherFormat;
use nanopore::query::not_known;
use nanopore::sample::sheet::Run;
use nanopore::sample::{FieldErrors, check_file_name};
use sagabus::Error;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::actor::actor;
use super::fields::queries;
use crate::model::{Filter, Row, Submission, SubmissionKind, Table};
use crate::service::{Ingest, Mode, Report, SampleService, SheetSample, csv_of};

/// Longest key of a request, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// What can be said for all rows at once.
const COMMON: [&str; 9] = [
    "submitterName",
    "submitterEmail",
    "labName",
    "projectId",
    "sampleType",
    "priority",
    "chartField",
    "serviceType",
    "libraryKit",
];

/// The parameters of an import: what is to become of the table, and [`COMMON`].
const IMPORT: [&str; 13] = Field::names(&queries::IMPORT);
/// The parameters of an export: the filters of the list without its pages, and the format.
const EXPORT: [&str; 16] = Field::names(&queries::EXPORT);

/// What became of rows.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Taken {
    /// Whether nothing was stored.
    preview: bool,
    /// What became, or would become, of each row.
    #[schemars(with = "Report")]
    report: Value,
    /// What was made of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<Submission>,
}

type Service = State<SampleService>;

/// `POST /submissions/import`: the body is a table; the query says what is to become of it, and what holds for all rows.
pub(super) async fn import(
    State(service): Service,
    headers: HeaderMap,
    Pairs(pairs): Pairs,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Reply<Response> {
    FieldErrors::check_once(&pairs, &[])?;
    let kind = headers.get(header::CONTENT_TYPE);
    OtherFormat::check_charset(kind.map(HeaderValue::as_bytes)).map_err(Error::from)?;
    let document = body.map_err(unreadable)?;
    let sent = sent(&document, &pairs);
    let (mut preview, mut accept) = (None, None);
    let mut file_name = None;
    let mut project_id = None;
    let mut common = Map::new();
    for (name, value) in pairs {
        match name.as_str() {
            "preview" => preview = Some(value),
            "accept" => accept = Some(value),
            "fileName" => file_name = Some(value),
            "project" => project_id = Some(value),
            known if COMMON.contains(&known) => {
                common.insert(name, value.into());
            }
            _ => return Err(FieldErrors::one(name, not_known(&IMPORT)).into()),
        }
    }
    let ingest = Ingest {
        id: id_of_key(&headers)?,
        kind: SubmissionKind::Csv,
        file_name: file_name.unwrap_or_else(|| Table::default_name(&document).to_owned()),
        file_id: sent,
        project_id,
        rows_are: "rows",
        mode: mode(preview.as_deref(), accept.as_deref())?,
    };
    // Unpacking and reading a workbook takes a while.
    let reading = tokio::task::spawn_blocking(move || Table::read(&document, &common));
    let table = reading
        .await
        .map_err(|error| Error::closed("the table is not read").with_source(error))??;
    let actor = actor(&caller, &*service.clock);
    take(&service, ingest, table, actor).await
}

/// `POST /submissions/ingest`: the same for a list of samples as JSON.
pub(super) async fn ingest(
    State(service): Service,
    headers: HeaderMap,
    caller: Caller,
    mut body: Body,
) -> Reply<Response> {
    let samples = body.0.remove("samples");
    body.only(&["preview", "accept", "name", "project"])?;
    let Some(Value::Array(samples)) = samples else {
        return Err(FieldErrors::one("samples", "must be a list of samples").into());
    };
    let preview = body.flag("preview")?.then_some("true");
    let accept = body.text_option("accept")?;
    let project = body.text_option("project")?.map(|it| ("project", it));
    let said = [accept.clone().map(|it| ("accept", it)), project];
    let said: Vec<_> = said
        .into_iter()
        .flatten()
        .map(|(name, it)| (name.to_owned(), it))
        .collect();
    let ingest = Ingest {
        id: id_of_key(&headers)?,
        kind: SubmissionKind::Manual,
        file_name: body
            .text_option("name")?
            .unwrap_or_else(|| "by hand".to_owned()),
        file_id: sent(Value::Array(samples.clone()).to_string().as_bytes(), &said),
        project_id: body.text_option("project")?,
        rows_are: "samples",
        mode: mode(preview, accept.as_deref())?,
    };
    let table = Table {
        columns: Vec::new(),
        rows: samples.into_iter().map(Row::of_json).collect(),
    };
    let actor = actor(&caller, &*service.clock);
    take(&service, ingest, table, actor).await
}

async fn take(
    service: &SampleService,
    ingest: Ingest,
    table: Table,
    actor: crate::Actor,
) -> Reply<Response> {
    if let Err(message) = check_file_name(&ingest.file_name) {
        return Err(FieldErrors::one("fileName", message).into());
    }
    let outcome = service.ingest(ingest, table.columns, table.rows, actor);
    let (submission, report) = outcome.await?;
    Ok(match submission {
        None => {
            let taken = Taken {
                preview: true,
                report,
                submission: None,
            };
            Json(taken).into_response()
        }
        Some(submission) => {
            let place = format!("/api/submissions/{}", submission.id);
            // The report is the form of such a submission: it need not be there twice.
            let submission = Submission {
                form: None,
                ..submission
            };
            let taken = Taken {
                preview: false,
                report,
                submission: Some(submission),
            };
            let head = [(header::LOCATION, place)];
            (StatusCode::CREATED, head, Json(taken)).into_response()
        }
    })
}

fn mode(preview: Option<&str>, accept: Option<&str>) -> Result<Mode, FieldErrors> {
    let mode = match accept {
        None | Some("all") => Mode::All,
        Some("valid") => Mode::Valid,
        Some(_) => return Err(FieldErrors::one("accept", "must be `all` or `valid`")),
    };
    match preview {
        None | Some("false") => Ok(mode),
        Some("true") => Ok(Mode::Preview),
        Some(_) => Err(FieldErrors::one("preview", "must be `true` or `false`")),
    }
}

/// The id of the submission with this idempotency key: always the same one.
fn id_of_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        let text = format!("header `Idempotency-Key` must have 1 to {KEY_BYTES_MAX} bytes");
        return Err(Error::invalid(text));
    }
    let hash: String = digest(key.as_bytes()).chars().take(32).collect();
    Ok(Some(format!("key-{hash}")))
}

/// What tells one import from another: the digest of the document, and of what is said of all its rows where that is anything.
fn sent(document: &[u8], said: &[(String, String)]) -> String {
    let mut said: Vec<_> = said
        .iter()
        .filter(|(name, _)| !["preview", "fileName"].contains(&name.as_str()))
        .collect();
    said.sort_unstable();
    let mut hash = Sha256::new_with_prefix(document);
    for text in said.iter().flat_map(|(name, value)| [name, value]) {
        hash.update([0]);
        hash.update(text);
    }
    hex(&hash.finalize())
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `GET /samples/export`: the filters of the list, and `format`.
pub(super) async fn export(State(service): Service, Pairs(mut pairs): Pairs) -> Reply<Response> {
    FieldErrors::check_once(
        &pairs,
        &["status", "priority", "sampleType", "flowCellType"],
    )?;
    let index = pairs.iter().position(|(name, _)| name == "format");
    let format = index.map(|index| pairs.remove(index).1);
    let is_page = |name: &str| name == "page" || name == "limit";
    if let Some((name, _)) = pairs.iter().find(|(name, _)| is_page(name)) {
        return Err(FieldErrors::one(name.as_str(), not_known(&EXPORT)).into());
    }
    let (filter, _) = Filter::read(&pairs, 1, 1)?;
    let samples = service.export(filter).await?;
    let day: String = service.clock.now().to_string().chars().take(10).collect();
    let named = |kind: &str| {
        let place = format!("attachment; filename=\"nanopore-samples-{day}.{kind}\"");
        (header::CONTENT_DISPOSITION, place)
    };
    match format.as_deref() {
        None | Some("csv") => {
            let kind = (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned());
            Ok(([kind, named("csv")], csv_of(&samples)?).into_response())
        }
        Some("json") => Ok(([named("json")], Json(samples)).into_response()),
        Some(_) => Err(FieldErrors::one("format", "must be `csv` or `json`").into()),
    }
}

/// `POST /sample-sheets`: the sheet of a run, and what a person should look at.
pub(super) async fn sheet(State(service): Service, mut body: Body) -> Reply<Response> {
    let samples = body.0.remove("samples");
    body.only(&[
        "experimentId",
        "kit",
        "flowCellId",
        "positionId",
        "flowCellProductCode",
        "protocolRunId",
        "sampleId",
        "format",
    ])?;
    let run = Run {
        experiment_id: body.text("experimentId")?,
        kit: body.text("kit")?,
        flow_cell_id: body.text_option("flowCellId")?,
        position_id: body.text_option("positionId")?,
        flow_cell_product_code: body.text_option("flowCellProductCode")?,
        protocol_run_id: body.text_option("protocolRunId")?,
        sample_id: body.text_option("sampleId")?,
    };
    let format = body.text_option("format")?;
    let is_csv = match format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(FieldErrors::one("format", "must be `csv` or `json`").into()),
    };
    let Some(Value::Array(samples)) = samples else {
        return Err(FieldErrors::one("samples", "must be a list").into());
    };
    let mut wanted = Vec::with_capacity(samples.len());
    for (index, sample) in samples.into_iter().enumerate() {
        let prefix = format!("samples[{index}]");
        wanted.push(sheet_sample(sample).map_err(|errors| errors.inside(&prefix))?);
    }
    let sheet = service.sample_sheet(run, wanted).await?;
    Ok(match is_csv {
        true => (
            [(header::CONTENT_TYPE, "text/csv; charset=utf-8")],
            sheet.csv,
        )
            .into_response(),
        false => Json(sheet).into_response(),
    })
}

fn sheet_sample(value: Value) -> Result<SheetSample, FieldErrors> {
    let body = match value {
        Value::Object(fields) => Body(fields),
        Value::String(id) => {
            return Ok(SheetSample {
                id,
                ..SheetSample::default()
            });
        }
        _ => return Err(FieldErrors::one("id", "is required")),
    };
    body.only(&["id", "alias", "barcode", "type"])?;
    Ok(SheetSample {
        id: body.text("id")?,
        alias: body.text_option("alias")?,
        barcode: body.text_option("barcode")?,
        kind: body.text_option("type")?,
    })
}
