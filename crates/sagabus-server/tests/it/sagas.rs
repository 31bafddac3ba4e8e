//! The commands for sagas: a definition is checked offline, sagas of a real server are started, shown and repaired.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Place, Ran, Server, finish, run, sagabus, until};

const GOOD: &str = "\
name: sample_analysis
steps:
- id: check
  service: sample-service
  action: validate_sample
  compensationAction: revert_validation
  retryDelay: 2s
- id: read
  service: ai-service
  action: process_pdf
  dependencies: [check]
";

/// What must be told of `GOOD`, without its first line.
const NEEDED: &str = "\
it needs these handlers:
  ai-service/process_pdf for step `read`
  sample-service/revert_validation for compensation of `check`
  sample-service/validate_sample for step `check`
";

fn write(place: &Place, name: &str, text: &str) -> String {
    let path = place.file(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

#[test]
fn a_definition_is_checked_offline_and_each_fault_has_file_line_and_column() {
    let place = Place::new();
    let file = write(&place, "good.yaml", GOOD);
    let ran = run(&["saga", "check", &file]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let (warning, rest) = ran.out.split_once('\n').unwrap();
    let text = "`retryDelay` of step `check` is never used: it has no `retryAttempts`";
    assert_eq!(warning, format!("{file}:7:3: warning: {text}"));
    let (verdict, rest) = rest.split_once('\n').unwrap();
    let good = format!("`{file}` is good: saga `sample_analysis` with 2 steps, hash ");
    assert!(verdict.starts_with(&good), "{verdict}");
    assert_eq!(rest, NEEDED);

    let waits = "name: s\nsteps:\n- {id: a, action: weigh}\n- {id: w, signal: {name: weighed}}\n";
    let file = write(&place, "waits.yaml", waits);
    let ran = run(&["saga", "check", &file]);
    let (_, rest) = ran.out.split_once('\n').unwrap();
    assert_eq!(rest, "it needs these handlers:\n  weigh for step `a`\n");

    for (name, text, at, words) in [
        (
            "cycle.yaml",
            GOOD.replace("retryDelay: 2s", "dependencies: [read]"),
            "7:18",
            "check → read → check",
        ),
        (
            "zero.yaml",
            GOOD.replace("retryDelay: 2s", "timeout: 0"),
            "7:3",
            "`timeout` of step `check` is zero",
        ),
        (
            "unknown.yaml",
            GOOD.replace("[check]", "[check, lost]"),
            "11:25",
            "`lost`, which is not a step",
        ),
        (
            "field.yaml",
            GOOD.replace("retryDelay", "retries"),
            "7:3",
            "unknown field `retries`",
        ),
        (
            "twice.json",
            "{\"name\": \"s\", \"steps\": [\n  {\"id\": \"a\", \"action\": \"a\"},\n  {\"id\": \"a\", \"action\": \"b\"}\n]}"
                .to_owned(),
            "3:4",
            "step id `a` is used twice",
        ),
        ("cut.json", "{\"name\": \"s\",\n".to_owned(), "2:1", "it ends too early"),
    ] {
        let file = write(&place, name, &text);
        let ran = run(&["saga", "check", &file]);
        assert_eq!(ran.code, Some(2), "{name}: {}{}", ran.out, ran.err);
        let line = ran.out.strip_prefix(&format!("{file}:{at}: "));
        assert!(line.is_some_and(|it| it.contains(words)), "{}", ran.out);
        assert_eq!(ran.err, format!("error: `{file}` is refused\n"));
        let told = json_of(&run(&["saga", "check", &file, "-o", "json"]));
        let finding = &told["findings"][0];
        assert_eq!(finding["severity"], "error", "{told}");
        let position = format!("{}:{}", finding["line"], finding["column"]);
        assert_eq!(position, at, "{told}");
    }
    let ran = run(&["saga", "check", "/no/such/file.yaml"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("cannot read `/no/such/file.yaml`"),
        "{}",
        ran.err
    );
}

#[test]
fn a_new_definition_is_compared_with_the_one_that_sagas_in_flight_keep() {
    let place = Place::new();
    let old = write(&place, "old.yaml", GOOD);
    let same = run(&["saga", "check", &old, "--against", &old]);
    assert!(
        same.out
            .ends_with("nothing changes against the older one\n"),
        "{}",
        same.out
    );
    let text = GOOD
        .replace("  retryDelay: 2s\n", "  timeout: 5s\n")
        .replace("revert_validation", "reject_sample")
        .replace(
            "- id: read",
            "- {id: note, action: note, service: audit-service}\n- id: read",
        )
        .replace("[check]", "[check, note]");
    let new = write(&place, "new.yaml", &text);
    let ran = run(&["saga", "check", &new, "--against", &old]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (_, told) = ran
        .out
        .split_once("against the older one, with hash ")
        .unwrap();
    let (_, told) = told.split_once('\n').unwrap();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "  step `check`: compensationAction, retryDelay, timeout",
            "  step `note` is new",
            "  step `read`: dependencies",
            "sagas in flight keep the older one to their end; only new ones follow this one",
            "until they have ended, keep these handlers: sample-service/revert_validation",
            "a saga that has started one of these has done what this one does not say: check, read",
        ]
    );
    let told = json_of(&run(&[
        "saga",
        "check",
        &new,
        "--against",
        &old,
        "-o",
        "json",
    ]));
    let against = &told["against"];
    assert_eq!(
        against["stillNeeded"],
        json!(["sample-service/revert_validation"])
    );
    assert_eq!(against["changedSteps"], json!(["check", "read"]));
    let change = json!({"step": "note", "change": "added"});
    assert_eq!(against["steps"][1], change, "{told}");

    // Another version of what a step does is told of, with the one that stays needed.
    let text = GOOD.replace("  retryDelay: 2s\n", "  retryDelay: 2s\n  version: 2\n");
    let second = write(&place, "second.yaml", &text);
    let ran = run(&["saga", "check", &second, "--against", &old]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in [
        "  sample-service/validate_sample of version 2 for step `check`",
        "  step `check`: version",
        "until they have ended, keep these handlers: sample-service/revert_validation, sample-service/validate_sample",
    ] {
        assert!(ran.out.lines().any(|it| it == line), "{line}: {}", ran.out);
    }

    let wrong = write(&place, "wrong.yaml", "name: s\nsteps: []\n");
    let ran = run(&["saga", "check", &new, "--against", &wrong]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        format!("error: {wrong}:2:1: saga `s` has no steps\n")
    );
}

#[test]
fn the_definition_that_the_program_ships_is_good_without_warnings() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../nanopore/src/sagas/sample_processing.yaml");
    let told = json_of(&run(&[
        "saga",
        "check",
        file.to_str().unwrap(),
        "-o",
        "json",
    ]));
    assert_eq!(told["name"], "sample_processing_workflow");
    assert_eq!(told["findings"], json!([]));
    assert_eq!(told["handlers"].as_object().unwrap().len(), 7, "{told}");
}

/// Runs a command against the server.
fn ask(server: &Server, arguments: &[&str]) -> Ran {
    let url = format!("http://{}", server.address());
    let mut all = vec!["saga"];
    all.extend(arguments);
    all.extend(["--url", &url]);
    run(&all)
}

fn said(server: &Server, arguments: &[&str]) -> String {
    let ran = ask(server, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
    ran.out
}

/// A table without the times and durations that no two runs share.
fn without_times(text: &str) -> Vec<String> {
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|it| !it.is_empty());
        let is_time = |it: &&str| {
            it.contains("Z") && it.contains(":")
                || it.parse::<f64>().is_ok_and(|_| it.contains('.'))
        };
        cells
            .filter(|it| !is_time(it))
            .collect::<Vec<_>>()
            .join(" | ")
    };
    text.lines().map(cells).collect()
}

#[test]
fn a_saga_is_started_shown_as_a_transcript_and_repaired_by_commands() {
    let place = Place::new();
    let server = Server::start(&place);
    let file = write(&place, "own.yaml", GOOD);
    let context = "{\"submissionId\": \"none\", \"fileId\": \"0\", \"fileName\": \"a.pdf\"}";
    let start = |more: &[&str]| {
        let mut all = vec!["start", "--context", context, "--idempotency-key", "k"];
        all.extend(more);
        said(&server, &all).trim().to_owned()
    };
    let id = start(&["--file", &file, "--correlation-id", "work-7"]);
    assert_eq!(start(&["sample_processing_workflow"]), id);
    // What is told besides the id is that.
    let told = |more: &[&str]| {
        let all = [
            &["start", "--context", context, "--idempotency-key", "k"],
            more,
        ]
        .concat();
        let ran = ask(&server, &all);
        assert_eq!((ran.code, ran.out.trim()), (Some(0), id.as_str()));
        ran.err
    };
    let same = format!("saga `{id}` is that of an earlier start with this idempotency key");
    assert_eq!(told(&["--file", &file]), format!("{same}\n"));
    let other = ", of another definition or context; nothing of this one is done";
    assert_eq!(
        told(&["sample_processing_workflow"]),
        format!("{same}{other}\n")
    );
    until("the saga's end", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (!saga["endedAt"].is_null()).then_some(())
    });
    let shown = said(&server, &["show", &id]);
    let lines = without_times(&shown);
    assert_eq!(lines[0], format!("saga | {id}"));
    assert_eq!(lines[1], "name | sample_analysis");
    assert_eq!(lines[3], "status | compensated");
    assert!(
        lines[4].starts_with("error | step `check` failed"),
        "{shown}"
    );
    assert_eq!(lines[5], "turned back | by step check");
    assert_eq!(lines[6], "correlation | work-7");
    let heads = "step | handler | status | attempts | started at | ms | compensation | why";
    assert_eq!(lines[7], "priority | normal");
    assert_eq!(lines[11], heads, "{shown}");
    let check = "check | sample-service/validate_sample | failed | 1 | revert_validation | ";
    assert!(lines[12].starts_with(check), "{shown}");
    assert_eq!(
        lines[13],
        "read | ai-service/process_pdf | not_run | - | - | - | - | -"
    );
    assert!(!shown.contains("a.pdf"), "{shown}");
    assert!(said(&server, &["show", &id, "--outputs"]).contains("a.pdf"));

    let listed = said(&server, &["list", "--status", "compensated"]);
    assert!(
        listed.contains(&id) && listed.contains("sample_analysis"),
        "{listed}"
    );
    let listed = said(&server, &["list", "--status", "executing", "-o", "json"]);
    assert_eq!(listed.trim(), "{\n  \"next\": null,\n  \"sagas\": []\n}");

    // It is over: a cancel leaves it as it is, and there is nothing to let go on, to try again or to give up.
    let by = ["--author", "ann", "--reason", "too late"];
    let cancelled = said(&server, &[&["cancel", &id][..], &by].concat());
    assert_eq!(without_times(&cancelled), lines);
    for verb in [
        &["resume", &id][..],
        &["retry", &id],
        &["retry", &id, "check"],
        &["abandon", &id],
        &["pause", &id],
        &["terminate", &id],
        &["skip", &id, "check"],
        &["complete", &id, "check", "--result", "1"],
        &["force-done", &id, "check"],
    ] {
        let ran = ask(&server, &[verb, &by].concat());
        assert_eq!(ran.code, Some(1), "{verb:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("over"), "{verb:?}: {}", ran.err);
    }
    let ran = ask(
        &server,
        &[&["recompensate", &id, "check"][..], &by].concat(),
    );
    assert!(ran.err.contains("nothing left to repair"), "{}", ran.err);
    let ran = ask(
        &server,
        &[&["complete", &id, "check", "--result", "{"][..], &by].concat(),
    );
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let ran = ask(&server, &["cancel", &id, "--reason", "too late"]);
    assert!(ran.err.contains("--author"), "{}", ran.err);
    let ran = ask(&server, &["show", "nothing-there"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let ran = ask(&server, &["start", "lost"]);
    assert!(
        ran.err.contains("no definition is named `lost`"),
        "{}",
        ran.err
    );
    let ran = ask(&server, &["start", "--file", &file, "--context", "{"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let ran = ask(&server, &["start"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

#[test]
fn a_start_that_attaches_and_one_whose_saga_is_forgotten_are_told_so() {
    let place = Place::new();
    let data = place.data_text();
    let mut command = sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    let server = Server::spawn(&place, command.env("SAGA_CLEANUP_INTERVAL", "100"));
    let yaml = "\
name: keyed
concurrencyKey: {key: 'sample {sampleId}', onConflict: attach}
steps:
- {id: w, signal: {name: measured}}
";
    let file = write(&place, "keyed.yaml", yaml);
    let start = |key: &str| {
        let context = r#"{"sampleId": "S-1"}"#;
        let all = ["start", "--file", &file, "--context", context];
        let ran = ask(&server, &[&all[..], &["--idempotency-key", key]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        (ran.out.trim().to_owned(), ran.err)
    };
    let (id, told) = start("first");
    assert_eq!(told, "");
    let attached = format!("saga `{id}` has the concurrency key; no other is started\n");
    assert_eq!(start("second"), (id.clone(), attached));

    let by = ["--author", "ann", "--reason", "looked at it"];
    let told = [&["signal", &id, "measured"][..], &by].concat();
    assert_eq!(ask(&server, &told).code, Some(0));
    until("the saga has left the memory", || {
        let answer = server.get(&format!("/api/sagas/{id}"));
        (answer.status == 404).then_some(())
    });
    let (same, told) = start("first");
    assert_eq!(same, id);
    assert!(
        told.ends_with("idempotency key; it has ended, and is shown no more\n"),
        "{told}"
    );
    // Nothing leads to it.
    let definition =
        json!({"name": "keyed", "steps": [{"id": "w", "signal": {"name": "measured"}}]});
    let order = json!({"definition": definition, "context": {}, "idempotencyKey": "first"});
    let answer = server.post("/api/sagas", &order).expect(202);
    assert_eq!(
        answer,
        json!({
            "sagaId": id, "saga": null, "duplicate": true,
            "sameBy": "idempotencyKey", "otherOrder": null, "status": null,
        })
    );
    // Of one that attached there is nothing more to see either.
    let (same, told) = start("second");
    assert_eq!(same, id);
    assert!(
        told.ends_with("idempotency key; it has ended, and is shown no more\n"),
        "{told}"
    );
}

#[test]
fn a_start_that_attached_is_told_what_became_of_the_saga_that_it_was_taken_for() {
    let place = Place::new();
    let server = Server::start(&place);
    let definition = |id: &str| {
        json!({
            "name": "keyed",
            "concurrencyKey": {"key": "sample {sampleId}", "onConflict": "attach"},
            "steps": [{"id": id, "signal": {"name": "measured"}}],
        })
    };
    let order = |key: &str, id: &str| json!({"definition": definition(id), "context": {"sampleId": "S-1"}, "idempotencyKey": key});
    let first = server.post("/api/sagas", &order("first", "w")).expect(202);
    assert_eq!(first["status"], Value::Null);
    let id = first["sagaId"].as_str().unwrap();
    let answer = |is_other: bool, status: &str| {
        json!({
            "sagaId": id, "saga": first["saga"], "duplicate": true,
            "sameBy": "concurrencyKey", "otherOrder": is_other, "status": status,
        })
    };
    let file = place.file("keyed.json");
    let said = |key: &str, step: &str| {
        std::fs::write(&file, definition(step).to_string()).unwrap();
        let file = file.to_str().unwrap();
        let all = [
            "start",
            "--file",
            file,
            "--context",
            r#"{"sampleId": "S-1"}"#,
        ];
        let ran = ask(&server, &[&all[..], &["--idempotency-key", key]].concat());
        assert_eq!((ran.code, ran.out.trim()), (Some(0), id), "{}", ran.err);
        ran.err
    };
    let again = |status: &str| {
        for (step, is_other) in [("w", false), ("other", true)] {
            let told = server.post("/api/sagas", &order("second", step));
            assert_eq!(told.expect(202), answer(is_other, status));
        }
        // Of what is no order, it is that of another one.
        let mut wrong = order("second", "w");
        wrong["definition"] = json!([]);
        let told = server.post("/api/sagas", &wrong).expect(202);
        assert_eq!(told, answer(true, status));
    };
    again("started");
    let other = "; it is of another definition or context, and nothing of this one is done\n";
    let holds = format!("saga `{id}` has the concurrency key");
    assert_eq!(
        said("second", "w"),
        format!("{holds}; no other is started\n")
    );
    assert_eq!(said("third", "other"), format!("{holds}{other}"));

    let by = ["--author", "ann", "--reason", "looked at it"];
    let told = [&["signal", id, "measured"][..], &by].concat();
    assert_eq!(ask(&server, &told).code, Some(0));
    until("the saga is over", || {
        let saga = server.get(&format!("/api/sagas/{id}")).json();
        (saga["status"] == "completed").then_some(())
    });
    again("completed");
    let over = format!(
        "this start was taken for saga `{id}`, which had the concurrency key and is over, `completed`"
    );
    assert_eq!(
        said("second", "w"),
        format!("{over}; no other is started\n")
    );
    assert_eq!(said("third", "w"), format!("{over}; no other is started\n"));
    assert_eq!(said("second", "other"), format!("{over}{other}"));
}

#[test]
fn a_repeat_of_an_order_finds_its_saga_although_the_order_is_refused_otherwise() {
    let place = Place::new();
    let server = Server::start(&place);
    let waits = json!({"name": "w", "steps": [{"id": "w", "signal": {"name": "go"}}]});
    let order = json!({"definition": waits, "context": {}, "idempotencyKey": "k"});
    let first = server.post("/api/sagas", &order).expect(202);
    for (mut order, is_other) in [
        (
            json!({"name": "x", "steps": [{"id": ""}], "context": {}}),
            true,
        ),
        (json!({"definition": [], "context": {}}), true),
        (json!({"name": "nobody knows it", "context": {}}), true),
        (json!({"context": {}}), true),
        (
            json!({"definition": waits, "context": {}, "priority": "soon"}),
            true,
        ),
        (
            json!({"definition": waits, "context": {}, "correlationId": ""}),
            false,
        ),
    ] {
        order["idempotencyKey"] = "new".into();
        let refused = server.post("/api/sagas", &order).status;
        assert!((400..500).contains(&refused), "{order}: {refused}");
        order["idempotencyKey"] = "k".into();
        let again = server.post("/api/sagas", &order).expect(202);
        assert_eq!(
            again,
            json!({
                "sagaId": first["sagaId"], "saga": first["saga"], "duplicate": true,
                "sameBy": "idempotencyKey", "otherOrder": is_other, "status": "started",
            })
        );
        // What is no key finds nothing.
        order["idempotencyKey"] = "".into();
        assert_eq!(server.post("/api/sagas", &order).status, 400);
    }
}

/// The rows of the table of words: each with the word of the guide.
fn words() -> Vec<(String, String)> {
    let page = include_str!("../../../../docs/reference/sagas.md");
    let (_, page) = page.split_once("\n## Words\n").unwrap();
    let (page, _) = page.split_once("\n## ").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        let word = cells.next().unwrap().trim_end_matches('`').to_owned();
        (word, cells.next().unwrap().trim_matches('`').to_owned())
    })
    .collect()
}

/// Every state has a word that the page explains, every word of the guide is one of them, and it is the same in the status, the
/// list, by command and in the events.
#[test]
fn the_words_for_states_are_those_of_the_guide_in_status_lists_and_events() {
    let table = words();
    let all = sagabus::saga::Status::ALL.map(sagabus::saga::Status::as_str);
    let named: Vec<&str> = table.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(named, all);
    let guide = [
        "started",
        "executing",
        "completed",
        "failed",
        "compensating",
        "compensated",
    ];
    for word in guide {
        assert!(
            table.contains(&(word.to_owned(), word.to_owned())),
            "{word}"
        );
    }
    for (word, of_guide) in &table {
        assert!(guide.contains(&of_guide.as_str()), "{word} is {of_guide}");
    }
    let place = Place::new();
    let server = Server::start(&place);
    for word in all {
        let listed = server.get(&format!("/api/sagas?status={word}")).expect(200);
        assert_eq!(listed["sagas"], json!([]), "{word}");
    }
    server
        .get("/api/sagas?status=running")
        .expect_problem(400, &["running"]);
    let waits = write(
        &place,
        "waits.yaml",
        "name: s\nsteps:\n- {id: w, signal: {name: n}}\n",
    );
    let fails = GOOD.replace("  retryDelay: 2s\n", "");
    let fails = write(&place, "fails.yaml", &fails);
    let context = ["--context", "{\"submissionId\": \"none\"}"];
    let start = |file: &str| {
        let id = said(
            &server,
            &[&["start", "--file", file][..], &context].concat(),
        );
        id.trim().to_owned()
    };
    let by = ["--author", "ann", "--reason", "so it is"];
    // Each verb leads to the word, which the list finds and the events say.
    for (verb, word) in [
        ("signal", "completed"),
        ("pause", "paused"),
        ("cancel", "cancelled"),
        ("terminate", "terminated"),
        ("", "compensated"),
    ] {
        let id = match verb {
            "" => start(&fails),
            _ => start(&waits),
        };
        match verb {
            "" => {}
            "signal" => drop(said(&server, &[&["signal", &id, "n"][..], &by].concat())),
            _ => drop(said(&server, &[&[verb, &id][..], &by].concat())),
        }
        until(word, || {
            let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
            (saga["status"] == word).then_some(())
        });
        let listed = server.get(&format!("/api/sagas?status={word}")).expect(200);
        assert_eq!(listed["sagas"][0]["id"], id.as_str(), "{word}");
        assert!(
            said(&server, &["list", "--status", word]).contains(&id),
            "{word}"
        );
        assert!(said(&server, &["show", &id]).contains(word), "{word}");
        if word != "paused" {
            let told = until("the event", || {
                let events = crate::world::all_events(&server);
                let own = events.into_iter().rfind(|event| {
                    event["data"]["sagaId"] == id.as_str() && event["data"]["status"] == word
                });
                own.map(|event| event["type"].as_str().unwrap().to_owned())
            });
            let expected = if word == "completed" {
                "saga.completed"
            } else {
                "saga.failed"
            };
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn a_saga_shows_the_fields_of_the_guide_and_its_data_only_when_asked() {
    let place = Place::new();
    let server = Server::start(&place);
    let order = json!({
        "definition": {"name": "notes", "steps": [
            {"id": "note", "service": "sample-service", "action": "validate_sample", "timeout": "2s"},
            {"id": "after", "service": "sample-service", "action": "validate_sample", "dependencies": ["note"]},
        ]},
        "context": {"submissionId": "none", "secret": "blood"},
    });
    let started = server.post("/api/sagas", &order).expect(202);
    let path = started["saga"].as_str().unwrap();
    let saga = until("the saga's end", || {
        let saga = server.get(path).expect(200);
        (!saga["endedAt"].is_null()).then_some(saga)
    });
    assert!(!saga.to_string().contains("blood"), "{saga}");
    assert_eq!(saga["definition"].as_str().unwrap().len(), 64);
    assert_eq!(saga["compensatedAt"], saga["endedAt"]);
    assert_eq!(saga["turnedBackBy"], json!({"step": "note"}));
    assert_eq!(
        (&saga["completedAt"], &saga["failedAt"]),
        (&Value::Null, &Value::Null)
    );
    let results = saga["stepResults"].as_object().unwrap();
    assert_eq!(results.keys().collect::<Vec<_>>(), ["note"]);
    let result = &results["note"];
    assert_eq!(
        (&result["stepId"], &result["status"]),
        (&json!("note"), &json!("failed"))
    );
    assert_eq!(result["retryCount"], 0);
    assert!(result["executionTime"].is_number(), "{result}");
    assert!(result.get("result").is_none(), "{result}");
    let steps = saga["steps"].as_array().unwrap();
    assert_eq!(steps[0]["timeout"], 2000);
    assert_eq!(steps[1]["dependencies"], json!(["note"]));
    assert_eq!(steps[1]["status"], "not_run");
    let with = server.get(&format!("{path}?include=outputs")).expect(200);
    assert_eq!(with["context"]["secret"], "blood", "{with}");
    assert_eq!(with["stepResults"]["note"]["result"], Value::Null);
    server
        .get(&format!("{path}?include=all"))
        .expect_problem(400, &["include", "all"]);
    server
        .post(
            "/api/sagas",
            &json!({"name": "a", "definition": {}, "context": {}}),
        )
        .expect_problem(400, &["definition"]);
    server
        .post(
            "/api/sagas",
            &json!({"definition": {"name": "a", "steps": [{"id": "b"}]}, "context": {}}),
        )
        .expect_problem(400, &["steps[0]", "action"]);

    let health = server.get("/api/sagas/health").expect(200);
    assert_eq!(
        health,
        json!({
            "healthy": true, "activeSagas": 0, "completedSagas": 1, "issues": [], "warnings": [],
        })
    );
}

/// Somebody measures, somebody else says yes, and the saga shows for what and for whom it waits.
#[test]
fn a_saga_waits_for_a_signal_and_for_a_person_and_is_told_by_commands() {
    let place = Place::new();
    let server = Server::start(&place);
    let yaml = "\
name: quality_control
steps:
- {id: measure, signal: {name: measured}}
- {id: decide, approval: {role: lab-manager}, dependencies: [measure]}
- {id: later, timer: {for: 1ms}, dependencies: [decide]}
";
    let file = write(&place, "waits.yaml", yaml);
    let by = ["--author", "ann", "--reason", "looked at it"];
    let start = || said(&server, &["start", "--file", &file]).trim().to_owned();
    let id = start();
    let shown = said(&server, &["show", &id]);
    let lines = without_times(&shown);
    assert!(
        lines.contains(&"waits | for the signal `measured`".to_owned()),
        "{shown}"
    );
    let measure = "measure | - | waiting | 1 | - | - | for the signal `measured`";
    assert_eq!(lines[10], measure, "{shown}");
    assert_eq!(
        lines[11],
        "decide | - | pending | - | - | - | - | for measure"
    );
    let tell = |more: &[&str]| ask(&server, &[more, &by].concat());
    let answer = |id: &str, verb: &str, role: &str| tell(&[verb, id, "decide", "--role", role]);

    let wrong = tell(&["signal", &id, "weighed"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    let wrong = tell(&["signal", &id, "measured", "--payload", "{"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    let told = [
        "signal",
        &id,
        "measured",
        "--payload",
        "{\"ng\": 12}",
        "--key",
        "m-1",
    ];
    for _ in 0..2 {
        // The same again is the same.
        let shown = tell(&told).out;
        let asked = "for the answer of somebody in the role `lab-manager`";
        assert!(shown.contains(asked), "{shown}");
    }
    let other = answer(&id, "approve", "courier");
    assert!(other.err.contains("`lab-manager`"), "{}", other.err);
    assert_eq!(answer(&id, "approve", "lab-manager").code, Some(0));
    until("the saga's end", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (!saga["endedAt"].is_null()).then_some(())
    });
    let shown = said(&server, &["show", &id, "--outputs"]);
    assert!(shown.contains("output of measure: {\"ng\":12}"), "{shown}");
    let lines = without_times(&shown);
    let told: Vec<&String> = lines.iter().filter(|it| it.starts_with("told")).collect();
    assert_eq!(
        told,
        [
            "told | measured by ann: looked at it",
            "told | decide: yes by ann: looked at it"
        ]
    );

    let id = start();
    assert_eq!(tell(&["signal", &id, "measured"]).code, Some(0));
    assert_eq!(answer(&id, "refuse", "lab-manager").code, Some(0));
    let saga = until("the saga's end", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (!saga["endedAt"].is_null()).then_some(saga)
    });
    assert_eq!(saga["status"], "compensated", "{saga}");
    let error = saga["error"].as_str().unwrap();
    assert!(error.contains("refused by ann: looked at it"), "{error}");

    let path = format!("/api/sagas/{id}");
    let post = |what: &str, body: Value| server.post(&format!("{path}/{what}"), &body);
    let signed = |field: &str, value: &str| json!({"author": "a", "reason": "r", field: value});
    post("signal", signed("step", "x")).expect_problem(400, &["step"]);
    post("signal", signed("key", "k")).expect_problem(400, &["`name` is missing"]);
    post("approve", signed("step", "decide")).expect_problem(400, &["`role` is missing"]);
    post("refuse", json!({"author": " ", "reason": "r"}))
        .expect_problem(400, &["`author` is empty"]);
    post("wave", signed("step", "x")).expect_problem(404, &["wave", "approve"]);
}

#[test]
fn sagas_are_found_by_name_state_attribute_and_time_over_http_and_by_command() {
    let place = Place::new();
    let server = Server::start(&place);
    let context = "{\"submissionId\": \"none\", \"fileId\": \"0\", \"fileName\": \"a.pdf\"}";
    let start = |sample: &str, priority: &str| {
        let attribute = format!("sampleId={sample}");
        let name = "sample_processing_workflow";
        let mut all = vec!["start", name, "--context", context];
        all.extend(["--attribute", "kind=dna", "--attribute", &attribute]);
        all.extend(["--priority", priority]);
        said(&server, &all).trim().to_owned()
    };
    let first = start("S-1", "high");
    let second = start("S-2", "low");
    for id in [&first, &second] {
        until("the saga's end", || {
            let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
            (!saga["endedAt"].is_null()).then_some(())
        });
    }
    let found = |query: &str| -> (Vec<String>, Value) {
        let page = server.get(&format!("/api/sagas?{query}")).expect(200);
        let sagas = page["sagas"].as_array().unwrap();
        let ids = sagas.iter().map(|it| it["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next"].clone())
    };
    let both = [second.clone(), first.clone()];
    assert_eq!(found("name=sample_processing_workflow").0, both);
    assert_eq!(found("name=another").0, [""; 0]);
    assert_eq!(
        found("attribute=sampleId%3DS-1&attribute=kind%3Ddna").0,
        both[1..]
    );
    assert_eq!(
        found("attribute=sampleId%3DS-1&attribute=kind%3Drna").0,
        [""; 0]
    );
    assert_eq!(found("status=compensated&status=completed").0, both);
    assert_eq!(found("status=paused").0, [""; 0]);
    assert_eq!(found("before=2020-01-01T00:00:00Z").0, [""; 0]);
    assert_eq!(found("from=2020-01-01T00:00:00Z").0, both);
    let (page, next) = found("limit=1");
    assert_eq!(page, both[..1]);
    let after = next.as_str().unwrap();
    assert_eq!(
        found(&format!("limit=1&after={after}")),
        (vec![first.clone()], Value::Null)
    );
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=1001", "limit"),
        ("status=lost", "lost"),
        ("attribute=x", "attribute"),
        ("from=today", "from"),
        ("after=x", "`after`"),
        ("colour=red", "colour"),
    ] {
        server
            .get(&format!("/api/sagas?{query}"))
            .expect_problem(400, &[word]);
    }
    let saga = server.get(&format!("/api/sagas/{first}")).expect(200);
    assert_eq!(saga["priority"], "high");
    assert_eq!(
        saga["attributes"],
        json!({"kind": "dna", "sampleId": "S-1"})
    );
    let shown = said(&server, &["show", &first]);
    let shown = without_times(&shown);
    for line in ["attributes | kind=dna, sampleId=S-1", "priority | high"] {
        assert!(shown.contains(&line.to_owned()), "{shown:?}");
    }
    // A list that is cut off names where it goes on, which leads to the rest.
    let listed = said(&server, &["list", "--limit", "1"]);
    assert!(
        listed.contains(&second) && !listed.contains(&format!("\n{first}")),
        "{listed}"
    );
    let last = listed.lines().last().unwrap();
    let after = last.strip_prefix("more with --after ").unwrap();
    let listed = said(&server, &["list", "--limit", "1", "--after", after]);
    assert!(
        listed.contains(&first) && !listed.contains(&second) && !listed.contains("--after"),
        "{listed}"
    );
    let listed = said(&server, &["list", "--attribute", "sampleId=S-2"]);
    assert!(
        listed.contains(&second) && !listed.contains(&first),
        "{listed}"
    );
    let order = json!({"name": "sample_processing_workflow", "context": {}, "priority": "now"});
    server
        .post("/api/sagas", &order)
        .expect_problem(400, &["priority", "now"]);
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains("saga_admission_wait_seconds_count 2\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("saga_fenced_answers_total 0\n"),
        "{metrics}"
    );
}

#[test]
fn the_key_of_a_saga_its_deadline_and_the_health_of_all_are_shown_by_commands() {
    let place = Place::new();
    let server = Server::start(&place);
    let yaml = "\
name: keyed
deadline: 1h
concurrencyKey: {key: 'sample {sampleId}'}
steps:
- {id: w, signal: {name: measured}}
";
    let file = write(&place, "keyed.yaml", yaml);
    let context = r#"{"sampleId": "S-1"}"#;
    let start = || {
        let ran = said(&server, &["start", "--file", &file, "--context", context]);
        ran.trim().to_owned()
    };
    let first = start();
    let shown = said(&server, &["show", &first]);
    let lines = without_times(&shown);
    assert!(lines.contains(&"key | sample S-1".to_owned()), "{shown}");
    let deadline = shown.lines().find(|it| it.starts_with("deadline "));
    assert!(deadline.is_some_and(|it| it.ends_with('Z')), "{shown}");
    let second = start();
    let shown = said(&server, &["show", &second]);
    let waits =
        format!("waits | for its key: saga `{first}` has it and waits for the signal `measured`");
    assert!(without_times(&shown).contains(&waits), "{shown}");

    // The two ways to ask how the sagas are.
    for command in [&["health"][..], &["show", "health"]] {
        let told = without_times(&said(&server, command));
        assert_eq!(told, ["all is well | yes", "not over | 2", "over | 0"]);
    }
    let told = json_of(&ask(&server, &["health", "-o", "json"]));
    assert_eq!(told["healthy"], true, "{told}");
    let stuck = "name: stuck\nsteps:\n\
        - {id: note, service: audit-service, action: create_audit_log, pivot: true}\n\
        - {id: fail, service: audit-service, action: fail_on_request, dependencies: [note]}\n";
    let file = write(&place, "stuck.yaml", stuck);
    said(&server, &["start", "--file", &file, "--context", context]);
    until("the issue", || {
        let ran = ask(&server, &["health"]);
        let told = "issue        1 sagas are stuck behind their pivot\n";
        (ran.code == Some(1) && ran.out.ends_with(told)).then_some(())
    });
    let ran = ask(&server, &["health"]);
    assert!(ran.out.starts_with("all is well  no\n"), "{}", ran.out);
}

/// What an operator does about a definition that turned out wrong while sagas that follow it wait.
#[test]
fn a_saga_in_flight_goes_on_with_another_definition_by_command() {
    let place = Place::new();
    let server = Server::start(&place);
    let yaml = "name: q\nsteps:\n- {id: w, signal: {name: weighed}}\n- {id: t, timer: {for: 300d}, dependencies: [w]}\n";
    let old = write(&place, "old.yaml", yaml);
    let new = write(&place, "new.yaml", &yaml.replace("300d", "1ms"));
    let other = write(&place, "other.yaml", &yaml.replace("weighed", "measured"));
    let by = ["--author", "ann", "--reason", "300 days was a slip"];
    let id = said(&server, &["start", "--file", &old]).trim().to_owned();
    let tell = |more: &[&str]| ask(&server, &[more, &by].concat());
    let ran = tell(&["migrate", &id, "--file", &new]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.err.contains("pause"), "{}", ran.err);
    assert_eq!(tell(&["pause", &id]).code, Some(0));
    let ran = tell(&["migrate", &id, "--file", &other]);
    assert!(ran.err.contains("`w`"), "{}", ran.err);
    let ran = tell(&["migrate", &id, "--file", &new]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("migrate at "), "{}", ran.out);
    assert_eq!(tell(&["resume", &id]).code, Some(0));
    assert_eq!(tell(&["signal", &id, "weighed"]).code, Some(0));
    until("the saga's end", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (saga["status"] == "completed").then_some(())
    });
    let signed = json!({"author": "a", "reason": "r"});
    let path = format!("/api/sagas/{id}/migrate");
    server
        .post(&path, &signed)
        .expect_problem(400, &["`definition` is missing"]);
}

#[test]
fn the_commands_of_the_guide_to_sagas_print_what_it_says() {
    let guide = include_str!("../../../../docs/guides/sagas.md");
    let place = Place::new();
    let (_, yaml) = guide.split_once("```yaml\n").unwrap();
    let (yaml, _) = yaml.split_once("```").unwrap();
    write(&place, "sample_analysis.yaml", yaml);
    let broken = yaml.replace("[reserve]", "[reserved]");
    write(&place, "broken.yaml", &broken);
    write(
        &place,
        "newer.yaml",
        &yaml.replace("Action: release", "Action: cancel"),
    );
    let mut compared = 0;
    for block in guide.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for command in block.split("$ sagabus ").skip(1) {
            let (words, expected) = command.split_once('\n').unwrap();
            let words: Vec<&str> = words.split(' ').collect();
            let mut program = sagabus(&words);
            program.current_dir(place.file(""));
            let ran = finish(&mut program);
            assert_eq!(ran.out.trim_end(), expected.trim_end(), "{}", ran.err);
            compared += 1;
        }
    }
    assert_eq!(compared, 3);
    // Each command of the table is one.
    let rows = guide
        .lines()
        .filter_map(|it| it.strip_prefix("| `sagabus saga "));
    let verbs: Vec<&str> = rows
        .map(|it| it.split([' ', '`']).next().unwrap())
        .collect();
    assert_eq!(
        verbs,
        [
            "list",
            "show",
            "health",
            "start",
            "cancel",
            "retry",
            "skip",
            "complete",
            "force-done",
            "abandon",
            "recompensate",
            "pause",
            "resume",
            "terminate",
            "signal",
            "approve",
            "refuse",
            "migrate"
        ]
    );
    for verb in verbs {
        assert_eq!(run(&["saga", verb, "--help"]).code, Some(0), "{verb}");
    }
}
