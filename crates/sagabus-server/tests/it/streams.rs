//! Live views: streams of events that resume without a gap, at their reader's own pace, and end when the program does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use sagabus::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::program::{LIMIT, Place, Server, run, sagabus, signal, until};
use crate::world::{self, number};

/// A stream that is read line by line.
struct Stream {
    lines: BufReader<TcpStream>,
    head: String,
}

impl Stream {
    /// Asks for a stream. In HTTP/1.0, whose answers are not cut into chunks.
    fn ask(server: &Server, query: &str, last: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let last = last.map_or_else(String::new, |it| format!("last-event-id: {it}\r\n"));
        let address = server.address();
        let request =
            format!("GET /api/events/stream{query} HTTP/1.0\r\nhost: {address}\r\n{last}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Self { lines, head }
    }

    /// One that was let in, with the place where it begins.
    fn open(server: &Server, query: &str, last: Option<&str>) -> (Self, u64) {
        let mut stream = Self::ask(server, query, last);
        for word in [
            "HTTP/1.0 200",
            "content-type: text/event-stream\r\n",
            "cache-control: no-store",
        ] {
            assert!(stream.head.contains(word), "{}", stream.head);
        }
        let first = stream.block().unwrap();
        assert!(first.starts_with("retry: 1000\nid: "), "{first}");
        let (place, event) = read(&first);
        assert_eq!(event, None);
        (stream, place)
    }

    /// A refusal.
    fn refused(mut self) -> Answer {
        // A stream that is not refused does not end.
        assert!(!self.head.contains(" 200 "), "{}", self.head);
        let mut body = Vec::new();
        self.lines.read_to_end(&mut body).unwrap();
        let status = self.head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: self.head,
            body,
        }
    }

    /// The lines up to the next empty one; none at the end.
    fn block(&mut self) -> Option<String> {
        let mut block = String::new();
        loop {
            let before = block.len();
            // A server that is killed resets the connection.
            if self.lines.read_line(&mut block).unwrap_or(0) == 0 {
                return None;
            }
            if &block[before..] == "\n" {
                return Some(block);
            }
        }
    }

    /// The next event with its position; none at the end.
    fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            let (position, event) = read(&self.block()?);
            if let Some(event) = event {
                return Some((position, event));
            }
        }
    }

    /// The texts of the next notes.
    fn notes(&mut self, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| self.next().unwrap().1["data"]["number"].as_u64().unwrap())
            .collect()
    }
}

fn read(block: &str) -> (u64, Option<Value>) {
    let of = |name: &'static str| {
        let lines = block.lines();
        lines.filter_map(move |it| it.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let position = of("id").next().unwrap().parse().unwrap();
    let data: Vec<String> = of("data").collect();
    let event = (!data.is_empty()).then(|| serde_json::from_str(&data.join("\n")).unwrap());
    (position, event)
}

fn note(server: &Server, number: u64) -> u64 {
    note_of(server, &json!({"number": number}))
}

fn note_of(server: &Server, data: &Value) -> u64 {
    let event = json!({"type": "lab.note", "source": "bench-3", "subject": "FC-1", "data": data});
    let told = server.post("/api/events", &event).expect(201);
    told["position"].as_u64().unwrap()
}

#[test]
fn a_stream_begins_now_and_goes_on_over_a_restart_without_a_gap_or_a_repeat() {
    let place = Place::new();
    let server = Server::start(&place);
    note(&server, 0);
    let (mut stream, begins) = Stream::open(&server, "?type=lab.*", None);
    for number in 1..=3 {
        note(&server, number);
    }
    assert_eq!(stream.notes(1), [1]);
    let (last, event) = stream.next().unwrap();
    assert!(last > begins);
    assert_eq!(event["data"]["number"], 2);
    assert_eq!(
        (&event["type"], &event["specversion"]),
        (&json!("lab.note"), &json!("1.0"))
    );
    // As a browser does: it says what it has seen last, which is not all that was sent.
    assert_eq!(stream.notes(1), [3]);
    server.kill();
    assert_eq!(stream.next(), None);
    let server = Server::start(&place);
    note(&server, 4);
    let (mut stream, _) = Stream::open(&server, "?type=lab.*&from=1", Some(&last.to_string()));
    note(&server, 5);
    assert_eq!(stream.notes(3), [3, 4, 5]);
    // Whoever saw nothing yet goes on where the first stream began.
    let (mut again, _) = Stream::open(&server, "?type=lab.*", Some(&begins.to_string()));
    assert_eq!(again.notes(5), [1, 2, 3, 4, 5]);
    let (mut all, _) = Stream::open(&server, "?type=lab.*&from=0", None);
    assert_eq!(all.notes(6), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_stream_has_only_what_is_asked_for() {
    let place = Place::new();
    let server = Server::start(&place);
    let filter = "?filter=source%20%3D%20%27bench-3%27%20AND%20DATA(%27%2Fnumber%27)%20%3E%202";
    let (mut some, _) = Stream::open(&server, filter, None);
    let (mut sagas, _) = Stream::open(&server, "?type=saga.*", None);
    for number in 1..=4 {
        note(&server, number);
    }
    assert_eq!(some.notes(2), [3, 4]);
    let upload = server.request("POST", "/api/submissions");
    let form = crate::program::form_bytes("small.pdf");
    let taken = upload.upload("small.pdf", &form, &[]).send().expect(202);
    let saga = taken["sagaId"].as_str().unwrap();
    let (mut one, _) = Stream::open(
        &server,
        &format!("?subject={saga}&type=saga.*&from=1"),
        None,
    );
    for stream in [&mut sagas, &mut one] {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|it| it != "saga.completed") {
            let (_, event) = stream.next().unwrap();
            assert_eq!(event["subject"], saga, "{event}");
            seen.push(event["type"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen[0], "saga.started");
        let steps = seen
            .iter()
            .filter(|it| *it == "saga.step_completed")
            .count();
        assert_eq!(steps, 4, "{seen:?}");
    }
}

#[test]
fn what_cannot_be_streamed_is_refused_by_its_name() {
    let place = Place::new();
    let server = Server::start(&place);
    note(&server, 1);
    for (query, last, words) in [
        (
            "",
            Some("soon"),
            &["`Last-Event-ID` is `soon`", "position"][..],
        ),
        ("", Some("-1"), &["`Last-Event-ID` is `-1`"]),
        ("", Some("18446744073709551616"), &["Last-Event-ID"]),
        (
            "",
            Some("18446744073709551615"),
            &["the log ends at", "another"],
        ),
        (
            "?from=1000000",
            None,
            &["`from` is 1000000", "the log ends at"],
        ),
        ("?from=one", None, &["`from` is `one`"]),
        ("?type=a..b", None, &["type"]),
        ("?filter=source%20%3D", None, &["filter"]),
        ("?types=lab.*", None, &["`types`", "`type`"]),
    ] {
        let answer = Stream::ask(&server, query, last).refused();
        answer.expect_problem(400, words);
    }
    let twice = server.request("GET", "/api/events/stream");
    let twice = twice
        .header("last-event-id", "1")
        .header_again("last-event-id", "2");
    twice
        .send()
        .expect_problem(400, &["last-event-id", "twice"]);
}

#[test]
fn each_stream_is_one_look_and_there_are_no_more_than_may_be() {
    let place = Place::new();
    let data = place.data_text();
    let mut command = sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    command.env("EVENT_BUS_MAX_STREAMS", "2");
    let server = Server::spawn(&place, &mut command);
    let looks =
        "SELECT count(*) FROM audit_entries WHERE action = 'access.read' AND resource = 'event'";
    let (mut first, _) = Stream::open(&server, "?type=lab.*", None);
    for number in 0..5 {
        note(&server, number);
    }
    assert_eq!(first.notes(5), [0, 1, 2, 3, 4]);
    assert_eq!(number(&place.data(), "audit.sqlite", looks), 1);
    let (second, _) = Stream::open(&server, "", None);
    let refused = Stream::ask(&server, "", None).refused();
    refused.expect_problem(503, &["2 streams"]);
    assert_eq!(number(&place.data(), "audit.sqlite", looks), 2);
    assert!(
        server
            .get("/metrics")
            .text()
            .contains("event_bus_streams 2\n")
    );
    drop(second);
    // The server sees that it has gone when it next writes to it.
    until("room for another", || {
        note(&server, 9);
        let stream = Stream::ask(&server, "", None);
        stream.head.contains(" 200 ").then_some(())
    });
}

/// Bytes of a payload.
const LARGE: usize = 200_000;
/// Events that are more than the system holds between two processes.
const MANY: u64 = 150;

#[test]
fn a_slow_reader_costs_no_memory_holds_nobody_up_and_misses_nothing() {
    let place = Place::new();
    let server = Server::start(&place);
    let (mut slow, _) = Stream::open(&server, "?type=lab.*", None);
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("VmRSS:"))
            .unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024
    };
    let text = "x".repeat(LARGE);
    let (mut quick, _) = Stream::open(&server, "?type=lab.*", None);
    let mut before = 0;
    for number in 0..MANY {
        note_of(&server, &json!({"number": number, "text": text}));
        assert_eq!(quick.notes(1), [number]);
        if number == MANY / 3 {
            before = memory();
        }
    }
    let more = memory().saturating_sub(before);
    println!(
        "{} MB more with a reader that is {} MB behind",
        more / 1_000_000,
        MANY * LARGE as u64 / 1_000_000
    );
    assert!(more < 12_000_000, "{more}");
    let expected: Vec<u64> = (0..MANY).collect();
    assert_eq!(slow.notes(expected.len()), expected);
}

#[test]
fn streams_end_at_once_when_the_program_does_also_of_who_does_not_read() {
    let place = Place::new();
    let server = Server::start(&place);
    let (mut stream, _) = Stream::open(&server, "", None);
    let (stuck, _) = Stream::open(&server, "?type=lab.*", None);
    let text = "x".repeat(LARGE);
    for number in 0..60 {
        note_of(&server, &json!({"number": number, "text": text}));
    }
    let began = SystemClock.elapsed();
    signal(server.id(), "TERM");
    let reading = std::thread::spawn(move || while stream.next().is_some() {});
    let ran = server.wait();
    let spent = SystemClock.elapsed().saturating_sub(began);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(spent < Duration::from_secs(5), "{spent:?}");
    reading.join().unwrap();
    drop(stuck);
}

#[test]
fn the_command_prints_events_as_they_come_and_goes_on_after_a_restart() {
    let place = Place::new();
    let server = Server::start(&place);
    let address = server.address().to_owned();
    let url = format!("http://{address}");
    note(&server, 0);
    let one = run(&[
        "events", "tail", "--url", &url, "--from", "1", "--type", "lab.*", "--count", "1",
    ]);
    assert_eq!(one.code, Some(0), "{one:?}");
    assert!(
        one.out.contains("lab.note") && one.out.contains("FC-1  bench-3"),
        "{one:?}"
    );
    let mut command = sagabus(&[
        "events", "tail", "--url", &url, "--type", "lab.*", "-o", "json", "--count", "2",
    ]);
    let mut tail = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    until("the stream", || {
        let told = server.get("/metrics").text();
        told.contains("event_bus_streams 1\n").then_some(())
    });
    note(&server, 1);
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["data"]["number"], 1);
    server.kill();
    // It asks again while nobody answers, and is cut off again.
    let away = std::net::TcpListener::bind(&address).unwrap();
    away.set_nonblocking(true).unwrap();
    until("another try", || away.accept().ok());
    drop(away);
    let data = place.data_text();
    let server = Server::spawn(
        &place,
        &mut sagabus(&["serve", "--listen", &address, "--data-dir", &data]),
    );
    note(&server, 2);
    assert_eq!(next()["data"]["number"], 2);
    let ended = until("the end of the command", || tail.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    let wrong = run(&["events", "tail", "--url", &url, "--type", "a..b"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    world::settle(&server, &place.data());
}
