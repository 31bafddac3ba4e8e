//! Asks a running server over HTTP, for the commands that look after it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::cli::Failure;

/// Longest time to wait for an answer to begin, or to go on.
const PATIENCE: Duration = Duration::from_mins(5);
/// Largest answer that is taken as a whole; exports are not.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A server, by its address.
#[derive(Debug)]
pub(crate) struct Client {
    url: String,
    authority: String,
    /// The task that carries the requests.
    connections: TaskTracker,
}

impl Client {
    /// The server at `url`, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let wrong = || Failure::new(format!("`{url}` is not like `http://127.0.0.1:8080`"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        let authority = uri.authority().filter(|_| is_plain).ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            url: url.to_owned(),
            authority: format!("{}:{port}", authority.host()),
            connections: TaskTracker::new(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    /// What the server says of how it is: with 503 where not all is well.
    pub(crate) async fn health(&self, path: &str) -> Result<Value, Failure> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        let status = response.status();
        let bytes = self.whole(response).await?;
        let told: Value = serde_json::from_slice(&bytes).map_err(|error| self.failed(&error))?;
        match told.get("issues").is_some_and(Value::is_array) {
            true => Ok(told),
            false => Err(refused(status, &told)),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::new(format!("cannot ask for `{path}`: {error}")))?;
        self.json(Method::POST, path, body.into()).await
    }

    /// Sends something of another kind than JSON.
    pub(crate) async fn post_as(
        &self,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let response = self.send_as(Method::POST, path, kind, body.into()).await?;
        self.answer(response).await
    }

    /// Sends lines of JSON.
    pub(crate) async fn post_lines(&self, path: &str, lines: Vec<u8>) -> Result<Value, Failure> {
        self.json(Method::POST, path, lines.into()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::DELETE, path, Bytes::new()).await
    }

    /// Hands the bytes of an answer to `take` as they come.
    pub(crate) async fn stream(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let mut body = response.into_body();
        while let Some(frame) = self.in_time(body.frame()).await? {
            let frame = frame.map_err(|error| self.failed(&error))?;
            if let Ok(bytes) = frame.into_data() {
                take(&bytes).map_err(|error| Failure::new(format!("cannot write: {error}")))?;
            }
        }
        Ok(())
    }

    async fn json(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failure> {
        let response = self.send(method, path, body).await?;
        self.answer(response).await
    }

    async fn answer(&self, response: Response<Incoming>) -> Result<Value, Failure> {
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let bytes = self.whole(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.failed(&error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        self.send_as(method, path, "application/json", body).await
    }

    async fn send_as(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, &self.authority)
            .header(hyper::header::CONTENT_TYPE, kind)
            .body(Full::new(body))
            .map_err(|error| Failure::new(format!("cannot ask for `{path}`: {error}")))?;
        let stream = self
            .in_time(TcpStream::connect(&self.authority))
            .await?
            .map_err(|error| {
                Failure::new(format!(
                    "no server answers at {}: {error}; start one with `sagabus serve`, or name another with --url",
                    self.url
                ))
            })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.failed(&error))?;
        // It ends with the answer; what goes wrong with it is told there.
        self.connections.spawn(connection);
        self.in_time(sender.send_request(request))
            .await?
            .map_err(|error| self.failed(&error))
    }

    async fn refusal(&self, response: Response<Incoming>) -> Failure {
        let status = response.status();
        let problem = match self.whole(response).await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            Err(failure) => return failure,
        };
        refused(status, &problem)
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let collected = self.in_time(body.collect()).await?;
        Ok(collected
            .map_err(|error| self.failed(error.as_ref()))?
            .to_bytes())
    }

    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
            Failure::new(format!(
                "no answer from {} in {} s; what was asked for may have been done",
                self.url,
                PATIENCE.as_secs()
            ))
        })
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::new(format!("the answer of {} broke off: {error}", self.url))
    }
}

fn refused(status: StatusCode, problem: &Value) -> Failure {
    let detail = problem.get("detail").and_then(Value::as_str);
    Failure {
        text: detail.map_or_else(|| format!("the server answers {status}"), str::to_owned),
        // What is asked for is wrong, or the server cannot do it now.
        code: if status == StatusCode::BAD_REQUEST {
            2
        } else {
            1
        },
    }
}

/// A text as a part of a path or query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
