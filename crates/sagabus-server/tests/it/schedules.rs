//! Events that a real server is to publish later, over HTTP and with the commands.

use serde_json::{Value, json};

use crate::program::{Place, Server, run, until};

fn event(id: &str) -> Value {
    json!({"id": id, "type": "lab.noted", "source": "test", "subject": "bench-4", "data": {"text": id}})
}

/// Ids of the events of this test that are published.
fn published(server: &Server) -> Vec<String> {
    let page = server.get("/api/events?type=lab.noted").expect(200);
    let events = page["events"].as_array().unwrap().iter();
    let ids = events.map(|it| it["event"]["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Keys of what is scheduled, in order.
fn keys(page: &Value) -> Vec<&str> {
    let listed = page["schedules"].as_array().unwrap().iter();
    listed
        .map(|it| it["cancelKey"].as_str().unwrap_or("-"))
        .collect()
}

#[test]
fn events_are_scheduled_listed_moved_and_cancelled_over_http_and_outlast_a_restart() {
    let place = Place::new();
    let server = Server::start(&place);
    let at = |server: &Server, id: &str, due: &str, key: &str| {
        let path = format!("/api/schedules?due={due}&cancelKey={key}");
        server.post(&path, &event(id))
    };
    let first = at(&server, "e-1", "2999-01-01T00:00:00Z", "one").expect(201);
    assert_eq!(first["due"], "2999-01-01T00:00:00.000Z");
    assert_eq!(first["cancelKey"], "one");
    let again = at(&server, "e-1", "2999-01-01T00:00:00Z", "one").expect(200);
    assert_eq!(
        (&again["duplicate"], &again["position"]),
        (&json!(true), &first["position"])
    );
    // Nothing is changed by a repeat, which is told what is kept.
    let again = at(&server, "e-1", "2990-01-01T00:00:00Z", "other").expect(200);
    let publish = server.post("/api/events", &event("e-1")).expect(200);
    for told in [again, publish] {
        assert_eq!(told["due"], first["due"], "{told}");
        assert_eq!(told["cancelKey"], "one", "{told}");
    }
    at(&server, "e-2", "2998-01-01T00:00:00Z", "two%2Fa").expect(201);
    at(&server, "e-3", "2997-01-01T00:00:00%2B02:00", "three").expect(201);

    let page = server.get("/api/schedules?limit=2").expect(200);
    assert_eq!(keys(&page), ["three", "two/a"], "{page}");
    assert_eq!(page["total"], 3);
    assert_eq!(page["schedules"][0]["due"], "2996-12-31T22:00:00.000Z");
    assert_eq!(
        page["schedules"][0]["event"]["data"],
        json!({"text": "e-3"})
    );
    let next = page["next"].as_str().unwrap();
    let page = server
        .get(&format!("/api/schedules?limit=2&after={next}"))
        .expect(200);
    assert_eq!((keys(&page), &page["next"]), (vec!["one"], &Value::Null));
    assert_eq!(published(&server), [""; 0]);

    let cancelled = server.request("DELETE", "/api/schedules/two%2Fa").send();
    assert_eq!(cancelled.expect(200)["cancelled"], true);
    let now = json!({"due": "2000-01-01T00:00:00Z"});
    server.post("/api/schedules/three/move", &now).expect(200);
    until("it is published", || {
        (published(&server) == ["e-3"]).then_some(())
    });
    server.terminate();

    let server = Server::start(&place);
    let page = server.get("/api/schedules").expect(200);
    assert_eq!(keys(&page), ["one"]);
    server.post("/api/schedules/one/move", &now).expect(200);
    until("it is published", || {
        (published(&server) == ["e-3", "e-1"]).then_some(())
    });
    let again = at(&server, "e-1", "2990-01-01T00:00:00Z", "other").expect(200);
    let page = server.get("/api/events?type=lab.noted").expect(200);
    assert_eq!(again["position"], page["events"][1]["position"], "{page}");
    assert_eq!(again.get("due"), None, "it is published");
    let stats = server.get("/api/stats").expect(200);
    assert_eq!(stats["scheduledEvents"], 0);
    assert_eq!(stats["scheduledLateness"]["count"], 1, "of this process");
    let metrics = server.get("/metrics").text();
    for line in [
        "event_bus_scheduled_events 0",
        "event_bus_scheduled_lateness_seconds_count 1",
        "event_bus_scheduled_lateness_seconds_bucket{le=\"+Inf\"} 1",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
    }
    server.terminate();
}

#[test]
fn what_is_wrong_with_a_schedule_is_answered_with_the_field() {
    let place = Place::new();
    let server = Server::start(&place);
    let long = "k".repeat(300);
    for (query, word) in [
        ("", "due"),
        ("?due=tomorrow", "due"),
        ("?due=2999-01-01T00:00:00Z&cancelKey=", "cancelKey"),
        (
            &format!("?due=2999-01-01T00:00:00Z&cancelKey={long}"),
            "cancelKey",
        ),
        ("?due=2999-01-01T00:00:00Z&colour=red", "colour"),
    ] {
        let answer = server.post(&format!("/api/schedules{query}"), &event("e-1"));
        answer.expect_problem(400, &[word]);
    }
    let wrong = json!({"type": "lab..noted", "source": "test", "data": {}});
    server
        .post("/api/schedules?due=2999-01-01T00:00:00Z", &wrong)
        .expect_problem(400, &["type"]);
    for query in ["?limit=0", "?limit=1001"] {
        server
            .get(&format!("/api/schedules{query}"))
            .expect_problem(400, &["limit"]);
    }
    server
        .get("/api/schedules?after=yesterday")
        .expect_problem(400, &["after"]);
    let gone = server.request("DELETE", "/api/schedules/nothing").send();
    gone.expect_problem(404, &["nothing"]);
    let due = json!({"due": "2999-01-01T00:00:00Z"});
    server
        .post("/api/schedules/nothing/move", &due)
        .expect_problem(404, &["nothing"]);
    server
        .post("/api/schedules/nothing/move", &json!({"due": 1}))
        .expect_problem(400, &["due"]);
    assert_eq!(server.get("/api/schedules").expect(200)["total"], 0);
    server.terminate();
}

#[test]
fn the_commands_schedule_list_move_and_cancel() {
    let place = Place::new();
    let server = Server::start(&place);
    let url = format!("http://{}", server.address);
    let said = |arguments: &[&str]| {
        let mut all = vec!["schedules"];
        all.extend(arguments);
        all.extend(["--url", &url]);
        let ran = run(&all);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    };
    let note = event("e-1").to_string();
    let due = "2999-01-01T00:00:00Z";
    let out = said(&["add", "--due", due, "--cancel-key", "one", &note]);
    assert_eq!(out, "e-1 is published at 2999-01-01T00:00:00.000Z\n");
    let out = said(&["list"]);
    assert!(out.contains("2999-01-01T00:00:00.000Z  one"), "{out}");
    assert!(out.ends_with("1 scheduled\n"), "{out}");
    let out = said(&["move", "one", "--due", "2998-01-01T00:00:00Z"]);
    assert_eq!(out, "published at 2998-01-01T00:00:00.000Z\n");
    let json: Value = serde_json::from_str(&said(&["list", "-o", "json"])).unwrap();
    assert_eq!(json["schedules"][0]["due"], "2998-01-01T00:00:00.000Z");
    assert_eq!(said(&["cancel", "one"]), "cancelled\n");
    let ran = run(&["schedules", "cancel", "one", "--url", &url]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("nothing is scheduled under `one`"),
        "{}",
        ran.err
    );
    server.terminate();
}
