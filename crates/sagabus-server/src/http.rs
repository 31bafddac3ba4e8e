//! The HTTP interface: one port for the bus, the sagas and the services.

mod access;
mod admission;
mod api;
mod cloud_events;
mod connections;
mod dead_letters;
mod elsewhere;
mod events;
mod fields;
mod health;
mod metrics;
pub(crate) mod openapi;
mod query;
mod reply;
mod request;
mod sagas;
mod schedules;
mod schemas;
mod stats;
mod stream;
mod submissions;
mod subscriptions;
mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use nanopore::problem::BODY_BYTES_MAX;
use sagabus::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

use self::access::Looks;
use self::admission::Intakes;
use self::stream::Streams;
use self::traffic::Traffic;
use crate::assemble::System;

/// Largest body of an upload: the file and what multipart puts around it.
const UPLOAD_BYTES_MAX: usize = ai_service::pdf::FILE_BYTES_MAX + 64 * 1024;

/// Longest time for a request: an upload of the largest form over a slow line, and room for a slow disk.
const REQUEST_LIMIT: Duration = Duration::from_mins(5);

/// What every route can reach.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) system: Arc<System>,
    traffic: Arc<Traffic>,
    streams: Arc<Streams>,
}

/// All routes.
fn router(system: &Arc<System>, streams: Arc<Streams>) -> Router {
    let takes_forms = system.shipped.submission.is_some();
    let app = App {
        system: Arc::clone(system),
        traffic: Arc::default(),
        streams,
    };
    let traffic = Arc::clone(&app.traffic);
    let own = api::own(takes_forms).with_state(app);
    let (router, operations) = system.services.add_routes(own).into_parts();
    let known = Arc::new(query::Known::of(&operations));
    let intakes = Intakes::of(&operations, Arc::clone(system));
    let looks = Looks::of(&operations, Arc::clone(system));
    let room = middleware::from_fn_with_state(Arc::new(intakes), admission::with_room);
    let reads = middleware::from_fn_with_state(Arc::new(looks), access::record);
    elsewhere::refused(router, &operations, system.services.served())
        .fallback(reply::no_such_route)
        .layer(reads)
        .layer(room)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_LIMIT,
        ))
        .layer(middleware::from_fn_with_state(known, query::addressed))
        .layer(middleware::from_fn(request::bodies_plain))
        .layer(middleware::from_fn(request::headers_once))
        .layer(middleware::from_fn(reply::problems_only))
        .layer(middleware::from_fn(reply::local_host_only))
        .layer(middleware::from_fn_with_state(traffic, traffic::count))
}

/// Takes the address. Only this machine is served: there is no login yet.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::invalid(format!(
            "`--listen {address}` is reachable from other machines, and there is no login yet; use 127.0.0.1:{}",
            address.port()
        )));
    }
    TcpListener::bind(address).await.map_err(|error| {
        Error::invalid(format!(
            "cannot listen on {address}; give another address with --listen"
        ))
        .with_source(error)
    })
}

/// The address that was taken: with port 0 asked for, the one that the system chose.
pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| {
        Error::closed("the address that is listened on cannot be told").with_source(error)
    })
}

/// Serves until `stop` fires and the open requests are answered. Streams of events end then.
pub(crate) async fn serve(listener: TcpListener, system: Arc<System>, stop: CancellationToken) {
    let streams = Arc::new(Streams::new(system.streams_max, stop.clone()));
    let bus = system.bus.clone();
    let router = router(&system, Arc::clone(&streams));
    tokio::select! {
        () = connections::serve(listener, router, stop) => {}
        never = streams.follow(&bus) => match never {},
    }
}
