//! Replies of services, on the side of the orchestrator.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::payload::{ReplyStatus, StepProgressed, StepReplied};
use crate::bus::{Bus, Delivery, HandlerError, Subscription};
use crate::error::{ErrorKind, Result};
use crate::event::Payload;
use crate::saga::handlers::StepError;
use crate::saga::machine::{Answer, Answered};
use crate::saga::{SagaId, Sagas};
use crate::transport::Start;

/// Name of the subscription of the orchestrator.
const REPLIES: &str = "saga-replies";

impl Sagas {
    /// Takes the replies of steps that are done in other services: each once, durable before it is acked. One that is refused
    /// is logged; one with an old fencing token is counted in [`Stats::fenced`](super::super::Stats). Signs of life are taken too.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`](crate::bus::SubscriptionBuilder::handler).
    ///
    /// # Cancel safety
    /// As there.
    pub async fn take_replies(&self, bus: &Bus) -> Result<Subscription> {
        let sagas = self.clone();
        let replies = bus.subscription(REPLIES).pattern(StepReplied::TYPE);
        let replies = replies.pattern(StepProgressed::TYPE);
        let handler = move |delivery: Delivery| {
            let sagas = sagas.clone();
            async move {
                if delivery.event.event_type.as_str() == StepProgressed::TYPE {
                    let sign: StepProgressed = delivery.payload()?;
                    sagas.heard(&sign.saga_id.parse()?, &sign);
                    return Ok(());
                }
                sagas.take_reply(delivery.payload()?).await
            }
        };
        replies.start(Start::Earliest).handler(handler).await
    }

    async fn take_reply(&self, reply: StepReplied) -> Result<(), HandlerError> {
        let id: SagaId = reply.saga_id.parse()?;
        let answer = Answer {
            step: reply.step_id.clone(),
            attempt: reply.attempt,
            epoch: reply.fence,
            result: answered(reply),
        };
        let Err(error) = self.answer(&id, answer).await else {
            return Ok(());
        };
        match error.kind() {
            // Nobody waits for it, and no further delivery changes that.
            ErrorKind::Fenced | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid => {
                tracing::warn!(saga_id = %id, error = %error.chain(), "reply of a saga step is refused");
                Ok(())
            }
            ErrorKind::Full | ErrorKind::Transient | ErrorKind::Closed | ErrorKind::Corrupt => {
                Err(error.into())
            }
        }
    }
}

fn answered(reply: StepReplied) -> Answered {
    let error = reply.error.unwrap_or_default();
    let failed = match reply.status {
        ReplyStatus::Succeeded => None,
        ReplyStatus::Retry => Some(StepError::Retry(error)),
        ReplyStatus::Unavailable => Some(StepError::Unavailable(error)),
        ReplyStatus::Rejected => Some(StepError::Reject(error)),
        ReplyStatus::InDoubt => Some(StepError::InDoubt(error)),
    };
    if reply.is_compensation {
        return Answered::Compensation(failed.map_or(Ok(()), Err));
    }
    let output = || {
        let json = reply.output.as_deref().map_or("null", RawValue::get);
        Bytes::copy_from_slice(json.as_bytes())
    };
    Answered::Step(match failed {
        Some(error) => Err(error),
        None => Ok(output()),
    })
}
