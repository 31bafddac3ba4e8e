//! Starts that are taken for the saga that has their concurrency key: it keeps their idempotency keys before they are answered.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::saga::Saga;
use super::{Shared, closed};
use crate::error::Result;
use crate::saga::machine::{Input, Stage};

/// The idempotency key of a start that is being taken for a saga. Until that has it or is over, each start with the same key is
/// taken for that saga too.
pub(super) struct Attaching {
    shared: Arc<Shared>,
    key: Arc<str>,
}

impl Attaching {
    /// What the book has noted already; it is noted no more when this is dropped.
    pub(super) fn noted(shared: &Arc<Shared>, key: Arc<str>) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, key }
    }

    /// Returns when the key is durable in `holder`. Whether it is: not when that was over before, and then it has left its
    /// concurrency key too.
    pub(super) async fn keep(&self, holder: &Saga) -> Result<bool> {
        let (reply, answer) = oneshot::channel();
        let key = Arc::clone(&self.key);
        holder.inbox.ask(Input::Attach { key }, reply)?;
        let answer = answer.await;
        if let Ok(Ok(())) = answer {
            return Ok(true);
        }
        if matches!(holder.state().stage, Stage::Ended(_)) {
            holder.ended().await;
            return Ok(false);
        }
        answer.map_err(|_| closed())?.map(|()| true)
    }
}

impl Drop for Attaching {
    fn drop(&mut self) {
        self.shared.book().unclaim(&self.key);
    }
}
