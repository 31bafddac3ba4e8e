//! From calls to events and back: phases, shadows, and a call of before where the bus does not take an event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::clock::TestClock;
use sagabus::migration::{
    Cause, Comparison, Dual, FALLBACK_RAN, Fallback, FallbackState, LEADER, Phase, Role, TABLE,
    Took, TypeCounts, Verdict, Way,
};
use sagabus::sqlite::Database;
use sagabus::testing::TestBus;
use sagabus::{
    Bus, Clock, Error, ErrorKind, Event, EventId, HandlerError, Retry, Start, SystemClock,
};

use crate::support::{Mood, Notes, Unsteady, all, event, idle};

const MIGRATIONS: &[&str] = &[TABLE];

async fn database(folder: &Path) -> Database {
    Database::open(folder.join("fallbacks.db"), MIGRATIONS)
        .await
        .unwrap()
}

fn unsteady() -> (Unsteady, Bus) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Unsteady::new(&clock);
    let bus = engine.bus(&clock);
    (engine, bus)
}

/// Ids of the events of a type in the log.
async fn stored(bus: &Bus, event_type: &str) -> Vec<EventId> {
    let page = bus.read(1, 10_000).await.unwrap();
    assert!(page.is_last);
    let of_type = page.events.iter().map(|(_, event)| event);
    of_type
        .filter(|it| it.event_type.as_str() == event_type)
        .map(|it| it.id.clone())
        .collect()
}

/// A call that must not be made.
async fn never(_: Arc<Event>) -> sagabus::Result<()> {
    panic!("called")
}

// ---- fallback ----

#[tokio::test]
async fn a_call_runs_when_the_bus_refuses_and_that_it_did_is_kept_and_told_once_the_bus_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, bus) = unsteady();
    let called = Notes::default();
    let event = event(&bus, "a.b", "1");
    engine.set(Mood::Full);
    {
        let fallback = Fallback::new(bus.clone(), database(folder.path()).await);
        let took = fallback
            .publish(event.clone(), |event| {
                called.add(event.id.as_str());
                async { Ok(()) }
            })
            .await
            .unwrap();
        assert_eq!(took, Took::Call(Cause::Refused));
        assert!(fallback.settle().await.is_err(), "the bus is not well yet");
    }
    // The record is there for the next process.
    let fallback = Fallback::new(bus.clone(), database(folder.path()).await);
    let record = fallback.records(0).await.unwrap().remove(0);
    assert_eq!(record.event_id, event.id);
    assert_eq!(
        (record.cause, record.state),
        (Cause::Refused, FallbackState::Ran)
    );
    assert!(record.bus_error.contains("no room"), "{}", record.bus_error);
    assert_eq!(record.verdict, None);
    assert!(fallback.has_begun(&event.id).await.unwrap());
    engine.set(Mood::Well);
    assert_eq!(fallback.settle().await.unwrap(), 1);
    assert_eq!(fallback.settle().await.unwrap(), 0, "told once");
    let record = fallback.records(0).await.unwrap().remove(0);
    assert_eq!(record.verdict, Some(Verdict::CallOnly));
    assert_eq!(stored(&bus, FALLBACK_RAN).await.len(), 1);
    // A repeat neither calls nor publishes.
    let took = fallback.publish(event.clone(), never).await.unwrap();
    assert_eq!(took, Took::Call(Cause::Refused));
    assert_eq!(stored(&bus, "a.b").await, []);
    assert_eq!(called.all(), [event.id.as_str()]);
}

#[tokio::test]
async fn where_the_outcome_is_unknown_it_is_said_whether_the_event_is_on_the_bus_too() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, bus) = unsteady();
    let fallback = Fallback::new(bus.clone(), database(folder.path()).await)
        .patience(Duration::from_millis(20));
    let before = event(&bus, "a.b", "0");
    let took = fallback.publish(before, never).await.unwrap();
    assert!(matches!(took, Took::Bus(_)));
    let mut expected = Vec::new();
    for (mood, verdict) in [
        (Mood::LostBefore, Verdict::CallOnly),
        (Mood::LostAfter, Verdict::Both),
        (Mood::Silent, Verdict::CallOnly),
        (Mood::LostAfter, Verdict::Both),
    ] {
        engine.set(mood);
        let event = event(&bus, "a.b", "1");
        expected.push((event.id.clone(), Some(verdict)));
        let took = fallback.publish(event, |_| async { Ok(()) }).await.unwrap();
        assert_eq!(took, Took::Call(Cause::Unknown), "{mood:?}");
    }
    engine.set(Mood::Well);
    assert_eq!(fallback.counts().await.unwrap().unsettled, 4);
    assert_eq!(fallback.settle().await.unwrap(), 4);
    let records = fallback.records(0).await.unwrap();
    let found: Vec<_> = records
        .into_iter()
        .map(|it| (it.event_id, it.verdict))
        .collect();
    assert_eq!(found, expected);
    let counts = fallback.counts().await.unwrap();
    assert_eq!((counts.ran, counts.both, counts.unsettled), (4, 2, 0));
}

#[tokio::test]
async fn no_call_runs_without_a_record_nor_for_an_event_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, bus) = unsteady();
    let database = database(folder.path()).await;
    let fallback = Fallback::new(bus.clone(), database.clone());
    let wrong = event(&bus, "a.b", "no JSON");
    let error = fallback.publish(wrong, never).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let first = event(&bus, "a.b", "1");
    fallback.publish(first.clone(), never).await.unwrap();
    let other = Event {
        data: "2".into(),
        ..first
    };
    let error = fallback.publish(other, never).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(fallback.records(0).await.unwrap(), []);
    engine.set(Mood::Full);
    database.close().await.unwrap();
    let error = fallback
        .publish(event(&bus, "a.b", "3"), never)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// Where the process ends in a call.
#[derive(Clone, Copy, Debug)]
enum End {
    BeforeEffect,
    AfterEffect,
}

#[tokio::test]
async fn an_event_whose_call_had_begun_when_the_process_ended_never_goes_to_the_bus_by_a_repeat() {
    for end in [End::BeforeEffect, End::AfterEffect] {
        let folder = tempfile::tempdir().unwrap();
        let (engine, bus) = unsteady();
        let effects: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let event = event(&bus, "a.b", "1");
        engine.set(Mood::Full);
        {
            let fallback = Fallback::new(bus.clone(), database(folder.path()).await);
            let reached = Arc::new(tokio::sync::Notify::new());
            let (effects, arrived) = (Arc::clone(&effects), Arc::clone(&reached));
            let cut = fallback.publish(event.clone(), |event| async move {
                if matches!(end, End::AfterEffect) {
                    effects.lock().unwrap().insert(event.id.to_string());
                }
                arrived.notify_one();
                std::future::pending().await
            });
            tokio::select! {
                _ = cut => panic!("it does not end"),
                () = reached.notified() => {}
            }
        }
        engine.set(Mood::Well);
        let fallback = Fallback::new(bus.clone(), database(folder.path()).await);
        assert_eq!(fallback.counts().await.unwrap().began, 1);
        assert!(fallback.has_begun(&event.id).await.unwrap());
        assert_eq!(fallback.settle().await.unwrap(), 0, "it is not over");
        let took = fallback
            .publish(event.clone(), |event| {
                effects.lock().unwrap().insert(event.id.to_string());
                async { Ok(()) }
            })
            .await
            .unwrap();
        assert_eq!(took, Took::Call(Cause::Refused), "{end:?}");
        assert_eq!(stored(&bus, "a.b").await, []);
        assert_eq!(effects.lock().unwrap().len(), 1);
        assert_eq!(fallback.settle().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn after_a_call_that_failed_a_repeat_goes_to_the_bus_again_and_is_stored_once() {
    for mood in [Mood::Full, Mood::LostBefore, Mood::LostAfter] {
        let folder = tempfile::tempdir().unwrap();
        let (engine, bus) = unsteady();
        let fallback = Fallback::new(bus.clone(), database(folder.path()).await);
        let event = event(&bus, "a.b", "1");
        engine.set(mood);
        let down = |_| async { Err(Error::new(ErrorKind::Transient, "the other side is down")) };
        let error = fallback.publish(event.clone(), down).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient);
        let record = fallback.records(0).await.unwrap().remove(0);
        assert_eq!(record.state, FallbackState::Failed);
        assert!(!fallback.has_begun(&event.id).await.unwrap());
        engine.set(Mood::Well);
        let took = fallback.publish(event.clone(), never).await.unwrap();
        assert!(matches!(took, Took::Bus(_)), "{mood:?}: {took:?}");
        assert_eq!(stored(&bus, "a.b").await, [event.id]);
        let record = fallback.records(0).await.unwrap().remove(0);
        assert_eq!(record.state, FallbackState::Bus);
    }
}

// ---- two ways ----

fn clock() -> Arc<dyn Clock> {
    crate::support::clock()
}

/// An old way that notes who it was told leads.
fn old_way(bus: &Bus, phases: &str, notes: &Notes) -> Dual {
    let notes = notes.clone();
    Dual::new(bus.clone(), phases.parse().unwrap(), move |event, role| {
        notes.add(format!("{} {role:?}", event.event_type));
        async { Ok(()) }
    })
}

#[tokio::test(start_paused = true)]
async fn each_phase_sends_an_event_where_it_says_and_tells_both_ways_who_leads() {
    let clock = clock();
    let bus = Unsteady::new(&clock).bus(&clock);
    let notes = Notes::default();
    let dual = old_way(
        &bus,
        "a.two = old_leads, a.three = bus_leads, a.four = bus_only",
        &notes,
    );
    for name in ["a.one", "a.two", "a.three", "a.four"] {
        let sent = dual.publish(event(&bus, name, "1")).await.unwrap();
        assert_eq!(sent.receipt.is_some(), name != "a.one");
        assert_eq!(sent.difference, None);
    }
    let expected = ["a.one Leads", "a.two Leads", "a.three Follows"];
    assert_eq!(notes.all(), expected);
    let page = bus.read(1, 10).await.unwrap();
    let on_bus = page.events.iter().map(|(_, it)| {
        let leader = &it.metadata[LEADER];
        format!("{} {leader}", it.event_type)
    });
    let on_bus: Vec<String> = on_bus.collect();
    assert_eq!(on_bus, ["a.two old", "a.three bus", "a.four bus"]);
    let counts = dual.counts();
    let two = TypeCounts {
        old_led: 1,
        bus_followed: 1,
        ..TypeCounts::default()
    };
    let three = TypeCounts {
        bus_led: 1,
        old_followed: 1,
        ..TypeCounts::default()
    };
    assert_eq!((counts["a.two"], counts["a.three"]), (two, three));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_fails_or_hangs_is_counted_and_shown_and_the_caller_has_its_event() {
    let clock = clock();
    let engine = Unsteady::new(&clock);
    let bus = engine.bus(&clock);
    let dual = old_way(&bus, "** = old_leads", &Notes::default());
    for (mood, expected) in [(Mood::Full, "no room"), (Mood::Silent, "no answer in 5s")] {
        engine.set(mood);
        let sent = dual.publish(event(&bus, "a.b", "1")).await.unwrap();
        assert_eq!((sent.leader, sent.receipt), (Way::Old, None));
        assert!(sent.difference.unwrap().contains(expected));
    }
    engine.set(Mood::Well);
    let failing = Dual::new(
        bus.clone(),
        "** = bus_leads".parse().unwrap(),
        |_, role| async move {
            assert_eq!(role, Role::Follows);
            Err(Error::new(ErrorKind::Transient, "the old one is down"))
        },
    );
    let sent = failing.publish(event(&bus, "a.b", "1")).await.unwrap();
    assert!(sent.receipt.is_some());
    assert_eq!(dual.counts()["a.b"].bus_missed, 2);
    assert_eq!(failing.counts()["a.b"].old_missed, 1);
    let difference = failing.differences().remove(0);
    assert_eq!(difference.follower, Way::Old);
    assert!(difference.error.contains("is down"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_fails_is_told_to_the_caller_and_the_follower_is_not_asked() {
    let clock = clock();
    let engine = Unsteady::new(&clock);
    let bus = engine.bus(&clock);
    let notes = Notes::default();
    let dual = old_way(&bus, "** = bus_leads", &notes);
    engine.set(Mood::Full);
    let error = dual.publish(event(&bus, "a.b", "1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(notes.all(), [""; 0]);
    assert_eq!(dual.counts()["a.b"].failed, 1);
}

// ---- shadows ----

#[tokio::test(start_paused = true)]
async fn a_shadow_that_fails_panics_and_hangs_makes_no_retry_no_dead_letter_and_no_error() {
    let clock = clock();
    let bus = Unsteady::new(&clock).bus(&clock);
    let comparison = Comparison::default();
    let calls = Notes::default();
    let noted = calls.clone();
    bus.subscription("label shadow")
        .pattern("**")
        .start(Start::Earliest)
        .shadow(&comparison, move |delivery| {
            let data = String::from_utf8(delivery.event.data.to_vec()).unwrap();
            noted.add(data.clone());
            async move {
                match data.as_str() {
                    "1" => Ok("label 1".to_owned()),
                    "2" => Err(HandlerError::transient("no printer")),
                    "3" => panic!("a bug of the new handler"),
                    _ => std::future::pending().await,
                }
            }
        })
        .await
        .unwrap();
    let dual = Dual::new(bus.clone(), "** = old_leads".parse().unwrap(), {
        let comparison = comparison.clone();
        move |event, _| {
            let data = String::from_utf8(event.data.to_vec()).unwrap();
            comparison.note(Way::Old, &event.id, Ok(format!("label {data}")));
            async { Ok(()) }
        }
    });
    for data in ["1", "2", "3", "4"] {
        dual.publish(event(&bus, "a.b", data)).await.unwrap();
    }
    idle(&bus).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let mut called = calls.all();
    called.sort();
    assert_eq!(called, ["1", "2", "3", "4"], "each once");
    let stats = bus.stats();
    assert_eq!((stats.dead_letters, stats.failed_attempts), (0, 0));
    assert_eq!(stats.subscriptions[0].counts.acked, 4);
    assert!(bus.health().issues.is_empty());
    let tally = comparison.tally();
    assert_eq!((tally.same, tally.different, tally.waiting), (1, 3, 0));
    let mut errors: Vec<String> = comparison
        .mismatches()
        .into_iter()
        .map(|it| it.bus.unwrap_err())
        .collect();
    errors.sort();
    let expected = [
        "no printer",
        "panic: a bug of the new handler",
        "the handler ran longer than 29s",
    ];
    assert_eq!(errors, expected);
}

#[tokio::test(start_paused = true)]
async fn the_live_handler_has_what_the_bus_leads_and_the_shadow_what_the_old_way_leads() {
    let clock = clock();
    let bus = Unsteady::new(&clock).bus(&clock);
    let (live, shadow) = (Notes::default(), Notes::default());
    let note = live.clone();
    bus.subscription("label")
        .pattern("**")
        .start(Start::Earliest)
        .filter(sagabus::filter::Filter::sql("type LIKE 'a.%'").unwrap())
        .led_by_bus()
        .unwrap()
        .handler(move |delivery| {
            note.add(delivery.event.event_type.as_str());
            async { Ok(()) }
        })
        .await
        .unwrap();
    let note = shadow.clone();
    bus.subscription("label shadow")
        .pattern("**")
        .start(Start::Earliest)
        .shadow(&Comparison::default(), move |delivery| {
            note.add(delivery.event.event_type.as_str());
            async { Ok(String::new()) }
        })
        .await
        .unwrap();
    let phases = "a.old = old_leads, a.new = bus_leads, b.new = bus_only";
    let dual = old_way(&bus, phases, &Notes::default());
    for name in ["a.old", "a.new", "b.new"] {
        dual.publish(event(&bus, name, "1")).await.unwrap();
    }
    bus.publish(event(&bus, "a.plain", "1")).await.unwrap();
    idle(&bus).await;
    assert_eq!(
        live.all(),
        ["a.new", "a.plain"],
        "what nobody routed is live"
    );
    assert_eq!(shadow.all(), ["a.old"]);
}

// ---- the way back ----

/// Numbers that look random, from a seed.
struct Chance(TestClock);

impl Chance {
    fn below(&self, end: u64) -> u64 {
        self.0.random() % end
    }
}

/// Effects by event id: each way knows an event by its id, so that a repeat has none.
type Effects = Arc<Mutex<BTreeMap<String, Vec<&'static str>>>>;

fn has_effect(effects: &Effects, way: &'static str, id: &str) {
    let mut effects = effects.lock().unwrap();
    let ways = effects.entry(id.to_owned()).or_default();
    if !ways.contains(&way) {
        ways.push(way);
    }
}

/// One course of events while phases go forth and back, answers are lost, handlers fail and the bus crashes.
async fn live(seed: u64) {
    let chance = Chance(TestClock::new(sagabus::Timestamp::default(), seed));
    let effects = Effects::default();
    let comparison = Comparison::default();
    let (on_bus, compared) = (Arc::clone(&effects), comparison.clone());
    let register = move |bus: Bus| {
        let (effects, comparison) = (Arc::clone(&on_bus), compared.clone());
        async move {
            bus.subscription("work")
                .pattern("**")
                .start(Start::Earliest)
                .retry(Retry::times(50))
                .led_by_bus()?
                .handler(move |delivery| {
                    let effects = Arc::clone(&effects);
                    async move {
                        let id = delivery.event.id.as_str();
                        has_effect(&effects, "bus", id);
                        if delivery.attempt == 1 && id.ends_with('a') {
                            return Err(HandlerError::transient("the first attempt fails"));
                        }
                        Ok(())
                    }
                })
                .await?;
            bus.subscription("work shadow")
                .pattern("**")
                .start(Start::Earliest)
                .shadow(&comparison, |delivery| async move {
                    Ok(delivery.event.id.to_string())
                })
                .await
                .map(drop)
        }
    };
    let mut world = TestBus::start(register).await.unwrap();
    let mut phases: sagabus::migration::Phases = "** = old_leads".parse().unwrap();
    let mut leaders = BTreeMap::new();
    for _ in 0..60 {
        if chance.below(4) == 0 {
            let phase = match chance.below(4) {
                0 => Phase::OldOnly,
                1 => Phase::OldLeads,
                2 => Phase::BusLeads,
                _ => Phase::BusOnly,
            };
            phases.set("**", phase).unwrap();
        }
        let first = event(world.bus(), "a.b", "1");
        let mut routed: Option<Event> = None;
        // A caller that repeats until it is told that all is well; meanwhile the phase may change, and the bus crash.
        loop {
            let (effects, fate) = (Arc::clone(&effects), chance.below(4));
            let dual = Dual::new(world.bus().clone(), phases.clone(), move |event, role| {
                if fate != 1 && role == Role::Leads {
                    has_effect(&effects, "old", event.id.as_str());
                }
                std::future::ready(match fate {
                    1 => Err(Error::new(ErrorKind::Transient, "did nothing")),
                    2 => Err(Error::closed("the answer was lost")),
                    _ => Ok(()),
                })
            });
            let event = routed.get_or_insert_with(|| dual.routed(first.clone()));
            leaders.insert(
                event.id.to_string(),
                event.metadata.get(LEADER).unwrap().clone(),
            );
            if chance.below(5) == 0 {
                world.power().turn_off_after(chance.below(3));
            }
            let answer = dual.publish(event.clone()).await;
            if answer.is_ok() {
                break;
            }
            if chance.below(2) == 0 {
                let next = if phases.to_string().contains("old") {
                    Phase::BusLeads
                } else {
                    Phase::OldLeads
                };
                phases.set("**", next).unwrap();
            }
            world.crash_and_restart().await.unwrap();
        }
    }
    world.crash_and_restart().await.unwrap();
    world.idle().await.unwrap();
    let effects = effects.lock().unwrap().clone();
    let expected = leaders.into_iter().map(|(id, way)| (id, vec![way]));
    let expected: BTreeMap<String, Vec<String>> = expected.collect();
    let found = effects.into_iter().map(|(id, ways)| {
        let ways: Vec<String> = ways.into_iter().map(str::to_owned).collect();
        (id, ways)
    });
    let found: BTreeMap<String, Vec<String>> = found.collect();
    assert_eq!(found, expected, "seed {seed}");
    let letters = world.bus().dead_letters(all()).await.unwrap();
    assert_eq!(letters.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn phases_that_go_forth_and_back_lose_and_double_no_effect_through_crashes_and_lost_answers()
{
    for seed in 0..10 {
        live(seed).await;
    }
}
