//! Takes a submission form.

use ai_service::{Refused, UploadTooLarge, UploadWriter};
use axum::Json;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_api::Reply;
use nanopore::problem::{BROKEN_FORM, NO_FORM};
use nanopore::sample::{FieldErrors, check_file_name};
use sagabus::Error;
use sagabus::event::Cause;
use serde_json::json;

use super::App;
use crate::intake::{self, Form};

/// Longest key of a request, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longest text field, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// `POST /api/submissions`: multipart with `file`, and `submitterName`, `submitterEmail` where the form lacks them.
/// Answers when the submission and its saga are stored; what becomes of it is seen at `GET /api/submissions/{id}`.
pub(super) async fn submit(
    State(app): State<App>,
    headers: HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Reply<Response> {
    let mut multipart = multipart.map_err(|_| Error::invalid(NO_FORM))?;
    let mut form = form_of(&headers)?;
    let mut file: Option<UploadWriter> = None;
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" if file.is_some() => {
                return Err(Error::invalid("field `file` is there twice; send one form").into());
            }
            "submitterName" if form.submitter_name.is_some() => return Err(twice(&name).into()),
            "submitterEmail" if form.submitter_email.is_some() => return Err(twice(&name).into()),
            "file" => {
                form.file_name = field.file_name().unwrap_or("form.pdf").to_owned();
                // Before what may be 50 MiB is taken.
                check_file_name(&form.file_name)
                    .map_err(|message| Error::from(FieldErrors::one("fileName", message)))?;
                let (upload, bytes) = match write(&app, field).await {
                    Ok(written) => written,
                    Err(error) => return Err(refused(&app, form, error).await?.into()),
                };
                if bytes == 0 {
                    return Err(Error::invalid("field `file` is empty").into());
                }
                file = Some(upload);
            }
            "submitterName" => form.submitter_name = Some(text(&name, field).await?),
            "submitterEmail" => form.submitter_email = Some(text(&name, field).await?),
            other => {
                return Err(Error::invalid(format!(
                    "field `{}` is not known; there are `file`, `submitterName`, `submitterEmail`",
                    other.escape_debug()
                ))
                .into());
            }
        }
    }
    let Some(file) = file else {
        return Err(Error::invalid("field `file` is missing").into());
    };
    // Kept only now that all fields are good.
    form.file_id = match file.finish().await {
        Ok(upload) => upload.file_id.as_str().to_owned(),
        Err(error) => return Err(refused(&app, form, error).await?.into()),
    };
    let taken = intake::submit(&app.system, form).await?;
    let place = format!("/api/submissions/{}", taken.submission.id);
    let body = json!({
        "submissionId": taken.submission.id,
        "submissionNumber": taken.submission.number,
        "sagaId": taken.saga.as_str(),
        "correlationId": taken.correlation_id,
        "submission": place,
        "saga": format!("/api/sagas/{}", taken.saga),
    });
    Ok((StatusCode::ACCEPTED, [("location", place)], Json(body)).into_response())
}

/// What the headers say of a form.
fn form_of(headers: &HeaderMap) -> Result<Form, Error> {
    let header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let form = Form {
        file_name: String::new(),
        file_id: String::new(),
        submitter_name: None,
        submitter_email: None,
        user_id: header("x-user-id"),
        idempotency_key: header("idempotency-key"),
    };
    if (form.idempotency_key.as_ref()).is_some_and(|key| !(1..=KEY_BYTES_MAX).contains(&key.len()))
    {
        let text = format!("header `Idempotency-Key` must have 1 to {KEY_BYTES_MAX} bytes");
        return Err(Error::invalid(text));
    }
    Ok(form)
}

fn twice(field: &str) -> Error {
    Error::invalid(format!("field `{field}` is there twice"))
}

/// Writes a file away as it arrives, so that it never is in memory as a whole; how many bytes it has.
async fn write(app: &App, mut field: Field<'_>) -> Result<(UploadWriter, usize), Error> {
    let mut upload = app.system.services.ai()?.begin_upload()?;
    let mut bytes = 0;
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        bytes += chunk.len();
        upload.write(chunk).await?;
    }
    Ok((upload, bytes))
}

/// What to answer when a file could not be taken. One that is too large is told of as an event too.
async fn refused(app: &App, form: Form, error: Error) -> Result<Error, Error> {
    if !UploadTooLarge::is_cause_of(&error) {
        return Ok(error);
    }
    let refused = Refused {
        file_name: form.file_name,
        submission_id: None,
        sample_id: None,
        user_id: form.user_id,
        cause: Cause::new(None, app.system.clock.as_ref()),
    };
    app.system.services.ai()?.refuse_too_large(refused).await
}

/// A field's bytes; `None` when there are more than `bytes_max`, which are then not read.
async fn read(mut field: Field<'_>, bytes_max: usize) -> Result<Option<Bytes>, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

async fn text(name: &str, field: Field<'_>) -> Result<String, Error> {
    let bytes = read(field, TEXT_BYTES_MAX)
        .await?
        .ok_or_else(|| Error::invalid(format!("`{name}` has more than {TEXT_BYTES_MAX} bytes")))?;
    String::from_utf8(bytes.to_vec())
        .map_err(|error| Error::invalid(format!("`{name}` is not UTF-8")).with_source(error))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
fn broken(error: MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return UploadTooLarge.into();
    }
    Error::invalid(BROKEN_FORM)
}
