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
}
