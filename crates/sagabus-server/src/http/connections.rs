//! Takes connections, and gives up on those that do not go on: a client that sends nothing must not keep others out.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::RequestBodyTimeout;

use super::stream::MEDIA_TYPE;

/// Connections at a time; others wait in the system's queue. Enough for browsers and scripts of one machine, and with
/// [`BUFFER_BYTES_MAX`] they bound the memory.
const CONNECTIONS_MAX: usize = 256;
/// Most bytes of a request that are held: its line and headers must fit.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Time for the line and headers of a request, and for the pause before the next one.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// Longest pause within a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the reader of a stream of events may take to be told that it is over.
const STREAM_END_MAX: Duration = Duration::from_millis(500);
/// Pause after a connection could not be taken, for one because the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `stop` fires and the open requests are answered.
///
/// # Cancel safety
/// Dropping the future cuts the connections that are left.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let _when_dropped = cut.clone().drop_guard();
    let next = async || {
        let turn = Arc::clone(&turns).acquire_owned().await.ok()?;
        Some((accept(&listener).await, turn))
    };
    while let Some(Some((stream, turn))) = stop.run_until_cancelled(next()).await {
        let served = serve_one(stream, router.clone(), stop.clone());
        let cut = cut.clone();
        connections.spawn(async move {
            // One that is cut has no answer to wait for.
            let _served = cut.run_until_cancelled(served).await;
            drop(turn);
        });
    }
    // Who connects from now on is told at once that nobody is there.
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client has gone again.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionRefused
                        | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, router: Router, stop: CancellationToken) {
    let router = TowerToHyperService::new(RequestBodyTimeout::new(router, BODY_PAUSE_MAX));
    let has_stream = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&has_stream);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, noted) = (router.call(request), Arc::clone(&noted));
        async move {
            let answer = answer.await?;
            let kind = answer.headers().get(CONTENT_TYPE);
            noted.store(kind.is_some_and(|it| it == MEDIA_TYPE), Ordering::Relaxed);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match has_stream.load(Ordering::Relaxed) {
                true => match timeout(STREAM_END_MAX, connection).await {
                    Ok(served) => served,
                    // Its reader does not read: it can connect again and go on where it is.
                    Err(_) => return,
                },
                false => connection.await,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests;
