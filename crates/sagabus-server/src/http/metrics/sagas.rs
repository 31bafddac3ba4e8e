//! What the sagas tell of themselves.

use std::fmt;
use std::time::Duration;

use sagabus::saga;

use super::Snapshot;
use super::out::Out;

impl Snapshot {
    pub(super) fn encode_sagas(&self, out: &mut Out<'_, '_>) -> fmt::Result {
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
}
