//! A stream on a clock of its own: signs of life, its end, and where it begins.

use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::{Bus, Clock, SystemClock};
use tokio::time::{Instant, timeout};

use super::reader::HEARTBEAT;
use super::*;

fn bus() -> Bus {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    Bus::builder(engine, clock).build().unwrap()
}

async fn publish(bus: &Bus, text: &str) -> u64 {
    let json = format!(r#"{{"type": "lab.note", "source": "bench-3", "data": {text}}}"#);
    let event = sagabus::event::envelope::from_json(json.as_bytes(), &SystemClock).unwrap();
    bus.publish(event).await.unwrap().position
}

fn everything() -> Chosen {
    Chosen {
        pattern: None,
        filter: None,
        subject: None,
        correlation_id: None,
    }
}

fn reader(bus: &Bus, streams: &Streams, first: u64) -> Reader {
    let turn = streams.enter().unwrap();
    Reader::new(bus.clone(), everything(), first, streams, turn)
}

async fn text(reader: &mut Reader) -> String {
    let message = timeout(Duration::from_mins(1), reader.next()).await;
    String::from_utf8(message.unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_gives_signs_of_life_with_its_place_and_ends_at_once_when_told() {
    let (bus, stop) = (bus(), CancellationToken::new());
    let streams = Streams::new(2, stop.clone());
    let end = streams.look(&bus).await.unwrap();
    let mut reader = reader(&bus, &streams, end);
    let place = format!("id: {}\n\n", end - 1);
    assert_eq!(text(&mut reader).await, format!("retry: 1000\n{place}"));
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(text(&mut reader).await, format!(":\n{place}"));
        assert_eq!(began.elapsed(), HEARTBEAT);
    }
    let position = publish(&bus, "{\n\"a\":\r\n1}").await;
    assert!(position >= end);
    streams.look(&bus).await.unwrap();
    let message = text(&mut reader).await;
    assert!(
        message.starts_with(&format!("id: {position}\ndata: {{")),
        "{message}"
    );
    let data: Vec<&str> = message
        .lines()
        .filter_map(|it| it.strip_prefix("data: "))
        .collect();
    let event: serde_json::Value = serde_json::from_str(&data.concat()).unwrap();
    assert_eq!(
        (&event["specversion"], &event["data"]["a"]),
        (&"1.0".into(), &1.into())
    );
    let began = Instant::now();
    let (ended, ()) = tokio::join!(reader.next(), async { stop.cancel() });
    assert_eq!((ended, began.elapsed()), (None, Duration::ZERO));
}

#[tokio::test]
async fn the_end_of_the_log_is_found_wherever_it_is() {
    let (bus, streams) = (bus(), Streams::new(1, CancellationToken::new()));
    for round in 0..40 {
        let known = streams.look(&bus).await.unwrap();
        let mut last = known - 1;
        for _ in 0..=round {
            last = publish(&bus, "{}").await;
        }
        let found = streams.look(&bus).await.unwrap();
        assert_eq!(found, last + 1, "round {round}");
        let anew = Streams::new(1, CancellationToken::new());
        assert_eq!(anew.look(&bus).await.unwrap(), found, "round {round}");
    }
}

#[test]
fn there_are_as_many_streams_as_may_be_and_one_that_is_over_makes_room() {
    let streams = Streams::new(2, CancellationToken::new());
    let first = streams.enter().unwrap();
    let _second = streams.enter().unwrap();
    let refused = streams.enter().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Transient);
    assert!(refused.to_string().contains("2 streams"), "{refused}");
    drop(first);
    assert_eq!(streams.open(), 1);
    let _again = streams.enter().unwrap();
}

#[test]
fn a_stream_begins_behind_what_was_seen_or_where_it_is_told_or_at_the_end() {
    for (last, from, first_is) in [
        (None, None, Some(42)),
        (Some(0), None, Some(1)),
        (Some(41), None, Some(42)),
        (Some(41), Some(3), Some(42)),
        (Some(42), None, None),
        (Some(u64::MAX), None, None),
        (None, Some(0), Some(0)),
        (None, Some(42), Some(42)),
        (None, Some(43), None),
    ] {
        let found = first(last, from, 42);
        assert_eq!(found.ok(), first_is, "{last:?} {from:?}");
    }
}
