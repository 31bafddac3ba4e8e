//! Numbers about the bus and the sagas.

use axum::Json;
use axum::extract::State;
use sagabus::bus::SubscriptionStats;
use serde_json::{Value, json};

use super::App;

/// `GET /api/stats`
pub(super) async fn show(State(app): State<App>) -> Json<Value> {
    let bus = app.system.bus.stats();
    let sagas = app.system.sagas.stats();
    let subscriptions: Vec<Value> = bus.subscriptions.iter().map(subscription).collect();
    Json(json!({
        "totalEvents": bus.total_events,
        "eventsByType": bus.events_by_type,
        "eventsBySource": bus.events_by_source,
        "attempts": bus.attempts,
        "failedAttempts": bus.failed_attempts,
        "errorRate": bus.error_rate(),
        "retryQueueSize": bus.retry_queue,
        "deadLetterEvents": bus.dead_letters,
        "queueSize": bus.queue,
        "averageProcessingTimeMs": bus.average_processing_time.as_secs_f64() * 1000.0,
        "kept": {
            "oldest": bus.kept.oldest,
            "bytes": bus.kept.bytes,
            "holding": bus.kept.holding.iter().map(|it| json!({
                "subscription": it.subscription,
                "bytes": it.bytes,
            })).collect::<Vec<_>>(),
            "remembered": bus.kept.remembered,
        },
        "scheduledEvents": bus.scheduled,
        "scheduledLateness": {
            "count": bus.lateness.count,
            "p50Ms": bus.lateness.percentile(50).as_secs_f64() * 1000.0,
            "p99Ms": bus.lateness.percentile(99).as_secs_f64() * 1000.0,
            "maxMs": bus.lateness.max.as_secs_f64() * 1000.0,
        },
        "subscriptions": subscriptions,
        "sagas": {
            "active": sagas.active,
            "queued": sagas.queued,
            "stuck": sagas.stuck,
            "forwardStuck": sagas.forward_stuck,
            "inconsistent": sagas.inconsistent,
            "parked": sagas.parked,
            "paused": sagas.paused,
            "started": sagas.started,
            "completed": sagas.completed,
            "compensated": sagas.compensated,
            "cancelled": sagas.cancelled,
            "failed": sagas.failed,
            "terminated": sagas.terminated,
            "lateEffects": sagas.late_effects,
        },
    }))
}

fn subscription(stats: &SubscriptionStats) -> Value {
    let counts = stats.counts;
    json!({
        "name": stats.name,
        "patterns": stats.patterns,
        "isRunning": stats.is_running,
        "members": stats.members,
        "isStalled": stats.is_stalled,
        "pause": stats.pause.as_ref().map(|pause| json!({
            "since": pause.at,
            "author": pause.by.author,
            "reason": pause.by.reason,
            "until": pause.until,
        })),
        "ahead": stats.ahead,
        "matched": counts.matched,
        "acked": counts.acked,
        "filtered": counts.filtered,
        "filterErrors": counts.filter_errors,
        "skipped": counts.skipped,
        "filtered": counts.filtered,
        "discarded": counts.discarded,
        "expired": counts.expired,
        "ready": counts.ready,
        "parked": counts.parked,
        "leased": counts.leased,
        "waiting": counts.waiting,
        "dead": counts.dead,
        "isConserved": counts.is_conserved(),
        "attempts": stats.attempts,
        "failed": stats.failed,
        "retried": stats.retried,
        "averageMs": stats.average.as_secs_f64() * 1000.0,
        "p50Ms": stats.p50.as_secs_f64() * 1000.0,
        "p99Ms": stats.p99.as_secs_f64() * 1000.0,
    })
}
