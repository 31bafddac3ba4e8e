//! Publishes events when their time has come.
//!
//! A scheduled event is a record of its own kind; when it is due, the event and a record that says so are appended
//! together, so it is published once, whatever happens between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::log::{Admission, Append, Durability, Entry, Pending};
use super::record::{self, Schedule};
use super::timers::{Timed, Timers};
use super::window::Named;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{ATTRIBUTE_BYTES_MAX, Event};
use crate::transport::{
    Lateness, Receipt, SCHEDULES_MAX, Scheduled, ScheduledEvent, Schedules, Waiting,
};

/// Most events that may be scheduled at a time: about 150 MiB of memory.
const TIMERS_MAX: usize = 2_097_152;
/// Most events published by one append when they are due.
const FIRE_MAX: usize = 128;
/// Bytes of their records after which no further one goes into it.
const FIRE_BYTES: usize = 1024 * 1024;
/// Longest wait for a due time before the clock is asked again: it may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// Records between two that are wanted which are read over rather than sought anew.
const GAP_MAX: u64 = 64;
/// Pause before what could not be published is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The timers and the task that watches them.
#[derive(Debug)]
pub(crate) struct Clockwork {
    timers: Mutex<Timers>,
    lateness: Mutex<Lateness>,
    changed: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
    is_started: AtomicBool,
}

impl Clockwork {
    pub(crate) fn new(timers: Timers) -> Self {
        Self {
            timers: Mutex::new(timers),
            lateness: Mutex::default(),
            changed: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            is_started: false.into(),
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What else is done beside those who publish and lease; awaited at the end.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(work)
    }

    /// Is cancelled at the end.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    fn lateness(&self) -> MutexGuard<'_, Lateness> {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes nothing more, and waits until what was begun is done.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Shared {
    /// Has the timers watched, from the first call that comes from within a runtime.
    pub(crate) fn watch_timers(&self) {
        let clockwork = &self.clockwork;
        let is_started = &clockwork.is_started;
        if is_started.load(Ordering::Relaxed) || is_started.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(shared) = self.this.upgrade() {
            shared.watch_log();
        }
        // The task holds no engine, so that the last handle which is dropped ends it.
        let shared = self.this.clone();
        let works = Arc::clone(clockwork);
        clockwork.tasks.spawn(async move {
            loop {
                let Some(engine) = shared.upgrade().filter(|it| it.log.stopped().is_none()) else {
                    return;
                };
                let rest = engine.fire().await;
                drop(engine);
                let changed = async {
                    match rest {
                        None => works.changed.notified().await,
                        Some(rest) => {
                            let _either =
                                tokio::time::timeout(rest, works.changed.notified()).await;
                        }
                    }
                };
                tokio::select! {
                    biased;
                    () = works.stop.cancelled() => return,
                    () = changed => {}
                }
            }
        });
    }

    /// Publishes what is due; says for how long nothing is, if there is anything to come.
    async fn fire(&self) -> Option<Duration> {
        loop {
            let now = self.sure_now();
            let due = self.clockwork.timers().due(now, FIRE_MAX);
            if due.is_empty() {
                let rest = self.clockwork.timers().next()?.since(now);
                return Some(rest.clamp(Duration::from_millis(1), CLOCK_CHECK));
            }
            if let Err(error) = self.publish_due(&due).await {
                tracing::error!(error = %error.chain(), "cannot publish what is due");
                return Some(PAUSE);
            }
        }
    }

    async fn publish_due(&self, due: &[u64]) -> Result<()> {
        let mut events = Vec::with_capacity(due.len());
        let mut bytes = 0;
        let mut scheduled = self.scheduled(due).await?;
        for position in due {
            let event = scheduled.remove(position).ok_or_else(|| gone(*position))?;
            bytes += event.data.len();
            events.push((*position, event));
            if bytes > FIRE_BYTES {
                break;
            }
        }
        let (pending, taken) = {
            // Whoever takes a timer out decides what becomes of it: cancelled or published.
            let mut timers = self.clockwork.timers();
            let mut taken = Vec::with_capacity(events.len());
            events.retain(|(position, _)| {
                let timer = timers.key_of(*position);
                let is_there = timers.remove(*position);
                taken.extend(timer.map(|timer| (*position, timer)));
                is_there
            });
            let positions = events.iter().map(|(position, _)| *position).collect();
            let fired = record::encode(&Schedule::Fired { positions });
            let entries = events
                .iter()
                .map(|(_, event)| Entry::due(Arc::clone(event), self.log.keys(), self.age()))
                .chain([Entry::record(record::SCHEDULE, fired)]);
            (self.put(entries.collect(), Admission::Always), taken)
        };
        if let Err(error) = pending.done().await {
            let mut timers = self.clockwork.timers();
            for (position, (due, cancel_key)) in taken {
                timers.set(position, due, cancel_key.as_deref());
            }
            return Err(error);
        }
        let now = self.sure_now();
        let mut lateness = self.clockwork.lateness();
        for (_, (due, _)) in &taken {
            lateness.add(now.since(*due));
        }
        drop(lateness);
        self.published
            .add(events.iter().map(|(_, event)| event.as_ref()));
        Ok(())
    }

    fn put(&self, entries: Vec<Entry>, admission: Admission) -> Pending {
        self.log.enqueue(Append {
            entries,
            durability: Durability::Synced,
            admission,
            link: None,
        })
    }

    /// The events that are scheduled by the records at these positions; what the log does not have is left out.
    async fn scheduled(&self, positions: &[u64]) -> Result<BTreeMap<u64, Arc<Event>>> {
        let mut wanted: Vec<u64> = positions.to_vec();
        wanted.sort_unstable();
        self.at_disk(move |log| {
            let mut found = BTreeMap::new();
            let mut rest = wanted.as_slice();
            while let Some(first) = rest.first().copied() {
                log.read(first, &mut |at, kind, content| {
                    let passed = rest.partition_point(|it| *it < at);
                    rest = rest.get(passed..).unwrap_or_default();
                    if rest.first() == Some(&at) {
                        rest = rest.get(1..).unwrap_or_default();
                        if kind == record::SCHEDULE
                            && let Schedule::Set { event, .. } = record::decode(content)?
                        {
                            found.insert(at, Arc::new(record::decode_event(&event)?));
                        }
                    }
                    Ok(rest.first().is_some_and(|it| *it <= at + GAP_MAX))
                })?;
                if rest.first() == Some(&first) {
                    // The log ends before it.
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
            Ok(found)
        })
        .await
    }

    /// When the event that is scheduled there is due, and its cancel key; `None` when it does not wait any more.
    pub(super) fn waiting(&self, position: u64) -> Option<Timed> {
        self.clockwork.timers().key_of(position)
    }

    fn change(
        &self,
        cancel_key: &str,
        change: impl FnOnce(&mut Timers, u64) -> Option<Schedule>,
    ) -> Option<Pending> {
        let mut timers = self.clockwork.timers();
        let position = timers.find(cancel_key)?;
        let schedule = change(&mut timers, position)?;
        let bytes = record::encode(&schedule);
        Some(self.put(
            vec![Entry::record(record::SCHEDULE, bytes)],
            Admission::Always,
        ))
    }
}

fn gone(position: u64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("the log has no scheduled event at position {position}"),
    )
}

fn check(scheduled: &Scheduled) -> Result<()> {
    match &scheduled.cancel_key {
        Some(key) if key.is_empty() || key.len() > ATTRIBUTE_BYTES_MAX => Err(Error::invalid(
            format!("`cancelKey` must have 1 to {ATTRIBUTE_BYTES_MAX} bytes"),
        )),
        Some(key) => crate::text::check_visible("cancelKey", key),
        None => Ok(()),
    }
}

#[async_trait]
impl Schedules for Shared {
    async fn set(&self, scheduled: Scheduled) -> Result<Receipt> {
        self.watch_timers();
        check(&scheduled)?;
        let Scheduled {
            event,
            due,
            cancel_key,
        } = scheduled;
        let mark = self.log.keys().mark(&Named::of(&event), self.age());
        let bytes = record::encode(&Schedule::Set {
            due,
            cancel_key: cancel_key.clone(),
            event: record::encode_event(&event),
        });
        {
            let timers = self.clockwork.timers();
            if timers.len() >= TIMERS_MAX {
                return Err(Error::new(
                    ErrorKind::Full,
                    format!("{TIMERS_MAX} events are scheduled, the most that can be"),
                ));
            }
        }
        let entry = Entry::marked(record::SCHEDULE, bytes, mark);
        let placed = self.put(vec![entry], Admission::New).done().await?;
        let Some((position, duplicate)) = placed.positions().next() else {
            return Err(Error::closed("the log gave no position"));
        };
        if duplicate {
            return self.repeated(&event, position).await;
        }
        // What is over is due now, and not late by the time that it is over.
        let due = due.max(self.sure_now());
        self.clockwork
            .timers()
            .set(position, due, cancel_key.as_deref());
        self.clockwork.changed.notify_one();
        Ok(Receipt {
            id: event.id.clone(),
            position,
            duplicate,
            waits: Some(Box::new(Waiting { due, cancel_key })),
        })
    }

    async fn cancel(&self, cancel_key: &str) -> Result<bool> {
        let mut before = None;
        let pending = self.change(cancel_key, |timers, position| {
            before = timers.key_of(position).map(|timer| (position, timer.0));
            timers
                .remove(position)
                .then_some(Schedule::Cancelled { position })
        });
        let Some(pending) = pending else {
            return Ok(false);
        };
        if let Err(error) = pending.done().await {
            if let Some((position, due)) = before {
                self.clockwork.timers().set(position, due, Some(cancel_key));
            }
            return Err(error);
        }
        Ok(true)
    }

    async fn move_to(&self, cancel_key: &str, due: Timestamp) -> Result<bool> {
        let (mut before, now) = (None, self.sure_now());
        let pending = self.change(cancel_key, |timers, position| {
            before = Some((position, timers.move_to(position, due.max(now))?));
            Some(Schedule::Moved { position, due })
        });
        let Some(pending) = pending else {
            return Ok(false);
        };
        if let Err(error) = pending.done().await {
            if let Some((position, due)) = before {
                self.clockwork.timers().move_to(position, due);
            }
            return Err(error);
        }
        self.clockwork.changed.notify_one();
        Ok(true)
    }

    async fn list(
        &self,
        after: Option<(Timestamp, u64)>,
        max: usize,
    ) -> Result<Vec<ScheduledEvent>> {
        let listed = self.clockwork.timers().after(after, max.min(SCHEDULES_MAX));
        let positions: Vec<u64> = listed.iter().map(|(position, _)| *position).collect();
        let mut events = self.scheduled(&positions).await?;
        let shown = listed.into_iter().map(|(position, (due, cancel_key))| {
            let event = events.remove(&position).ok_or_else(|| gone(position))?;
            Ok(ScheduledEvent {
                position,
                due,
                cancel_key: cancel_key.map(|it| it.to_string()),
                event,
            })
        });
        shown.collect()
    }

    fn count(&self) -> usize {
        self.clockwork.timers().len()
    }

    fn lateness(&self) -> Lateness {
        *self.clockwork.lateness()
    }
}
