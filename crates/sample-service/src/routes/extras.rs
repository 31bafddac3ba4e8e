//! Details, attachments and the catalogue over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use http_api::Field;
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::query::not_known;
use nanopore::sample::{Details, FieldErrors, Item, Kind};
use sagabus::Error;

use super::actor::actor;
use super::fields::queries;
use crate::model::{Attachment, NewAttachment, Owner};
use crate::service::SampleService;

/// The parameters of a catalogue.
const CATALOGUE: [&str; 1] = Field::names(&queries::CATALOGUE);

type Service = State<SampleService>;

pub(super) async fn details(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Details>> {
    Ok(Json(service.details(id).await?))
}

pub(super) async fn set_details(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    Body(patch): Body,
) -> Reply<impl IntoResponse> {
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let (sample, details) = service.set_details(id, patch, expected, actor).await?;
    let tag = format!("\"{}\"", sample.version);
    Ok(([(header::ETAG, tag)], Json(details)))
}

async fn attachments(service: &SampleService, owner: Owner) -> Reply<Json<Vec<Attachment>>> {
    Ok(Json(service.attachments(owner).await?))
}

async fn attach(
    service: &SampleService,
    owner: Owner,
    caller: Caller,
    body: &Body,
) -> Reply<(StatusCode, Json<Attachment>)> {
    body.only(&["fileId", "fileName", "fileType", "description"])?;
    let file = NewAttachment {
        file_id: body.text("fileId")?,
        file_name: body.text("fileName")?,
        file_type: body
            .text_option("fileType")?
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
        description: body.text_option("description")?,
    };
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let attachment = service.attach(owner, file, expected, actor).await?;
    Ok((StatusCode::CREATED, Json(attachment)))
}

pub(super) async fn of_sample(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Vec<Attachment>>> {
    attachments(&service, Owner::Sample(id)).await
}

pub(super) async fn of_submission(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Vec<Attachment>>> {
    attachments(&service, Owner::Submission(id)).await
}

pub(super) async fn attach_to_sample(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<(StatusCode, Json<Attachment>)> {
    attach(&service, Owner::Sample(id), caller, &body).await
}

pub(super) async fn attach_to_submission(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<(StatusCode, Json<Attachment>)> {
    attach(&service, Owner::Submission(id), caller, &body).await
}

pub(super) async fn detach_from_sample(
    State(service): Service,
    Path((of, id)): Path<(String, String)>,
    caller: Caller,
) -> Reply<StatusCode> {
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let detach = service.detach(Owner::Sample(of), id, expected, actor);
    detach.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn detach_from_submission(
    State(service): Service,
    Path((of, id)): Path<(String, String)>,
    caller: Caller,
) -> Reply<StatusCode> {
    let actor = actor(&caller, &*service.clock);
    let detach = service.detach(Owner::Submission(of), id, None, actor);
    detach.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn kind(word: &str) -> Result<Kind, Error> {
    Kind::from_word(word).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::as_str).join(", ");
        let word = word.escape_debug();
        Error::not_found(format!(
            "catalogue of `{word}` does not exist; there are {words}"
        ))
    })
}

pub(super) async fn items(
    State(service): Service,
    Path(word): Path<String>,
    Pairs(pairs): Pairs,
) -> Reply<Json<Vec<Item>>> {
    let kind = kind(&word)?;
    FieldErrors::check_once(&pairs, &[])?;
    let mut is_active = None;
    for (name, value) in &pairs {
        is_active = match (name.as_str(), value.as_str()) {
            ("active", "true") => Some(true),
            ("active", "false") => Some(false),
            ("active", _) => {
                return Err(FieldErrors::one("active", "must be `true` or `false`").into());
            }
            (name, _) => return Err(FieldErrors::one(name, not_known(&CATALOGUE)).into()),
        };
    }
    Ok(Json(service.catalogue(kind, is_active).await?))
}

pub(super) async fn add_item(
    State(service): Service,
    Path(word): Path<String>,
    caller: Caller,
    Body(fields): Body,
) -> Reply<(StatusCode, Json<Item>)> {
    let kind = kind(&word)?;
    let actor = actor(&caller, &*service.clock);
    let item = service.add_item(kind, &fields, actor).await?;
    Ok((StatusCode::CREATED, Json(item)))
}

pub(super) async fn change_item(
    State(service): Service,
    Path((word, name)): Path<(String, String)>,
    caller: Caller,
    Body(patch): Body,
) -> Reply<Json<Item>> {
    let kind = kind(&word)?;
    let actor = actor(&caller, &*service.clock);
    Ok(Json(service.change_item(kind, name, patch, actor).await?))
}
