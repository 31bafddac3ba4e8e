//! A sample whose quality control failed: the submitter is asked, what is decided is done, and nothing is forgotten.

use serde_json::{Value, json};

use crate::program::{Place, Server, sagabus, until};
use crate::world::{self, all_events, of_type};

const SAGA: &str = "qc_decision_workflow";

fn enter(server: &Server, name: &str) -> String {
    let sample = json!({
        "sampleName": name, "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    let made = server.post("/api/samples", &sample).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn act(server: &Server, sample: &str, what: &str, body: &Value) -> Value {
    let request = server.request("POST", &format!("/api/samples/{sample}/{what}"));
    request
        .header("x-user-id", "grace")
        .json(body)
        .send()
        .expect(200)
}

/// A sample whose quality control fails.
fn fail(server: &Server, sample: &str) {
    act(server, sample, "steps/sample_qc/start", &json!({}));
    let error = json!({"error": "A260/230 is 0.4"});
    act(server, sample, "steps/sample_qc/fail", &error);
}

fn failed(server: &Server, name: &str) -> String {
    let sample = enter(server, name);
    act(server, &sample, "receive", &json!({}));
    fail(server, &sample);
    sample
}

fn decisions(server: &Server, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/qc/decisions{query}")).expect(200);
    page["decisions"].as_array().unwrap().clone()
}

/// The last question about a sample, when it has this state.
fn asked(server: &Server, sample: &str, state: &str) -> Value {
    until("the question", || {
        let all = server.get(&format!("/api/samples/{sample}/decisions"));
        let all = all.expect(200);
        let last = all.as_array().unwrap().last().cloned()?;
        (last["state"] == state).then_some(last)
    })
}

fn decide(server: &Server, sample: &str, decision: &str) -> Value {
    let why = "there is no more of it";
    let body = json!({"decision": decision, "author": "Ada Lovelace", "reason": why});
    act(server, sample, "decision", &body)
}

fn sample(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/samples/{id}")).expect(200)
}

fn sagas(server: &Server, sample: &str) -> Vec<Value> {
    let query = format!("/api/sagas?name={SAGA}&attribute=sampleId%3D{sample}");
    let page = server.get(&query).expect(200);
    page["sagas"].as_array().unwrap().clone()
}

fn count(events: &[Value], name: &str) -> usize {
    of_type(events, name).count()
}

#[test]
fn a_failed_quality_control_asks_the_submitter_once_and_what_is_decided_is_done_and_in_the_trail() {
    let place = Place::new();
    let server = Server::start(&place);
    for (decision, status, stage, step) in [
        ("resubmit", "submitted", "sample_qc", "pending"),
        ("proceed", "prep", "library_prep", "skipped"),
        ("cancel", "archived", "sample_qc", "failed"),
    ] {
        let id = failed(&server, decision);
        let question = asked(&server, &id, "waiting");
        assert_eq!(question["error"], "A260/230 is 0.4");
        assert_eq!(question["stage"], "sample_qc");
        assert_eq!(decisions(&server, "?state=waiting").len(), 1);
        assert!(sample(&server, &id)["hold"].is_object());

        decide(&server, &id, decision);
        let done = asked(&server, &id, "carried_out");
        assert_eq!(
            (&done["decision"], &done["author"]),
            (&json!(decision), &json!("Ada Lovelace"))
        );
        assert_eq!(done["enteredBy"], "grace");
        let after = sample(&server, &id);
        let stands = (&after["status"], &after["stage"], &after["hold"]);
        assert_eq!(
            stands,
            (&json!(status), &json!(stage), &Value::Null),
            "{after}"
        );
        // Another tube is waited for.
        assert_eq!(
            after["receivedAt"].is_null(),
            decision == "resubmit",
            "{after}"
        );
        let steps = server.get(&format!("/api/samples/{id}/steps")).expect(200);
        assert_eq!(steps[0]["stepStatus"], step, "{steps}");
        let notes = steps[0]["notes"].as_str().unwrap_or_default();
        assert_eq!(
            notes.starts_with("deviation: "),
            decision == "proceed",
            "{notes}"
        );

        // Twice is refused, and says by whom it was.
        let again = json!({"decision": "cancel", "author": "Mallory", "reason": "no"});
        let refused = server.post(&format!("/api/samples/{id}/decision"), &again);
        refused.expect_problem(409, &["`decision`"]);
    }
    assert_eq!(decisions(&server, "?state=waiting"), Vec::<Value>::new());
    world::settle(&server, &place.data());
    let events = all_events(&server);
    for name in [
        "qc.decision_requested",
        "qc.decision_made",
        "sample.held",
        "sample.released",
    ] {
        assert_eq!(count(&events, name), 3, "{name}");
    }
    assert_eq!(count(&events, "qc.decision_overdue"), 0);
    let told = of_type(&events, "qc.decision_requested").next().unwrap();
    let to = (
        &told["data"]["submitterName"],
        &told["data"]["submitterEmail"],
    );
    assert_eq!(to, (&json!("Ada Lovelace"), &json!("ada@lab.example.edu")));
    assert_eq!(
        told["data"]["choices"],
        json!(["resubmit", "proceed", "cancel"])
    );
    // All of one sample is one piece of work, from the failure on.
    let failure = of_type(&events, "sample.processing_failed").next().unwrap();
    assert_eq!(told["correlationId"], failure["correlationId"]);

    let found = server
        .get("/api/audit/events?action=qc.decision_made")
        .expect(200);
    assert_eq!(found["total"], 3);
    let entry = &found["events"][0];
    assert_eq!(
        (&entry["actor"]["id"], &entry["reason"]),
        (&json!("grace"), &json!("there is no more of it"))
    );
    assert_eq!(entry["details"]["author"], "Ada Lovelace");
    world::check(&server, &place.data(), 0);
}

#[test]
fn nobody_decides_in_time_and_it_is_told_and_the_sample_stays_on_hold_until_somebody_does() {
    let place = Place::new();
    let data = place.data_text();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let mut command = sagabus(&serve);
    command.env("SAMPLE_DECISION_TIME", "300");
    let server = Server::spawn(&place, &mut command);
    let id = failed(&server, "pond 3B");
    let overdue = until("the deadline", || decisions(&server, "?overdue=true").pop());
    assert_eq!(
        (&overdue["sampleId"], &overdue["state"]),
        (&json!(id), &json!("waiting"))
    );
    assert!(sample(&server, &id)["hold"].is_object());
    assert_eq!(server.get("/api/queue?show=held").expect(200)["total"], 1);
    let events = until("the event", || {
        let events = all_events(&server);
        (count(&events, "qc.decision_overdue") == 1).then_some(events)
    });
    let told = of_type(&events, "qc.decision_overdue").next().unwrap();
    assert_eq!(told["data"]["submitterEmail"], "ada@lab.example.edu");

    // It is still waited for after a restart, and taken.
    server.kill();
    let server = Server::start(&place);
    decide(&server, &id, "proceed");
    asked(&server, &id, "carried_out");
    assert_eq!(sample(&server, &id)["stage"], "library_prep");
    world::settle(&server, &place.data());
    assert_eq!(count(&all_events(&server), "qc.decision_overdue"), 1);
    world::check(&server, &place.data(), 0);
}

#[test]
fn a_kill_after_the_failure_and_one_after_the_decision_leave_one_question_and_one_effect() {
    let place = Place::new();
    let server = Server::start(&place);
    let id = failed(&server, "moss-A1");
    server.kill();
    let server = Server::start(&place);
    asked(&server, &id, "waiting");
    decide(&server, &id, "resubmit");
    server.kill();
    let server = Server::start(&place);
    asked(&server, &id, "carried_out");
    server.kill();
    // Nothing starts anew from the log.
    let server = Server::start(&place);
    world::settle(&server, &place.data());
    assert_eq!(sagas(&server, &id).len(), 1);
    let all = server
        .get(&format!("/api/samples/{id}/decisions"))
        .expect(200);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    let events = all_events(&server);
    for name in [
        "qc.decision_requested",
        "qc.decision_made",
        "sample.released",
        "saga.completed",
    ] {
        assert_eq!(count(&events, name), 1, "{name}");
    }
    // The other tube comes, and its quality control fails again: that is another question.
    act(&server, &id, "receive", &json!({}));
    fail(&server, &id);
    asked(&server, &id, "waiting");
    decide(&server, &id, "cancel");
    asked(&server, &id, "carried_out");
    assert_eq!(sample(&server, &id)["status"], "archived");
    world::check(&server, &place.data(), 0);
}

#[test]
fn who_settles_it_by_hand_is_asked_no_more() {
    let place = Place::new();
    let server = Server::start(&place);
    for (what, body) in [
        ("release", json!({"reason": "cleaned up"})),
        ("status", json!({"status": "archived"})),
        (
            "status",
            json!({"status": "analysis", "override": true, "reason": "done elsewhere"}),
        ),
    ] {
        let id = failed(&server, "lichen");
        asked(&server, &id, "waiting");
        act(&server, &id, what, &body);
        let gone = asked(&server, &id, "withdrawn");
        assert!(
            gone["reason"]
                .as_str()
                .unwrap()
                .starts_with("settled by hand"),
            "{gone}"
        );
        let late = json!({"decision": "proceed", "author": "Ada", "reason": "late"});
        let late = server.post(&format!("/api/samples/{id}/decision"), &late);
        late.expect_problem(409, &["is not waited for"]);
        until("the end of the saga", || {
            let saga = sagas(&server, &id).pop()?;
            (!saga["endedAt"].is_null()).then_some(())
        });
    }
    // A library is asked about as a sample is, and nothing else.
    let id = enter(&server, "pond 4");
    act(&server, &id, "status", &json!({"status": "prep"}));
    for step in ["sample_qc", "library_prep"] {
        act(&server, &id, &format!("steps/{step}/start"), &json!({}));
        act(&server, &id, &format!("steps/{step}/complete"), &json!({}));
    }
    act(&server, &id, "steps/library_qc/start", &json!({}));
    act(
        &server,
        &id,
        "steps/library_qc/fail",
        &json!({"error": "no peak"}),
    );
    assert_eq!(asked(&server, &id, "waiting")["stage"], "library_qc");
    decide(&server, &id, "resubmit");
    asked(&server, &id, "carried_out");
    let after = sample(&server, &id);
    assert_eq!(
        (&after["status"], &after["stage"]),
        (&json!("submitted"), &json!("sample_qc"))
    );
    let events = all_events(&server);
    assert_eq!(count(&events, "qc.decision_withdrawn"), 3);
    world::check(&server, &place.data(), 0);
}
