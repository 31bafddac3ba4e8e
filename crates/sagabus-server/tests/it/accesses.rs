//! Who looks at data over HTTP is in the trail before they see it: once, and looking at the trail makes no more than that.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Place, Server, form_bytes, sagabus};
use crate::world::{self, number, texts};

const COUNT: &str = "SELECT count(*) FROM audit_entries WHERE action = 'access.read'";

/// Looks at a path as somebody.
fn look(server: &Server, path: &str) -> u16 {
    let request = server.request("GET", path);
    request.header("x-user-id", "eve").send().status
}

fn accesses(data: &Path) -> i64 {
    number(data, "audit.sqlite", COUNT)
}

/// The last access: by whom, to what, to which one.
fn last(data: &Path) -> Value {
    let query = "SELECT json_object('by', actor_id, 'to', resource, 'id', resource_id, 'route', details ->> '$.route', \
        'category', category) FROM audit_entries WHERE action = 'access.read' ORDER BY seq DESC LIMIT 1";
    serde_json::from_str(&texts(data, "audit.sqlite", query)[0]).unwrap()
}

#[test]
fn each_look_at_data_is_one_entry_with_who_and_at_what_and_looking_at_the_trail_is_one_too() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    let form = form_bytes("small.pdf");
    let taken = server.request("POST", "/api/submissions");
    let taken = taken.upload("small.pdf", &form, &[]).send().expect(202);
    let submission = taken["submissionId"].as_str().unwrap().to_owned();
    let saga = taken["sagaId"].as_str().unwrap().to_owned();
    world::check(&server, &data, 3);
    let listed = server.get("/api/samples?limit=1").expect(200);
    let sample = listed["samples"][0]["id"].as_str().unwrap().to_owned();
    let job = server.get("/api/jobs").expect(200)["jobs"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = world::all_events(&server)[0]["position"].to_string();
    for (path, to, id) in [
        (&format!("/api/events/{first}")[..], "event", Some(&first)),
        ("/api/samples", "sample", None),
        ("/api/samples/search?q=moss", "sample", None),
        ("/api/samples/export", "sample", None),
        ("/api/samples/{sample}", "sample", Some(&sample)),
        ("/api/samples/{sample}/history", "sample", Some(&sample)),
        ("/api/samples/{sample}/steps", "sample", Some(&sample)),
        ("/api/samples/{sample}/details", "sample", Some(&sample)),
        ("/api/samples/{sample}/attachments", "sample", Some(&sample)),
        ("/api/samples/{sample}/decisions", "sample", Some(&sample)),
        ("/api/queue", "sample", None),
        ("/api/qc/decisions", "qc", None),
        ("/api/flow-cells", "flowcell", None),
        ("/api/projects", "project", None),
        ("/api/submissions", "submission", None),
        (
            "/api/submissions/{submission}",
            "submission",
            Some(&submission),
        ),
        ("/api/jobs/{job}", "job", Some(&job)),
        ("/api/sagas/{saga}?include=outputs", "saga", Some(&saga)),
        ("/api/events?limit=5", "event", None),
        ("/api/dead-letters", "dead_letter", None),
        (
            "/api/dead-letters/export?subscription=audit-service",
            "dead_letter",
            None,
        ),
        ("/api/audit/events", "audit", None),
        ("/api/audit/events/1", "audit", Some(&"1".to_owned())),
        ("/api/audit/bundle", "audit", None),
        ("/api/audit/reports", "audit", None),
    ] {
        let path = path
            .replace("{sample}", &sample)
            .replace("{submission}", &submission)
            .replace("{job}", &job)
            .replace("{saga}", &saga);
        let before = accesses(&data);
        let status = look(&server, &path);
        assert_eq!(status, 200, "{path}");
        assert_eq!(accesses(&data), before + 1, "{path}");
        let entry = last(&data);
        assert_eq!(
            (&entry["by"], &entry["to"]),
            (&json!("eve"), &json!(to)),
            "{path}"
        );
        assert_eq!(entry["id"].as_str(), id.map(String::as_str), "{path}");
        assert_eq!(entry["category"], "data_access");
    }
    // What is asked for with a body, and still only shown.
    let before = accesses(&data);
    let sheet =
        json!({"experimentId": "E1", "kit": "SQK-LSK114", "positionId": "X1", "samples": [sample]});
    server.post("/api/sample-sheets", &sheet).expect(200);
    assert_eq!(accesses(&data), before + 1);
    // What shows nothing, and what has no data of anybody, is none.
    let before = accesses(&data);
    for path in [
        "/api/samples/none",
        "/api/samples?colour=red",
        "/health/ready",
        "/metrics",
        "/api/stats",
        "/api/schemas",
        "/api/audit/key",
    ] {
        look(&server, path);
        assert_eq!(accesses(&data), before, "{path}");
    }
    // Nothing follows from an entry of an access, and the trail comes to rest.
    world::settle(&server, &data);
    let told =
        "SELECT count(*) FROM audit_entries WHERE action = 'access.read' AND event_id IS NOT NULL";
    assert_eq!(number(&data, "audit.sqlite", told), 0);
    assert_eq!(accesses(&data), before);
    world::check(&server, &data, 3);
    let listed = server
        .get("/api/audit/events?action=access.read&userId=eve&resource=audit")
        .expect(200);
    assert_eq!(listed["total"], 4, "{listed}");
}

#[test]
fn where_it_is_switched_off_nobody_is_recorded() {
    let place = Place::new();
    let data = place.data_text();
    let mut command = sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    command.env("AUDIT_READS", "0");
    let server = Server::spawn(&place, &mut command);
    assert_eq!(look(&server, "/api/samples"), 200);
    assert_eq!(accesses(&place.data()), 0);
}

#[test]
fn an_override_of_a_status_is_in_the_trail_with_who_why_and_from_where_to_where() {
    let place = Place::new();
    let server = Server::start(&place);
    let sample = json!({
        "sampleName": "pond 3B", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    let made = server.post("/api/samples", &sample).expect(201);
    let id = made["id"].as_str().unwrap();
    let why = "sequenced at the other site";
    let body = json!({"status": "analysis", "override": true, "reason": why});
    let request = server.request("POST", &format!("/api/samples/{id}/status"));
    request
        .header("x-user-id", "grace")
        .json(&body)
        .send()
        .expect(200);
    world::settle(&server, &place.data());
    let path = format!("/api/audit/events?action=sample.status_changed&resourceId={id}");
    let found = server.get(&path).expect(200);
    assert_eq!(found["total"], 1);
    let entry = &found["events"][0];
    assert_eq!(
        (&entry["actor"]["id"], &entry["reason"]),
        (&json!("grace"), &json!(why))
    );
    assert_eq!(entry["details"]["override"], true);
    assert_eq!(
        (&entry["oldValues"], &entry["newValues"]),
        (
            &json!({"status": "submitted"}),
            &json!({"status": "analysis"})
        )
    );
}
