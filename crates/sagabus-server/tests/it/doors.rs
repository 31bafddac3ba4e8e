//! What an attack on the doors found: refusals that say too little, answers that say too much, and what was taken all the same.

use serde_json::{Value, json};

use crate::bad_input::{Door, nested};

/// A form with a name, as it comes in at the three routes that take one.
const UPLOADS: [&str; 3] = ["/api/submissions", "/api/uploads", "/api/process/pdf"];

fn saga(steps: &Value, more: &[(&str, Value)]) -> String {
    let mut definition = json!({"name": "s", "steps": steps});
    for (field, value) in more {
        definition[*field] = value.clone();
    }
    json!({"definition": definition, "context": {"id": "x"}}).to_string()
}

#[test]
fn every_refusal_names_the_field_and_the_limit() {
    let door = Door::new();
    let plain = json!([{"id": "a", "action": "a", "lateBinding": true}]);
    let key = |key: Value| saga(&plain, &[("concurrencyKey", key)]);
    let data = |depth: usize| {
        let inner = nested(depth);
        format!(
            r#"{{"name":"s","steps":[{{"id":"a","action":"a","data":{inner}}}],"context":{{}}}}"#
        )
    };
    let wait = |wait: Value| {
        let mut step = json!({"id": "a"});
        step[wait[0].as_str().unwrap()] = wait[1].clone();
        saga(&json!([step]), &[])
    };
    let long = "k".repeat(300);
    for (body, words) in [
        (
            key(json!({"key": long})),
            &["`concurrencyKey.key`", "255 bytes", "not 300"][..],
        ),
        (key(json!({"key": "x"})), &["`concurrencyKey.key`", "{"]),
        (
            key(json!({"key": "{id}", "limit": 0})),
            &["`concurrencyKey.limit`", "1 to 1000", "is 0"],
        ),
        (
            key(json!({"key": "{id}", "limit": 1001})),
            &["`concurrencyKey.limit`", "1 to 1000", "is 1001"],
        ),
        (
            key(json!({"key": "{gone}"})),
            &["`concurrencyKey`", "`gone`"],
        ),
        (data(65), &["steps[0].data", "deeper than 64"]),
        (data(126), &["steps[0].data", "deeper than 64"]),
        (data(5_000), &["steps", "deeper than"]),
        (
            wait(json!(["signal", {"name": "n", "timeout": 0}])),
            &["steps[0].signal.timeout", "366 days"],
        ),
        (
            wait(json!(["signal", {"name": "a b"}])),
            &["steps[0].signal.name", "128 bytes"],
        ),
        (
            wait(json!(["timer", {"for": "400d"}])),
            &["steps[0].timer.for", "366 days"],
        ),
        (
            wait(json!(["approval", {"role": ""}])),
            &["steps[0].approval.role", "255 bytes"],
        ),
        (
            wait(json!(["approval", {"role": "r", "timeout": 0}])),
            &["steps[0].approval.timeout", "366 days"],
        ),
    ] {
        door.refuses("/api/sagas", body, 400, words);
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for path in [
        "/api/sagas",
        "/api/sagas/x/cancel",
        "/api/samples",
        "/api/audit/events",
        "/api/schedules?due=2999-01-01T00:00:00Z",
    ] {
        door.refuses(path, large.clone(), 413, &["1024 KiB"]);
    }
    let event = json!({"type": "lab.noted", "source": "test", "data": 1}).to_string();
    for year in ["9999-12-31T23:59:59Z", "12999-01-01T00:00:00Z"] {
        let path = format!("/api/schedules?due={year}");
        let words = ["due", "9999-12-30T22:00:00.000Z"];
        door.refuses(&path, event.clone(), 400, &words);
    }
    for (path, words) in [
        ("/api/sagas?after=x", &["`after`", "`next`"][..]),
        ("/api/sagas?limit=0", &["`limit`", "1 to 1000"]),
        ("/api/schedules?after=x", &["`after`", "`next`"]),
        ("/api/sagas?from=9999-12-31T00:00:00Z", &["`from`", "9999"]),
    ] {
        door.server.get(path).expect_problem(400, words);
    }
    door.is_well();
}

#[test]
fn no_answer_repeats_a_long_input() {
    let door = Door::new();
    let long = "x".repeat(6_000);
    let short = |answer: crate::client::Answer, what: &str| {
        assert!((400..500).contains(&answer.status), "{}", answer.text());
        assert!(answer.body.len() < 4_096, "{what}: {}", answer.body.len());
        assert!(!answer.text().contains('\u{1b}'), "{what}");
    };
    for path in [
        "/api/schemas/X",
        "/api/sagas/X",
        "/api/sagas/x/X",
        "/api/sagas?X=1",
        "/api/sagas?status=X",
        "/api/sagas/x?include=X",
        "/api/events?X=1",
        "/api/events?type=X",
        "/api/events/X",
        "/api/samples/X",
        "/api/samples?X=1",
        "/api/samples?status=X",
        "/api/jobs/X",
        "/api/jobs?type=X",
        "/api/results/X",
        "/api/submissions/X",
        "/api/audit/events?severity=X",
        "/api/audit/events?X=1",
        "/api/audit/events/X",
        "/api/dead-letters?subscription=X",
        "/api/dead-letters?X=1",
        "/api/dead-letters/X/1",
        "/api/subscriptions/X/repairs",
        "/api/X",
    ] {
        let method = if path == "/api/sagas/x/X" {
            "POST"
        } else {
            "GET"
        };
        let path = path.replace('X', &long);
        let request = door.server.request(method, &path);
        let by = r#"{"author":"a","reason":"r"}"#;
        short(request.body("application/json", by).send(), &path[..20]);
    }
    let cancel = format!("/api/schedules/{long}");
    short(door.server.request("DELETE", &cancel).send(), "cancel");
    let long = "x".repeat(200_000);
    let many: serde_json::Map<String, Value> = (0..5_000)
        .map(|it| (format!("field{it}"), json!(1)))
        .collect();
    for (path, body) in [
        ("/api/sagas", json!({ long.as_str(): 1 })),
        ("/api/sagas", json!({"name": long, "context": {}})),
        (
            "/api/sagas",
            json!({"name": "x", "steps": [{"id": long, "action": "a"}], "context": {}}),
        ),
        (
            "/api/sagas",
            json!({"name": "x", "steps": [{"id": "a", "action": "a", "timeout": long}], "context": {}}),
        ),
        (
            "/api/sagas",
            json!({"name": "x", "steps": [{"id": "a", "action": "a", "dependencies": [long]}], "context": {}}),
        ),
        (
            "/api/events",
            json!({long.as_str(): 1, "type": "a", "source": "s", "data": 1}),
        ),
        (
            "/api/events",
            json!({"type": "a", "source": "s", "data": 1, "priority": long}),
        ),
        (
            "/api/dead-letters/redrive",
            json!({"subscription": long, "all": true, "author": "a"}),
        ),
        ("/api/samples", json!({ long.as_str(): 1 })),
        ("/api/samples", Value::Object(many)),
        (
            "/api/audit/events",
            json!({"service": "s", "action": long, "category": long}),
        ),
        (
            "/api/subscriptions/x/pause",
            json!({"author": "a", "reason": "r", "until": long}),
        ),
    ] {
        short(
            door.server.post(path, &body),
            &format!("{path} {}", &body.to_string()[..30]),
        );
    }
    door.is_well();
}

#[test]
fn a_file_beyond_the_limit_is_413_with_it_wherever_it_is_sent() {
    let door = Door::new();
    let file = vec![b'x'; 50 * 1024 * 1024 + 1];
    for path in UPLOADS {
        let request = door.server.request("POST", path);
        let answer = request.upload("form.pdf", &file, &[]).send();
        answer.expect_problem(413, &["50 MiB"]);
    }
}

#[test]
fn a_list_in_the_place_of_an_object_is_refused_by_name() {
    let door = Door::new();
    let subscription = "/api/subscriptions/sample-service";
    for (path, body, words) in [
        (
            "/api/dead-letters/republish",
            json!(["sample-service", 1]),
            &["object"][..],
        ),
        (
            "/api/dead-letters/redrive",
            json!([null, null, null, false, [], null, true, "ann", "r"]),
            &["object"],
        ),
        (
            "/api/dead-letters/redrive",
            json!({"query": [], "author": "ann"}),
            &["query", "object"],
        ),
        (
            "/api/dead-letters/revise",
            json!(["sample-service", 1, {}, "ann", "r"]),
            &["object"],
        ),
        (
            "/api/sagas",
            json!([
                "sample_processing_workflow",
                null,
                null,
                {},
                null,
                null,
                {},
                null
            ]),
            &["object"],
        ),
        (
            "/api/sagas",
            json!({"definition": ["s", [{"id": "a", "action": "a"}]], "context": {}}),
            &["`.`", "object"],
        ),
        (
            "/api/sagas",
            json!({"name": "s", "steps": [["a", null, "", "a"]], "context": {}}),
            &["steps[0]", "object"],
        ),
        (
            "/api/sagas",
            json!({"name": "s", "steps": [{"id": "a", "signal": ["go"]}], "context": {}}),
            &["steps[0].signal", "object"],
        ),
        (
            "/api/sagas",
            json!({"name": "s", "steps": [{"id": "a", "timer": [5]}], "context": {}}),
            &["steps[0].timer", "object"],
        ),
        (
            "/api/sagas",
            json!({"definition": {"name": "s", "steps": [{"id": "a", "action": "a"}], "concurrencyKey": ["{id}"]}, "context": {"id": 1}}),
            &["concurrencyKey", "object"],
        ),
        (
            "/api/sagas/x/pause",
            json!(["ann", "r", null, null, null, null]),
            &["object"],
        ),
        (
            "/api/sagas/x/signal",
            json!(["go", null, null, "ann", "r"]),
            &["object"],
        ),
        (
            "/api/sagas/x/approve",
            json!(["a", "r", "ann", "r"]),
            &["object"],
        ),
        (
            "/api/audit/alerts",
            json!({"id": "a", "name": "a", "condition": ["action", "equals", "saga.failed"], "severity": "high",
                "recipients": ["ann"], "author": "ann", "reason": "r"}),
            &["condition", "object"],
        ),
        (
            &format!("{subscription}/pause"),
            json!(["ann", "r", null]),
            &["object"],
        ),
        (
            "/api/schedules/k/move",
            json!(["2999-01-01T00:00:00Z"]),
            &["object"],
        ),
        (
            "/api/events",
            json!([
                "1",
                "lab.noted",
                null,
                null,
                "test",
                null,
                null,
                null,
                "normal",
                null,
                null,
                {},
                1
            ]),
            &["object"],
        ),
    ] {
        door.refuses(path, body.to_string(), 400, words);
    }
    let listed = door.server.get("/api/subscriptions").expect(200);
    assert!(!listed.to_string().contains("\"since\""), "{listed}");
    door.is_well();
}

#[test]
fn what_stands_twice_in_a_request_is_refused_by_name() {
    let door = Door::new();
    for (path, field) in [
        ("/api/sagas?limit=1&limit=2", "limit"),
        ("/api/sagas?name=a&name=b", "name"),
        (
            "/api/sagas?from=2020-01-01T00:00:00Z&from=2021-01-01T00:00:00Z",
            "from",
        ),
        ("/api/events?limit=1&limit=2", "limit"),
        ("/api/schedules?limit=1&limit=2", "limit"),
        ("/api/dead-letters?limit=1&limit=2", "limit"),
        ("/api/samples?page=1&page=2", "page"),
        ("/api/samples?q=a&searchTerm=b", "searchTerm"),
        ("/api/samples?labName=a&labName=b", "labName"),
        ("/api/submissions?status=received&status=accepted", "status"),
        ("/api/submissions?limit=1&limit=2", "limit"),
        ("/api/jobs?limit=1&limit=2", "limit"),
        ("/api/jobs?submissionId=1&submissionId=2", "submissionId"),
        ("/api/audit/events?limit=1&limit=2", "limit"),
        ("/api/audit/events?service=a&service=b", "service"),
        ("/api/audit/stats?daysBack=1&daysBack=2", "daysBack"),
    ] {
        door.server.get(path).expect_problem(400, &[field]);
    }
    // What is a list may be there more than once.
    for path in [
        "/api/sagas?status=executing&status=completed&attribute=a=1&attribute=b=2",
        "/api/samples?status=submitted&status=prep&priority[]=high&priority[]=low",
    ] {
        door.server.get(path).expect(200);
    }
    let event = r#"{"type":"lab.noted","source":"test","data":1}"#;
    let sample = json!({"sampleName": "s"}).to_string();
    for (path, body, header) in [
        ("/api/samples", sample.as_str(), "x-user-id"),
        ("/api/samples", &sample, "x-correlation-id"),
        ("/api/samples", &sample, "if-match"),
        ("/api/submissions", "", "idempotency-key"),
        ("/api/events", event, "content-type"),
        ("/api/events", "1", "ce-source"),
    ] {
        let request = door.server.request("POST", path);
        let request = request
            .header("ce-specversion", "1.0")
            .body("application/json", body)
            .header_again(header, "1")
            .header_again(header, "2");
        let name = format!("`{header}`");
        request.send().expect_problem(400, &[&name, "twice"]);
    }
    for field in ["submitterName", "submitterEmail"] {
        let request = door.server.request("POST", "/api/submissions");
        let texts = [(field, "Ann"), (field, "Bob")];
        let answer = request.upload("form.pdf", b"x", &texts).send();
        answer.expect_problem(400, &[field, "twice"]);
    }
    // A key that cannot be read would be no key.
    let request = door.server.request("POST", "/api/submissions");
    let request = request.upload("form.pdf", b"x", &[]);
    let answer = request.header("idempotency-key", "schlüssel").send();
    answer.expect_problem(400, &["`idempotency-key`"]);
    door.is_well();
}

#[test]
fn names_of_files_authors_and_reasons_have_nothing_that_is_not_to_be_seen() {
    let door = Door::new();
    for (hidden, shown) in [
        ("\u{202e}", "U+202E"),
        ("\u{85}", "U+0085"),
        ("\u{2800}", "U+2800"),
        ("\u{ffff}", "U+FFFF"),
    ] {
        let name = format!("form{hidden}fdp.exe");
        for path in UPLOADS {
            let request = door.server.request("POST", path);
            let answer = request.upload(&name, b"%PDF-1.7", &[]).send();
            answer.expect_problem(400, &["fileName", shown]);
        }
        let sample = json!({"form": {"fileId": "a".repeat(64), "fileName": name}});
        let words = ["form.fileName", shown];
        door.refuses("/api/samples", sample.to_string(), 400, &words);
        let moved = json!({"status": "prep", "reason": format!("r{hidden}")});
        let words = ["`reason`", shown];
        door.refuses("/api/samples/x/status", moved.to_string(), 400, &words);
        let act =
            json!({"service": "s", "action": "a", "resource": "r", "userId": format!("a{hidden}")});
        let words = ["`userId`", shown];
        door.refuses("/api/audit/events", act.to_string(), 400, &words);
        let pause = "/api/subscriptions/sample-service/pause";
        for (field, author, reason) in [("author", "ann", "r"), ("reason", "ann", "r")] {
            let mut by = json!({"author": author, "reason": reason});
            by[field] = json!(format!("{author}{hidden}"));
            let mut letters = json!({"subscription": "sample-service", "all": true});
            letters["author"] = by["author"].clone();
            letters["reason"] = by["reason"].clone();
            let mut revision = by.clone();
            revision["subscription"] = json!("sample-service");
            revision["position"] = json!(1);
            revision["data"] = json!(1);
            let name = format!("`{field}`");
            let words = [name.as_str(), shown];
            for (path, body) in [
                ("/api/sagas/x/pause", &by),
                ("/api/sagas/x/signal", &by),
                ("/api/sagas/x/approve", &by),
                (pause, &by),
                ("/api/dead-letters/redrive", &letters),
                ("/api/dead-letters/skip", &letters),
                ("/api/dead-letters/discard", &letters),
                ("/api/dead-letters/revise", &revision),
            ] {
                door.refuses(path, body.to_string(), 400, &words);
            }
            let coded = format!("ann%{:02X}", hidden.as_bytes()[0]);
            let coded = hidden
                .bytes()
                .skip(1)
                .fold(coded, |coded, byte| format!("{coded}%{byte:02X}"));
            let import = match field {
                "author" => format!("/api/dead-letters/import?author={coded}&reason=r"),
                _ => format!("/api/dead-letters/import?author=ann&reason={coded}"),
            };
            door.refuses(&import, "", 400, &words);
        }
    }
    let listed = door.server.get("/api/subscriptions").expect(200);
    assert!(!listed.to_string().contains("\"since\""), "{listed}");
    door.is_well();
}

#[test]
fn nothing_is_done_to_dead_letters_by_nobody() {
    let door = Door::new();
    for author in [None, Some(""), Some(" ")] {
        let mut order = json!({"query": {}, "reason": "r"});
        let mut revision =
            json!({"subscription": "sample-service", "position": 1, "data": 1, "reason": "r"});
        let mut import = "/api/dead-letters/import?reason=r".to_owned();
        if let Some(author) = author {
            order["author"] = json!(author);
            revision["author"] = json!(author);
            import = format!("{import}&author={}", author.replace(' ', "+"));
        }
        for what in ["redrive", "skip", "discard"] {
            let path = format!("/api/dead-letters/{what}");
            door.refuses(&path, order.to_string(), 400, &["`author`"]);
        }
        let path = "/api/dead-letters/revise";
        door.refuses(path, revision.to_string(), 400, &["`author`"]);
        door.refuses(&import, "", 400, &["`author`"]);
    }
}

#[test]
fn a_page_of_large_events_ends_before_it_is_too_large_and_names_the_next() {
    let door = Door::new();
    let text = "x".repeat(250 * 1024);
    for number in 0..40 {
        let event = json!({"id": format!("l-{number}"), "type": "lab.noted", "source": "test", "data": text});
        let due = format!("/api/schedules?due=2999-01-01T00:00:{number:02}Z");
        let later = json!({"id": format!("s-{number}"), "type": "lab.noted", "source": "test", "data": text});
        door.server.post("/api/events", &event).expect(201);
        door.server.post(&due, &later).expect(201);
    }
    let walk = |path: &str, list: &str, from: &str| {
        let (mut ids, mut pages, mut next) = (Vec::new(), 0, String::new());
        loop {
            let answer = door.server.get(&format!("{path}{next}"));
            assert!(answer.body.len() < 9 * 1024 * 1024, "{}", answer.body.len());
            let page = answer.expect(200);
            for item in page[list].as_array().unwrap() {
                ids.push(item["event"]["id"].as_str().unwrap().to_owned());
            }
            pages += 1;
            next = match (&page["next"], &page["isLast"]) {
                (Value::Null, _) | (_, Value::Bool(true)) => return (ids, pages),
                (Value::String(next), _) => format!("&{from}={next}"),
                (next, _) => format!("&{from}={next}"),
            };
        }
    };
    let of = |prefix: &str| -> Vec<String> { (0..40).map(|it| format!("{prefix}-{it}")).collect() };
    let (ids, pages) = walk("/api/events?type=lab.noted&limit=1000", "events", "from");
    assert_eq!((ids, pages), (of("l"), 2));
    let (ids, pages) = walk("/api/schedules?limit=1000", "schedules", "after");
    assert_eq!((ids, pages), (of("s"), 2));
}
