//! One call over plain HTTP: JSON there and back.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::settings::ModelUrl;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallError {
    /// For a person; no part of what was asked or answered.
    pub(super) text: String,
    /// Whether another call may have one.
    pub(super) may_pass: bool,
    /// When the other side wants the next call.
    pub(super) retry_after: Option<Duration>,
}

impl CallError {
    /// One that may pass.
    pub(super) fn passing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            may_pass: true,
            retry_after: None,
        }
    }

    fn lasting(text: impl Into<String>) -> Self {
        Self {
            may_pass: false,
            ..Self::passing(text)
        }
    }
}

/// Sends JSON and reads JSON.
pub(super) async fn post(
    url: &ModelUrl,
    path: &str,
    body: &Value,
    connections: &TaskTracker,
) -> Result<Value, CallError> {
    let request = Request::post(format!("{}{path}", url.path))
        .header(header::HOST, &url.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| CallError::lasting(format!("it cannot be asked: {error}")))?;
    let stream = TcpStream::connect(&url.authority).await;
    let stream = stream.map_err(|error| CallError::passing(format!("no connection: {error}")))?;
    let broken = |error: hyper::Error| CallError::passing(format!("connection broke: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // It ends with the answer, or with the caller; what goes wrong with it is told there.
    connections.spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        return Err(refused(head.status, head.headers.get(header::RETRY_AFTER)));
    }
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body =
        body.map_err(|error| CallError::passing(format!("answer cannot be read: {error}")))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|_| CallError::passing("its answer is not JSON"))
}

/// What a status that is no success says. A redirect is not followed.
fn refused(status: StatusCode, retry_after: Option<&header::HeaderValue>) -> CallError {
    let text = format!("it answered {}", status.as_u16());
    let is_busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if !status.is_server_error() && !is_busy {
        return CallError::lasting(text);
    }
    let seconds = retry_after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
    CallError {
        retry_after: seconds.map(Duration::from_secs),
        ..CallError::passing(text)
    }
}
