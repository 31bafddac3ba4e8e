//! A document over HTTP: streamed into the folder of uploads, then put into the queue.

use axum::Json;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use http_api::{Caller, Reply};
use nanopore::events::ai::Method;
use nanopore::problem::{BROKEN_FORM, NO_FORM};
use nanopore::sample::{FieldErrors, check_file_name};
use sagabus::Error;
use serde_json::json;

use crate::model::method_from_word;
use crate::processing::ProcessRequest;
use crate::refusal::Refused;
use crate::service::AiService;
use crate::uploads::{Upload, UploadTooLarge};

/// Longest text field, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// What the body says.
#[derive(Debug, Default)]
struct Said {
    file_name: String,
    file: Option<Upload>,
    submission_id: Option<String>,
    sample_id: Option<String>,
    method: Option<String>,
}

pub(super) async fn pdf(
    State(service): State<AiService>,
    caller: Caller,
    body: Result<Multipart, MultipartRejection>,
) -> Reply<impl IntoResponse> {
    let body = body.map_err(|_| Error::invalid(NO_FORM))?;
    let cause = caller.cause(&*service.clock);
    let mut said = Said::default();
    if let Err(error) = read(&service, body, &mut said).await {
        return Err(refused(&service, said, &caller, error).await?.into());
    }
    let upload = said
        .file
        .ok_or_else(|| FieldErrors::one("file", "is required"))?;
    let request = ProcessRequest {
        file_id: upload.file_id,
        file_name: said.file_name,
        submission_id: said.submission_id,
        sample_id: said.sample_id,
        user_id: caller.user_id().map(str::to_owned),
        method: said.method.as_deref().map(method).transpose()?,
        cause,
    };
    let job = service.submit(request).await?;
    let url = format!("/api/jobs/{}", job.id);
    let answer = json!({
        "jobId": job.id,
        "status": job.status,
        "statusUrl": url,
        "fileId": job.file_id,
        "fileName": job.file_name,
        "fileSize": job.file_size,
        "correlationId": job.correlation_id,
    });
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, url)],
        Json(answer),
    ))
}

fn method(word: &str) -> Result<Method, FieldErrors> {
    method_from_word(word).ok_or_else(|| {
        let text = format!("has no value `{}`", word.escape_debug());
        FieldErrors::one("method", text)
    })
}

/// Keeps a document for later: it is read when something names it.
pub(super) async fn keep_only(
    State(service): State<AiService>,
    caller: Caller,
    body: Result<Multipart, MultipartRejection>,
) -> Reply<impl IntoResponse> {
    let body = body.map_err(|_| Error::invalid(NO_FORM))?;
    let mut said = Said::default();
    if let Err(error) = read(&service, body, &mut said).await {
        return Err(refused(&service, said, &caller, error).await?.into());
    }
    for (field, given) in [
        ("submissionId", said.submission_id),
        ("sampleId", said.sample_id),
        ("method", said.method),
    ] {
        if given.is_some() {
            return Err(FieldErrors::one(field, "is not a field here").into());
        }
    }
    let upload = said
        .file
        .ok_or_else(|| FieldErrors::one("file", "is required"))?;
    let answer = json!({
        "fileId": upload.file_id.as_str(),
        "fileName": said.file_name,
        "fileSize": upload.bytes,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// What to answer when a body could not be taken. A file that is too large is told of as an event too.
async fn refused(
    service: &AiService,
    said: Said,
    caller: &Caller,
    error: Error,
) -> Result<Error, Error> {
    if !UploadTooLarge::is_cause_of(&error) {
        return Ok(error);
    }
    let refused = Refused {
        file_name: said.file_name,
        submission_id: said.submission_id,
        sample_id: said.sample_id,
        user_id: caller.user_id().map(str::to_owned),
        cause: caller.cause(&*service.clock),
    };
    service.refuse_too_large(refused).await
}

async fn read(service: &AiService, mut body: Multipart, said: &mut Said) -> Result<(), Error> {
    while let Some(field) = body.next_field().await.map_err(|it| unreadable(&it))? {
        let name = field.name().unwrap_or_default().to_owned();
        let twice = match name.as_str() {
            "file" => {
                said.file_name = field.file_name().unwrap_or("document.pdf").to_owned();
                // Before what may be 50 MiB is taken.
                check_file_name(&said.file_name)
                    .map_err(|message| FieldErrors::one("fileName", message))?;
                let upload = keep(service, field).await?;
                said.file.replace(upload).is_some()
            }
            "submissionId" => said.submission_id.replace(text(field).await?).is_some(),
            "sampleId" => said.sample_id.replace(text(field).await?).is_some(),
            "method" => said.method.replace(text(field).await?).is_some(),
            _ => {
                let name = name.escape_debug().take(100).collect::<String>();
                return Err(FieldErrors::one(name, "is not a field here").into());
            }
        };
        if twice {
            return Err(FieldErrors::one(name, "is given twice").into());
        }
    }
    Ok(())
}

async fn keep(service: &AiService, mut field: Field<'_>) -> Result<Upload, Error> {
    let mut upload = service.begin_upload()?;
    while let Some(chunk) = field.chunk().await.map_err(|it| unreadable(&it))? {
        upload.write(chunk).await?;
    }
    upload.finish().await
}

async fn text(mut field: Field<'_>) -> Result<String, Error> {
    let name = field.name().unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|it| unreadable(&it))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > TEXT_BYTES_MAX {
            let message = format!("has more than {TEXT_BYTES_MAX} bytes");
            return Err(FieldErrors::one(name, message).into());
        }
    }
    String::from_utf8(bytes).map_err(|_| FieldErrors::one(name, "is not UTF-8").into())
}

fn unreadable(error: &MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return UploadTooLarge.into();
    }
    Error::invalid(BROKEN_FORM)
}
