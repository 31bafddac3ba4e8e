//! Where the log ends: looked at by one for all streams, and only while there are some.

use std::convert::Infallible;
use std::time::Duration;

use sagabus::{Bus, Result};

use super::Streams;

/// Between two looks: how late an event may be shown.
const LOOK: Duration = Duration::from_millis(50);

impl Streams {
    /// The first position that nothing is stored at. The streams are told where it has moved on.
    pub(super) async fn look(&self, bus: &Bus) -> Result<u64> {
        let known = *self.end.borrow();
        let end = end(bus, known).await?;
        self.end.send_if_modified(|it| {
            let is_new = end > *it;
            *it = end.max(*it);
            is_new
        });
        Ok(end)
    }

    /// Looks again and again while streams are open, for ever.
    pub(in crate::http) async fn follow(&self, bus: &Bus) -> Infallible {
        loop {
            if self.open() == 0 {
                self.opened.notified().await;
            }
            if let Err(error) = self.look(bus).await {
                tracing::debug!(error = error.chain(), "the end of the log cannot be found");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The first position that nothing is stored at, which is `known` or beyond: by steps that double, then by halves.
async fn end(bus: &Bus, known: u64) -> Result<u64> {
    let mut stored = known;
    if is_beyond(bus, stored).await? {
        return Ok(stored);
    }
    let mut step = 1_u64;
    let mut beyond = loop {
        let at = stored.saturating_add(step);
        if is_beyond(bus, at).await? {
            break at;
        }
        stored = at;
        step = step.saturating_mul(2);
    };
    // Something is stored at `stored` or behind it, and nothing from `beyond` on.
    while beyond - stored > 1 {
        let middle = stored + (beyond - stored) / 2;
        match is_beyond(bus, middle).await? {
            true => beyond = middle,
            false => stored = middle,
        }
    }
    Ok(beyond)
}

async fn is_beyond(bus: &Bus, position: u64) -> Result<bool> {
    Ok(bus.read(position, 0).await?.is_last)
}
