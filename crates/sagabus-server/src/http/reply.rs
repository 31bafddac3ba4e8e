//! What is answered before a route is asked: who is let in, and that every refusal has one form.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use http_api::{Failure, respond};
use nanopore::problem::Problem;
use sagabus::Error;

/// Most bytes kept of a refusal's text.
const PLAIN_BYTES_MAX: usize = 4096;

/// A path that leads nowhere.
pub(super) async fn no_such_route() -> Failure {
    Error::not_found("there is no such path; README.md lists them").into()
}

/// Gives refusals that the framework makes by itself (wrong method, body too large, path not UTF-8) the form of all
/// others.
pub(super) async fn problems_only(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|it| it.as_bytes().starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, PLAIN_BYTES_MAX)
        .await
        .unwrap_or_default();
    let detail = match String::from_utf8_lossy(&text).trim() {
        "" => status.canonical_reason().unwrap_or("refused").to_owned(),
        text => text.to_owned(),
    };
    let mut problem = Problem::from(&Error::invalid(detail));
    problem.status = status.as_u16();
    let mut answer = respond(&problem);
    if let Some(methods) = parts.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, methods.clone());
    }
    answer
}

/// Refuses requests that name another host: a web page elsewhere that points its own name at this machine.
pub(super) async fn local_host_only(request: Request, next: Next) -> Response {
    if is_local(request.headers()) {
        return next.run(request).await;
    }
    let mut problem = Problem::from(&Error::invalid(
        "this server answers only to localhost; the Host or Origin header names another host",
    ));
    problem.status = StatusCode::FORBIDDEN.as_u16();
    respond(&problem)
}

fn is_local(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        let host = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .unwrap_or(text);
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|it| it.is_ascii_digit()))
            .map_or(host, |(name, _)| name);
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it))
    };
    headers.get_all(header::HOST).iter().all(named)
        && headers.get_all(header::ORIGIN).iter().all(named)
}

#[cfg(test)]
mod tests;
