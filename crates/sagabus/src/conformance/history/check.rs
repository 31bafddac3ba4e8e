//! What must hold after any history. Pure: it knows the history and no engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Ended, Entry, Keys, Letter, PASSES_MAX, Repaired, SUBJECTS, Subject};
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::ledger::{Counts, Priority};
use crate::transport::LeaseToken;

/// Leases without an outcome after which an event is handed out alone.
const SUSPECT_AFTER: u32 = 2;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is violated.
    pub invariant: &'static str,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}

/// Everything in the history that must not be; none when all is well.
#[must_use]
pub fn check(history: &[Entry]) -> Vec<Violation> {
    let mut checker = Checker::default();
    for entry in history {
        checker.entry(entry);
    }
    checker.violations
}

#[derive(Debug)]
struct Published {
    event_type: String,
    key: String,
    is_marked: bool,
    priority: Priority,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ready,
    Leased(u32, LeaseToken),
    Waiting(Timestamp),
    Dead,
    Acked,
    Skipped,
    Discarded,
}

impl State {
    fn is_over(self) -> bool {
        matches!(self, Self::Acked | Self::Skipped | Self::Discarded)
    }
}

/// One event in one subscription.
#[derive(Clone, Debug, Default)]
struct Track {
    state: State,
    attempts: u32,
    /// The last lease was handed back.
    is_released: bool,
    is_redriven: bool,
    /// It is to be handed out alone.
    is_suspect: bool,
    faults: Vec<u32>,
}

#[derive(Debug, Default)]
struct Checker {
    ids: BTreeMap<EventId, u64>,
    events: BTreeMap<u64, Published>,
    tracks: BTreeMap<(usize, u64), Track>,
    gone: BTreeSet<u32>,
    paused: BTreeSet<usize>,
    /// How often an event was passed over since the last start, by subscription and position.
    passes: BTreeMap<(usize, u64), u32>,
    /// Events up to here may have been put back behind others since the last start, by subscription.
    put_back: BTreeMap<usize, u64>,
    violations: Vec<Violation>,
}

/// Whether the subscription wants the event: written word by word, as the contract says it, and apart from the engine's.
fn wants(subject: &Subject, event: &Published) -> bool {
    if subject.wants_marked && !event.is_marked {
        return false;
    }
    let mut words = event.event_type.split('.');
    for wanted in subject.pattern.split('.') {
        match wanted {
            "**" => return words.next().is_some(),
            "*" if words.next().is_some() => {}
            word if words.next() == Some(word) => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

impl Checker {
    fn report(&mut self, invariant: &'static str, text: String) {
        self.violations.push(Violation { invariant, text });
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Published {
                id,
                event_type,
                key,
                is_marked,
                priority,
                position,
                is_duplicate,
            } => {
                let event = Published {
                    event_type: event_type.clone(),
                    key: key.clone(),
                    is_marked: *is_marked,
                    priority: *priority,
                };
                self.published(id, event, *position, *is_duplicate);
            }
            Entry::Leased {
                subject,
                member,
                token,
                silent,
                at,
            } => {
                self.passed(*subject, token.position);
                self.alone(*subject, token.position, *silent);
                self.leased(*subject, *member, *token, *at);
                let track = self.track(*subject, token.position);
                track.is_suspect = *silent >= SUSPECT_AFTER;
            }
            Entry::Settled {
                subject,
                member,
                token,
                ended,
                counted,
            } => self.settled(*subject, (*member, *token), *ended, *counted),
            Entry::Gone { member } => {
                self.gone.insert(*member);
            }
            Entry::Left { member } => self.left(*member),
            Entry::Repaired {
                subject,
                position,
                repaired,
                counted,
            } => self.repaired(*subject, *position, *repaired, *counted),
            Entry::Paused { subject } => {
                self.paused.insert(*subject);
            }
            Entry::Resumed { subject } => {
                self.paused.remove(subject);
            }
            Entry::GivenUp { subject } => {
                let last = self.events.last_key_value().map_or(0, |(it, _)| *it);
                self.put_back.insert(*subject, last);
            }
            Entry::Kept { positions, upto } => self.kept(positions, *upto),
            Entry::Restarted => {
                self.passes.clear();
                self.put_back.clear();
            }
            Entry::Ended {
                subject,
                counts,
                ahead,
                dead,
            } => self.ended(*subject, counts, *ahead, dead),
        }
    }

    fn published(&mut self, id: &EventId, event: Published, position: u64, is_duplicate: bool) {
        match self.ids.get(id) {
            Some(first) if *first != position || !is_duplicate => {
                let text = format!("`{id}` stands at {first} and at {position}");
                self.report("I9", text);
            }
            Some(_) => {}
            None => {
                let last = self.events.last_key_value().map_or(0, |(it, _)| *it);
                if is_duplicate || position <= last {
                    let text = format!("`{id}` is new, and not behind {last} but at {position}");
                    self.report("I9", text);
                }
                self.ids.insert(id.clone(), position);
                self.events.insert(position, event);
            }
        }
    }

    /// Positions of the events of the same key that the subscription wants, this one excepted.
    fn others_of_key(&self, subject: usize, position: u64) -> Vec<u64> {
        let Some(event) = self.events.get(&position) else {
            return Vec::new();
        };
        let others = self.events.iter().filter(|(it, other)| {
            **it != position && other.key == event.key && wants(&SUBJECTS[subject], other)
        });
        others.map(|(it, _)| *it).collect()
    }

    fn track(&mut self, subject: usize, position: u64) -> &mut Track {
        self.tracks.entry((subject, position)).or_default()
    }

    fn state(&self, subject: usize, position: u64) -> State {
        let track = self.tracks.get(&(subject, position));
        track.map_or(State::Ready, |it| it.state)
    }

    fn is_live(&self, state: State) -> bool {
        matches!(state, State::Leased(member, _) if !self.gone.contains(&member))
    }

    /// The lease of one event passes over those that came before it, are less urgent and were never handed out.
    fn passed(&mut self, subject: usize, position: u64) {
        let described = &SUBJECTS[subject];
        let Some(leased) = self
            .events
            .get(&position)
            .filter(|_| described.keys == Keys::Free)
        else {
            return;
        };
        let is_passed = |at: u64, event: &Published| {
            event.priority > leased.priority
                && wants(described, event)
                && !self.tracks.contains_key(&(subject, at))
        };
        let put_back = self.put_back.get(&subject).map_or(0, |upto| upto + 1);
        let earlier = self.events.range(put_back.min(position)..position);
        let passed: Vec<u64> = earlier
            .filter(|(at, event)| is_passed(**at, event))
            .map(|(at, _)| *at)
            .collect();
        for at in passed {
            let passes = self.passes.entry((subject, at)).or_default();
            *passes += 1;
            if *passes > PASSES_MAX {
                let text = format!("`{}`: {at} is passed over {passes} times", described.name);
                self.report("I8", text);
            }
        }
    }

    /// What may be what ends the process is handed out alone, and nothing is handed out during a pause.
    fn alone(&mut self, subject: usize, position: u64, silent: u32) {
        let name = SUBJECTS[subject].name;
        if self.paused.contains(&subject) {
            self.report("L05", format!("`{name}` got {position} during a pause"));
        }
        let of_subject = (subject, 0)..=(subject, u64::MAX);
        let mut live = self.tracks.range(of_subject).filter(|((_, at), it)| {
            *at != position && self.is_live(it.state) && (silent >= SUSPECT_AFTER || it.is_suspect)
        });
        if let Some(((_, other), _)) = live.next() {
            let text = format!("`{name}`: {position} and {other} have leases, one is a suspect");
            self.report("R07", text);
        }
    }

    fn leased(&mut self, subject: usize, member: u32, token: LeaseToken, at: Timestamp) {
        let (name, position) = (SUBJECTS[subject].name, token.position);
        let is_wanted = self
            .events
            .get(&position)
            .is_some_and(|it| wants(&SUBJECTS[subject], it));
        if !is_wanted {
            self.report(
                "I12",
                format!("`{name}` got {position}, which it does not want"),
            );
            return;
        }
        let track = self.track(subject, position).clone();
        match track.state {
            State::Waiting(due) if at < due => {
                self.report(
                    "I7",
                    format!("`{name}` got {position} at {at}, due at {due}"),
                );
            }
            State::Dead => self.report("I2", format!("`{name}` got {position}, a dead letter")),
            state if state.is_over() => {
                self.report("I2", format!("`{name}` got {position} again: {state:?}"));
            }
            state if self.is_live(state) => {
                self.report(
                    "I4",
                    format!("`{name}`: {position} has two leases: {state:?}"),
                );
            }
            State::Ready | State::Waiting(_) | State::Leased(..) => {}
            State::Acked | State::Skipped | State::Discarded => {}
        }
        if SUBJECTS[subject].keys != Keys::Free {
            let others = self.others_of_key(subject, position);
            let live = others
                .iter()
                .find(|it| self.is_live(self.state(subject, **it)));
            if let Some(other) = live {
                let text = format!("`{name}`: {position} and {other} of one key have leases");
                self.report("I4", text);
            }
        }
        if token.attempt != track.attempts + 1 {
            let invariant = if track.is_released { "I14" } else { "I6" };
            let (attempt, attempts) = (token.attempt, track.attempts);
            let text = format!("`{name}`: {position} has attempt {attempt} after {attempts}");
            self.report(invariant, text);
        }
        let track = self.track(subject, position);
        track.state = State::Leased(member, token);
        track.attempts = token.attempt;
        track.is_released = false;
    }

    fn settled(&mut self, subject: usize, lease: (u32, LeaseToken), ended: Ended, counted: bool) {
        let (member, token) = lease;
        let (name, position) = (SUBJECTS[subject].name, token.position);
        let is_held = self.state(subject, position) == State::Leased(member, token);
        let is_sure = is_held && !self.gone.contains(&member);
        if counted != is_held && (counted || is_sure) {
            let text = format!("`{name}`: {token:?} is held: {is_held}, counts: {counted}");
            self.report("I5", text);
        }
        if !counted {
            return;
        }
        if ended == Ended::Ack {
            self.check_order(subject, position);
        }
        let track = self.track(subject, position);
        match ended {
            Ended::Ack => track.state = State::Acked,
            Ended::Skip => track.state = State::Skipped,
            Ended::RetryAt(due) => {
                track.state = State::Waiting(due);
                track.faults.push(token.attempt);
            }
            Ended::Dead => {
                track.state = State::Dead;
                track.faults.push(token.attempt);
            }
            Ended::Release => {
                track.state = State::Ready;
                track.attempts = token.attempt.saturating_sub(1);
                track.is_released = true;
            }
        }
    }

    /// Nothing of the key that came before may still be to come.
    fn check_order(&mut self, subject: usize, position: u64) {
        let keys = SUBJECTS[subject].keys;
        if keys == Keys::Free {
            return;
        }
        let others = self.others_of_key(subject, position);
        let before = others.into_iter().filter(|it| *it < position);
        let is_due = |track: Option<&Track>| match (keys, track) {
            (_, None) => true,
            (Keys::SkipAhead, Some(it)) => {
                !it.state.is_over() && it.state != State::Dead && !it.is_redriven
            }
            (_, Some(it)) => !it.state.is_over(),
        };
        let first = before
            .filter(|it| is_due(self.tracks.get(&(subject, *it))))
            .min();
        if let Some(first) = first {
            let name = SUBJECTS[subject].name;
            let text = format!("`{name}`: {position} was handled before {first} of its key");
            self.report("I3", text);
        }
    }

    fn left(&mut self, member: u32) {
        let begun: Vec<u64> = self
            .tracks
            .iter()
            .filter(|(_, it)| matches!(it.state, State::Leased(of, _) if of == member))
            .map(|((_, position), _)| *position)
            .collect();
        if !begun.is_empty() {
            self.report("I14", format!("member {member} left with {begun:?} begun"));
        }
        self.gone.insert(member);
    }

    fn repaired(&mut self, subject: usize, position: u64, repaired: Repaired, counted: bool) {
        let name = SUBJECTS[subject].name;
        let state = self.state(subject, position);
        let may_be = match repaired {
            Repaired::Redriven | Repaired::Discarded => state == State::Dead,
            Repaired::Skipped => !state.is_over() && !self.is_live(state),
        };
        if counted != may_be && (counted || state == State::Dead) {
            let text =
                format!("`{name}`: {position} was {repaired:?}: {counted}, and is {state:?}");
            self.report("I10", text);
        }
        if !counted {
            return;
        }
        let track = self.track(subject, position);
        match repaired {
            Repaired::Redriven => {
                track.state = State::Ready;
                track.attempts = 0;
                track.is_redriven = true;
            }
            Repaired::Discarded => track.state = State::Discarded,
            Repaired::Skipped => track.state = State::Skipped,
        }
    }

    /// What is not over in a subscription, or was never looked at, is there to be read.
    fn kept(&mut self, positions: &[u64], upto: u64) {
        let mut lost = Vec::new();
        for (position, event) in self.events.range(..=upto) {
            if positions.binary_search(position).is_ok() {
                continue;
            }
            for (number, subject) in SUBJECTS.iter().enumerate() {
                let track = self.tracks.get(&(number, *position));
                if wants(subject, event) && track.is_none_or(|it| !it.state.is_over()) {
                    let state = track.map(|it| it.state).unwrap_or_default();
                    let name = subject.name;
                    lost.push(format!("`{name}`: {position} is {state:?} and was dropped"));
                }
            }
        }
        for text in lost {
            self.report("I13", text);
        }
    }

    fn ended(&mut self, subject: usize, counts: &Counts, ahead: u64, dead: &[Letter]) {
        let name = SUBJECTS[subject].name;
        let wanted: Vec<u64> = self
            .events
            .iter()
            .filter(|(_, it)| wants(&SUBJECTS[subject], it))
            .map(|(position, _)| *position)
            .collect();
        let states: Vec<State> = wanted.iter().map(|it| self.state(subject, *it)).collect();
        let number = |wanted: &[State]| {
            let found = states.iter().filter(|it| wanted.contains(it)).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        let known = [
            ("acked", counts.acked, number(&[State::Acked])),
            ("skipped", counts.skipped, number(&[State::Skipped])),
            ("discarded", counts.discarded, number(&[State::Discarded])),
            ("dead", counts.dead, number(&[State::Dead])),
        ];
        let is_open = states
            .iter()
            .filter(|it| !it.is_over() && **it != State::Dead);
        let open = u64::try_from(is_open.count()).unwrap_or(u64::MAX);
        for (what, counted, known) in known {
            if counted != known {
                let text = format!("`{name}` counts {counted} as {what}, and {known} are");
                self.report("I1", text);
            }
        }
        if !counts.is_conserved() || ahead > 0 || counts.pending() != counts.parked {
            let text = format!("`{name}` has not come to its end: {ahead} ahead, {counts:?}");
            self.report("I1", text);
        }
        if open != counts.pending() {
            let text = format!("`{name}` has {} to come, and {open} are", counts.pending());
            self.report("I1", text);
        }
        self.dead(subject, &wanted, dead);
    }

    fn dead(&mut self, subject: usize, wanted: &[u64], dead: &[Letter]) {
        let name = SUBJECTS[subject].name;
        let mut listed = BTreeSet::new();
        for (position, faults) in dead {
            let is_first = listed.insert(*position);
            let track = self.track(subject, *position).clone();
            if track.faults.is_empty() {
                let text = format!("`{name}` has the letter {position}, which it never gave up");
                self.report("I11", text);
            } else if !is_first || track.state != State::Dead || track.faults != *faults {
                let (state, known) = (track.state, track.faults);
                let text =
                    format!("`{name}`: {position} is {state:?} after {known:?}, not {faults:?}");
                self.report("I10", text);
            }
        }
        for position in wanted {
            let is_dead = self.state(subject, *position) == State::Dead;
            if is_dead && !listed.contains(position) {
                let text = format!("`{name}` gave {position} up, and lists it not");
                self.report("I10", text);
            }
        }
    }
}
