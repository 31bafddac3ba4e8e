//! Who gets a slot of a service, and when.

use super::*;

const AT: Duration = Duration::from_secs(100);

fn slots(limit: &str) -> Slots {
    Slots::new(&[limit.parse().unwrap()])
}

fn claim(saga: &str, direction: Direction) -> Claim {
    Claim {
        saga: saga.parse().unwrap(),
        wanted: Wanted { step: 0, direction },
    }
}

fn forward(saga: &str) -> Claim {
    claim(saga, Direction::Forward)
}

fn sagas(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.saga.as_str()).collect()
}

fn ms(ms: u64) -> Duration {
    AT + Duration::from_millis(ms)
}

#[test]
fn what_is_taken_back_goes_first_and_then_the_saga_that_came_first() {
    let mut slots = slots("svc=1");
    slots.begin(0, &forward("busy"), AT);
    for (saga, came) in [("young", 9), ("old", 1), ("middle", 5), ("also-old", 1)] {
        slots.enter(0, &forward(saga), (came, 0), AT);
    }
    slots.enter(0, &claim("back", Direction::Backward), (20, 0), AT);
    assert!(slots.fill(AT).is_empty());
    let mut order = Vec::new();
    for _ in 0..5 {
        let given = slots.end(0, AT);
        order.extend(sagas(&given).into_iter().map(str::to_owned));
        slots.begin(0, &given[0], AT);
    }
    assert_eq!(order, ["back", "old", "also-old", "middle", "young"]);
}

#[test]
fn no_more_begin_in_any_second_than_the_limit_says() {
    let mut slots = slots("svc=@2");
    for saga in ["a", "b", "c", "d", "e"] {
        slots.enter(0, &forward(saga), (0, 0), AT);
    }
    assert_eq!(sagas(&slots.fill(ms(0))), ["a", "b"]);
    assert_eq!(slots.next_due(), Some(ms(1_000)));
    assert!(slots.fill(ms(999)).is_empty());
    assert_eq!(sagas(&slots.fill(ms(1_400))), ["c", "d"]);
    assert!(slots.fill(ms(2_399)).is_empty());
    assert_eq!(sagas(&slots.fill(slots.next_due().unwrap())), ["e"]);
    assert_eq!(slots.next_due(), None);
}

#[test]
fn what_passes_the_limit_counts_against_those_that_wait() {
    let mut slots = slots("svc=2@3");
    for saga in ["x", "y", "z", "v"] {
        slots.begin(0, &forward(saga), AT);
    }
    slots.enter(0, &forward("a"), (0, 0), AT);
    for _ in 0..3 {
        assert!(slots.end(0, AT).is_empty());
    }
    // A slot is free, but four have begun.
    assert_eq!(slots.next_due(), Some(ms(1_000)));
    assert_eq!(sagas(&slots.fill(ms(1_000))), ["a"]);
}

#[test]
fn a_slot_that_is_promised_and_not_used_goes_to_the_next_one() {
    let mut slots = slots("svc=1@1");
    slots.enter(0, &forward("a"), (0, 0), AT);
    slots.enter(0, &forward("b"), (1, 0), AT);
    assert_eq!(sagas(&slots.fill(AT)), ["a"]);
    assert!(slots.is_promised(0, &forward("a")));
    assert_eq!(sagas(&slots.leave(0, &forward("a"), AT)), ["b"]);
    assert!(!slots.is_promised(0, &forward("a")));
    slots.begin(0, &forward("b"), ms(250));
    assert!(slots.end(0, ms(300)).is_empty());
    assert_eq!(slots.waiting(), 0);
    assert_eq!(slots.limited[0].busy, 0);
}

#[test]
fn it_is_told_how_long_those_waited_that_have_begun() {
    let mut slots = slots("svc=1");
    for saga in ["a", "b", "c"] {
        slots.enter(0, &forward(saga), (0, 0), AT);
    }
    assert_eq!(sagas(&slots.fill(AT)), ["a"]);
    slots.begin(0, &forward("a"), AT);
    slots.leave(0, &forward("b"), ms(5));
    assert_eq!(sagas(&slots.end(0, ms(700))), ["c"]);
    slots.begin(0, &forward("c"), ms(700));
    let waits = slots.waits();
    assert_eq!((waits.count, waits.sum), (2, Duration::from_millis(700)));
}

#[test]
fn the_limit_of_an_action_holds_for_it_before_that_of_its_service() {
    let limits: Vec<ServiceLimit> = ["svc=1", "svc/a=2", "other/a=3"]
        .map(|limit| limit.parse().unwrap())
        .to_vec();
    let limits = Limits::new(&limits);
    assert_eq!(limits.of("svc", "a"), Some(1));
    assert_eq!(limits.of("svc", "b"), Some(0));
    assert_eq!(limits.of("other", "a"), Some(2));
    assert_eq!(limits.of("other", "b"), None);
    assert_eq!(limits.of("none", "a"), None);
}
