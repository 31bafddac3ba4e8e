//! Metrics in the OpenMetrics text format, read from their owners when they are asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use sagabus::transport::LATENESS_BOUNDS;
use sagabus::{Error, bus, saga};

use super::App;
use super::reply::Reply;
use super::traffic::Traffic;
use crate::memory::resident_bytes;
use crate::wire;

/// Everything that is shown, as it was a moment ago.
#[derive(Debug)]
struct Snapshot {
    bus: bus::Stats,
    dead_letter_threshold: u64,
    dead_letter_alerts: u64,
    sagas: saga::Stats,
    samples: sample_service::model::Statistics,
    ai: ai_service::model::Stats,
    traffic: Arc<Traffic>,
    resident_bytes: u64,
}

/// `GET /metrics`
pub(super) async fn show(State(app): State<App>) -> Reply<Response> {
    let snapshot = Snapshot {
        bus: app.system.bus.stats(),
        dead_letter_threshold: app.system.bus.settings().dead_letter_threshold as u64,
        dead_letter_alerts: app.system.bus.letters().alerts(),
        sagas: app.system.sagas.stats(),
        samples: app.system.samples.statistics().await?,
        ai: app.system.ai.stats().await?,
        traffic: Arc::clone(&app.traffic),
        resident_bytes: resident_bytes(),
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
        self.encode_traffic(&mut out)?;
        out.gauge(
            "memory_usage_bytes",
            "Memory that the process has in RAM",
            self.resident_bytes,
        )
    }
}

impl Snapshot {
    fn encode_bus(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let bus = &self.bus;
        out.counters(
            "event_bus_events",
            "Events published, by type",
            bus.events_by_type
                .iter()
                .map(|(name, count)| ([("type", name.clone())], *count)),
        )?;
        out.counter(
            "event_bus_errors",
            "Handler calls that failed",
            bus.failed_attempts,
        )?;
        out.gauge(
            "event_bus_dead_letter_queue_size",
            "Dead letters of all subscriptions",
            bus.dead_letters,
        )?;
        out.gauge(
            "event_bus_queue_size",
            "Deliveries that are not settled",
            bus.queue,
        )?;
        out.gauge(
            "event_bus_retry_queue_size",
            "Deliveries that wait for another attempt",
            bus.retry_queue,
        )?;
        out.gauge(
            "event_bus_dead_letter_threshold",
            "Dead letters above which an alert is raised",
            self.dead_letter_threshold,
        )?;
        out.counter(
            "event_bus_dead_letter_alerts",
            "Times that the number of dead letters went above the threshold",
            self.dead_letter_alerts,
        )?;
        out.gauge(
            "event_bus_log_bytes",
            "Bytes of the event log's files",
            bus.kept.bytes,
        )?;
        out.gauge(
            "event_bus_log_oldest_position",
            "Position from which on every event is kept",
            bus.kept.oldest,
        )?;
        out.gauges(
            "event_bus_log_held_bytes",
            "Bytes due to be dropped that are kept for a subscription which has not looked at them",
            bus.kept
                .holding
                .iter()
                .map(|it| ([("subscription", it.subscription.clone())], it.bytes)),
        )?;
        out.gauge(
            "event_bus_log_remembered_bytes",
            "Bytes due to be dropped that are kept since the ids of their events are remembered",
            bus.kept.remembered,
        )?;
        self.encode_schedules(out)?;
        self.encode_deliveries(out)
    }

    fn encode_schedules(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let late = &self.bus.lateness;
        out.gauge(
            "event_bus_scheduled_events",
            "Events that are to be published later",
            self.bus.scheduled,
        )?;
        let bounds = LATENESS_BOUNDS.iter().map(Duration::as_secs_f64);
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(late.buckets).collect();
        out.histogram(
            "event_bus_scheduled_lateness_seconds",
            "How long after their time scheduled events were published",
            late.sum.as_secs_f64(),
            &buckets,
        )?;
        out.float_gauge(
            "event_bus_scheduled_lateness_max_seconds",
            "The longest of these since the start of the process",
            late.max.as_secs_f64(),
        )
    }

    fn encode_deliveries(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let states = self.bus.subscriptions.iter().flat_map(|subscription| {
            wire::states(&subscription.counts).map(|(state, count)| {
                let labels = [
                    ("subscription", subscription.name.clone()),
                    ("state", state.to_owned()),
                ];
                (labels, count)
            })
        });
        out.gauges(
            "event_bus_deliveries",
            "Deliveries by subscription and state; matched is the sum of all others",
            states,
        )?;
        let each = |count: fn(&bus::SubscriptionStats) -> u64| {
            self.bus
                .subscriptions
                .iter()
                .map(move |it| ([("subscription", it.name.clone())], count(it)))
        };
        out.gauges(
            "event_bus_parked_deliveries",
            "Deliveries that wait behind a dead letter of their key, by subscription",
            each(|it| it.counts.parked),
        )?;
        out.gauges(
            "event_bus_events_ahead",
            "Events that were not looked at yet, by subscription",
            each(|it| it.ahead),
        )?;
        out.gauges(
            "event_bus_subscription_paused",
            "Whether a subscription is paused",
            each(|it| u64::from(it.pause.is_some())),
        )
    }

    fn encode_sagas(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let sagas = &self.sagas;
        out.gauge(
            "saga_active_transactions",
            "Sagas that are not over",
            sagas.active as u64,
        )?;
        out.gauge(
            "saga_stuck_transactions",
            "Sagas with a compensation that cannot go on",
            sagas.stuck as u64,
        )?;
        out.counter("saga_started_transactions", "Sagas started", sagas.started)?;
        out.counter(
            "saga_completed_transactions",
            "Sagas whose steps all succeeded",
            sagas.completed,
        )?;
        out.counter(
            "saga_failed_transactions",
            "Sagas that ended otherwise",
            sagas.compensated + sagas.cancelled + sagas.failed + sagas.terminated,
        )?;
        for (name, help, value) in [
            (
                "saga_queued_transactions",
                "Sagas that wait for their turn",
                sagas.queued,
            ),
            (
                "saga_forward_stuck_transactions",
                "Sagas that are stuck behind their pivot",
                sagas.forward_stuck,
            ),
            (
                "saga_paused_transactions",
                "Sagas that are paused",
                sagas.paused,
            ),
            (
                "saga_poisoned_transactions",
                "Sagas that are paused since they were cut off again and again",
                sagas.poisoned,
            ),
            (
                "saga_parked_transactions",
                "Sagas that lack a handler in this process",
                sagas.parked,
            ),
            (
                "saga_old_transactions",
                "Sagas that have run for longer than they should",
                sagas.old,
            ),
            (
                "saga_idle_transactions",
                "Sagas that have come no further for longer than they should",
                sagas.idle,
            ),
            (
                "saga_inconsistent_transactions",
                "Sagas in memory that ended with effects left, or work not done",
                sagas.inconsistent,
            ),
        ] {
            out.gauge(name, help, value as u64)?;
        }
        out.counter(
            "saga_late_effects",
            "Effects of saga steps that came to light after their saga had gone on without them",
            sagas.late_effects,
        )?;
        out.counter(
            "saga_fenced_answers",
            "Answers of saga steps that were refused since an orchestrator that was started later had asked again",
            sagas.fenced,
        )?;
        out.gauge(
            "saga_remembered_keys",
            "Idempotency keys of sagas that have left the memory",
            sagas.remembered_keys as u64,
        )?;
        out.gauge(
            "saga_steps_waiting_for_slots",
            "Steps and compensations of sagas that wait for a slot of their service",
            sagas.waiting_for_slots as u64,
        )?;
        for (name, help, waits) in [
            (
                "saga_admission_wait_seconds",
                "How long sagas waited for their turn",
                &sagas.waits,
            ),
            (
                "saga_slot_wait_seconds",
                "How long steps and compensations of sagas waited for a slot of their service, where it has a limit",
                &sagas.slot_waits,
            ),
        ] {
            let bounds = saga::WAIT_BOUNDS.iter().map(Duration::as_secs_f64);
            let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(waits.buckets).collect();
            out.histogram(name, help, waits.sum.as_secs_f64(), &buckets)?;
        }
        Ok(())
    }

    fn encode_services(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let word = |label, counts: &std::collections::BTreeMap<String, u64>| -> Vec<_> {
            counts
                .iter()
                .map(|(word, count)| ([(label, word.clone())], *count))
                .collect()
        };
        out.gauges(
            "samples_by_status",
            "Samples, by status",
            word("status", &self.samples.samples_by_status).into_iter(),
        )?;
        out.gauges(
            "samples_by_priority",
            "Samples, by priority",
            word("priority", &self.samples.samples_by_priority).into_iter(),
        )?;
        let jobs = &self.ai.jobs;
        out.gauge(
            "ai_processing_queue_size",
            "Jobs that wait for their turn",
            jobs.queued,
        )?;
        out.gauge("ai_processing_active_jobs", "Jobs that run", jobs.active)?;
        // A gauge, since a job moves from one status to the next; the name is older than that insight.
        out.gauges(
            "ai_processing_jobs_total",
            "Jobs, by present status and type",
            jobs.by_status.iter().map(|it| {
                let labels = [
                    ("status", it.status.as_str().to_owned()),
                    ("type", it.job_type.to_owned()),
                ];
                (labels, it.count)
            }),
        )?;
        out.counters(
            "ai_processing_errors",
            "Failed jobs, by kind of error",
            word("type", &jobs.errors).into_iter(),
        )
    }

    fn encode_traffic(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let counts = self.traffic.counts();
        let labels = |(method, path, status): &super::traffic::Route| {
            [
                ("method", method.clone()),
                ("path", path.clone()),
                ("status_code", status.to_string()),
            ]
        };
        out.counters(
            "http_requests",
            "Requests, by method, route and status",
            counts
                .iter()
                .map(|(route, (count, _))| (labels(route), *count)),
        )?;
        out.float_counters(
            "http_request_duration_seconds",
            "Time spent on requests",
            counts
                .iter()
                .map(|(route, (_, spent))| (labels(route), spent.as_secs_f64())),
        )
    }
}

/// Writes one metric after the other.
struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(
            self.0
                .encode_descriptor(name, help, None, MetricType::Gauge)?,
        )
    }

    fn float_gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(
            self.0
                .encode_descriptor(name, help, None, MetricType::Gauge)?,
        )
    }

    /// `buckets` are upper bounds with what is in each alone.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(
            self.0
                .encode_descriptor(name, help, None, MetricType::Counter)?,
        )
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn float_counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
