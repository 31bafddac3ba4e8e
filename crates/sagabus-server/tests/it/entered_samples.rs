//! A sample that is entered with its form: `sample.created` starts the saga that reads the form, once.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Place, Server, form_bytes, run, sagabus, until};
use crate::world::{self, all_events, of_type, texts, types_of};

/// The steps of the saga, in order.
const STEPS: [&str; 4] = [
    "validate_sample",
    "process_pdf",
    "update_sample_status",
    "create_audit_log",
];
const SAGA: &str = "pdf_processing_workflow";

/// Keeps a form and enters a sample with it; hands over the sample's id.
fn enter(server: &Server, form: &str, name: &str) -> String {
    let kept = server
        .request("POST", "/api/uploads")
        .upload(form, &form_bytes(form), &[])
        .send()
        .expect(201);
    let sample = json!({
        "sampleName": name, "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001", "form": {"fileId": kept["fileId"], "fileName": form},
    });
    let made = server
        .request("POST", "/api/samples")
        .header("x-user-id", "ada")
        .header(
            "x-correlation-id",
            &format!("work-{name}").replace(' ', "-"),
        )
        .json(&sample)
        .send();
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

/// The sagas of a sample.
fn sagas_of(server: &Server, sample: &str) -> Vec<Value> {
    let query = format!("/api/sagas?name={SAGA}&attribute=sampleId%3D{sample}");
    let page = server.get(&query).expect(200);
    page["sagas"].as_array().unwrap().clone()
}

/// The one saga of a sample, when it is over.
fn ended(server: &Server, sample: &str) -> Value {
    until("the end of the saga", || {
        let sagas = sagas_of(server, sample);
        assert!(sagas.len() < 2, "{sagas:?}");
        sagas
            .into_iter()
            .next()
            .filter(|it| !it["endedAt"].is_null())
    })
}

fn status_of(server: &Server, sample: &str) -> String {
    let sample = server.get(&format!("/api/samples/{sample}")).expect(200);
    sample["status"].as_str().unwrap().to_owned()
}

/// What was noted of a sample: what was done, and by whom.
fn history(server: &Server, sample: &str) -> Vec<(String, String)> {
    let entries = server.get(&format!("/api/samples/{sample}/history"));
    let entries = entries.expect(200);
    let entries = entries
        .as_array()
        .unwrap_or_else(|| entries["history"].as_array().unwrap());
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|it| (text(&it["action"]), text(&it["createdBy"])))
        .collect()
}

fn results(data: &Path, sample: &str) -> Vec<String> {
    let query = format!("SELECT status FROM extraction_results WHERE sample_id = '{sample}'");
    texts(data, "ai.sqlite", &query)
}

fn entries(data: &Path, sample: &str) -> usize {
    let query = format!(
        "SELECT action FROM audit_entries WHERE action = 'sample.processed' AND resource_id = '{sample}'"
    );
    texts(data, "audit.sqlite", &query).len()
}

/// These steps of the saga were taken back, one after the other, and no others.
fn assert_taken_back(data: &Path, saga: &str, steps: &[&str]) {
    let query = format!(
        "SELECT at_ms || ' ' || substr(key, {}) FROM step_keys WHERE state = 'undone' AND output IS NOT NULL \
         AND key LIKE '{saga}/%'",
        saga.len() + 2
    );
    let mut undone: Vec<(i64, String)> = ["samples.sqlite", "ai.sqlite"]
        .iter()
        .flat_map(|database| texts(data, database, &query))
        .map(|line| {
            let (at, step) = line.split_once(' ').unwrap();
            (at.parse().unwrap(), step.to_owned())
        })
        .collect();
    // Two within one millisecond have no order in what is written down.
    let place = |step: &str| steps.iter().position(|it| *it == step);
    undone.sort_by_key(|(at, step)| (*at, place(step)));
    let undone: Vec<&str> = undone.iter().map(|(_, step)| step.as_str()).collect();
    assert_eq!(undone, steps);
}

#[test]
fn a_sample_that_is_entered_with_its_form_is_read_checked_moved_on_and_in_the_trail() {
    let place = Place::new();
    let server = Server::start(&place);
    let sample = enter(&server, "small.pdf", "lichen 7B");
    let saga = ended(&server, &sample);
    assert_eq!(saga["status"], "completed", "{saga}");
    assert_eq!(saga["correlationId"], "work-lichen-7B");
    world::settle(&server, &place.data());
    assert_eq!(status_of(&server, &sample), "prep");
    assert_eq!(results(&place.data(), &sample), ["current"]);
    assert_eq!(entries(&place.data(), &sample), 1);
    let jobs = server
        .get(&format!("/api/jobs/sample/{sample}"))
        .expect(200);
    assert_eq!(jobs["total"], 1, "{jobs}");

    let events = all_events(&server);
    let told = types_of(&events, "work-lichen-7B");
    let of_the_work: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(of_the_work[..2], ["sample.created", "saga.started"]);
    let count = |name: &str| told.iter().filter(|it| *it == name).count();
    assert_eq!(count("ai.pdf_processing_completed"), 1);
    assert_eq!(count("sample.status_changed"), 1);
    assert_eq!(count("saga.completed"), 1);
    // The saga is caused by the event that started it, and all that it leads to by the saga.
    let created = of_type(&events, "sample.created").next().unwrap();
    let started = of_type(&events, "saga.started").next().unwrap();
    assert_eq!(started["causationId"], created["id"], "{started}");
    let by = |action: &str| (action.to_owned(), "ada".to_owned());
    assert_eq!(
        history(&server, &sample),
        [by("created"), by("status_changed")]
    );
    world::check(&server, &place.data(), 0);
}

/// The saga of a submission has read the form of the samples that it makes, and their events start nothing; nor does a
/// sample without a form.
#[test]
fn samples_that_have_no_form_of_their_own_start_no_saga() {
    let place = Place::new();
    let server = Server::start(&place);
    let form = form_bytes("small.pdf");
    let taken = server.request("POST", "/api/submissions");
    taken.upload("small.pdf", &form, &[]).send().expect(202);
    let sample = json!({
        "sampleName": "pond 3B", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    server.post("/api/samples", &sample).expect(201);
    world::check(&server, &place.data(), 3);
    let events = all_events(&server);
    assert_eq!(of_type(&events, "sample.created").count(), 4);
    let found = server.get(&format!("/api/sagas?name={SAGA}")).expect(200);
    assert_eq!(found["sagas"], json!([]));
    assert_eq!(of_type(&events, "ai.pdf_processing_started").count(), 1);
}

#[test]
fn a_form_that_is_not_that_of_the_sample_leaves_the_sample_as_it_was_with_the_reason() {
    let place = Place::new();
    let server = Server::start(&place);
    for (form, name, words) in [
        ("small.pdf", "pond 3B", "no row for the sample `pond 3B`"),
        ("out-of-range.pdf", "moss-A1", "VALIDATION_ERROR"),
    ] {
        let sample = enter(&server, form, name);
        let saga = ended(&server, &sample);
        assert_eq!(saga["status"], "compensated", "{saga}");
        assert!(saga["error"].as_str().unwrap().contains(words), "{saga}");
        world::settle(&server, &place.data());
        assert_eq!(status_of(&server, &sample), "submitted");
        let by = |action: &str| (action.to_owned(), "ada".to_owned());
        assert_eq!(
            history(&server, &sample),
            [by("created"), by("form_refused")]
        );
        let kept = results(&place.data(), &sample);
        assert!(!kept.contains(&"current".to_owned()), "{kept:?}");
        assert_eq!(entries(&place.data(), &sample), 0);
    }
    let sample = json!({
        "sampleName": "a", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001", "form": {"fileId": "../x", "colour": "red"},
    });
    let words = ["form.fileId", "form.fileName", "form.colour"];
    server
        .post("/api/samples", &sample)
        .expect_problem(400, &words);
    let taken = server.request("POST", "/api/uploads");
    let taken = taken.upload("a.pdf", b"%PDF-", &[("sampleId", "s")]);
    taken.send().expect_problem(400, &["sampleId"]);
}

#[test]
fn a_step_of_an_entered_sample_that_fails_on_request_takes_back_those_before_it_in_reverse() {
    for (index, step) in STEPS.iter().enumerate() {
        let place = Place::new();
        let data = place.data_text();
        let demo = ["demo", "--fail-at", step, "--listen", "127.0.0.1:0"];
        let mut command = sagabus(&[&demo[..], &["--data-dir", &data]].concat());
        let server = Server::spawn(&place, &mut command);
        let sample = enter(&server, "small.pdf", "moss-A1");
        let saga = ended(&server, &sample);
        assert_eq!(saga["status"], "compensated", "{saga}");
        assert_eq!(saga["turnedBackBy"], json!({"step": step}));
        world::settle(&server, &place.data());
        let id = saga["id"].as_str().unwrap();
        let mut before = STEPS[..index].to_vec();
        before.reverse();
        assert_taken_back(&place.data(), id, &before);
        assert_eq!(status_of(&server, &sample), "submitted", "{step}");
        let withdrawn = results(&place.data(), &sample);
        assert_eq!(withdrawn, ["withdrawn"][..usize::from(index > 1)], "{step}");
        assert_eq!(entries(&place.data(), &sample), 0);
        let noted: Vec<String> = history(&server, &sample)
            .into_iter()
            .map(|it| it.0)
            .collect();
        let moved = ["status_changed", "status_changed"];
        let moved = &moved[..2 * usize::from(index > 2)];
        let refused = &["form_refused"][..usize::from(index > 0)];
        assert_eq!(noted, [&["created"], moved, refused].concat(), "{step}");
    }
}

#[test]
fn a_kill_right_after_a_sample_was_entered_leaves_one_saga_and_each_effect_once() {
    let place = Place::new();
    let server = Server::start(&place);
    let sample = enter(&server, "small.pdf", "moss-A2");
    server.kill();
    let server = Server::start(&place);
    let saga = ended(&server, &sample);
    assert_eq!(saga["status"], "completed", "{saga}");
    server.kill();
    // Nothing starts anew from the log.
    let server = Server::start(&place);
    world::settle(&server, &place.data());
    assert_eq!(sagas_of(&server, &sample).len(), 1);
    assert_eq!(status_of(&server, &sample), "prep");
    assert_eq!(results(&place.data(), &sample), ["current"]);
    assert_eq!(entries(&place.data(), &sample), 1);
    let events = all_events(&server);
    for name in ["sample.created", "sample.status_changed", "saga.completed"] {
        assert_eq!(of_type(&events, name).count(), 1, "{name}");
    }
    world::check(&server, &place.data(), 0);
}

#[test]
fn the_saga_of_an_entered_sample_is_good_without_warnings_and_can_be_started_by_name() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../nanopore/src/sagas/pdf_processing.yaml");
    let ran = run(&["saga", "check", file.to_str().unwrap(), "-o", "json"]);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&told["name"], &told["findings"]),
        (&json!(SAGA), &json!([]))
    );
    let place = Place::new();
    let server = Server::start(&place);
    let order =
        json!({"name": SAGA, "context": {"sampleId": "none", "fileId": "0", "fileName": "a"}});
    let started = server.post("/api/sagas", &order).expect(202);
    let path = started["saga"].as_str().unwrap();
    let saga = until("the saga's end", || {
        let saga = server.get(path).expect(200);
        (!saga["endedAt"].is_null()).then_some(saga)
    });
    assert_eq!(saga["turnedBackBy"], json!({"step": "validate_sample"}));
}
