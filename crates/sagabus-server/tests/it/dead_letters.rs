//! Dead letters and pauses of a real server, over HTTP and with the commands.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use sagabus::Start;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::sqlite::rusqlite::Connection;
use serde_json::{Value, json};

use crate::program::{Place, Ran, Server, run, sagabus, until};

/// The one who fails here.
const NAME: &str = "sample-service";

/// A server whose sample service gave up these events, while its database refused them.
fn server_with_dead(place: &Place, subjects: &[&str]) -> Server {
    let data = place.data_text();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let mut command = sagabus(&arguments);
    command
        .env("EVENT_BUS_MAX_RETRIES", "0")
        .env("EVENT_BUS_DEAD_LETTER_THRESHOLD", "1");
    let server = Server::spawn(place, &mut command);
    let other = Connection::open(place.data().join("samples.sqlite")).unwrap();
    let fails = "CREATE TRIGGER fails BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'it is locked'); END";
    other.busy_timeout(crate::program::LIMIT).unwrap();
    other.execute_batch(fails).unwrap();
    for (number, subject) in subjects.iter().enumerate() {
        let event = json!({
            "id": format!("d-{number}"), "type": "ai.extraction_confidence_low", "source": "test",
            "subject": subject, "data": payload("two kits\nare ticked"),
        });
        server.post("/api/events", &event).expect(201);
    }
    until("all of them dead", || {
        let letters = server.get("/api/dead-letters").expect(200);
        (letters["total"] == subjects.len()).then_some(())
    });
    other.execute_batch("DROP TRIGGER fails").unwrap();
    server
}

fn payload(issue: &str) -> Value {
    json!({
        "extractionResultId": "r", "submissionId": "none", "fileName": "form.pdf", "confidenceScore": 0.4,
        "threshold": 0.7, "extractionMethod": "pattern", "issues": [issue],
    })
}

/// Runs a command against the server.
fn ask(server: &Server, arguments: &[&str]) -> Ran {
    let url = format!("http://{}", server.address);
    let mut all = arguments.to_vec();
    all.extend(["--url", &url]);
    run(&all)
}

/// What a command that went well said.
fn said(server: &Server, arguments: &[&str]) -> String {
    let ran = ask(server, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
    ran.out
}

/// Ids and subjects of a page.
fn page(server: &Server, query: &str) -> (Vec<String>, Value) {
    let page = server.get(&format!("/api/dead-letters{query}")).expect(200);
    let ids = page["deadLetters"].as_array().unwrap().iter();
    let ids = ids.map(|it| it["event"]["id"].as_str().unwrap().to_owned());
    (ids.collect(), page["next"].clone())
}

#[test]
fn dead_letters_are_queried_and_paged_over_http() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2", "FC-1", "FC-3", "FC-1"]);
    let (ids, next) = page(&server, "?limit=2");
    assert_eq!(ids, ["d-0", "d-1"]);
    let next = next.as_str().unwrap().to_owned();
    assert!(next.starts_with("sample-service/"), "{next}");
    let (ids, next) = page(&server, &format!("?limit=3&after={next}"));
    assert_eq!((ids.len(), next), (3, Value::Null));
    for (query, expected) in [
        ("?key=FC-1", &["d-0", "d-2", "d-4"][..]),
        ("?type=ai.*&limit=1&key=FC-3", &["d-3"]),
        ("?type=sample.*", &[]),
        ("?kind=error&error=locked&key=FC-2", &["d-1"]),
        ("?kind=panic", &[]),
        ("?errorType=Nothing", &[]),
        ("?deadBefore=2020-01-01T00:00:00Z", &[]),
        ("?deadFrom=2020-01-01T00:00:00Z&key=FC-2", &["d-1"]),
        ("?subscription=audit-service", &[]),
    ] {
        assert_eq!(page(&server, query).0, expected, "{query}");
    }
    let letter = server.get("/api/dead-letters?limit=1").expect(200)["deadLetters"][0].clone();
    let path = format!("/api/dead-letters/{NAME}/{}", letter["position"]);
    assert_eq!(server.get(&path).expect(200), letter);
    assert_eq!(
        (
            &letter["faults"][0]["redrives"],
            &letter["faults"][0]["kind"]
        ),
        (&json!(0), &json!("error"))
    );
    for (query, word) in [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?after=x", "after"),
        ("?type=a..b", "type"),
        ("?deadFrom=yesterday", "deadFrom"),
        ("?colour=red", "colour"),
    ] {
        let refused = server.get(&format!("/api/dead-letters{query}"));
        refused.expect_problem(400, &[word]);
    }
    server
        .get("/api/dead-letters/sample-service/1")
        .expect_problem(404, &["position 1"]);
    server
        .get("/api/dead-letters?subscription=nobody")
        .expect_problem(404, &["nobody"]);
    server
        .get("/api/dead-letters/export?subscription=nobody")
        .expect_problem(404, &["nobody"]);
    server.terminate();
}

#[test]
fn dead_letters_are_retried_revised_skipped_and_republished_over_http() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2", "FC-1", "FC-3", "FC-4"]);
    let order = |what: &str, body: Value| server.post(&format!("/api/dead-letters/{what}"), &body);
    let key = json!({"subscription": NAME, "key": "FC-1", "ratePerSecond": 100, "dryRun": true, "author": "ann"});
    let answer = order("redrive", key).expect(200);
    assert_eq!(
        (&answer["redriven"], &answer["dryRun"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(page(&server, "").0.len(), 5, "a dry run changes nothing");
    for (what, body, word) in [
        ("redrive", json!({"query": {"colour": 1}}), "colour"),
        (
            "redrive",
            json!({"key": "FC-1", "author": "ann"}),
            "subscription",
        ),
        (
            "redrive",
            json!({"query": {}, "ratePerSecond": 0, "author": "ann"}),
            "ratePerSecond",
        ),
        (
            "redrive",
            json!({"query": {}, "all": true, "author": "ann"}),
            "query",
        ),
        ("skip", json!({"query": {}, "author": "ann"}), "reason"),
        ("skip", json!({"query": {}, "reason": "r"}), "author"),
        ("redrive", json!({"query": {}, "reason": "r"}), "author"),
        (
            "discard",
            json!({"query": {}, "author": "ann", "reason": "r", "ratePerSecond": 1}),
            "ratePerSecond",
        ),
        (
            "revise",
            json!({"subscription": NAME, "position": 1, "data": 1}),
            "author",
        ),
        (
            "redrive",
            json!({"query": {}, "author": "ann", "reason": "r".repeat(3000)}),
            "reason",
        ),
    ] {
        order(what, body).expect_problem(400, &[word]);
    }
    let none = order(
        "redrive",
        json!({"subscription": NAME, "positions": [], "author": "ann"}),
    );
    assert_eq!(none.expect(200)["redriven"], 0, "no position is not any");
    let by_query = json!({"query": {"key": "FC-1"}, "author": "ann", "reason": "the disk is back"});
    assert_eq!(order("redrive", by_query).expect(200)["redriven"], 2);
    until("the two handled", || {
        let left = page(&server, "").0;
        (left == ["d-1", "d-3", "d-4"]).then_some(())
    });

    let letters = server.get("/api/dead-letters").expect(200);
    let position = |number: usize| letters["deadLetters"][number]["position"].clone();
    let revision = |data: Value, retry: bool| {
        order(
            "revise",
            json!({"subscription": NAME, "position": position(0), "data": data, "author": "ann",
                "reason": "typo", "retry": retry}),
        )
    };
    revision(json!({"fileName": 1}), false).expect_problem(400, &["data"]);
    assert_eq!(revision(payload("one"), false).expect(200)["revision"], 1);
    let path = format!("/api/dead-letters/{NAME}/{}", position(0));
    let letter = server.get(&path).expect(200);
    assert_eq!(letter["event"]["data"]["issues"][0], "two kits\nare ticked");
    assert_eq!(letter["revisions"][0]["author"], "ann");
    assert_eq!(letter["revisions"][0]["data"]["issues"][0], "one");
    assert_eq!(revision(payload("two"), true).expect(200)["revision"], 2);
    until("the revised one handled", || {
        (page(&server, "").0 == ["d-3", "d-4"]).then_some(())
    });

    let one = json!({"subscription": NAME, "position": position(1)});
    let new = order("republish", one).expect(200);
    let from = new["position"].clone();
    let event = &server
        .get(&format!("/api/events?from={from}&limit=1"))
        .expect(200)["events"][0];
    assert_eq!(
        (&event["event"]["id"], &event["event"]["causationId"]),
        (&new["id"], &json!("d-3"))
    );
    assert_eq!(page(&server, "").0, ["d-3", "d-4"], "it stays");
    let skip = json!({"subscription": NAME, "positions": [position(1)], "author": "ann", "reason": "done by hand"});
    assert_eq!(order("skip", skip).expect(200)["skipped"], 1);
    let discard = json!({"query": {}, "author": "ann", "reason": "a test", "dryRun": true});
    assert_eq!(order("discard", discard).expect(200)["discarded"], 1);
    assert_eq!(page(&server, "").0, ["d-4"]);

    let path = format!("/api/subscriptions/{NAME}/repairs");
    let repairs = server.get(&path).expect(200)["repairs"].clone();
    let acts: Vec<&str> = repairs
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["act"].as_str().unwrap())
        .collect();
    let expected = ["skipped", "redriven", "revised", "revised", "redriven"];
    assert_eq!(acts, expected, "{repairs}");
    assert_eq!(repairs[0]["reason"], "done by hand");
    assert_eq!(
        (&repairs[4]["author"], &repairs[4]["reason"]),
        (&json!("ann"), &json!("the disk is back"))
    );
    let query = format!("?position={}&limit=1", position(0));
    let page = server.get(&format!("{path}{query}")).expect(200);
    assert_eq!(
        page["repairs"][0], repairs[1],
        "the retry of the revised one"
    );
    assert_eq!(page["next"], repairs[1]["number"]);
    server
        .get(&format!("{path}?limit=0"))
        .expect_problem(400, &["limit"]);
    server
        .get("/api/subscriptions/nobody/repairs")
        .expect_problem(404, &["nobody"]);
    let said = said(&server, &["dead-letters", "repairs", NAME]);
    assert!(said.contains("done by hand"), "{said}");
    server.terminate();
}

#[test]
fn the_metrics_of_deliveries_are_those_of_the_ledger_and_add_up() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2", "FC-3"]);
    let log = until("the alert", || {
        let metrics = server.get("/metrics").text();
        let is_raised = metrics.contains("event_bus_dead_letter_alerts_total 1\n");
        is_raised.then_some(metrics)
    });
    assert!(log.contains("event_bus_dead_letter_threshold 1\n"), "{log}");
    assert!(
        log.contains("event_bus_dead_letter_queue_size 3\n"),
        "{log}"
    );
    crate::world::settle(&server, &place.data());
    let metrics = server.get("/metrics").text();
    let mut shown: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("event_bus_deliveries{subscription=\"") else {
            continue;
        };
        let (name, rest) = rest.split_once("\",state=\"").unwrap();
        let (state, count) = rest.split_once("\"} ").unwrap();
        let key = (name.to_owned(), state.to_owned());
        shown.insert(key, count.parse().unwrap());
    }
    let views = server.get("/api/subscriptions").expect(200);
    let mut told = BTreeMap::new();
    for view in views["subscriptions"].as_array().unwrap() {
        let name = view["name"].as_str().unwrap();
        let counts = view["counts"].as_object().unwrap();
        let others = counts.iter().filter(|(state, _)| *state != "matched");
        let sum: u64 = others.map(|(_, count)| count.as_u64().unwrap()).sum();
        assert_eq!(
            (&view["isConserved"], counts["matched"].as_u64()),
            (&json!(true), Some(sum))
        );
        for (state, count) in counts {
            told.insert((name.to_owned(), state.clone()), count.as_u64().unwrap());
        }
    }
    assert_eq!(shown, told);
    assert_eq!(told[&(NAME.to_owned(), "dead".to_owned())], 3);
    let ran = server.terminate();
    let warnings = ran.err.matches("above their threshold").count();
    assert_eq!(warnings, 1, "{}", ran.err);
}

#[test]
fn the_commands_list_show_change_and_retry_dead_letters() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2", "FC-1", "FC-3"]);
    let list = said(&server, &["dead-letters", "list", "--limit", "3"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 6, "{list}");
    assert!(
        lines[0].starts_with("id ") && lines[0].ends_with("error"),
        "{list}"
    );
    assert!(
        lines[1].contains("FC-1") && lines[1].contains("locked"),
        "{list}"
    );
    assert_eq!(lines[4], "4 dead letters in all");
    let next = lines[5].strip_prefix("more with --after ").unwrap();
    let rest = said(&server, &["dead-letters", "list", "--after", next]);
    assert!(rest.contains("FC-3") && !rest.contains("FC-1"), "{rest}");
    let id = lines[1].split(' ').next().unwrap();
    let one = said(&server, &["dead-letters", "show", id]);
    assert!(one.starts_with(id) && one.contains("attempts: 1"), "{one}");
    assert!(one.contains("\"id\":\"d-0\""), "{one}");
    let json = said(
        &server,
        &["dead-letters", "list", "--key", "FC-2", "-o", "json"],
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["deadLetters"][0]["event"]["id"], "d-1");

    let data = payload("a form").to_string();
    let revise = [
        "dead-letters",
        "revise",
        id,
        "--data",
        &data,
        "--author",
        "ann",
        "--reason",
        "typo",
    ];
    assert!(said(&server, &revise).starts_with("revision 1 of"));
    let one = said(&server, &["dead-letters", "show", id]);
    assert!(one.contains("by ann, typo:"), "{one}");
    let mut hidden = revise;
    hidden[8] = "typo\u{1b}[31m";
    let ran = ask(&server, &hidden);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("`reason` has the character U+001B"));
    let dry = [
        "dead-letters",
        "retry",
        "--key",
        "FC-1",
        "--rate",
        "10",
        "--dry-run",
    ];
    let dry = said(&server, &dry);
    assert!(
        dry.starts_with("2 would be redriven\nthe last is due at "),
        "{dry}"
    );
    let ran = ask(&server, &["dead-letters", "retry"]);
    assert_eq!(
        (ran.code, ran.err.contains("--all")),
        (Some(2), true),
        "{}",
        ran.err
    );
    said(
        &server,
        &["dead-letters", "retry", "--key", "FC-1", "--rate", "10"],
    );
    until("the two handled", || {
        (page(&server, "").0 == ["d-1", "d-3"]).then_some(())
    });
    let published = said(
        &server,
        &["dead-letters", "republish", next_of(&server).as_str()],
    );
    assert!(
        published.starts_with("published as new event "),
        "{published}"
    );
    let skip = [
        "dead-letters",
        "skip",
        "--key",
        "FC-2",
        "--reason",
        "by hand",
    ];
    assert_eq!(said(&server, &skip), "1 skipped\n");
    let discard = ["dead-letters", "discard", "--all", "--reason", "a test"];
    assert_eq!(said(&server, &discard), "1 discarded\n");
    // Who uses the shell is who gives an order that does not name anybody.
    let path = format!("/api/subscriptions/{NAME}/repairs?limit=2");
    let repairs = server.get(&path).expect(200);
    for repair in repairs["repairs"].as_array().unwrap() {
        assert_eq!(repair["author"], "tester", "{repair}");
    }
    let ran = ask(&server, &["dead-letters", "show", id]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("has no dead letter at position"),
        "{}",
        ran.err
    );
    let url = format!("http://{}", server.address);
    server.terminate();
    let ran = run(&["dead-letters", "list", "--url", &url]);
    assert!(
        ran.code == Some(1) && ran.err.contains("sagabus serve"),
        "{}",
        ran.err
    );
}

/// The first dead letter there is.
fn next_of(server: &Server) -> String {
    let letter = &server.get("/api/dead-letters?limit=1").expect(200)["deadLetters"][0];
    format!("{NAME}/{}", letter["position"])
}

#[test]
fn an_export_is_one_dead_letter_a_line_and_overwrites_no_file() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2", "FC-1"]);
    let answer = server.get("/api/dead-letters/export?key=FC-1");
    assert!(
        answer.head.contains("content-type: application/x-ndjson"),
        "{}",
        answer.head
    );
    let file = place.file("letters.jsonl");
    let path = file.to_str().unwrap();
    let all = ["dead-letters", "export", "--file", path];
    assert_eq!(said(&server, &all), "");
    let text = std::fs::read_to_string(&file).unwrap();
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let letters: Vec<Value> = text.lines().map(read).collect();
    let there = server.get("/api/dead-letters").expect(200);
    assert_eq!(Value::Array(letters), there["deadLetters"]);
    assert_eq!(said(&server, &["dead-letters", "export"]), text);
    let ran = ask(&server, &all);
    assert!(
        ran.code == Some(1) && ran.err.contains("letters.jsonl"),
        "{}",
        ran.err
    );
    server.terminate();
}

/// The ids and faults of all dead letters.
fn shown(server: &Server) -> Value {
    server.get("/api/dead-letters").expect(200)["deadLetters"].clone()
}

#[test]
fn exported_dead_letters_that_were_discarded_are_taken_back_with_their_history() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2", "FC-1"]);
    let file = place.file("letters.jsonl");
    let path = file.to_str().unwrap();
    said(&server, &["dead-letters", "export", "--file", path]);
    let before = shown(&server);
    let by = ["--author", "ann", "--reason", "they are needed"];
    let discard = ["dead-letters", "discard", "--key", "FC-1"];
    let discard = [&discard[..], &by].concat();
    assert_eq!(said(&server, &discard), "2 discarded\n");
    let import = [&["dead-letters", "import", "--file", path][..], &by].concat();
    let told = said(&server, &import);
    assert_eq!(told, "2 restored, 1 left as they are\n");
    assert_eq!(shown(&server), before);
    let told = said(&server, &[&import[..], &["-o", "json"]].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!({"restored": 0, "left": 3}));

    let repairs = server.get(&format!("/api/subscriptions/{NAME}/repairs"));
    let last = repairs.expect(200)["repairs"][0].clone();
    assert_eq!(
        (&last["act"], &last["author"]),
        (&json!("restored"), &json!("ann"))
    );
    assert_eq!(last["positions"].as_array().unwrap().len(), 2);
    // From standard input, over HTTP in a part, and after a restart.
    let discard = ["dead-letters", "discard", "--all", "--reason", "again"];
    said(&server, &discard);
    server.terminate();
    let server = Server::start(&place);
    let url = format!("http://{}", server.address);
    let mut command = sagabus(&["dead-letters", "import", "--reason", "again", "--url", &url]);
    let lines = std::fs::read(&file).unwrap();
    let end = lines.iter().position(|it| *it == b'\n').unwrap();
    let (one, rest) = lines.split_at(end + 1);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(one).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.stdout, b"1 restored, 0 left as they are\n");
    let part = server
        .request(
            "POST",
            "/api/dead-letters/import?reason=again&author=ann&firstLine=2",
        )
        .body("application/x-ndjson", rest);
    assert_eq!(part.send().expect(200), json!({"restored": 2, "left": 0}));
    assert_eq!(shown(&server), before);
    said(&server, &["dead-letters", "retry", "--all"]);
    until("all of them handled", || {
        page(&server, "").0.is_empty().then_some(())
    });
    server.terminate();
}

#[test]
fn an_import_ends_at_the_first_line_that_is_refused_and_names_it_and_the_field() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1", "FC-2"]);
    let lines = said(&server, &["dead-letters", "export"]);
    let discard = ["dead-letters", "discard", "--all", "--reason", "a test"];
    said(&server, &discard);
    let (one, two) = lines.split_once('\n').unwrap();
    let changed = |field: &str, value: Value| {
        let mut letter: Value = serde_json::from_str(two).unwrap();
        *letter.pointer_mut(field).unwrap() = value;
        letter.to_string()
    };
    let revised = |number: u64, data: Value| {
        let revision = json!({
            "number": number, "at": "2026-01-01T00:00:00Z", "author": "ann", "reason": "r", "data": data,
        });
        changed("/revisions", json!([revision]))
    };
    let path = "/api/dead-letters/import?author=ann&reason=a+test";
    let send = |path: &str, body: &str| {
        let request = server.request("POST", path);
        request.body("application/x-ndjson", body).send()
    };
    for (line, status, words) in [
        ("{".to_owned(), 400, &["line 3", "column"][..]),
        ("{}".to_owned(), 400, &["line 3", "format"]),
        (
            changed("/position", json!("x")),
            400,
            &["line 3", "`position`"],
        ),
        (
            changed("/faults/0/at", json!(1)),
            400,
            &["line 3", "`faults[0].at`"],
        ),
        (changed("/faults", json!([])), 400, &["line 3", "faults"]),
        (changed("/format", json!(2)), 400, &["line 3", "`format`"]),
        (
            changed("/redrives", json!(u32::MAX)),
            400,
            &["line 3", "`redrives`"],
        ),
        (
            changed("/event/type", json!("a..b")),
            400,
            &["line 3", "type"],
        ),
        (
            changed("/position", json!(1)),
            409,
            &["line 3", "position 1"],
        ),
        (
            changed("/subscription", json!("nobody")),
            404,
            &["line 3", "nobody"],
        ),
        (revised(1, json!({"fileName": 1})), 400, &["line 3", "data"]),
        (revised(0, payload("x")), 400, &["line 3", "revisions"]),
        ("x".repeat(100), 400, &["line 3"]),
    ] {
        send(path, &format!("\n{one}\n{line}\n{two}\n")).expect_problem(status, words);
        assert_eq!(page(&server, "").0, ["d-0"], "{line}");
        said(&server, &discard);
    }
    for (path, body, status, word) in [
        ("/api/dead-letters/import", one, 400, "author"),
        ("/api/dead-letters/import?author=ann", one, 400, "reason"),
        (
            "/api/dead-letters/import?author=ann&reason=+",
            one,
            400,
            "reason",
        ),
        (
            "/api/dead-letters/import?author=ann&reason=r&colour=red",
            one,
            400,
            "colour",
        ),
        (
            "/api/dead-letters/import?author=ann&reason=r&firstLine=0",
            one,
            400,
            "firstLine",
        ),
        (path, &"x".repeat(9 * 1024 * 1024), 413, "import"),
    ] {
        send(path, body).expect_problem(status, &[word]);
    }
    // What was stored before reasons were looked at is shown as one line.
    let old = revised(1, payload("x")).replace(r#""reason":"r""#, r#""reason":"typo\u001b[31m""#);
    assert_eq!(send(path, &old).expect(200)["restored"], 1);
    let id = format!("{NAME}/{}", shown(&server)[0]["position"]);
    let told = said(&server, &["dead-letters", "show", &id]);
    assert!(
        told.contains("by ann, typo [31m:") && !told.contains('\u{1b}'),
        "{told}"
    );
    said(&server, &discard);
    let author = "x".repeat(256);
    let author = format!("/api/dead-letters/import?reason=r&author={author}");
    send(&author, one).expect_problem(400, &["line 1", "author"]);
    assert_eq!(
        send(path, "").expect(200),
        json!({"restored": 0, "left": 0})
    );
    let last = format!("{path}&firstLine={}", u64::MAX);
    send(&last, "\n\nx").expect_problem(400, &[&u64::MAX.to_string()]);

    let file = place.file("letters.jsonl");
    let import = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        ask(
            &server,
            &["dead-letters", "import", "--file", path, "--reason", "r"],
        )
    };
    let ran = import(&format!("{one}\n{{\n"));
    assert!(
        ran.code == Some(2) && ran.err.contains("line 2"),
        "{}",
        ran.err
    );
    // Parts of a large file are numbered through.
    let many = format!("{one}\n").repeat(3 * 1024 * 1024 / one.len());
    let count = many.lines().count();
    let ran = import(&format!("{many}{{"));
    let line = format!("line {} is", count + 1);
    assert!(
        ran.code == Some(2) && ran.err.contains(&line),
        "{}",
        ran.err
    );
    let long = "x".repeat(8 * 1024 * 1024);
    let ran = import(&format!("{two}{long}"));
    assert!(
        ran.code == Some(2) && ran.err.contains("line 2"),
        "{}",
        ran.err
    );
    assert_eq!(page(&server, "").0, ["d-0", "d-1"], "those before it are");
    let none = [
        "dead-letters",
        "import",
        "--file",
        "nowhere",
        "--reason",
        "r",
    ];
    let ran = ask(&server, &none);
    assert!(
        ran.code == Some(1) && ran.err.contains("`nowhere`"),
        "{}",
        ran.err
    );
    server.terminate();
}

#[test]
fn a_subscription_is_paused_over_a_restart_until_it_is_resumed() {
    let place = Place::new();
    let server = Server::start(&place);
    let list = said(&server, &["subscriptions", "list"]);
    assert!(list.lines().any(|it| it.starts_with(NAME)), "{list}");
    let by = ["--author", "ann", "--reason", "the LIMS is down"];
    let paused = said(
        &server,
        &[&["subscriptions", "pause", NAME][..], &by].concat(),
    );
    assert!(paused.contains("by ann: the LIMS is down"), "{paused}");
    let ready = server.get("/health/ready").expect(503);
    assert!(ready["issues"].to_string().contains("is paused"), "{ready}");
    server.terminate();

    let server = Server::start(&place);
    let event = json!({
        "type": "ai.extraction_confidence_low", "source": "test", "data": payload("kits"),
    });
    server.post("/api/events", &event).expect(201);
    let view = || {
        let all = server.get("/api/subscriptions").expect(200);
        let all = all["subscriptions"].as_array().unwrap();
        all.iter().find(|it| it["name"] == NAME).unwrap().clone()
    };
    assert_eq!(
        (&view()["ahead"], &view()["pause"]["author"]),
        (&json!(1), &json!("ann"))
    );
    let path = |what: &str| format!("/api/subscriptions/{NAME}/{what}");
    for (what, body, word) in [
        ("pause", json!({"author": "ann"}), "reason"),
        ("pause", json!({"author": "ann", "reason": ""}), "reason"),
        (
            "pause",
            json!({"author": "a", "reason": "r", "until": "2020-01-01T00:00:00Z"}),
            "until",
        ),
        (
            "resume",
            json!({"author": "a", "reason": "r", "until": "2020-01-01T00:00:00Z"}),
            "until",
        ),
    ] {
        server.post(&path(what), &body).expect_problem(400, &[word]);
    }
    server
        .post(
            "/api/subscriptions/nobody/pause",
            &json!({"author": "a", "reason": "r"}),
        )
        .expect_problem(404, &["nobody"]);
    let resumed = said(
        &server,
        &[&["subscriptions", "resume", NAME][..], &by].concat(),
    );
    assert!(!resumed.contains("paused"), "{resumed}");
    until("the event handled", || {
        (view()["ahead"] == 0 && view()["pause"].is_null()).then_some(())
    });
    server.terminate();
}

#[test]
fn a_subscription_that_nobody_runs_any_more_is_shown_and_can_be_removed_by_somebody_with_a_reason()
{
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn sagabus::Clock> = Arc::new(sagabus::SystemClock);
        let settings = Settings::default();
        let engine = Embedded::open(&place.data(), &settings, Arc::clone(&clock)).unwrap();
        let bus = sagabus::Bus::builder(Arc::new(engine), clock)
            .build()
            .unwrap();
        let old = bus.subscription("old").pattern("**").start(Start::Earliest);
        old.handler(|_| async { Ok(()) }).await.unwrap();
        bus.shutdown(Duration::from_secs(5)).await;
    });
    let server = Server::start(&place);
    let list = said(&server, &["subscriptions", "list"]);
    assert!(list.lines().any(|it| it.starts_with("old ")), "{list}");
    let by = ["--author", "ann", "--reason", "moved away"];
    let remove = |name| [&["subscriptions", "remove", name][..], &by].concat();
    let ran = ask(&server, &remove(NAME));
    assert!(
        ran.code == Some(1) && ran.err.contains("has a member"),
        "{}",
        ran.err
    );
    assert_eq!(said(&server, &remove("old")), "removed old\n");
    let path = "/api/subscriptions/old/remove";
    let body = json!({"author": "ann", "reason": "moved away"});
    server.post(path, &body).expect_problem(404, &["old"]);
    let nameless = json!({"author": " ", "reason": "moved away"});
    server
        .post(path, &nameless)
        .expect_problem(400, &["author"]);
    let list = said(&server, &["subscriptions", "list"]);
    assert!(!list.contains("old "), "{list}");
    let kept = &server.get("/api/stats").expect(200)["kept"];
    assert_eq!((&kept["oldest"], &kept["holding"]), (&json!(1), &json!([])));
    server.terminate();
}

/// The words of a line, where `'…'` is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    let guide = include_str!("../../../../docs/guides/dead-letters.md");
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1"; 6]);
    let letters = place.file("letters.jsonl");
    let path = letters.to_str().unwrap();
    said(&server, &["dead-letters", "export", "--file", path]);
    let mut ran = 0;
    for line in guide.lines().filter(|it| it.starts_with("sagabus ")) {
        // The guide has one name for whichever is there.
        let letter = &server.get("/api/dead-letters?limit=1").expect(200)["deadLetters"][0];
        let id = format!("{NAME}/{}", letter["position"]);
        let words: Vec<String> = words(line).into_iter().skip(1).collect();
        let words: Vec<&str> = words
            .iter()
            .map(|it| match it.as_str() {
                "sample-service/43" => &id,
                "letters.jsonl" => letters.to_str().unwrap(),
                word => word,
            })
            .collect();
        let out = said(&server, &words);
        ran += 1;
        if ran == 1 {
            let heads = |text: &str| -> Vec<String> {
                let line = text.lines().find(|it| it.starts_with("id ")).unwrap();
                line.split_whitespace().map(str::to_owned).collect()
            };
            assert_eq!(heads(guide), heads(&out));
        }
    }
    assert_eq!(ran, 17, "commands of the guide");
    server.terminate();
}

#[test]
fn a_command_gives_no_order_by_nobody() {
    let orders: [&[&str]; 5] = [
        &["retry", "--all"],
        &["skip", "--all", "--reason", "r"],
        &["discard", "--all", "--reason", "r"],
        &["revise", "s/1", "--data", "1", "--reason", "r"],
        &["import", "--reason", "r"],
    ];
    for order in orders {
        let arguments = [&["dead-letters", "--url", "http://127.0.0.1:1"], order].concat();
        let mut command = sagabus(&arguments);
        let ran = crate::program::finish(command.env_remove("LOGNAME").env("USER", " "));
        let words = "error: say who does it with --author: the shell has no user\n";
        assert_eq!((ran.code, ran.err.as_str()), (Some(2), words), "{order:?}");
        let named = [&arguments[..], &["--author", ""]].concat();
        let ran = crate::program::run(&named);
        assert_eq!(ran.code, Some(2), "{order:?}: {}", ran.err);
        assert!(ran.err.contains("`--author` is empty"), "{}", ran.err);
    }
}

#[test]
fn the_log_says_which_kind_a_failed_attempt_is_of_and_where_its_words_are() {
    let place = Place::new();
    let server = server_with_dead(&place, &["FC-1"]);
    let form = crate::program::form_bytes("out-of-range.pdf");
    let request = server.request("POST", "/api/submissions");
    let taken = request.upload("form.pdf", &form, &[]).send().expect(202);
    let saga = taken["sagaId"].as_str().unwrap();
    let status = until("its end", || {
        let saga = server.get(&format!("/api/sagas/{saga}")).expect(200);
        (!saga["endedAt"].is_null()).then_some(saga)
    });
    let steps = status["steps"].as_array().unwrap();
    let failed_step = steps.iter().find(|it| it["status"] == "failed").unwrap();
    let letter = server.get("/api/dead-letters").expect(200)["deadLetters"][0].clone();
    let id = format!("{NAME}/{}", letter["position"]);
    let log = server.terminate().err;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let line = |message: &str| {
        let mut found = lines.iter().filter(|it| it["message"] == message);
        found.next().unwrap_or_else(|| panic!("{message}: {log}"))
    };
    let failed = line("attempt failed");
    assert_eq!(
        (&failed["position"], &failed["event_id"]),
        (&letter["position"], &json!("d-0"))
    );
    let fault = &letter["faults"][0];
    assert_eq!(failed["kind"], fault["kind"], "{failed}");
    // A handler need not say of which type its errors are.
    let error_type = failed["error_type"].as_str().unwrap_or_default();
    assert_eq!(error_type, fault["errorType"], "{failed}");
    assert_eq!(line("dead letter")["letter"], id.as_str());
    let step = line("step of a saga failed for good");
    assert_eq!(step["saga_id"], saga, "{step}");
    assert_eq!(step["outcome"], "failed without an effect", "{step}");
    assert_eq!(
        (&step["step"], &step["attempt"]),
        (&failed_step["id"], &failed_step["attempts"]),
        "{step}"
    );
    let of_library = lines.iter().filter(|it| {
        let target = it["target"].as_str().unwrap();
        target.starts_with("sagabus::")
    });
    for line in of_library.map(ToString::to_string) {
        for words in ["it is locked", failed_step["error"].as_str().unwrap()] {
            assert!(!line.contains(words), "{line}");
        }
    }
}
