//! Metrics in the OpenMetrics text format, read from their owners when they are asked for.

mod bus;
mod machine;
mod out;
mod sagas;
mod services;
mod traffic;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_api::Reply;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use sagabus::sqlite::Load;
use sagabus::{Error, bus as event_bus, saga};
use sample_service::model::{Measures, Statistics};

use self::out::Out;
use super::App;
use super::traffic::Traffic;
use crate::machine::Machine;

/// Everything that is shown, as it was a moment ago.
#[derive(Debug)]
struct Snapshot {
    bus: event_bus::Stats,
    dead_letter_threshold: u64,
    dead_letter_alerts: u64,
    sagas: saga::Stats,
    samples: Option<(Statistics, Measures)>,
    ai: Option<ai_service::model::Stats>,
    databases: Vec<(&'static str, Load)>,
    /// Streams of events that are open.
    streams: usize,
    traffic: Arc<Traffic>,
    machine: Arc<Machine>,
}

/// `GET /metrics`
pub(super) async fn show(State(app): State<App>) -> Reply<Response> {
    let services = &app.system.services;
    // Before the services are asked, which is work for their databases.
    let databases = services.outboxes().into_iter();
    let databases = databases
        .map(|(service, outbox)| (service.name(), outbox.database().load()))
        .collect();
    let samples = match services.sample() {
        Ok(samples) => Some((samples.statistics().await?, samples.measures().await?)),
        Err(_) => None,
    };
    let ai = match services.ai() {
        Ok(ai) => Some(ai.stats().await?),
        Err(_) => None,
    };
    let snapshot = Snapshot {
        bus: app.system.bus.stats(),
        dead_letter_threshold: app.system.bus.settings().dead_letter_threshold as u64,
        dead_letter_alerts: app.system.bus.letters().alerts(),
        sagas: app.system.sagas.stats(),
        databases,
        samples,
        ai,
        streams: app.streams.open(),
        traffic: Arc::clone(&app.traffic),
        machine: Arc::clone(&app.system.machine),
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|error| Error::invalid("metrics cannot be written").with_source(error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(&mut encoder);
        self.encode_bus(&mut out)?;
        self.encode_sagas(&mut out)?;
        self.encode_services(&mut out)?;
        self.encode_databases(&mut out)?;
        self.encode_traffic(&mut out)?;
        self.encode_errors(&mut out)?;
        self.encode_machine(&mut out)
    }
}
