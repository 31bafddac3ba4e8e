//! One history of a log, from a seed: what is done, what fails, and what must hold after it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::chance::Chance;
use super::disk::{Crash, Mutation, SimDisk};
use super::model::{Answered, Attempt, Model, Record};
use crate::clock::{SystemClock, Timestamp, mix};
use crate::engines::embedded::committer::{Parts, salt};
use crate::engines::embedded::disk::Disk;
use crate::engines::embedded::frame::{BatchHeader, SEGMENT_HEADER_BYTES, push_batch, seal};
use crate::engines::embedded::log::{
    Admission, Append, Durability, Entry, Log, Observer, Pending, Placed, Shared,
};
use crate::engines::embedded::record;
use crate::engines::embedded::recovery::{Recovered, recover};
use crate::engines::embedded::reserve::{self, RESERVE_NAME};
use crate::engines::embedded::retention::replace_beginning;
use crate::engines::embedded::room::Watch;
use crate::engines::embedded::window::{Limits, Window};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventId, EventType};
use crate::ledger::Priority;

/// Starts that may be cut short one after the other.
const STARTS_CUT_SHORT_MAX: u64 = 3;
/// Ids that the log remembers: more than a history has events.
const WINDOW: Limits = Limits {
    events: 65_536,
    time: Duration::from_hours(24),
};
/// Most bytes of one record's content when it is to be small.
const SMALL_BYTES: u64 = 120;

/// What happened in a history, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A number that tells this history from others.
    pub trace: u64,
    /// Appends.
    pub appends: u64,
    /// Appends that were acknowledged.
    pub acknowledged: u64,
    /// Appends of which nobody was told what became of them.
    pub unknown: u64,
    /// Appends refused for want of room.
    pub refused_full: u64,
    /// Appends refused as too large.
    pub refused_large: u64,
    /// Events that were there before.
    pub duplicates: u64,
    /// Records found at starts, in all.
    pub recovered: u64,
    /// Starts.
    pub starts: u64,
    /// Starts that were cut short.
    pub starts_cut_short: u64,
    /// Losses of power.
    pub power_losses: u64,
    /// Ends of the process that were not in good order.
    pub kills: u64,
    /// Failed syncs.
    pub failed_syncs: u64,
    /// Torn tails that were cut.
    pub torn_tails: u64,
    /// Times at which the beginning of the log was replaced.
    pub compactions: u64,
    /// Of these, with no room but what was kept for that.
    pub reserve_taken: u64,
    /// Files of the log at the end.
    pub segments: u64,
    /// Damage that was found.
    pub damage_found: u64,
    /// Damage that changed nothing.
    pub damage_harmless: u64,
}

impl Outcome {
    /// Counts both together.
    pub fn add(&mut self, other: &Self) {
        self.trace = mix(self.trace ^ other.trace);
        self.appends += other.appends;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.refused_full += other.refused_full;
        self.refused_large += other.refused_large;
        self.duplicates += other.duplicates;
        self.recovered += other.recovered;
        self.starts += other.starts;
        self.starts_cut_short += other.starts_cut_short;
        self.power_losses += other.power_losses;
        self.kills += other.kills;
        self.failed_syncs += other.failed_syncs;
        self.torn_tails += other.torn_tails;
        self.compactions += other.compactions;
        self.reserve_taken += other.reserve_taken;
        self.segments += other.segments;
        self.damage_found += other.damage_found;
        self.damage_harmless += other.damage_harmless;
    }
}

/// A promise of the log that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed of the history in which it was.
    pub seed: u64,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEED={}: {}", self.seed, self.what)
    }
}

impl std::error::Error for Violation {}

/// Lives the history of `seed`.
///
/// # Errors
/// The first promise that the log broke.
pub fn run(seed: u64) -> Result<Outcome, Violation> {
    Course::new(seed)
        .run()
        .map_err(|what| Violation { seed, what })
}

/// What may happen in a history. Each seed leaves some of it out, so that the rest gets its turn.
#[derive(Debug)]
struct Knobs {
    segment_bytes: u64,
    appends_max: u64,
    entries_max: u64,
    has_kills: bool,
    has_power_losses: bool,
    has_cut_operations: bool,
    has_failed_syncs: bool,
    has_full_disks: bool,
    has_damage: bool,
    has_compactions: bool,
    keeps_room: bool,
    has_hostile_events: bool,
}

/// Appends on their way, and the answers that came.
#[derive(Debug, Default)]
struct Flight {
    pending: BTreeMap<usize, Pending>,
    answers: Vec<(usize, Result<Placed, Error>)>,
    /// The process is gone, or a sync has failed: what is acknowledged from now on is a lie.
    is_over: bool,
    lies: u64,
}

impl Flight {
    fn collect(&mut self) {
        let (answers, is_over) = (&mut self.answers, self.is_over);
        let lies = &mut self.lies;
        self.pending.retain(|number, pending| {
            let answer = pending.try_done();
            match answer {
                None => return true,
                Some(Ok(_)) if is_over => *lies += 1,
                Some(answer) => answers.push((*number, answer)),
            }
            false
        });
    }
}

#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn durable(&self, _: &mut Vec<(u64, Arc<Event>)>) {}
}

struct Course {
    seed: u64,
    chance: Chance,
    knobs: Knobs,
    disk: SimDisk,
    log: Option<Log>,
    model: Model,
    flight: Arc<Mutex<Flight>>,
    events: Vec<Arc<Event>>,
    records: u64,
    outcome: Outcome,
}

type Checked<T = ()> = Result<T, String>;

impl Course {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let small = *chance.pick(&[4096, 4096, 5000, 8192]);
        let large = *chance.pick(&[16, 16, 32, 64, 64, 64, 256, 1024]) * 1024;
        let knobs = Knobs {
            segment_bytes: if chance.one_in(3) { large } else { small },
            appends_max: *chance.pick(&[1, 2, 4, 12]),
            entries_max: *chance.pick(&[1, 2, 6]),
            has_kills: chance.one_in(2),
            has_power_losses: !chance.one_in(4),
            has_cut_operations: chance.one_in(2),
            has_failed_syncs: chance.one_in(3),
            has_full_disks: chance.one_in(4),
            has_damage: chance.one_in(4),
            has_compactions: chance.one_in(2),
            keeps_room: chance.one_in(2),
            has_hostile_events: chance.one_in(8),
        };
        let disk = SimDisk::new(chance.bits());
        let flight = Arc::new(Mutex::new(Flight::default()));
        let watched = Arc::clone(&flight);
        disk.watch(move || {
            let mut flight = lock(&watched);
            flight.collect();
            flight.is_over = true;
        });
        Self {
            seed,
            chance,
            knobs,
            disk,
            log: None,
            model: Model::default(),
            flight,
            events: Vec::new(),
            records: 0,
            outcome: Outcome::default(),
        }
    }

    fn run(mut self) -> Checked<Outcome> {
        for _ in 0..2 + self.chance.below(5) {
            self.open()?;
            for _ in 0..self.chance.below(24) {
                self.act()?;
                if self.is_over() {
                    break;
                }
            }
            self.end()?;
        }
        self.disk.set_room(u64::MAX);
        self.open()?;
        self.check_shown()?;
        self.outcome.segments += self
            .disk
            .names()
            .iter()
            .filter(|it| it.ends_with(".log"))
            .count() as u64;
        self.end()?;
        self.outcome.trace = mix(self.disk.trace() ^ self.outcome.appends);
        Ok(self.outcome)
    }

    /// Whether nothing can be done any more before a restart.
    fn is_over(&self) -> bool {
        self.disk.is_down()
            || self.disk.has_failed_sync()
            || self.log.as_ref().is_none_or(|it| it.stopped().is_some())
    }

    /// Starts the log, over starts that are cut short.
    fn open(&mut self) -> Checked {
        for number in 0.. {
            if number < STARTS_CUT_SHORT_MAX {
                if self.knobs.has_cut_operations && self.chance.one_in(3) {
                    self.disk.crash_in(self.chance.below(16));
                }
                if self.knobs.has_failed_syncs && self.chance.one_in(6) {
                    self.disk.fail_sync_in(self.chance.below(2));
                }
            } else {
                self.disk.set_room(u64::MAX);
            }
            if self.try_open()? {
                break;
            }
            self.outcome.starts_cut_short += 1;
            self.restart();
        }
        Ok(())
    }

    /// One try to start; `false` when it failed for a reason.
    fn try_open(&mut self) -> Checked<bool> {
        self.outcome.starts += 1;
        *lock(&self.flight) = Flight::default();
        let mut window = Window::new(WINDOW);
        let (recovered, found) = match self.read_back(&mut window) {
            Ok(read) => read,
            Err(error) => return self.excused(&error).map(|()| false),
        };
        self.outcome.torn_tails += u64::from(recovered.torn_bytes > 0);
        self.outcome.recovered += found.len() as u64;
        self.model.recover(found)?;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let room = Watch::new(Arc::clone(&disk), 0);
        let parts = Parts {
            disk,
            segment_bytes: self.knobs.segment_bytes,
            salt_seed: (self.chance.bits(), self.chance.bits()),
            shared: Arc::new(Shared::new(&recovered, room)),
            recovered,
            observer: Arc::new(Nobody),
            window,
            clock: Arc::new(SystemClock),
        };
        match Log::start_manual(parts) {
            Ok(log) => self.log = Some(log),
            Err(error) if error.kind() == ErrorKind::Full => {
                self.disk.set_room(u64::MAX);
                return Ok(false);
            }
            Err(error) => return self.excused(&error).map(|()| false),
        }
        Ok(true)
    }

    fn read_back(&self, window: &mut Window) -> Result<(Recovered, Vec<Record>), Error> {
        let mut found = Vec::new();
        let recovered = recover(&self.disk, &mut |position, kind, content, _| {
            found.push((kind, content.to_vec()));
            window.restore(position, kind, content)
        })?;
        Ok((recovered, found))
    }

    /// A start may fail when the machine goes down or a sync fails, and for no other reason.
    fn excused(&self, error: &Error) -> Checked {
        let is_excused = self.disk.is_down() || self.disk.has_failed_sync();
        if error.kind() == ErrorKind::Corrupt || !is_excused {
            return Err(format!("does not start: {}", error.chain()));
        }
        Ok(())
    }

    fn act(&mut self) -> Checked {
        match self.chance.below(24) {
            0 if self.knobs.has_cut_operations => self.disk.crash_in(self.chance.below(12)),
            1 if self.knobs.has_failed_syncs => self.disk.fail_sync_in(self.chance.below(6)),
            2 if self.knobs.has_full_disks => {
                let segments = self.chance.below(4);
                self.disk.set_room(segments * self.knobs.segment_bytes);
            }
            3 | 4 => self.disk.set_room(u64::MAX),
            5 => self.commit()?,
            6 => self.check_shown()?,
            7 | 8 if self.knobs.has_compactions => self.compact()?,
            _ => {
                for _ in 0..=self.chance.below(self.knobs.appends_max) {
                    self.append();
                }
                self.commit()?;
            }
        }
        Ok(())
    }

    /// Has one file stand for the first segments. All of their records stay, so that it is seen if one is lost.
    fn compact(&mut self) -> Checked {
        let Some(log) = &self.log else { return Ok(()) };
        let log = log.reader();
        let firsts: Vec<u64> = {
            let segments = log.files().segments;
            segments.iter().map(|it| it.first_position()).collect()
        };
        let upto = match firsts.get(self.chance.index(firsts.len().max(1))) {
            Some(first) if *first > log.oldest() => *first,
            _ => return Ok(()),
        };
        if self.knobs.keeps_room
            && let Err(error) = reserve::keep(&self.disk, 8 * self.knobs.segment_bytes)
            && error.kind() != std::io::ErrorKind::StorageFull
        {
            return Ok(());
        }
        if self.knobs.has_full_disks && self.chance.one_in(2) {
            self.disk.set_room(0);
        }
        let has_room = || self.disk.names().iter().any(|it| it == RESERVE_NAME);
        let had_room = has_room();
        let salt = salt((self.chance.bits(), self.chance.bits()), upto);
        let now = Timestamp::default();
        let replaced = replace_beginning(&self.disk, &log, (upto, salt, now), &|visit| {
            log.read(0, &mut |position, kind, content| {
                if position < upto {
                    return visit(position, kind, content);
                }
                Ok(false)
            })
        });
        match replaced {
            Ok(()) => {
                self.outcome.compactions += 1;
                self.outcome.reserve_taken += u64::from(had_room && !has_room());
            }
            Err(error) if error.kind() == ErrorKind::Full => {}
            Err(error) => self.excused(&error)?,
        }
        Ok(())
    }

    fn append(&mut self) {
        let Some(log) = &self.log else { return };
        let mut entries = Vec::new();
        let mut append = Append {
            entries: Vec::new(),
            durability: Durability::Synced,
            admission: Admission::New,
            link: None,
        };
        if self.chance.one_in(4) {
            append.admission = Admission::Always;
            if self.chance.one_in(2) {
                append.durability = Durability::Written;
            }
        }
        let count = 1 + self.chance.below(self.knobs.entries_max);
        for _ in 0..count {
            let is_record = append.admission == Admission::Always && !self.chance.one_in(3);
            let bytes = content_bytes(&mut self.chance, self.knobs.segment_bytes);
            if is_record {
                self.records += 1;
                let kind = *self.chance.pick(&[record::LEDGER, record::SAGA]);
                let mut content = self.records.to_le_bytes().to_vec();
                content.resize(8 + bytes, 0xB5);
                entries.push(((kind, content.clone()), None));
                append.entries.push(Entry::record(kind, content));
                continue;
            }
            let is_repeat = !self.events.is_empty() && self.chance.one_in(6);
            let number = if is_repeat {
                self.chance.index(self.events.len())
            } else {
                let is_hostile = self.knobs.has_hostile_events && self.chance.one_in(3);
                let data = if is_hostile {
                    forged_batches()
                } else {
                    vec![b'x'; bytes]
                };
                let Ok(event) = event(self.events.len(), data) else {
                    continue;
                };
                self.events.push(Arc::new(event));
                self.events.len() - 1
            };
            if let Some(event) = self.events.get(number) {
                let entry = Entry::event(Arc::clone(event), log.keys(), Duration::ZERO);
                let (kind, content) = entry.content();
                entries.push(((kind, content.to_vec()), Some(number)));
                append.entries.push(entry);
            }
        }
        self.outcome.appends += 1;
        self.model.attempts.push(Attempt {
            entries,
            durability: append.durability,
            answer: None,
        });
        let pending = log.enqueue(append);
        lock(&self.flight)
            .pending
            .insert(self.model.attempts.len() - 1, pending);
    }

    /// Has the log commit what waits, and takes the answers.
    fn commit(&mut self) -> Checked {
        if let Some(log) = &self.log {
            log.commit();
        }
        self.collect()
    }

    fn collect(&mut self) -> Checked {
        let (answers, lies) = {
            let mut flight = lock(&self.flight);
            flight.collect();
            // What comes after the end of the process reaches nobody.
            let lies = if self.disk.is_down() { 0 } else { flight.lies };
            (std::mem::take(&mut flight.answers), lies)
        };
        if lies > 0 {
            return Err(format!(
                "{lies} appends are acknowledged after a failed sync"
            ));
        }
        for (number, answer) in answers {
            let answer = match answer {
                Ok(placed) => {
                    self.outcome.acknowledged += 1;
                    self.outcome.duplicates += placed.duplicates.len() as u64;
                    Answered::Stored(placed)
                }
                Err(error) => match error.kind() {
                    ErrorKind::Full => {
                        self.outcome.refused_full += 1;
                        Answered::Refused
                    }
                    ErrorKind::Invalid => {
                        self.outcome.refused_large += 1;
                        Answered::Refused
                    }
                    ErrorKind::Closed => {
                        self.outcome.unknown += 1;
                        Answered::Unknown
                    }
                    kind => return Err(format!("an append fails with {kind:?}")),
                },
            };
            if let Some(attempt) = self.model.attempts.get_mut(number) {
                attempt.answer = Some(answer);
            }
        }
        Ok(())
    }

    /// What readers are shown is what was appended.
    fn check_shown(&mut self) -> Checked {
        self.commit()?;
        let Some(log) = &self.log else { return Ok(()) };
        let mut shown = Vec::new();
        let read = log.reader().read(1, &mut |_, kind, content| {
            shown.push((kind, content.to_vec()));
            Ok(true)
        });
        match read {
            Ok(()) => self.model.check_shown(&shown),
            Err(error) => self.excused(&error),
        }
    }

    /// The log ends in one way or another, and the machine starts again.
    fn end(&mut self) -> Checked {
        self.collect()?;
        let is_kill = self.knobs.has_kills && self.chance.one_in(2);
        let is_power_loss = self.knobs.has_power_losses && self.chance.one_in(2);
        if !self.is_over() && (is_kill || is_power_loss) {
            self.disk.crash();
        }
        let log = self.log.take();
        if let Some(log) = &log {
            log.close();
        }
        let is_clean = !self.disk.is_down()
            && !self.disk.has_failed_sync()
            && log.is_none_or(|it| it.stopped().is_none());
        self.collect()?;
        if is_clean {
            self.disk.restart(Crash::Process);
            self.damage()?;
        } else {
            self.restart();
        }
        Ok(())
    }

    /// The machine starts again after a fault.
    fn restart(&mut self) {
        let crash = if self.knobs.has_power_losses && self.chance.one_in(2) {
            Crash::Power
        } else {
            *self
                .chance
                .pick(&[Crash::Process, Crash::Process, Crash::ProcessAndCache])
        };
        match crash {
            Crash::Power => self.outcome.power_losses += 1,
            Crash::Process | Crash::ProcessAndCache => self.outcome.kills += 1,
        }
        // After a failed sync nothing is known about what was only written.
        let has_failed_sync = self.disk.has_failed_sync();
        self.outcome.failed_syncs += u64::from(has_failed_sync);
        self.model.has_lost_cache |= crash == Crash::Power || has_failed_sync;
        self.disk.restart(crash);
    }

    /// Damages what a stop in good order left; it must be found, or change nothing.
    fn damage(&mut self) -> Checked {
        let answers = self.model.check_answers();
        if !self.knobs.has_damage || self.model.len() + self.model.attempts.len() == 0 {
            return answers;
        }
        answers?;
        let mut window = Window::new(WINDOW);
        let (_, found) = self
            .read_back(&mut window)
            .map_err(|error| format!("does not start again: {}", error.chain()))?;
        self.model.recover(found)?;
        for _ in 0..1 + self.chance.below(6) {
            let good = self.disk.snapshot();
            let mutation = *self.chance.pick(&[
                Mutation::Flip,
                Mutation::Flip,
                Mutation::ZeroSector,
                Mutation::Cut,
                Mutation::Swap,
            ]);
            let suffix = *self.chance.pick(&[".log", ".log", ".compacted"]);
            if !self.disk.mutate(mutation, suffix) {
                continue;
            }
            let damaged = self.disk.snapshot();
            match self.read_back(&mut window) {
                Ok((_, found)) => {
                    if !self.model.is_as_opened(&found) {
                        return Err(format!("damage ({mutation:?}) changes what is read unseen"));
                    }
                    self.outcome.damage_harmless += 1;
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    if !self.disk.is_as(&damaged, ".log")
                        || !self.disk.is_as(&damaged, ".compacted")
                    {
                        return Err(format!("damage ({mutation:?}) is found and files changed"));
                    }
                    self.outcome.damage_found += 1;
                }
                Err(error) => {
                    return Err(format!(
                        "damage ({mutation:?}) passes for another fault: {}",
                        error.chain()
                    ));
                }
            }
            self.disk.restore(good);
        }
        Ok(())
    }
}

/// Mostly little, sometimes as much as a segment takes or more.
fn content_bytes(chance: &mut Chance, segment_bytes: u64) -> usize {
    let limit = match chance.below(40) {
        0 => segment_bytes - SEGMENT_HEADER_BYTES as u64 + 64,
        1..=4 => segment_bytes / 4,
        _ => SMALL_BYTES,
    };
    usize::try_from(chance.below(limit.min(64 * 1024))).unwrap_or_default()
}

fn event(number: usize, data: Vec<u8>) -> Result<Event, Error> {
    Ok(Event {
        id: EventId::new(format!("e{number}"))?,
        event_type: EventType::new("a.b")?,
        source: "simulation".into(),
        subject: None,
        time: Timestamp::default(),
        version: "1.0".into(),
        correlation_id: None,
        causation_id: None,
        priority: Priority::Normal,
        expires_at: None,
        idempotency_key: None,
        metadata: BTreeMap::new(),
        data: Bytes::from(data),
    })
}

/// Bytes of batches that would say that all is durable, if they were sealed for this file, at each alignment.
fn forged_batches() -> Vec<u8> {
    let mut forged = Vec::new();
    for _ in 0..8 {
        let header = BatchHeader {
            first_position: 1,
            durable_upto: u64::MAX,
            records: 0,
            bytes: 0,
        };
        let mut batch = Vec::new();
        push_batch(&mut batch, &header, &[]);
        seal(&mut batch, &[0; 16]);
        forged.append(&mut batch);
        forged.push(0);
    }
    forged
}

fn lock(flight: &Mutex<Flight>) -> MutexGuard<'_, Flight> {
    flight.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "history of SEED={}", self.seed)
    }
}
