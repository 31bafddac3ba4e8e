//! The audit trail from the command line: checked while a server runs, after it, and when somebody was at it.

use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Place, Server, run};

fn act(server: &Server) {
    let act =
        json!({"service": "bench", "action": "note.made", "resource": "note", "userId": "ada"});
    server.post("/api/audit/events", &act).expect(201);
}

/// The body of an answer that came in chunks: each has its length before it, in hexadecimal.
fn joined(chunks: &str) -> String {
    let (mut rest, mut body) = (chunks, String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&after[..length]);
        rest = after[length..].strip_prefix("\r\n").unwrap();
    }
    body
}

fn verify(data: &str, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["audit", "verify", "-o", "json", "--data-dir", data], more].concat();
    let ran = run(&arguments);
    let found = serde_json::from_str(&ran.out).unwrap_or_else(|_| json!(ran.err));
    (ran.code, found)
}

#[test]
fn the_trail_is_verified_offline_and_whoever_was_at_it_is_found() {
    let place = Place::new();
    let data = place.data_text();
    let server = Server::start(&place);
    for _ in 0..3 {
        act(&server);
    }
    let kept = server.post("/api/audit/checkpoint", &json!({})).expect(200);
    let file = place.file("kept.json");
    std::fs::write(&file, kept.to_string()).unwrap();
    let kept_file = file.to_str().unwrap();
    act(&server);
    // While the server runs.
    let (code, found) = verify(&data, &["--checkpoint", kept_file]);
    assert_eq!((code, &found["count"]), (Some(0), &json!(4)), "{found}");
    assert_eq!(found["publicKey"], kept["publicKey"]);
    let key = run(&["audit", "key", "--data-dir", &data]);
    assert_eq!(json!(key.out.trim()), kept["publicKey"]);
    let bundle = place.file("bundle.jsonl");
    let lines = joined(&server.get("/api/audit/bundle").text());
    std::fs::write(&bundle, &lines).unwrap();
    assert_eq!(server.terminate().code, Some(0));

    let bundle = bundle.to_str().unwrap();
    let ran = run(&[
        "audit",
        "verify",
        "--bundle",
        bundle,
        "--key",
        key.out.trim(),
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("4 entries verified, root "), "{}", ran.out);
    let cut: Vec<&str> = lines.lines().take(4).collect();
    std::fs::write(bundle, cut.join("\n")).unwrap();
    let ran = run(&["audit", "verify", "--bundle", bundle]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("ends with entry 3"), "{}", ran.out);

    // The server has signed at its end. Now somebody changes the database.
    let (code, found) = verify(&data, &[]);
    assert_eq!((code, &found["ok"]), (Some(0), &json!(true)), "{found}");
    let database = place.data().join("audit.sqlite");
    let file = sagabus::sqlite::rusqlite::Connection::open(&database).unwrap();
    file.execute_batch("DROP TRIGGER audit_entries_never_change; UPDATE audit_entries SET actor_id = 'eve' WHERE seq = 2")
        .unwrap();
    let (code, found) = verify(&data, &[]);
    assert_eq!(
        (code, &found["firstBadSequence"]),
        (Some(1), &json!(2)),
        "{found}"
    );
    let server = Server::start(&place);
    let found = server.get("/api/audit/verify").expect(200);
    assert_eq!(found["ok"], false, "{found}");
}

#[test]
fn a_key_that_others_can_read_stops_the_start() {
    let place = Place::new();
    assert_eq!(Server::start(&place).terminate().code, Some(0));
    let key = place.data().join("audit.key");
    let changed = Command::new("chmod").arg("644").arg(&key).status().unwrap();
    assert!(changed.success());
    let ran = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &place.data_text(),
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
}
