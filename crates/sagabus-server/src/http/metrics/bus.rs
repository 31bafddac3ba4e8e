//! What the bus tells of itself.

use std::fmt;
use std::time::Duration;

use sagabus::bus;
use sagabus::transport::LATENESS_BOUNDS;

use super::Snapshot;
use super::out::Out;
use crate::wire;

impl Snapshot {
    pub(super) fn encode_bus(&self, out: &mut Out<'_, '_>) -> fmt::Result {
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
        out.counter(
            "event_bus_retries",
            "Of those, the ones that are tried again",
            bus.subscriptions.iter().map(|it| it.retried).sum(),
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
            "event_bus_streams",
            "Streams of events that are open",
            self.streams as u64,
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
}
