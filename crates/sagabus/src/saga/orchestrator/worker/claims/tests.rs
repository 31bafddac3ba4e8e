//! Slots of services between sagas on threads of their own: no more than there are, and nobody waits for ever.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::{Clock, TestClock, Timestamp};
use crate::saga::Settings;
use crate::saga::handlers::Handlers;
use crate::saga::machine::{self, AttemptResult, Facts, Flight, Input, Stage};
use crate::saga::orchestrator::book::Book;
use crate::saga::orchestrator::inbox::Arrival;
use crate::saga::orchestrator::saga::Progress;
use crate::saga::orchestrator::slots::Limits;
use crate::saga::record::Record;
use crate::saga::tests::first::First;
use crate::saga::tests::store::TestStore;
use crate::sync::Mutex;
use crate::sync::any_order::in_random_orders;

/// An orchestrator without tasks: its book, its slots, and its limit.
fn shared(limit: &str) -> Arc<Shared> {
    let settings = Settings {
        service_limits: vec![limit.parse().unwrap()],
        ..Settings::default()
    };
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    Arc::new(Shared {
        store: TestStore::new(&Arc::default(), None),
        epoch: 1,
        limits: Limits::new(&settings.service_limits),
        slots: Mutex::new(Slots::new(&settings.service_limits)),
        next_second: Notify::new(),
        clock: Arc::new(TestClock::new(start, 7)) as Arc<dyn Clock>,
        settings,
        handlers: Handlers::default(),
        tracker: TaskTracker::new(),
        closing: CancellationToken::new(),
        closed: CancellationToken::new(),
        fault: OnceLock::new(),
        book: Mutex::new(Book::default()),
    })
}

fn saga(shared: &Shared, id: &str, definition: &Definition) -> Arc<Saga> {
    let record = Record::new(shared.clock.now(), First::of(definition).fact());
    let state = State::first(id.parse().unwrap(), &record, |_| Ok(definition.clone()));
    let saga = Arc::new(Saga::new(state.unwrap(), Progress::Stored));
    shared.book().insert(Arc::clone(&saga));
    saga
}

/// Does what a worker does: decides with the slots that it has, waits for those that it lacks, and gives back those it had.
struct Work {
    shared: Arc<Shared>,
    saga: Arc<Saga>,
    claims: Claims,
    in_flight: Vec<Flight>,
}

impl Work {
    fn new(shared: &Arc<Shared>, saga: &Arc<Saga>) -> Self {
        Self {
            shared: Arc::clone(shared),
            saga: Arc::clone(saga),
            claims: Claims::new(Arc::clone(shared), saga),
            in_flight: Vec::new(),
        }
    }

    /// Takes an input; returns the attempts that begin.
    fn take(&mut self, input: &Input) -> Vec<Flight> {
        self.claims.look();
        let decision = loop {
            let facts = Facts {
                now: self.shared.clock.now(),
                dispatch: true,
                in_flight: &self.in_flight,
                compensating: &[],
                missing: &[],
                missing_compensations: &[],
                elsewhere: &[],
                elsewhere_compensations: &[],
                room: self.claims.room(),
                epoch: 1,
                settings: &self.shared.settings,
            };
            let decision = machine::decide(&self.saga.state(), &facts, input.clone());
            if !self.claims.ask(&decision) {
                self.claims.settle(&decision);
                break decision;
            }
        };
        *self.saga.state() = decision.state;
        let commands = decision.commands.iter().filter_map(begun);
        commands
            .map(|(wanted, attempt)| Flight {
                step: wanted.step,
                attempt,
            })
            .collect()
    }

    /// Until the saga is over. Counts those that are at work in `busy`, of which there are `most`.
    async fn run(mut self, busy: &AtomicUsize, most: usize) {
        let mut input = Input::Begin;
        loop {
            for flight in self.take(&input) {
                self.in_flight.push(flight);
                assert!(busy.fetch_add(1, Ordering::SeqCst) < most, "more than may");
            }
            if self.saga.state().stage == (Stage::Ended(crate::saga::record::Outcome::Completed)) {
                return;
            }
            // Others come in between.
            thread::yield_now();
            input = match self.in_flight.pop() {
                Some(Flight { step, attempt }) => {
                    busy.fetch_sub(1, Ordering::SeqCst);
                    let direction = Direction::Forward;
                    self.claims.end(Wanted { step, direction }, attempt);
                    let result = AttemptResult::Ok(Bytes::from_static(b"1"));
                    Input::Ended {
                        step,
                        attempt,
                        result,
                    }
                }
                None => match self.saga.inbox.next().await {
                    Arrival::Message(message) => message.input,
                    Arrival::Closing | Arrival::Killed => panic!("nobody ends it"),
                },
            };
        }
    }
}

/// So many sagas of two steps beside each other and one behind them, with so many slots for all.
fn run_all(limit: &str, most: usize, sagas: usize) {
    let shared = shared(limit);
    let step = |id: &str| Step::new(id).service("svc");
    let steps = vec![step("a"), step("b"), step("c").after("a").after("b")];
    let definition = Definition::from_steps("three", steps).unwrap();
    let busy = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..sagas)
        .map(|at| {
            let saga = saga(&shared, &format!("s{at}"), &definition);
            let work = Work::new(&shared, &saga);
            let busy = Arc::clone(&busy);
            thread::spawn(move || block_on(work.run(&busy, most)))
        })
        .collect();
    all.into_iter().for_each(|it| it.join().unwrap());
    // All slots are free again.
    let mut slots = shared.slots();
    assert_eq!(slots.waiting(), 0);
    let now = shared.clock.elapsed();
    for at in 0..=most {
        let wanted = Wanted {
            step: 0,
            direction: Direction::Forward,
        };
        let saga = format!("after{at}").parse().unwrap();
        let claim = Claim { saga, wanted };
        slots.enter(0, &claim, (0, 0), now);
        assert_eq!(slots.fill_at(0, now).len(), usize::from(at < most));
    }
}

#[test]
fn one_slot_goes_round_all_that_wait_for_it_in_any_order_of_threads() {
    in_random_orders(1_000, || run_all("svc=1", 1, 3));
}

#[test]
fn no_more_than_the_slots_are_in_use_and_nobody_is_left_waiting_in_any_order_of_threads() {
    in_random_orders(1_000, || run_all("svc=2", 2, 3));
}

#[test]
fn a_saga_that_goes_while_a_slot_is_promised_to_it_hands_it_on_in_any_order_of_threads() {
    in_random_orders(2_000, || {
        let shared = shared("svc=1");
        let definition = Definition::from_steps("one", vec![Step::new("a").service("svc")]);
        let definition = definition.unwrap();
        let [first, second, third] = ["s1", "s2", "s3"].map(|id| saga(&shared, id, &definition));
        let busy = Arc::new(AtomicUsize::new(0));
        // It asks, and its worker is gone before it looks again.
        let mut gone = Work::new(&shared, &second);
        let run = |saga: &Arc<Saga>| {
            let (work, busy) = (Work::new(&shared, saga), Arc::clone(&busy));
            thread::spawn(move || block_on(work.run(&busy, 1)))
        };
        let others = [run(&first), run(&third)];
        let goes = thread::spawn(move || {
            gone.take(&Input::Begin);
            drop(gone);
        });
        others.into_iter().for_each(|it| it.join().unwrap());
        goes.join().unwrap();
        assert_eq!(shared.slots().waiting(), 0);
    });
}
