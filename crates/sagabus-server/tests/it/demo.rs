//! The demonstration: what it prints, what it shows of a failure, what it refuses, and what it costs.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use sagabus::{Clock, SystemClock};

use crate::program::{Place, Server, finish, form, run, sagabus};
use crate::world;

/// The steps of the saga, in order, with what their compensation leaves of the steps before.
const STEPS: [&str; 4] = [
    "validate_sample",
    "process_pdf",
    "update_sample_status",
    "create_audit_log",
];
/// Most memory that the process may have.
const RESIDENT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// One printed event.
#[derive(Debug)]
struct Line {
    position: u64,
    event_type: String,
    subject: String,
    cause: String,
}

/// The printed events.
fn lines(out: &str) -> Vec<Line> {
    out.lines()
        .skip_while(|line| !line.starts_with("events ("))
        .skip(2)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words.len(), 5, "{line}");
            assert!(words[1].contains('T') && words[1].ends_with('Z'), "{line}");
            Line {
                position: words[0].parse().unwrap(),
                event_type: words[2].to_owned(),
                subject: words[3].to_owned(),
                cause: words[4].to_owned(),
            }
        })
        .collect()
}

#[test]
fn the_demonstration_shows_events_with_causes_steps_samples_and_the_checked_trail() {
    let began = SystemClock.elapsed();
    let ran = run(&["demo", "--exit"]);
    let spent = SystemClock.elapsed().saturating_sub(began);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.err, "");
    assert!(spent < Duration::from_secs(10), "{spent:?}");
    println!("demo --exit in {} ms", spent.as_millis());
    assert!(ran.out.contains("reading the PDF"), "{}", ran.out);

    let lines = lines(&ran.out);
    assert!(ran.out.contains(&format!("events ({})", lines.len())));
    let mut before = BTreeSet::new();
    let mut roots = Vec::new();
    for line in &lines {
        if line.cause == "-" {
            roots.push(line.event_type.as_str());
        } else {
            let cause: u64 = line.cause.parse().unwrap_or_else(|_| panic!("{line:?}"));
            assert!(
                before.contains(&cause),
                "an effect before its cause: {line:?}"
            );
        }
        assert!(before.insert(line.position), "{line:?}");
        assert!(!line.subject.is_empty());
    }
    assert_eq!(roots, ["submission.created"], "all else has a cause");
    let count = |name: &str| lines.iter().filter(|it| it.event_type == name).count();
    assert_eq!(count("sample.created"), 3);
    assert_eq!(count("sample.status_changed"), 3);
    assert_eq!(count("saga.step_completed"), 4);
    assert_eq!(count("ai.pdf_processing_completed"), 1);
    assert_eq!((count("saga.completed"), count("saga.failed")), (1, 0));
    let audited = count("audit.entry_recorded");
    // Every other event, and the entry of the saga's own step.
    assert_eq!(audited, lines.len() - audited + 1);

    let saga = ran
        .out
        .lines()
        .find(|it| it.starts_with("saga sample_processing_workflow "))
        .unwrap();
    assert!(saga.ends_with(": completed"), "{saga}");
    assert_eq!(count("saga.step_started"), STEPS.len());
    for step in STEPS {
        let line = step_line(&ran.out, step);
        assert!(line.contains("completed") && line.contains(" ms"), "{line}");
    }
    for (name, volume) in [("moss-A1", "48"), ("moss-A2", "45.5"), ("lichen 7B", "50")] {
        let line = ran
            .out
            .lines()
            .find(|it| it.trim().starts_with(name))
            .unwrap();
        let confidence: f64 = line.split_whitespace().last().unwrap().parse().unwrap();
        assert!(line.contains(volume) && confidence > 0.9, "{line}");
    }
    assert!(
        ran.out
            .contains(&format!("audit trail: {audited} entries verified, root ")),
        "{}",
        ran.out
    );
}

fn step_line<'a>(out: &'a str, step: &str) -> &'a str {
    out.lines()
        .find(|line| line.trim_start().starts_with(&format!("{step} ")))
        .unwrap_or_else(|| panic!("{step}: {out}"))
}

#[test]
fn a_step_that_fails_on_request_takes_back_those_before_it_in_reverse() {
    for (index, step) in STEPS.iter().enumerate() {
        let place = Place::new();
        let data = place.data_text();
        let ran = run(&["demo", "--exit", "--fail-at", step, "--data-dir", &data]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.out.contains(": compensated"), "{}", ran.out);
        assert!(
            ran.out.contains(&format!("step `{step}` was told to fail")),
            "{}",
            ran.out
        );
        for done in &STEPS[..index] {
            assert!(
                step_line(&ran.out, done).contains("compensated"),
                "{}",
                ran.out
            );
        }
        for never in &STEPS[index + 1..] {
            assert!(
                step_line(&ran.out, never).contains("attempts 0"),
                "{}",
                ran.out
            );
        }
        let server = Server::start(&place);
        let checked = world::check(&server, &place.data(), 3);
        assert_eq!((checked.rejected, checked.samples), (1, 0));
        let submission = &world::submissions(&place.data())[0];
        assert!(
            submission.reason.as_ref().unwrap().contains(step),
            "{submission:?}"
        );
        let undone: Vec<String> = undone(&place);
        let expected: Vec<&str> = STEPS[..index].iter().rev().copied().collect();
        assert_eq!(undone, expected, "steps taken back");
        let events = world::all_events(&server);
        let made = world::of_type(&events, "sample.created").count();
        assert_eq!(made, world::of_type(&events, "sample.deleted").count());
        assert_eq!(made, if index == 3 { 3 } else { 0 });
    }
}

/// The steps whose compensation ran, in the order in which it did, from what the services wrote down.
fn undone(place: &Place) -> Vec<String> {
    let mut undone = Vec::new();
    for database in ["samples.sqlite", "ai.sqlite"] {
        undone.extend(world::texts(
            &place.data(),
            database,
            "SELECT printf('%020d ', at_ms) || key FROM step_keys WHERE state = 'undone' AND output IS NOT NULL",
        ));
    }
    undone.sort();
    undone
        .iter()
        .map(|line| {
            let step = STEPS.iter().find(|step| line.contains(*step));
            (*step.unwrap_or_else(|| panic!("{line}"))).to_owned()
        })
        .collect()
}

#[test]
fn a_form_of_ones_own_is_taken_and_a_directory_is_gone_on_with() {
    let place = Place::new();
    let data = place.data_text();
    let large = form("large.pdf");
    let ran = run(&[
        "demo",
        large.to_str().unwrap(),
        "--exit",
        "--data-dir",
        &data,
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("submitting large.pdf"), "{}", ran.out);
    assert!(ran.out.contains("submission SUBM-000001: accepted"));
    let ran = run(&["demo", "--exit", "--data-dir", &data]);
    assert!(
        ran.out.contains("submission SUBM-000002: accepted"),
        "{}",
        ran.out
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_a_clear_text() {
    let check = |arguments: &[&str], words: &[&str]| {
        let place = Place::new();
        let data = place.data_text();
        let mut command = sagabus(arguments);
        let ran = finish(command.args(["--data-dir", &data]));
        assert!(ran.code.is_some_and(|code| code != 0), "{arguments:?}");
        for word in words {
            assert!(ran.err.contains(word), "{arguments:?}: {word}: {}", ran.err);
        }
        assert!(
            !ran.out.contains("submitting"),
            "{arguments:?}: {}",
            ran.out
        );
    };
    check(
        &["demo", "--exit", "--fail-at", "process_pfd"],
        &["process_pfd", "process_pdf", "create_audit_log"],
    );
    check(
        &["demo", "--exit", "/no/such/form.pdf"],
        &["/no/such/form.pdf"],
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["demo", "serve"] {
        check(&[command, "--listen", &address], &[&address, "--listen"]);
        check(
            &[command, "--listen", "0.0.0.0:0"],
            &["0.0.0.0:0", "no login"],
        );
    }
}

#[test]
fn a_variable_that_is_not_known_or_not_possible_stops_the_start() {
    for (name, value, words) in [
        (
            "EVENT_BUS_MAX_RETRYS",
            "3",
            [
                "EVENT_BUS_MAX_RETRYS",
                "did you mean `EVENT_BUS_MAX_RETRIES`",
            ],
        ),
        (
            "SAGA_STEP_TIMEOUT",
            "soon",
            ["SAGA_STEP_TIMEOUT", "whole number"],
        ),
    ] {
        let ran = finish(sagabus(&["demo", "--exit"]).env(name, value));
        assert_eq!(ran.code, Some(1));
        for word in words {
            assert!(ran.err.contains(word), "{}", ran.err);
        }
    }
}

#[test]
fn what_the_demonstration_says_to_try_next_works() {
    let place = Place::new();
    let data = place.data_text();
    let mut command = sagabus(&["demo", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    let mut server = Server::spawn(&place, &mut command);
    assert!(server.said.contains("audit trail: "), "{}", server.said);
    let hints = server.hints();
    let paths: Vec<&str> = hints
        .lines()
        .filter_map(|line| line.trim().strip_prefix("curl -s 'http://"))
        .map(|rest| {
            rest.strip_prefix(&server.address)
                .unwrap()
                .trim_end_matches('\'')
        })
        .collect();
    assert_eq!(paths.len(), 8, "{hints}");
    for path in paths {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    assert!(hints.contains(&format!(
        "curl -s -F file=@FORM.pdf http://{}/api/submissions",
        server.address
    )));
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn the_demonstration_needs_little_memory() {
    let place = Place::new();
    let data = place.data_text();
    let mut command = sagabus(&["demo", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    command.stdin(Stdio::null());
    let server = Server::spawn(&place, &mut command);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap();
    println!("peak resident memory {:.1} MiB", peak_kib as f64 / 1024.0);
    assert!(peak_kib * 1024 < RESIDENT_BYTES_MAX, "{peak_kib} KiB");
}
