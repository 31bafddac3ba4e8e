//! Does random work with an engine, by a seed, and writes down what it was told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Ended, Entry, Keys, PASSES_MAX, Repaired, SUBJECTS, check};
use crate::clock::mix;
use crate::conformance::Cluster;
use crate::conformance::bench::event;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::filter::Filter;
use crate::ledger::{By, Exhausted, Fault, Order, Priority, Sharing};
use crate::pattern::Pattern;
use crate::transport::{
    DeadLetterQuery, Leased, Member, PauseUntil, Repair, Settle, Start, SubscriptionSpec,
    Transport, Verdict,
};

const TYPES: [&str; 5] = ["a.x", "a.y", "b.y", "b.z.w", "c"];
/// Attempts after which an event is given up.
const ATTEMPTS_MAX: u32 = 4;
/// A member's lease in units of the cluster: long against one call of a busy engine.
const LEASE_UNITS: u32 = 60;
/// Settled leases that are tried again.
const SPENT_MAX: usize = 24;
/// Rounds in which everything must come to its end.
const ROUNDS_MAX: usize = 2000;
/// Where what nobody needs is dropped, only the latest events are remembered.
const REMEMBERED: usize = 32;
/// Of these, so many may be published again: the others may be gone before that is known.
const AGAIN_MAX: usize = REMEMBERED / 2;
/// Histories among which one drops what nobody needs, where the store does that.
const DROPPING_IN: u64 = 3;
/// Events read at once.
const READ_MAX: usize = 1000;

/// How much of what a history had, so that one that did nothing is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events stored.
    pub published: usize,
    /// Publishes of an event that was there.
    pub duplicates: usize,
    /// Leases.
    pub leases: usize,
    /// Leases beyond the first of an event.
    pub repeats: usize,
    /// Settlings that did not count.
    pub fenced: usize,
    /// Members that were killed, replaced or frozen.
    pub gone: usize,
    /// Repairs.
    pub repairs: usize,
    /// Repairs of what was no dead letter, which were refused.
    pub refused: usize,
    /// Pauses.
    pub pauses: usize,
    /// Leases of what may be what ends the process.
    pub suspects: usize,
    /// Dead letters at the end.
    pub dead: usize,
    /// Crashes and restarts.
    pub restarts: usize,
    /// Events that were dropped by the end.
    pub dropped: usize,
}

impl Summary {
    /// Counts both together.
    pub fn add(&mut self, other: Self) {
        self.published += other.published;
        self.duplicates += other.duplicates;
        self.leases += other.leases;
        self.repeats += other.repeats;
        self.fenced += other.fenced;
        self.gone += other.gone;
        self.repairs += other.repairs;
        self.refused += other.refused;
        self.pauses += other.pauses;
        self.suspects += other.suspects;
        self.dead += other.dead;
        self.restarts += other.restarts;
        self.dropped += other.dropped;
    }
}

/// Does `steps` steps of work by `seed`, brings everything to its end, and returns what was told.
pub async fn run(cluster: &dyn Cluster, seed: u64, steps: usize) -> (Vec<Entry>, Summary) {
    let is_dropping = seed.is_multiple_of(DROPPING_IN) && cluster.keep_little();
    if is_dropping {
        cluster.remember(REMEMBERED, Duration::from_hours(24));
    }
    let mut work = Work {
        is_dropping,
        oldest: 0,
        cluster,
        transport: cluster.transport().await,
        chance: seed,
        history: Vec::new(),
        restarts: 0,
        members: Vec::new(),
        members_made: 0,
        published: Vec::new(),
        positions: Vec::new(),
        spent: VecDeque::new(),
    };
    if is_dropping {
        // One that begins later begins with what is there then.
        for subject in 0..SUBJECTS.len() {
            work.join_as(subject, "first".to_owned()).await;
        }
    }
    for _ in 0..steps {
        work.step().await;
        if work.has_lost().await {
            // What is gone cannot come to its end.
            let summary = work.summary();
            return (work.history, summary);
        }
    }
    work.finish().await;
    let summary = work.summary();
    (work.history, summary)
}

struct Worker {
    number: u32,
    subject: usize,
    name: String,
    member: Arc<dyn Member>,
    held: Vec<Leased>,
    /// Nobody hears of it, so what it has may go to others.
    is_gone: bool,
    /// When it was heard of last at the earliest.
    heard: Duration,
}

struct Work<'a> {
    is_dropping: bool,
    /// What is before it had been dropped when it was looked at last.
    oldest: u64,
    cluster: &'a dyn Cluster,
    transport: Arc<dyn Transport>,
    chance: u64,
    history: Vec<Entry>,
    restarts: usize,
    members: Vec<Worker>,
    members_made: u32,
    published: Vec<Event>,
    /// Where they stand.
    positions: Vec<u64>,
    /// Leases that were settled lately, with their subscription.
    spent: VecDeque<(usize, Leased)>,
}

impl Work<'_> {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(mix(self.chance) % end).unwrap_or(0)
    }

    async fn step(&mut self) {
        match self.below(100) {
            0..20 => self.publish().await,
            20..28 => self.join().await,
            28..56 => self.lease().await,
            56..82 => self.settle().await,
            82..85 => self.lose(),
            85..87 => self.leave().await,
            87..92 => self.repair().await,
            92..95 => self.pass().await,
            95..98 => self.pause().await,
            _ => self.restart().await,
        }
    }

    async fn publish(&mut self) {
        let count = 1 + self.below(6);
        let mut events = Vec::new();
        for _ in 0..count {
            if !self.published.is_empty() && self.below(10) == 0 {
                let count = self.published.len();
                let oldest = if self.is_dropping {
                    count.saturating_sub(AGAIN_MAX)
                } else {
                    0
                };
                let again = oldest + self.below(count - oldest);
                events.push(self.published[again].clone());
                continue;
            }
            let event_type = TYPES[self.below(TYPES.len())];
            let key = format!("k{}", self.below(5));
            let mark = ["yes", "no"][self.below(2)];
            let mut event = event(self.cluster, event_type, "1").about(key);
            event.metadata.insert("mark".to_owned(), mark.to_owned());
            event.priority = Priority::ALL[self.below(Priority::ALL.len())];
            events.push(event);
        }
        let shared: Vec<Arc<Event>> = events.iter().cloned().map(Arc::new).collect();
        let receipts = self.transport.append(&shared).await.unwrap();
        for (event, receipt) in events.into_iter().zip(receipts) {
            self.history.push(Entry::Published {
                id: receipt.id,
                event_type: event.event_type.to_string(),
                key: event.subject.clone().unwrap_or_default(),
                is_marked: event.metadata.get("mark").is_some_and(|it| it == "yes"),
                priority: event.priority,
                position: receipt.position,
                is_duplicate: receipt.duplicate,
            });
            if !receipt.duplicate {
                self.positions.push(receipt.position);
                self.published.push(event);
            }
        }
    }

    async fn join(&mut self) {
        let subject = self.below(SUBJECTS.len());
        let name = format!("m{}", self.below(4));
        self.join_as(subject, name).await;
    }

    async fn join_as(&mut self, subject: usize, name: String) {
        let described = &SUBJECTS[subject];
        let pattern = Pattern::new(described.pattern).unwrap();
        let (order, exhausted) = match described.keys {
            Keys::Free => (Order::Unordered, Exhausted::SkipAhead),
            Keys::SkipAhead => (Order::PerKey, Exhausted::SkipAhead),
            Keys::Park => (Order::PerKey, Exhausted::ParkKey),
        };
        let filter = described.wants_marked.then_some("mark = 'yes'");
        let spec = SubscriptionSpec {
            member: name.clone(),
            lease: self.cluster.unit() * LEASE_UNITS,
            order,
            exhausted,
            sharing: Sharing::Weighted {
                passes_max: PASSES_MAX,
            },
            filter: filter.map(|it| Filter::sql(it).unwrap()),
            ..SubscriptionSpec::new(described.name, vec![pattern], Start::Earliest)
        };
        let heard = self.cluster.clock().elapsed();
        let member = self.cluster.join(spec).await.unwrap();
        // One of the same name is replaced by this.
        let same = |it: &&Worker| it.subject == subject && it.name == name;
        let replaced: Vec<u32> = self
            .members
            .iter()
            .filter(same)
            .map(|it| it.number)
            .collect();
        for number in replaced {
            self.mark_gone(number);
        }
        self.members_made += 1;
        self.members.push(Worker {
            number: self.members_made,
            subject,
            name,
            member,
            held: Vec::new(),
            is_gone: false,
            heard,
        });
    }

    fn mark_gone(&mut self, number: u32) {
        let found = self.members.iter_mut().find(|it| it.number == number);
        if let Some(worker) = found.filter(|it| !it.is_gone) {
            worker.is_gone = true;
            self.history.push(Entry::Gone { member: number });
        }
    }

    /// Members that were not heard of for most of their lease may be out.
    fn mark_silent(&mut self) {
        let now = self.cluster.clock().elapsed();
        let most = self.cluster.unit() * LEASE_UNITS * 4 / 5;
        let silent = |it: &&Worker| now.saturating_sub(it.heard) > most;
        let silent: Vec<u32> = self
            .members
            .iter()
            .filter(silent)
            .map(|it| it.number)
            .collect();
        for number in silent {
            self.mark_gone(number);
        }
    }

    /// Some member, by chance, of those that are alive or not.
    fn any(&mut self, is_gone: bool) -> Option<usize> {
        let fit = |it: &(usize, &Worker)| it.1.is_gone == is_gone;
        let found: Vec<usize> = self
            .members
            .iter()
            .enumerate()
            .filter(fit)
            .map(|it| it.0)
            .collect();
        let chosen = self.below(found.len());
        found.get(chosen).copied()
    }

    async fn lease(&mut self) {
        if let Some(place) = self.any(false) {
            let max = 1 + self.below(5);
            self.lease_of(place, max).await;
        }
    }

    /// Whether there was something to lease.
    async fn lease_of(&mut self, place: usize, max: usize) -> bool {
        let (clock, wait) = (self.cluster.clock(), self.cluster.unit() / 4);
        let member = Arc::clone(&self.members[place].member);
        let heard = clock.elapsed();
        let leased = tokio::time::timeout(wait, member.lease(max)).await;
        self.mark_silent();
        let worker = &mut self.members[place];
        match leased {
            Err(_) => {
                worker.heard = heard;
                let subject = worker.subject;
                self.history.push(Entry::GivenUp { subject });
                false
            }
            Ok(Ok(leased)) => {
                worker.heard = heard;
                let at = clock.now();
                for leased in leased {
                    self.history.push(Entry::Leased {
                        subject: worker.subject,
                        member: worker.number,
                        token: leased.token,
                        silent: leased.silent,
                        at,
                    });
                    worker.held.push(leased);
                }
                true
            }
            Ok(Err(error)) => {
                let is_right = worker.is_gone && error.kind() == ErrorKind::Fenced;
                assert!(is_right, "a member that is heard of cannot lease: {error}");
                self.members.remove(place);
                false
            }
        }
    }

    /// A member settles what it has, now and then what it had, or what another has.
    async fn settle(&mut self) {
        if self.below(6) == 0 {
            return self.settle_again().await;
        }
        // Now and then somebody answers who should be silent.
        let is_gone = self.below(8) == 0;
        let Some(place) = self.any(is_gone) else {
            return;
        };
        let most = self.members[place].held.len();
        let count = self.below(most + 1).max(1).min(most);
        let mut settles = Vec::new();
        for _ in 0..count {
            let held = self.below(self.members[place].held.len());
            let leased = self.members[place].held.swap_remove(held);
            let ended = match self.below(20) {
                0..11 => Ended::Ack,
                11..13 => Ended::Release,
                13 => Ended::Skip,
                14 => Ended::Dead,
                _ if leased.token.attempt >= ATTEMPTS_MAX => Ended::Dead,
                _ => {
                    let wait = u32::try_from(self.below(4)).unwrap_or(0);
                    Ended::RetryAt(self.cluster.clock().now().after(self.cluster.unit() * wait))
                }
            };
            settles.push((leased, ended));
        }
        self.settle_as(place, settles).await;
    }

    /// A member settles with a lease that it settled before, or that is or was another's.
    async fn settle_again(&mut self) {
        let Some(place) = self.any(false) else {
            return;
        };
        let subject = self.members[place].subject;
        let of_others = self.members.iter().flat_map(|it| {
            let held = it.held.iter();
            held.map(|held| (it.subject, held.clone()))
        });
        let all: Vec<Leased> = of_others
            .chain(self.spent.iter().cloned())
            .filter(|it| it.0 == subject)
            .map(|it| it.1)
            .collect();
        let chosen = self.below(all.len());
        if let Some(leased) = all.get(chosen) {
            let settles = vec![(leased.clone(), Ended::Ack)];
            self.settle_as(place, settles).await;
        }
    }

    async fn settle_as(&mut self, place: usize, settles: Vec<(Leased, Ended)>) {
        if settles.is_empty() {
            return;
        }
        let now = self.cluster.clock().now();
        let asked = settles.iter().map(|(leased, ended)| {
            let fault = Fault::new(leased.token.attempt, now, 0, "error", "by chance");
            let verdict = match ended {
                Ended::Ack => Verdict::Ack,
                Ended::Skip => Verdict::Skip,
                Ended::Release => Verdict::Release,
                Ended::Dead => Verdict::Dead(Box::new(fault)),
                Ended::RetryAt(due) => Verdict::RetryAt(*due, Box::new(fault)),
            };
            Settle::new(leased.token, verdict)
        });
        let heard = self.cluster.clock().elapsed();
        let member = Arc::clone(&self.members[place].member);
        let counted = member.settle(asked.collect()).await.unwrap();
        self.mark_silent();
        assert_eq!(counted.len(), settles.len());
        let worker = &mut self.members[place];
        worker.heard = heard;
        for ((leased, ended), counted) in settles.into_iter().zip(counted) {
            self.history.push(Entry::Settled {
                subject: worker.subject,
                member: worker.number,
                token: leased.token,
                ended,
                counted,
            });
            self.spent.push_back((worker.subject, leased));
        }
        while self.spent.len() > SPENT_MAX {
            self.spent.pop_front();
        }
    }

    /// A member is killed, or frozen until its lease is over.
    fn lose(&mut self) {
        let Some(place) = self.any(false) else {
            return;
        };
        let number = self.members[place].number;
        self.mark_gone(number);
        if self.below(2) == 0 {
            let worker = self.members.remove(place);
            self.cluster.kill(worker.member);
        }
    }

    async fn leave(&mut self) {
        if let Some(place) = self.any(false) {
            self.leave_as(place).await;
        }
    }

    /// Finishes or hands back everything, then leaves.
    async fn leave_as(&mut self, place: usize) {
        let held = std::mem::take(&mut self.members[place].held);
        let mut settles = Vec::new();
        for leased in held {
            let ended = [Ended::Ack, Ended::Release][self.below(2)];
            settles.push((leased, ended));
        }
        self.settle_as(place, settles).await;
        let worker = self.members.remove(place);
        worker.member.leave();
        if !worker.is_gone {
            self.history.push(Entry::Left {
                member: worker.number,
            });
        }
    }

    async fn letters(&self, subject: usize) -> Vec<crate::transport::DeadLetter> {
        let query = DeadLetterQuery {
            subscription: Some(SUBJECTS[subject].name.to_owned()),
            max: 100_000,
            ..DeadLetterQuery::default()
        };
        match self.transport.ledgers().dead_letters(&query).await {
            Ok(page) => page.letters,
            // Nobody has joined it yet.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => panic!("cannot list dead letters: {error}"),
        }
    }

    async fn repair(&mut self) {
        let subject = self.below(SUBJECTS.len());
        let letters = self.letters(subject).await;
        let by = By::new("chance", "by the seed");
        let (repaired, repair) = match self.below(4) {
            0 => (Repaired::Discarded, Repair::Discard(by)),
            1 => (Repaired::Skipped, Repair::Skip(by)),
            _ => {
                let redrive = Repair::Redrive {
                    delay: Duration::ZERO,
                    spacing: Duration::ZERO,
                    by,
                };
                (Repaired::Redriven, redrive)
            }
        };
        let chosen = self.below(letters.len());
        if let Some(letter) = letters.get(chosen) {
            self.repair_one(subject, letter.position, repaired, repair)
                .await;
        } else if repaired != Repaired::Skipped && !self.positions.is_empty() {
            // It is no dead letter, so that nothing is to be done.
            let chosen = self.below(self.positions.len());
            self.repair_one(subject, self.positions[chosen], repaired, repair)
                .await;
        }
    }

    async fn repair_one(&mut self, subject: usize, position: u64, done: Repaired, repair: Repair) {
        let name = SUBJECTS[subject].name;
        let ledgers = self.transport.ledgers();
        let count = match ledgers.repair(name, &[position], repair).await {
            Ok(count) => count,
            // Nobody has joined it yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => panic!("cannot repair: {error}"),
        };
        assert!(count <= 1, "one position was named");
        self.history.push(Entry::Repaired {
            subject,
            position,
            repaired: done,
            counted: count == 1,
        });
    }

    /// Pauses a subscription, or lets it go on.
    async fn pause(&mut self) {
        let subject = self.below(SUBJECTS.len());
        let until = (self.below(3) == 0).then_some(PauseUntil::Resumed);
        self.set_pause(subject, until).await;
    }

    async fn set_pause(&mut self, subject: usize, until: Option<PauseUntil>) {
        let by = By::new("chance", "by the seed");
        if until.is_none() {
            self.history.push(Entry::Resumed { subject });
        }
        let ledgers = self.transport.ledgers();
        match ledgers.set_pause(SUBJECTS[subject].name, until, by).await {
            Ok(()) if until.is_some() => self.history.push(Entry::Paused { subject }),
            Ok(()) => {}
            // Nobody has joined it yet.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => panic!("cannot pause: {error}"),
        }
    }

    /// Time passes; members that are alive are heard of.
    async fn pass(&mut self) {
        let units = 1 + self.below(20);
        self.pass_units(units).await;
        self.look().await;
    }

    /// Whether something was dropped that is needed, since the last time.
    async fn has_lost(&mut self) -> bool {
        let oldest = self.transport.kept().oldest;
        if !self.is_dropping || oldest == self.oldest {
            return false;
        }
        self.oldest = oldest;
        self.look().await;
        check(&self.history).iter().any(|it| it.invariant == "I13")
    }

    /// Writes down which events there are.
    async fn look(&mut self) {
        let (mut positions, mut next) = (Vec::new(), 1);
        loop {
            let page = self.transport.read(next, READ_MAX).await.unwrap();
            positions.extend(page.events.iter().map(|(position, _)| *position));
            next = page.next;
            if page.is_last {
                break;
            }
        }
        let upto = next - 1;
        self.history.push(Entry::Kept { positions, upto });
    }

    async fn pass_units(&mut self, units: usize) {
        for _ in 0..units {
            tokio::time::sleep(self.cluster.unit()).await;
            self.mark_silent();
            let now = self.cluster.clock().elapsed();
            for worker in self.members.iter_mut().filter(|it| !it.is_gone) {
                worker.member.renew().unwrap();
                worker.heard = now;
            }
        }
    }

    async fn restart(&mut self) {
        self.restarts += 1;
        if self.below(2) == 0 {
            while let Some(place) = self.any(false) {
                self.leave_as(place).await;
            }
            self.cluster.restart().await;
        }
        let members: Vec<u32> = self.members.iter().map(|it| it.number).collect();
        for number in members {
            self.mark_gone(number);
        }
        self.cluster.crash().await;
        self.history.push(Entry::Restarted);
        self.members.clear();
        self.transport = self.cluster.transport().await;
        self.look().await;
    }

    /// Nothing fails any more, and everything that can come to its end does.
    async fn finish(&mut self) {
        while let Some(place) = self.any(true) {
            let worker = self.members.remove(place);
            worker.member.leave();
        }
        for subject in 0..SUBJECTS.len() {
            self.join_as(subject, "last".to_owned()).await;
            self.set_pause(subject, None).await;
        }
        for _ in 0..ROUNDS_MAX {
            for place in 0..self.members.len() {
                let held = std::mem::take(&mut self.members[place].held);
                let settles = held.into_iter().map(|it| (it, Ended::Ack)).collect();
                self.settle_as(place, settles).await;
            }
            let mut place = 0;
            let mut is_busy = false;
            while place < self.members.len() {
                is_busy |= self.lease_of(place, 64).await;
                place += 1;
            }
            if !is_busy && self.is_at_its_end() {
                break;
            }
            if !is_busy {
                self.pass_units(1).await;
            }
        }
        self.look().await;
        for view in self.transport.ledgers().list() {
            let subject = SUBJECTS.iter().position(|it| it.name == view.subscription);
            let subject = subject.unwrap();
            let dead = self.letters(subject).await.into_iter().map(|letter| {
                let faults = letter.faults.iter().map(|it| it.attempt);
                (letter.position, faults.collect())
            });
            self.history.push(Entry::Ended {
                subject,
                counts: view.counts,
                ahead: view.ahead,
                dead: dead.collect(),
            });
        }
    }

    fn is_at_its_end(&self) -> bool {
        let views = self.transport.ledgers().list();
        views
            .iter()
            .all(|it| it.ahead == 0 && it.counts.pending() == it.counts.parked)
    }

    fn summary(&self) -> Summary {
        let mut summary = Summary {
            restarts: self.restarts,
            ..Summary::default()
        };
        for entry in &self.history {
            match entry {
                Entry::Published { is_duplicate, .. } => {
                    summary.published += usize::from(!is_duplicate);
                    summary.duplicates += usize::from(*is_duplicate);
                }
                Entry::Leased { token, silent, .. } => {
                    summary.leases += 1;
                    summary.suspects += usize::from(*silent > 1);
                    summary.repeats += usize::from(token.attempt > 1);
                }
                Entry::Settled { counted, .. } => summary.fenced += usize::from(!counted),
                Entry::Gone { .. } => summary.gone += 1,
                Entry::Kept { positions, .. } => {
                    summary.dropped = summary.published - positions.len();
                }
                Entry::Left { .. }
                | Entry::Resumed { .. }
                | Entry::GivenUp { .. }
                | Entry::Restarted => {}
                Entry::Repaired { counted, .. } => {
                    summary.repairs += usize::from(*counted);
                    summary.refused += usize::from(!counted);
                }
                Entry::Paused { .. } => summary.pauses += 1,
                Entry::Ended { dead, .. } => summary.dead += dead.len(),
            }
        }
        summary
    }
}
