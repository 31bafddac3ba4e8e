//! The orchestrator's settings: plain data with defaults, units and a check.

use std::time::Duration;

use super::backoff::Backoff;
use super::service_limit::ServiceLimit;
use crate::error::{Error, Result};

/// How the orchestrator works.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `SAGA_STEP_TIMEOUT`, milliseconds: how long an attempt of a step or of its compensation may take where the step
    /// does not say.
    pub step_timeout: Duration,
    /// `SAGA_MAX_ACTIVE_SAGAS`: sagas that run at one time. Further ones are stored and wait for their turn. Sagas found at
    /// open and compensations resumed by an operator go on beyond the limit, since they hold effects already.
    pub active_max: usize,
    /// `SAGA_MAX_QUEUED_SAGAS`: sagas that may wait for their turn; a start beyond that is refused with `Full`, and nothing of
    /// it is stored. Zero: nobody waits.
    pub queued_max: usize,
    /// `SAGA_PRIORITY_AGE`, milliseconds: how long a saga waits for as much as one level of priority. One that is `urgent` goes
    /// before those that are `low` and came less than three times as long before it, so nobody is overtaken for ever.
    pub priority_age: Duration,
    /// `SAGA_SERVICE_LIMITS`, each as text, with commas between: how much of services sagas use. Steps beyond that wait, and cost
    /// no attempt meanwhile; those that the end of the process cut off, and what an operator asks for after the end of a saga, go
    /// on beyond it.
    pub service_limits: Vec<ServiceLimit>,
    /// `SAGA_CLEANUP_INTERVAL`, milliseconds: finished sagas older than this leave the memory, looked for at each interval.
    pub cleanup_interval: Duration,
    /// Finished sagas that stay in memory at most; beyond that the oldest leave before their time.
    pub finished_max: usize,
    /// Idempotency keys that are remembered after their saga has left the memory, with those of starts that attached to it; the
    /// oldest go first.
    pub keys_max: usize,
    /// An active saga older than this makes health complain.
    pub stuck_after: Duration,
    /// Delay between the attempts of a step; [`Step::retry_delay`](super::Step::retry_delay) replaces `first`.
    pub step_retry: Backoff,
    /// Delay between the attempts of a compensation.
    pub compensation_retry: Backoff,
    /// Attempts of a compensation before the saga is stuck.
    pub compensation_attempts_max: u32,
    /// `SAGA_STUCK_RETRY`, milliseconds: how long after a compensation is stuck it is tried again by itself, with all its
    /// attempts, as if an operator had said so: ten times, and then only when an operator says so. None: only then.
    pub stuck_retry: Option<Duration>,
    /// How long a handler may go on after its timeout before it is dropped, also in a service elsewhere.
    pub abort_grace: Duration,
    /// How long handlers in flight may go on when their saga turns back, before they are dropped, also in services elsewhere.
    pub drain_grace: Duration,
    /// Whether `saga.step_completed` carries the step's output. Off, since outputs may hold personal data.
    pub publish_results: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            step_timeout: Duration::from_secs(30),
            active_max: 100,
            queued_max: 10_000,
            priority_age: Duration::from_secs(60),
            service_limits: Vec::new(),
            cleanup_interval: Duration::from_secs(300),
            finished_max: 10_000,
            keys_max: 100_000,
            stuck_after: Duration::from_secs(300),
            step_retry: Backoff {
                first: Duration::from_secs(1),
                max: Duration::from_secs(30),
            },
            compensation_retry: Backoff {
                first: Duration::from_secs(1),
                max: Duration::from_secs(300),
            },
            compensation_attempts_max: 10,
            stuck_retry: None,
            abort_grace: Duration::from_secs(1),
            drain_grace: Duration::from_secs(5),
            publish_results: false,
        }
    }
}

impl Settings {
    /// Checks that every limit leaves something to do.
    ///
    /// # Errors
    /// `Invalid`, naming the setting.
    pub fn validate(&self) -> Result<()> {
        for (name, zero) in [
            ("step_timeout", self.step_timeout.is_zero()),
            ("active_max", self.active_max == 0),
            ("cleanup_interval", self.cleanup_interval.is_zero()),
            ("stuck_after", self.stuck_after.is_zero()),
            (
                "stuck_retry",
                self.stuck_retry.is_some_and(|it| it.is_zero()),
            ),
            (
                "compensation_attempts_max",
                self.compensation_attempts_max == 0,
            ),
        ] {
            if zero {
                return Err(Error::invalid(format!("saga setting `{name}` is zero")));
            }
        }
        ServiceLimit::check(&self.service_limits)?;
        for (name, backoff) in [
            ("step_retry", self.step_retry),
            ("compensation_retry", self.compensation_retry),
        ] {
            if backoff.first > backoff.max {
                return Err(Error::invalid(format!(
                    "saga setting `{name}` starts with {:?}, more than its limit {:?}",
                    backoff.first, backoff.max
                )));
            }
        }
        Ok(())
    }
}
