//! Whether all is well with the sagas, and how many of them stand where.

use std::time::Duration;

use super::Sagas;
use crate::clock::Timestamp;
use crate::saga::machine::{Stage, State};
use crate::saga::monitor::{Health, Stats};
use crate::saga::record::PauseCause;

impl Sagas {
    /// Whether all is well, and if not, why.
    #[must_use]
    pub fn health(&self) -> Health {
        let now = self.0.clock.now();
        let settings = &self.0.settings;
        let sagas = self.0.book().stored();
        let (mut active, mut busy) = (0_usize, 0_usize);
        let (mut old, mut overdue) = (0_usize, 0_usize);
        let (mut idle, mut late) = (0_usize, 0_usize);
        let (mut stuck, mut forward_stuck) = (0_usize, 0_usize);
        let (mut parked, mut poisoned, mut in_doubt) = (0_usize, 0_usize, 0_usize);
        for saga in &sagas {
            let state = saga.state();
            late += usize::from(state.has_late_effect());
            if matches!(state.stage, Stage::Ended(_)) {
                continue;
            }
            active += 1;
            // One that waits for somebody, or that an operator paused, may take weeks and is in nobody's way.
            busy += usize::from(!state.is_waiting() && state.paused.is_none());
            old += usize::from(is_old(&state, now, settings.stuck_after));
            idle += usize::from(is_idle(&state, now, settings.stuck_after));
            let deadline = state.deadline().filter(|_| state.turned_back.is_none());
            overdue += usize::from(deadline.is_some_and(|deadline| now > deadline));
            stuck += usize::from(state.stage == Stage::Stuck);
            forward_stuck += usize::from(state.stage == Stage::ForwardStuck);
            parked += usize::from(saga.parked().is_some());
            match state.paused.map(|paused| paused.cause) {
                Some(PauseCause::Poison) => poisoned += 1,
                Some(PauseCause::InDoubt(_)) => in_doubt += 1,
                // Whoever paused it knows.
                Some(PauseCause::Operator) | None => {}
            }
        }
        let mut issues = Vec::new();
        if let Some(fault) = self.0.fault.get() {
            issues.push(format!("Saga store has stopped: {fault}"));
        }
        if old > 0 {
            issues.push(format!("{old} sagas appear to be stuck"));
        }
        if idle > 0 {
            let after = settings.stuck_after;
            issues.push(format!("{idle} sagas have come no further for {after:?}"));
        }
        if late > 0 {
            issues.push(format!(
                "{late} sagas had an effect that came to light late"
            ));
        }
        if stuck > 0 {
            issues.push(format!("{stuck} sagas have a stuck compensation"));
        }
        if forward_stuck > 0 {
            issues.push(format!(
                "{forward_stuck} sagas are stuck behind their pivot"
            ));
        }
        if overdue > 0 {
            issues.push(format!("{overdue} sagas are beyond their deadline"));
        }
        if poisoned > 0 {
            issues.push(format!(
                "{poisoned} sagas are paused: cut off again and again without progress"
            ));
        }
        if in_doubt > 0 {
            issues.push(format!(
                "{in_doubt} sagas are paused: a step was cut off that asks for an operator then"
            ));
        }
        let unreadable = self.unreadable();
        if let Some(first) = unreadable.first() {
            issues.push(format!(
                "{} sagas cannot be read, such as `{}`: {}",
                unreadable.len(),
                first.id.escape_debug(),
                first.reason
            ));
        }
        if parked > 0 {
            issues.push(format!("{parked} sagas lack a handler in this process"));
        }
        let waiting = self.0.book().stats().queued;
        if waiting > 0 && waiting >= settings.queued_max {
            issues.push(format!(
                "{waiting} sagas wait for their turn, as many as may: no other is started"
            ));
        }
        let mut warnings = Vec::new();
        if busy > settings.active_max {
            warnings.push(format!(
                "High number of active sagas: {busy}, more than {}",
                settings.active_max
            ));
        }
        issues.extend(warnings.iter().cloned());
        Health {
            healthy: issues.is_empty(),
            active_sagas: active,
            completed_sagas: sagas.len() - active,
            issues,
            warnings,
        }
    }

    /// Counts of sagas.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (mut stats, sagas) = {
            let book = self.0.book();
            (book.stats(), book.stored())
        };
        let now = self.0.clock.now();
        let after = self.0.settings.stuck_after;
        for saga in sagas {
            {
                let state = saga.state();
                let is_over = matches!(state.stage, Stage::Ended(_));
                stats.old += usize::from(!is_over && is_old(&state, now, after));
                stats.idle += usize::from(is_idle(&state, now, after));
                let paused = state.paused.map(|paused| paused.cause);
                stats.poisoned += usize::from(paused == Some(PauseCause::Poison));
                stats.stuck += usize::from(state.stage == Stage::Stuck);
                stats.forward_stuck += usize::from(state.stage == Stage::ForwardStuck);
                stats.inconsistent += usize::from(state.is_inconsistent());
                stats.paused += usize::from(state.paused.is_some());
            }
            stats.parked += usize::from(saga.parked().is_some());
        }
        let slots = self.0.slots();
        (stats.waiting_for_slots, stats.slot_waits) = (slots.waiting(), slots.waits());
        stats
    }
}

/// Whether a saga that is not over has been there for long, and not because it waits for somebody or for the time.
fn is_old(state: &State, now: Timestamp, after: Duration) -> bool {
    now.since(state.started_at()) > after && !state.is_waiting()
}

/// Whether a saga that is at work has had no record for long.
fn is_idle(state: &State, now: Timestamp, after: Duration) -> bool {
    state.holds_slot() && now.since(state.recorded_at) > after
}
