//! What is logged: lines of JSON that can be followed by ids, and nothing about people.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{Place, Server, form_bytes};
use crate::world;

#[test]
fn logs_are_json_lines_with_ids_and_without_personal_data() {
    let place = Place::new();
    let server = Server::start_with(&place, &["--log", "trace"]);
    let taken = server
        .request("POST", "/api/submissions")
        .header("x-user-id", "canary-user")
        .upload(
            "canary-file-of-Tamsin.pdf",
            &form_bytes("small.pdf"),
            &[
                ("submitterName", "Canary Person"),
                ("submitterEmail", "canary@lab.example.org"),
            ],
        )
        .send()
        .expect(202);
    let bad = server
        .request("POST", "/api/submissions")
        .upload("form.pdf", &form_bytes("out-of-range.pdf"), &[])
        .send()
        .expect(202);
    world::settle(&server, &place.data());
    let submission = server
        .get(&format!(
            "/api/submissions/{}",
            taken["submissionId"].as_str().unwrap()
        ))
        .expect(200);
    assert_eq!(
        submission["submitterEmail"], "canary@lab.example.org",
        "{submission}"
    );
    // What was wrong cites the form.
    let path = format!(
        "/api/jobs?submissionId={}",
        bad["submissionId"].as_str().unwrap()
    );
    let job = server.get(&path).expect(200)["jobs"][0].clone();
    let cited = job["error"]["message"].as_str().unwrap().to_owned();
    let events = world::all_events(&server);
    let ids: BTreeSet<&str> = events.iter().map(|it| it["id"].as_str().unwrap()).collect();
    let ran = server.terminate();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for canary in [
        "canary",
        "Canary",
        "Tamsin",
        "Quillfeather",
        "tamsin.q",
        "Zephyrin",
        "Abara",
        "example.org",
        "moss-A1",
        &cited,
    ] {
        let line = ran.err.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "`{canary}` is in the log");
    }
    let lines: Vec<Value> = ran
        .err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    for line in &lines {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "no `{field}`: {line}");
        }
    }
    let told = |line: &&Value| line["message"] == "document was not processed";
    let told = lines.iter().find(told).unwrap();
    assert_eq!(told["kind"], job["error"]["kind"], "{told}");
    assert_eq!(told["job_id"], job["id"], "{told}");
    let logged = |field: &str, value: &Value| lines.iter().any(|line| &line[field] == value);
    for answer in [&taken, &bad] {
        assert!(logged("saga_id", &answer["sagaId"]), "{answer}");
        assert!(
            logged("correlation_id", &answer["correlationId"]),
            "{answer}"
        );
    }
    let known = lines
        .iter()
        .filter(|line| line["event_id"].as_str().is_some_and(|id| ids.contains(id)))
        .count();
    assert!(known > 10, "{known} lines name an event");
    // Failures and what somebody should look at stand out, each under the id of its event.
    let loud = |event_type: &str| {
        let of_type =
            |line: &&Value| line["event_type"] == event_type && line["subject"].is_string();
        let line = lines.iter().find(of_type);
        let line = line.unwrap_or_else(|| panic!("no line of `{event_type}`"));
        line["level"].as_str().unwrap().to_owned()
    };
    assert_eq!(loud("ai.pdf_processing_started"), "INFO");
    assert_eq!(loud("ai.pdf_processing_failed"), "ERROR");
    assert_eq!(loud("ai.processing_job_failed"), "ERROR");
    assert_eq!(loud("submission.status_changed"), "INFO");
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing_that_logs() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_sagabus");
    let data = place.data_text();
    let mut shell = std::process::Command::new("sh");
    // A disk without room for a byte.
    shell.args(["-c", "exec \"$@\" 2>/dev/full", "sh", program]);
    shell.args(["--log", "info", "serve", "--listen", "127.0.0.1:0"]);
    let server = Server::spawn(&place, shell.args(["--data-dir", &data]));
    let by = serde_json::json!({"author": "ann", "reason": "it logs"});
    for what in ["pause", "resume"] {
        let path = format!("/api/subscriptions/sample-service/{what}");
        server.post(&path, &by).expect(200);
    }
    let order = serde_json::json!({"query": {}, "author": "ann", "reason": "it logs"});
    server.post("/api/dead-letters/redrive", &order).expect(200);
    assert_eq!(server.terminate().code, Some(0));
    // Nor does it change how a command ends.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$@\" 2>/dev/full", "sh", program]);
    let ran = crate::program::finish(shell.args(["extract", "nowhere.pdf"]));
    assert_eq!(ran.code, Some(1));
}
