//! A form that was read with doubt becomes samples only after a person has decided, over HTTP and over a restart.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::program::{Place, Server, until};
use crate::{pdf, world};

const FORM: [&str; 6] = [
    "Sample Name: moss-A1",
    "Submitter Name: Ada Loe",
    "Submitter Email: ada@lab.example.org",
    "Sequencing Type: DNA",
    "Concentration: 50.5 ng/uL",
    "Volume: 25 uL",
];

fn act(server: &Server, path: &str, body: &Value) -> Answer {
    let request = server.request("POST", path);
    request.header("x-user-id", "grace").json(body).send()
}

/// Submits a form; hands over the submission and the result that waits.
fn submitted(server: &Server, data: &std::path::Path, name: &str) -> (String, String) {
    let first = format!("Sample Name: {name}");
    let mut lines = FORM.to_vec();
    lines[0] = &first;
    let taken = server
        .request("POST", "/api/submissions")
        .upload("form.pdf", &pdf::doubtful(&lines), &[])
        .send()
        .expect(202);
    world::settle(server, data);
    let id = taken["submissionId"].as_str().unwrap().to_owned();
    let reviews = server.get("/api/reviews?limit=100").expect(200);
    let reviews = reviews["reviews"].as_array().unwrap();
    let own = reviews.iter().find(|it| it["submissionId"] == json!(id));
    let result = own.unwrap_or_else(|| panic!("{id}: {reviews:?}"));
    (
        id,
        result["extractionResultId"].as_str().unwrap().to_owned(),
    )
}

fn submission(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/submissions/{id}")).expect(200)
}

fn samples(server: &Server) -> Vec<Value> {
    let list = server.get("/api/samples").expect(200);
    list["samples"].as_array().unwrap().clone()
}

#[test]
fn a_doubtful_form_becomes_samples_when_a_person_has_corrected_and_accepted_it() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    let (id, result) = submitted(&server, &data, "moss-A1");
    let waiting = submission(&server, &id);
    assert_eq!(waiting["status"], "processing", "{waiting}");
    let review = waiting["review"].as_str().unwrap();
    assert!(review.contains("nobody sees"), "{review}");
    assert_eq!(samples(&server), Vec::<Value>::new());

    let at = |verb: &str| format!("/api/results/{result}/{verb}");
    server
        .request("POST", &at("claim"))
        .send()
        .expect_problem(400, &["x-user-id"]);
    act(&server, &at("accept"), &json!({})).expect_problem(409, &["claimed"]);
    act(&server, &at("claim"), &json!({})).expect(200);
    act(
        &server,
        &at("corrections"),
        &json!({"corrections": {"volume": "much"}}),
    )
    .expect_problem(400, &["`volume`"]);
    // It is kept over the end of the program.
    drop(server.terminate());
    let server = Server::start(&place);
    let corrected = json!({"corrections": {"volume": 30, "chartField": "HTSF-002"}});
    act(&server, &at("corrections"), &corrected).expect(200);
    let accepted = act(&server, &at("accept"), &json!({})).expect(200);
    assert_eq!(accepted["review"]["status"], "accepted");
    let taken = until("the samples", || {
        let submission = submission(&server, &id);
        (submission["status"] == "accepted").then_some(submission)
    });
    assert_eq!(taken["review"], Value::Null);
    world::settle(&server, &data);
    let samples = samples(&server);
    assert_eq!(samples.len(), 1);
    let sample = &samples[0];
    assert_eq!(sample["sampleName"], "moss-A1", "{sample}");
    assert_eq!(
        (&sample["volume"], &sample["concentration"]),
        (&json!(30.0), &json!(50.5))
    );
    assert_eq!(
        (&sample["chartField"], &sample["submitterName"]),
        (&json!("HTSF-002"), &json!("Ada Loe"))
    );
    assert_eq!(sample["status"], "prep");
    let events = world::all_events(&server);
    let types = world::types_of(&events, &id);
    for wanted in [
        "ai.extraction_confidence_low",
        "ai.extraction_reviewed",
        "ai.model_performance_recorded",
        "sample.created",
    ] {
        assert!(types.iter().any(|it| it == wanted), "{wanted}: {types:?}");
    }
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains("ai_reviews{status=\"accepted\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("ai_model_accuracy{model=\"pattern\"} 0.714"),
        "{metrics}"
    );
}

#[test]
fn a_form_whose_account_may_not_pay_is_not_accepted_until_it_may() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    let (id, result) = submitted(&server, &data, "moss-A1");
    let at = |verb: &str| format!("/api/results/{result}/{verb}");
    let correct = |account: Value| {
        let corrected = json!({"corrections": {"chartField": account}});
        act(&server, &at("corrections"), &corrected).expect(200);
    };
    act(&server, &at("claim"), &json!({})).expect(200);
    for account in ["HTSF-999", " HTSF-998 "] {
        correct(json!(account));
        let refused = act(&server, &at("accept"), &json!({}));
        refused.expect_problem(400, &["`chartField`", account.trim(), "active account"]);
    }
    // Nothing is decided: it goes on with another account, or with the same once it is there.
    let added = json!({"name": "HTSF-998", "description": "moss"});
    act(&server, "/api/catalogue/chart_field", &added).expect(201);
    act(&server, &at("accept"), &json!({})).expect(200);
    until("the samples", || {
        (submission(&server, &id)["status"] == "accepted").then_some(())
    });
    assert_eq!(samples(&server)[0]["chartField"], "HTSF-998");
}

#[test]
fn a_form_that_names_no_submitter_is_not_accepted_until_it_does() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    let (id, result) = submitted(&server, &data, "moss-A1");
    let at = |verb: &str| format!("/api/results/{result}/{verb}");
    let correct = |field: &str, value: Value| {
        let corrected = json!({"corrections": {field: value}});
        act(&server, &at("corrections"), &corrected).expect(200);
    };
    act(&server, &at("claim"), &json!({})).expect(200);
    for (field, right) in [
        ("submitterName", "Ada Loe"),
        ("submitterEmail", "ada@lab.example.org"),
    ] {
        correct(field, Value::Null);
        let refused = act(&server, &at("accept"), &json!({}));
        refused.expect_problem(400, &[&format!("`{field}` is neither given nor")]);
        correct(field, json!(right));
    }
    act(&server, &at("accept"), &json!({})).expect(200);
    until("the samples", || {
        (submission(&server, &id)["status"] == "accepted").then_some(())
    });
}

#[test]
fn a_doubtful_form_that_is_refused_makes_its_submission_rejected_with_the_reason() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    let (id, result) = submitted(&server, &data, "moss-B1");
    let at = |verb: &str| format!("/api/results/{result}/{verb}");
    act(&server, &at("claim"), &json!({})).expect(200);
    act(&server, &at("refuse"), &json!({})).expect_problem(400, &["reason"]);
    let reason = json!({"reason": "it has text that nobody sees"});
    act(&server, &at("refuse"), &reason).expect(200);
    let refused = until("the refusal", || {
        let submission = submission(&server, &id);
        (submission["status"] == "rejected").then_some(submission)
    });
    let why = refused["reason"].as_str().unwrap();
    assert!(why.contains("it has text that nobody sees"), "{why}");
    assert_eq!(samples(&server), Vec::<Value>::new());
}
