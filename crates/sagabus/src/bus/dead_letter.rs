//! Dead letters for those who look after them: page, count, retry, revise, skip, discard, export, republish.
//!
//! A dead letter is a state of one delivery, not a copy of its event. What is done to it concerns its own subscription
//! and no other; only [`DeadLetters::republish`] publishes.

mod alarm;
mod form;

use std::time::Duration;

use bytes::Bytes;

use super::Bus;
pub(crate) use alarm::Alarm;
pub use alarm::Crossing;
pub use form::{from_json, to_json};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId, envelope};
use crate::ledger::By;
use crate::transport::{
    DeadLetter, DeadLetterId, DeadLetterIds, DeadLetterPage, DeadLetterQuery, LedgerAdmin,
    POSITIONS_MAX, Receipt, Repair,
};

/// Highest rate of a retry: the ledger counts in milliseconds.
pub const PER_SECOND_MAX: u32 = 1000;
/// How often the number of dead letters is compared with its limit.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How dead letters are retried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPlan {
    /// At most so many a second (1 to [`PER_SECOND_MAX`]), evenly; without it all at once. The times are kept in the ledger, so that a
    /// restart changes nothing about them.
    pub per_second: Option<u32>,
    /// Says what would be done, and does nothing.
    pub is_dry_run: bool,
    /// Who and why.
    pub by: By,
}

/// What a retry did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// Dead letters that are handed out again.
    pub count: u64,
    /// When the last of them is due, at the latest.
    pub last_due: Timestamp,
}

/// Lines of an export, or a part of them that begins with a whole line.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    /// One dead letter a line; empty lines are nothing.
    pub bytes: &'a [u8],
    /// The number that errors have for the first line.
    pub first: u64,
}

impl<'a> From<&'a [u8]> for Lines<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, first: 1 }
    }
}

/// What became of lines that were taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Dead letters again.
    pub restored: u64,
    /// Left as they are: dead letters already, or on their way.
    pub left: u64,
}

/// A handle to the dead letters of a bus.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    bus: Bus,
}

impl Bus {
    /// Looks after dead letters.
    #[must_use]
    pub fn letters(&self) -> DeadLetters {
        DeadLetters { bus: self.clone() }
    }

    /// The first `query.max` dead letters that fit, in the order of subscription and position, all in memory;
    /// [`DeadLetters::page`] gives them in pieces.
    ///
    /// # Errors
    /// As [`LedgerAdmin::find`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn dead_letters(&self, mut query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        let mut found = Vec::new();
        loop {
            let page = self.ledgers().dead_letters(&query).await?;
            query.max -= page.letters.len();
            found.extend(page.letters);
            if page.next.is_none() || query.max == 0 {
                return Ok(found);
            }
            query.after = page.next;
        }
    }
}

impl DeadLetters {
    fn ledgers(&self) -> &dyn LedgerAdmin {
        self.bus.ledgers()
    }

    /// The next dead letters that fit, at most `query.max` and at most 1,000; `next` of the page is where to go on.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription. `Invalid` when the query is beyond a limit.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn page(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage> {
        self.ledgers().dead_letters(query).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// `NotFound` when there is none of this id.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn get(&self, id: &DeadLetterId) -> Result<DeadLetter> {
        let query = DeadLetterQuery::at(&id.subscription, &[id.position]);
        let page = self.page(&query).await?;
        page.letters.into_iter().next().ok_or_else(|| none(id))
    }

    /// How many fit.
    ///
    /// # Errors
    /// As [`DeadLetters::page`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn count(&self, query: &DeadLetterQuery) -> Result<u64> {
        let mut count = 0;
        let mut walk = Walk::new(query);
        while let Some(found) = walk.next(self.ledgers()).await? {
            count += found.ids.len() as u64;
        }
        Ok(count)
    }

    /// Hands those that fit out again, to their own subscription, with attempts counted anew; those of several
    /// subscriptions share the rate. Paused subscriptions get theirs when they go on. Each that fits is retried once,
    /// whoever else does the same at the time, and also if it fails again at once.
    ///
    /// # Errors
    /// As [`DeadLetters::page`]; `Invalid` also when the plan is beyond a limit. What was retried before stays so.
    ///
    /// # Cancel safety
    /// What was retried when the future is dropped stays so; the rest is not.
    pub async fn retry(&self, query: &DeadLetterQuery, plan: &RetryPlan) -> Result<Retried> {
        let spacing = spacing(plan)?;
        let due = |count: u64| spacing * u32::try_from(count).unwrap_or(u32::MAX);
        let clock = self.bus.clock();
        let mut count = 0_u64;
        let mut walk = Walk::new(query);
        while let Some(found) = walk.next(self.ledgers()).await? {
            if plan.is_dry_run {
                count += found.ids.len() as u64;
                continue;
            }
            for (subscription, positions) in by_subscription(&found) {
                let repair = Repair::Redrive {
                    delay: due(count),
                    spacing,
                    by: plan.by.clone(),
                };
                let ledgers = self.ledgers();
                count += ledgers.repair(subscription, &positions, repair).await? as u64;
            }
        }
        Ok(Retried {
            count,
            last_due: clock.now().after(due(count.saturating_sub(1))),
        })
    }

    /// Puts another payload in the place of the one that is delivered; what was published stays, and so does every
    /// revision. Author and reason are asked for. Returns its number.
    ///
    /// # Errors
    /// `NotFound` when there is no such dead letter. `Invalid` when author or reason is missing or too long, or the
    /// payload is not JSON, too large, or does not fit the type of its event. `Full` when it was revised 16 times.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    pub async fn revise(&self, id: &DeadLetterId, data: Bytes, by: By) -> Result<u32> {
        wants("author", &by.author)?;
        wants("reason", &by.reason)?;
        let letter = self.get(id).await?;
        let revised = Event {
            data: data.clone(),
            ..letter.event.as_ref().clone()
        };
        self.bus.check(&revised)?;
        // What could not be published is not delivered either.
        envelope::from_json(&envelope::to_json(&revised)?, self.bus.clock().as_ref())?;
        let repair = Repair::Revise { data, by };
        let ledgers = self.ledgers();
        let count = ledgers
            .repair(&id.subscription, &[id.position], repair)
            .await?;
        let letter = self.get(id).await?;
        if count == 0 {
            return Err(Error::new(
                ErrorKind::Full,
                format!(
                    "dead letter `{id}` was revised {} times, which is the most",
                    letter.revisions.len()
                ),
            ));
        }
        Ok(letter.revisions.last().map_or(0, |last| last.number))
    }

    /// [`DeadLetters::revise`], then hands it out again. Returns the number of the revision.
    ///
    /// # Errors
    /// As [`DeadLetters::revise`]. The revision stays when handing out fails.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it revised and not handed out.
    pub async fn revise_and_retry(&self, id: &DeadLetterId, data: Bytes, by: By) -> Result<u32> {
        let number = self.revise(id, data, by.clone()).await?;
        let plan = RetryPlan {
            by,
            ..RetryPlan::default()
        };
        let query = DeadLetterQuery::at(&id.subscription, &[id.position]);
        self.retry(&query, &plan).await?;
        Ok(number)
    }

    /// Those that fit count as skipped, and what waits behind them goes on. A reason is asked for. Returns how many.
    ///
    /// # Errors
    /// As [`DeadLetters::page`]; `Invalid` also when the reason is missing.
    ///
    /// # Cancel safety
    /// What was skipped when the future is dropped stays so.
    pub async fn skip(&self, query: &DeadLetterQuery, by: &By) -> Result<u64> {
        self.give_up(query, by, Repair::Skip).await
    }

    /// Those that fit are thrown away, and what waits behind them goes on. A reason is asked for. Returns how many.
    ///
    /// # Errors
    /// As [`DeadLetters::skip`].
    ///
    /// # Cancel safety
    /// What was thrown away when the future is dropped stays so.
    pub async fn discard(&self, query: &DeadLetterQuery, by: &By) -> Result<u64> {
        self.give_up(query, by, Repair::Discard).await
    }

    async fn give_up(
        &self,
        query: &DeadLetterQuery,
        by: &By,
        repair: impl Fn(By) -> Repair,
    ) -> Result<u64> {
        wants("reason", &by.reason)?;
        let mut count = 0;
        let mut walk = Walk::new(query);
        while let Some(found) = walk.next(self.ledgers()).await? {
            for (subscription, positions) in by_subscription(&found) {
                let repair = repair(by.clone());
                let ledgers = self.ledgers();
                count += ledgers.repair(subscription, &positions, repair).await? as u64;
            }
        }
        Ok(count)
    }

    /// Takes back what [`DeadLetters::export`] wrote: each line that is a dead letter no more is one again, in its own
    /// subscription, with its faults, its redrives and every revision. Nothing is published for it: the event must stand
    /// in the log where it stood, as it does when letters were discarded after their export, or when the data directory
    /// is a copy. A reason is asked for. Returns how many were taken back; those that are dead letters, or on their way,
    /// are left as they are.
    ///
    /// # Errors
    /// All but that of a missing reason name the line. `Invalid` when it cannot be read, naming the field, or is beyond a
    /// limit, or has a payload that does not fit the type of its event. `NotFound` for an unknown subscription. `Conflict`
    /// when the log has another event there, or none any more. `Full` when its subscription has as many dead letters as
    /// it may. Lines before stay taken back.
    ///
    /// # Cancel safety
    /// What was taken back when the future is dropped stays so; the rest is not. Call it again with the same lines.
    pub async fn import<'a>(&self, lines: impl Into<Lines<'a>>, by: &By) -> Result<Imported> {
        wants("reason", &by.reason)?;
        let lines = lines.into();
        let mut imported = Imported::default();
        let numbered = (0..).zip(lines.bytes.split(|byte| *byte == b'\n'));
        for (number, line) in numbered.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let count = self.take_back(line, by).await.map_err(|error| {
                let number = lines.first.saturating_add(number);
                error.at(&format!(
                    "line {number} is not taken back, those before it are"
                ))
            })?;
            imported.restored += count;
            imported.left += 1 - count;
        }
        Ok(imported)
    }

    /// One if the letter of this line was taken back.
    async fn take_back(&self, line: &[u8], by: &By) -> Result<u64> {
        let letter = from_json(line, self.bus.clock().as_ref())?;
        for revision in &letter.revisions {
            // What could not be published is not delivered either.
            self.bus.check(&Event {
                data: revision.data.clone(),
                ..letter.event.as_ref().clone()
            })?;
        }
        let (subscription, position) = (letter.subscription.clone(), letter.position);
        let repair = Repair::Restore {
            letter: Box::new(letter),
            by: by.clone(),
        };
        let ledgers = self.ledgers();
        let count = ledgers.repair(&subscription, &[position], repair).await?;
        Ok(count as u64)
    }

    /// Publishes a **new** event with the payload of the dead letter (its latest revision, where there is one) to **all**
    /// subscriptions, those that handled the original included. It has an id and time of its own, no idempotency key and
    /// no end of its time, and names the original as its cause. The dead letter stays as it is. To try again what one
    /// subscription failed at, use [`DeadLetters::retry`].
    ///
    /// # Errors
    /// `NotFound` when there is no such dead letter; else as [`Bus::publish`].
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the publish.
    pub async fn republish(&self, id: &DeadLetterId) -> Result<Receipt> {
        let letter = self.get(id).await?;
        let original = letter.event.as_ref();
        let clock = self.bus.clock().as_ref();
        let event = Event {
            id: EventId::generate(clock),
            time: clock.now(),
            correlation_id: original
                .correlation_id
                .clone()
                .or_else(|| Some(original.id.to_string())),
            causation_id: Some(original.id.clone()),
            idempotency_key: None,
            expires_at: None,
            data: letter.data().clone(),
            ..original.clone()
        };
        self.bus.publish(event).await
    }

    /// Those that fit as lines of JSON, a page at a time: each line is one dead letter as [`to_json`] writes it. [`DeadLetters::import`]
    /// takes them back.
    #[must_use]
    pub fn export(&self, query: DeadLetterQuery) -> Export {
        Export {
            letters: self.clone(),
            query: Some(query),
        }
    }

    /// Whether the number of dead letters went above its limit since the last call, or came back. Each crossing is told
    /// once, to one of those who ask; it counts as back at nine tenths of the limit, so that a number that wavers about
    /// the limit is one crossing.
    #[must_use]
    pub fn crossing(&self) -> Option<Crossing> {
        let dead = self.ledgers().list().iter().map(|it| it.counts.dead).sum();
        let threshold = self.bus.settings().dead_letter_threshold as u64;
        self.bus.alarm().look(dead, threshold)
    }

    /// Looks for crossings once a second and logs each: a warning above the limit, a note when it is back.
    ///
    /// # Cancel safety
    /// Safe: a crossing that was seen was logged.
    pub async fn watch(&self) -> std::convert::Infallible {
        loop {
            match self.crossing() {
                Some(Crossing::Above { dead, threshold }) => {
                    tracing::warn!(dead, threshold, "dead letters are above their threshold");
                }
                Some(Crossing::Back { dead, threshold }) => {
                    tracing::info!(
                        dead,
                        threshold,
                        "dead letters are back below their threshold"
                    );
                }
                None => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How often the number of dead letters went above its limit, as far as somebody asked.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.bus.alarm().alerts
    }
}

/// Pages of an export; memory for one page at a time.
#[derive(Debug)]
pub struct Export {
    letters: DeadLetters,
    /// What is left; `None` at the end.
    query: Option<DeadLetterQuery>,
}

impl Export {
    /// The lines of the next page, each with its end; `None` at the end.
    ///
    /// # Errors
    /// As [`DeadLetters::page`].
    ///
    /// # Cancel safety
    /// A page whose future was dropped is made again by the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(query) = self.query.as_mut() else {
            return Ok(None);
        };
        let page = self.letters.page(query).await?;
        let mut lines = Vec::new();
        for letter in &page.letters {
            lines.append(&mut form::line(letter)?);
        }
        query.max -= page.letters.len();
        query.after.clone_from(&page.next);
        if page.next.is_none() || query.max == 0 {
            self.query = None;
        }
        Ok(Some(lines))
    }
}

/// Goes through the ids that fit, some at a time.
#[derive(Debug)]
struct Walk {
    query: DeadLetterQuery,
    is_over: bool,
}

impl Walk {
    fn new(query: &DeadLetterQuery) -> Self {
        Self {
            query: query.clone(),
            is_over: false,
        }
    }

    async fn next(&mut self, ledgers: &dyn LedgerAdmin) -> Result<Option<DeadLetterIds>> {
        if self.is_over {
            return Ok(None);
        }
        let max = self.query.max;
        self.query.max = max.min(POSITIONS_MAX);
        let found = ledgers.find(&self.query).await?;
        self.query.max = max - found.ids.len();
        self.query.after.clone_from(&found.next);
        self.is_over = found.next.is_none() || self.query.max == 0;
        Ok(Some(found))
    }
}

/// Positions of each subscription.
fn by_subscription(found: &DeadLetterIds) -> impl Iterator<Item = (&str, Vec<u64>)> {
    found
        .ids
        .chunk_by(|one, other| one.subscription == other.subscription)
        .filter_map(|ids| {
            let name = ids.first()?.subscription.as_str();
            Some((name, ids.iter().map(|id| id.position).collect()))
        })
}

fn spacing(plan: &RetryPlan) -> Result<Duration> {
    match plan.per_second {
        None => Ok(Duration::ZERO),
        Some(rate) if (1..=PER_SECOND_MAX).contains(&rate) => {
            Ok(Duration::from_millis(u64::from(1000_u32.div_ceil(rate))))
        }
        Some(rate) => Err(Error::invalid(format!(
            "`ratePerSecond` is {rate}, and must be 1 to {PER_SECOND_MAX}"
        ))),
    }
}

fn wants(field: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid(format!("`{field}` is missing")));
    }
    Ok(())
}

fn none(id: &DeadLetterId) -> Error {
    Error::not_found(format!(
        "subscription `{}` has no dead letter at position {}",
        id.subscription, id.position
    ))
}
