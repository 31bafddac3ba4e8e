//! What is remembered, and for how long.

use bytes::Bytes;

use super::*;
use crate::clock::SystemClock;
use crate::event::EventType;

fn event(id: &str, data: &'static str) -> Event {
    let event_type = EventType::new("a.b").unwrap();
    let mut event = Event::raw(
        event_type,
        "lab",
        Bytes::from_static(data.as_bytes()),
        &SystemClock,
    );
    event.id = crate::event::EventId::new(id.to_owned()).unwrap();
    event
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn window(events: usize) -> Window {
    let time = Duration::from_secs(100);
    Window::new(Limits { events, time })
}

fn insert(window: &mut Window, event: &Event, seconds: u64, position: u64) -> Known {
    let mark = window.keys().mark(&Named::of(event), at(seconds));
    let known = window.insert(&mark, position);
    window.trim(Duration::ZERO);
    known
}

#[test]
fn the_same_event_is_known_and_another_one_of_its_name_is_told_from_it() {
    let mut window = window(10);
    assert_eq!(insert(&mut window, &event("e", "1"), 0, 7), Known::No);
    assert_eq!(insert(&mut window, &event("e", "1"), 1, 8), Known::Same(7));
    assert_eq!(insert(&mut window, &event("e", "2"), 2, 9), Known::Other(7));
    assert_eq!(insert(&mut window, &event("f", "1"), 3, 9), Known::No);
    let about = event("e", "1").about("S-1");
    assert_eq!(insert(&mut window, &about, 4, 10), Known::Other(7));
}

#[test]
fn an_idempotency_key_names_the_event_within_its_source() {
    let mut window = window(10);
    let keyed = |id, source: &'static str| {
        let mut event = event(id, "1").idempotency_key("lims-4711");
        event.source = source.into();
        event
    };
    assert_eq!(insert(&mut window, &keyed("a", "lab"), 0, 1), Known::No);
    assert_eq!(
        insert(&mut window, &keyed("b", "lab"), 0, 2),
        Known::Same(1)
    );
    assert_eq!(insert(&mut window, &keyed("c", "other"), 0, 3), Known::No);
}

#[test]
fn an_event_is_forgotten_after_its_time_and_when_there_are_too_many() {
    let mut window = window(3);
    assert_eq!(insert(&mut window, &event("a", "1"), 0, 1), Known::No);
    assert_eq!(
        insert(&mut window, &event("a", "1"), 100, 2),
        Known::Same(1)
    );
    assert_eq!(insert(&mut window, &event("a", "2"), 101, 3), Known::No);
    assert_eq!(
        insert(&mut window, &event("a", "2"), 150, 4),
        Known::Same(3)
    );
    for (id, position) in [("b", 5), ("c", 6), ("d", 7)] {
        assert_eq!(
            insert(&mut window, &event(id, "1"), 160, position),
            Known::No
        );
    }
    assert_eq!(
        insert(&mut window, &event("d", "1"), 160, 8),
        Known::Same(7)
    );
    assert_eq!(insert(&mut window, &event("a", "2"), 160, 9), Known::No);
    assert!(window.numbers.len() <= 4 && window.order.len() <= 4);
}

#[test]
fn whatever_comes_and_goes_it_is_remembered_as_a_plain_list_would() {
    let mut window = window(50);
    // Key, content, time and position of each.
    let mut list: VecDeque<(u64, u64, u64, u64)> = VecDeque::new();
    let mut seed = 7;
    let mut chance = |below: u64| {
        seed = mix(seed);
        seed % below
    };
    let mut seconds = 0;
    for position in 1..20_000 {
        seconds += chance(7);
        let (name, says) = (chance(90), chance(2));
        let mark = Mark {
            key: u128::from(name) << 64 | 1,
            content: says,
            at: at(seconds),
        };
        let latest = list.iter().rev().find(|it| it.0 == name);
        let expected = match latest.filter(|it| seconds - it.2 <= 100) {
            None => Known::No,
            Some(it) if it.1 == says => Known::Same(it.3),
            Some(it) => Known::Other(it.3),
        };
        assert_eq!(window.insert(&mark, position), expected);
        if expected != Known::No {
            continue;
        }
        if chance(10) == 0 && latest.is_none() {
            window.forget(&mark);
            continue;
        }
        list.push_back((name, says, seconds, position));
        window.trim(at(seconds));
        while list.len() > 50 || list.front().is_some_and(|it| seconds - it.2 > 100) {
            list.pop_front();
        }
        assert!(window.oldest() <= list.front().map_or(u64::MAX, |it| it.3));
        assert_eq!(window.order.len(), list.len());
        assert!(window.numbers.len() <= list.len());
    }
}

#[test]
fn what_was_not_stored_is_not_remembered() {
    let mut window = window(10);
    let event = event("a", "1");
    insert(&mut window, &event, 0, 1);
    let mark = window.keys().mark(&Named::of(&event), at(0));
    window.forget(&mark);
    assert_eq!(insert(&mut window, &event, 0, 2), Known::No);
    assert_eq!(window.order.len(), 1);
}

#[test]
fn an_event_read_back_is_remembered_for_the_whole_time() {
    let mut window = window(10);
    let content = record::encode_event(&event("a", "1"));
    window.restore(1, record::EVENT, &content).unwrap();
    assert_eq!(
        insert(&mut window, &event("a", "1"), 100, 2),
        Known::Same(1)
    );
    assert_eq!(insert(&mut window, &event("a", "1"), 101, 3), Known::No);
}
