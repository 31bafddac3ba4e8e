//! Tests of what the tasks of a subscription hand to each other.

use std::sync::Arc;

use super::*;
use crate::clock::TestClock;
use crate::event::{Event, EventType};
use crate::transport::LeaseToken;

const SOON: Duration = Duration::from_micros(1);

fn leased(positions: std::ops::Range<u64>) -> Vec<Leased> {
    let clock = TestClock::new(crate::clock::Timestamp::default(), 1);
    let event_type = EventType::new("a.b").unwrap();
    let event = Arc::new(Event::raw(event_type, "test", "{}".into(), &clock));
    let lease = |position| Leased {
        token: token(position),
        event: Arc::clone(&event),
        silent: 0,
        uncounted: 0,
        revision: 0,
        redrives: 0,
    };
    positions.map(lease).collect()
}

fn token(position: u64) -> LeaseToken {
    LeaseToken {
        position,
        epoch: 1,
        attempt: 1,
    }
}

/// Whether the future is ready at once.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

fn positions(settles: &[Settle]) -> Vec<u64> {
    settles.iter().map(|it| it.token.position).collect()
}

#[tokio::test]
async fn verdicts_of_quick_handlers_are_said_once_when_nothing_is_left() {
    let work = Work::new(4);
    assert_eq!(now(work.room()).await, Some(4));
    assert_eq!(work.put(leased(1..4)), Start::Worker);
    let (first, start) = work.first(true).await.unwrap();
    // Another one looks whether it can help.
    assert_eq!((first.token.position, start), (1, Start::Worker));
    assert_eq!(
        work.next(token(1), End::Handled, SOON)
            .unwrap()
            .token
            .position,
        2
    );
    assert_eq!(
        work.next(token(2), End::Handled, SOON)
            .unwrap()
            .token
            .position,
        3
    );
    assert_eq!(now(work.room()).await, None);
    assert!(work.next(token(3), End::Handled, SOON).is_none());
    assert_eq!(now(work.room()).await, Some(4));
    let settles = now(work.verdicts()).await.flatten().unwrap();
    assert_eq!(positions(&settles), [1, 2, 3]);
    assert_eq!(now(work.verdicts()).await, None);
}

#[tokio::test]
async fn a_verdict_waits_for_no_slow_handler() {
    let work = Work::new(4);
    let _start = work.put(leased(1..4));
    let _first = work.first(true).await;
    let _second = work.next(token(1), End::Handled, SOON);
    // The second was slow.
    let _third = work.next(token(2), End::Handled, SOON + LINGER);
    assert_eq!(now(work.room()).await, Some(3));
    let settles = now(work.verdicts()).await.flatten().unwrap();
    assert_eq!(positions(&settles), [1, 2]);
}

#[tokio::test]
async fn whoever_has_to_wait_says_what_it_knows_and_has_another_go_on() {
    let work = Work::new(2);
    let _start = work.put(leased(1..3));
    let (_first, start) = work.first(true).await.unwrap();
    assert_eq!(start, Start::Worker);
    // The other one is on its way, nobody else is needed.
    assert_eq!(work.away(), Start::Nobody);
    let (second, start) = work.first(true).await.unwrap();
    assert_eq!((second.token.position, start), (2, Start::Nobody));
    assert_eq!(work.away(), Start::Nobody);
    assert_eq!(now(work.room()).await, None);
    assert!(work.next(token(1), End::Handled, SOON).is_none());
    assert_eq!(now(work.room()).await, Some(1));
}

#[tokio::test]
async fn no_more_workers_wait_than_are_kept() {
    let work = Arc::new(Work::new(64));
    assert_eq!(work.put(leased(1..65)), Start::Worker);
    let mut started = 0;
    while let Some((_, start)) = now(work.first(true)).await.flatten() {
        started += 1;
        if start == Start::Nobody {
            break;
        }
    }
    assert_eq!(started, 64);
    let ends = leased(1..65).into_iter();
    work.give(ends.map(|it| (it.token, End::Handled)));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let work = Arc::clone(&work);
        waiting.spawn(async move { work.first(false).await.is_none() });
    }
    // Those that are not kept end at once.
    for _ in IDLE_MAX..64 {
        assert!(waiting.join_next().await.unwrap().unwrap());
    }
    work.close();
    assert_eq!(waiting.join_all().await, [true; IDLE_MAX]);
}

#[tokio::test]
async fn nothing_more_is_fetched_while_too_many_verdicts_wait() {
    let work = Work::new(2 * VERDICTS_MAX);
    let many = u64::try_from(VERDICTS_MAX).unwrap();
    work.count(VERDICTS_MAX);
    work.give((0..many).map(|position| (token(position), End::Handled)));
    assert_eq!(now(work.room()).await, None);
    assert_eq!(now(work.calm()).await, None);
    let settles = now(work.verdicts()).await.flatten().unwrap();
    assert_eq!(settles.len(), SETTLES_MAX);
    assert!(now(work.calm()).await.is_some());
    assert!(now(work.room()).await.is_some());
}

#[tokio::test]
async fn at_the_end_all_verdicts_are_settled_and_all_workers_end() {
    let work = Work::new(4);
    let _start = work.put(leased(1..3));
    let _first = work.first(true).await;
    work.close();
    // What was fetched is handled still.
    assert!(work.next(token(1), End::Handled, SOON).is_some());
    assert!(now(work.verdicts()).await.flatten().is_some());
    assert_eq!(now(work.verdicts()).await, None);
    assert!(work.next(token(2), End::Handled, SOON).is_none());
    assert!(now(work.verdicts()).await.flatten().is_some());
    assert!(now(work.verdicts()).await.unwrap().is_none());
    assert!(work.first(false).await.is_none());
}
