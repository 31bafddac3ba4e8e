//! Looks at one sample again and again, at a rate that nothing slows down; each wait counts from when the look was due.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use sagabus::{Clock, SystemClock};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failed;
use crate::cli::Failure;
use crate::client::Client;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(20);
/// Longest wait that is told from a longer one.
const WAIT_MAX: Duration = Duration::from_mins(5);

/// Looks that go on until they are stopped.
#[derive(Debug)]
pub(super) struct Looks {
    stop: CancellationToken,
    task: JoinHandle<Result<Histogram<u64>, Failure>>,
}

/// How long they took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) count: u64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Looks {
    pub(super) fn start(client: Arc<Client>, path: String) -> Self {
        let stop = CancellationToken::new();
        // It is waited for when it is stopped.
        let task = TaskTracker::new().spawn(look(client, Arc::from(path), stop.clone()));
        Self { stop, task }
    }

    pub(super) async fn stop(self) -> Result<Waits, Failure> {
        self.stop.cancel();
        let histogram = self.task.await.map_err(failed)??;
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Ok(Waits {
            count: histogram.len(),
            p50: at(0.5),
            p99: at(0.99),
            max: Duration::from_micros(histogram.max()),
        })
    }
}

async fn look(
    client: Arc<Client>,
    path: Arc<str>,
    stop: CancellationToken,
) -> Result<Histogram<u64>, Failure> {
    let most = u64::try_from(WAIT_MAX.as_micros()).map_err(failed)?;
    let mut histogram = Histogram::new_with_bounds(1, most, 3).map_err(failed)?;
    let mut looks = JoinSet::new();
    let mut due = SystemClock.elapsed();
    loop {
        let rest = due.saturating_sub(SystemClock.elapsed());
        if stop
            .run_until_cancelled(tokio::time::sleep(rest))
            .await
            .is_none()
        {
            break;
        }
        let (client, path) = (Arc::clone(&client), Arc::clone(&path));
        looks.spawn(async move {
            client.get(&path).await?;
            Ok::<_, Failure>(SystemClock.elapsed().saturating_sub(due))
        });
        due += EVERY;
        while let Some(looked) = looks.try_join_next() {
            note(&mut histogram, looked.map_err(failed)??);
        }
    }
    while let Some(looked) = looks.join_next().await {
        note(&mut histogram, looked.map_err(failed)??);
    }
    Ok(histogram)
}

fn note(histogram: &mut Histogram<u64>, wait: Duration) {
    histogram.saturating_record(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
}
