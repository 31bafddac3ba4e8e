//! Projects, tables of samples in and out, and the sample sheet, over HTTP.

use axum::http::StatusCode;
use nanopore::events::facility::{ProjectUpdated, SubmissionCreated};
use nanopore::events::sample::SampleStatusChanged;
use serde_json::{Value, json};

use super::fixture::{Answer, Fixture};

const HEAD: &str =
    "Sample Name,Submitter,Email,Type,Chart Field,Qubit,Volume,Priority,Status,Stage";

fn table(rows: &[&str]) -> String {
    format!("{HEAD}\n{}\n", rows.join("\n"))
}

async fn import(fixture: &Fixture, query: &str, body: String) -> Answer {
    let path = format!("/submissions/import{query}");
    fixture.send(("POST", &path), body, &[]).await.0
}

fn fields(answer: &Answer) -> Vec<&str> {
    let errors = answer.json["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect()
}

async fn total(fixture: &Fixture) -> u64 {
    let list = fixture.call("GET", "/samples", Value::Null).await.json;
    list["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_table_is_previewed_refused_as_a_whole_or_taken_in_part() {
    let fixture = Fixture::new().await;
    let rows = table(&[
        "pond 3B,Siobhán O'Neill,s@lab.example.edu,Genomic DNA,HTSF-001,50.5 ng/µL,25 µL,medium,,",
        "bad,Ada,ada@lab.example.edu,soil,HTSF-009,5 nM,9999,rush,done,",
        "K12,Ada,ada@lab.example.edu,dna,NANO-001,,,,,",
    ]);
    let preview = import(&fixture, "?preview=true", rows.clone()).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.json);
    let report = &preview.json["report"];
    assert_eq!(
        (&report["accepted"], &report["refused"]),
        (&json!(2), &json!(1))
    );
    let wrong = report["rows"][1]["errors"].as_array().unwrap();
    let mut wrong: Vec<_> = wrong
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    wrong.sort_unstable();
    assert_eq!(
        wrong,
        [
            "concentration",
            "priority",
            "sampleType",
            "status",
            "volume"
        ]
    );
    assert_eq!(report["rows"][1]["line"], 3);
    assert_eq!(
        (total(&fixture).await, fixture.events().await.len()),
        (0, 0)
    );

    let refused = import(&fixture, "", rows.clone()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        fields(&refused).contains(&"rows[1].volume"),
        "{}",
        refused.json
    );
    assert_eq!(
        (total(&fixture).await, fixture.events().await.len()),
        (0, 0)
    );

    let taken = import(&fixture, "?accept=valid&fileName=pond.csv", rows).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.json);
    let submission = &taken.json["submission"];
    assert_eq!(
        (&submission["type"], &submission["sampleCount"]),
        (&json!("csv"), &json!(2))
    );
    assert_eq!(
        (&submission["status"], &submission["state"]),
        (&json!("accepted"), &json!("waiting"))
    );
    let id = taken.json["report"]["rows"][0]["sampleId"]
        .as_str()
        .unwrap();
    let sample = fixture
        .call("GET", &format!("/samples/{id}"), Value::Null)
        .await
        .json;
    assert_eq!(
        (
            &sample["sampleType"],
            &sample["material"],
            &sample["priority"],
            &sample["concentrationMethod"]
        ),
        (
            &json!("DNA"),
            &json!("Genomic DNA"),
            &json!("normal"),
            &json!("Qubit")
        )
    );
    let types = fixture.event_types().await;
    assert_eq!(
        types,
        ["submission.created", "sample.created", "sample.created"]
    );
    let events = fixture.events().await;
    assert_eq!(events[1].causation_id.as_ref(), Some(&events[0].id));
    let created: SubmissionCreated = events[0].payload().unwrap();
    assert_eq!(
        (created.submission_type.as_str(), created.sample_count),
        ("csv", 2)
    );
    for (query, body, field) in [
        ("?accept=some", table(&["a"]), "accept"),
        ("?preview=yes", table(&["a"]), "preview"),
        ("?colour=red", table(&["a"]), "colour"),
        ("?project=none", table(&["a,,,,,,,,,"]), "project"),
        ("", table(&[]), "rows"),
        ("?accept=valid", table(&["a,b"]), "rows[0].row"),
        ("", "colour\nred\n".to_owned(), "columns"),
    ] {
        let answer = import(&fixture, query, body).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {}",
            answer.json
        );
        assert_eq!(fields(&answer)[0], field, "{}", answer.json);
    }
}

#[tokio::test]
async fn words_of_other_systems_put_a_sample_where_it_stood_and_say_so() {
    let fixture = Fixture::new().await;
    let who = "Ada,ada@lab.example.edu,dna,HTSF-001,,,low";
    let rows: Vec<_> = [
        "assigned,",
        "in_progress,library_qc",
        "failed,",
        "cancelled,",
        "completed,",
        "prep,sequencing_setup",
    ]
    .iter()
    .enumerate()
    .map(|(index, it)| format!("s{index},{who},{it}"))
    .collect();
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    let taken = import(&fixture, "", table(&rows)).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.json);
    assert_eq!(taken.json["submission"]["state"], "needs_attention");
    let mut stands = Vec::new();
    for row in taken.json["report"]["rows"].as_array().unwrap() {
        let path = format!("/samples/{}", row["sampleId"].as_str().unwrap());
        let sample = fixture.call("GET", &path, Value::Null).await.json;
        stands.push(
            format!(
                "{} {} {}",
                sample["status"],
                sample["stage"],
                sample["hold"].is_object()
            )
            .replace('"', ""),
        );
    }
    assert_eq!(
        stands,
        [
            "submitted sample_qc false",
            "prep library_qc false",
            "submitted sample_qc true",
            "archived sample_qc false",
            "completed null false",
            "prep sequencing_setup false",
        ]
    );
    let events = fixture.events().await;
    let reasons: Vec<_> = events
        .iter()
        .filter(|it| it.event_type.as_str() == "sample.status_changed")
        .map(|it| it.payload::<SampleStatusChanged>().unwrap().reason.unwrap())
        .collect();
    assert_eq!(
        reasons,
        [
            "imported as `prep`",
            "cancelled",
            "imported as `completed`",
            "imported as `prep`"
        ]
    );
    let unknown = format!("x,{who},in_progress,");
    let refused = import(&fixture, "", table(&[&unknown])).await;
    assert_eq!(fields(&refused), ["rows[0].status"]);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_makes_no_second_submission() {
    let fixture = Fixture::new().await;
    let body = table(&["a,Ada,ada@lab.example.edu,dna,HTSF-001,,,,,"]);
    let key = [("idempotency-key", "k-1")];
    let at = ("POST", "/submissions/import");
    let first = fixture.send(at, body.clone(), &key).await.0;
    let again = fixture.send(at, body.clone(), &key).await.0;
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(first.json, again.json);
    assert_eq!(
        (total(&fixture).await, fixture.events().await.len()),
        (1, 2)
    );
    let other = fixture.send(at, body.replace("a,", "b,"), &key).await.0;
    assert_eq!(other.status, StatusCode::CONFLICT);
    // What is said of all rows is part of what was sent.
    let urgent = ("POST", "/submissions/import?priority=urgent");
    let other = fixture.send(urgent, body.clone(), &key).await.0;
    assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.json);
    let samples = json!([{
        "sampleName": "by hand", "submitterName": "Ada", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "dna", "chartField": "HTSF-001", "priority": "medium",
    }, {"sampleName": "x"}]);
    let refused = fixture
        .call("POST", "/submissions/ingest", json!({"samples": samples}))
        .await;
    assert!(
        fields(&refused).contains(&"samples[1].submitterName"),
        "{}",
        refused.json
    );
    let body = json!({"samples": samples, "accept": "valid", "name": "bench list"});
    let taken = fixture.call("POST", "/submissions/ingest", body).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.json);
    assert_eq!(taken.json["submission"]["type"], "manual");
    assert_eq!(total(&fixture).await, 2);
    let none = fixture
        .call("POST", "/submissions/ingest", json!({"samples": "x"}))
        .await;
    assert_eq!(fields(&none), ["samples"]);
}

#[tokio::test]
async fn a_project_takes_submissions_while_it_is_active_and_is_paid_by_its_accounts() {
    let fixture = Fixture::new().await;
    let fields_of =
        json!({"name": "Pond life", "ownerName": "Siobhán O'Neill", "chartPrefix": "HTSF"});
    let made = fixture.call("POST", "/projects", fields_of.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.json["status"], "active");
    let again = fixture.call("POST", "/projects", fields_of).await;
    assert_eq!(
        (again.status, fields(&again)),
        (StatusCode::CONFLICT, vec!["name"])
    );
    let id = made.json["id"].as_str().unwrap();
    let path = format!("/projects/{id}");
    let query = format!("?project={id}");
    let row = |code: &str| table(&[&format!("a,Ada,ada@lab.example.edu,dna,{code},,,,,")]);
    let refused = import(&fixture, &query, row("NANO-001")).await;
    assert_eq!(fields(&refused), ["rows[0].chartField"]);
    let taken = import(&fixture, &query, row("HTSF-001")).await;
    assert_eq!(taken.json["submission"]["projectId"], *id, "{}", taken.json);
    let changed = fixture
        .call_with(
            "PUT",
            &path,
            json!({"status": "completed"}),
            &[("if-match", "\"1\"")],
        )
        .await;
    assert_eq!(
        (changed.status, &changed.headers["etag"]),
        (StatusCode::OK, &"\"2\"".parse().unwrap())
    );
    let old = fixture
        .call_with("PUT", &path, json!({"name": "x"}), &[("if-match", "\"1\"")])
        .await;
    assert_eq!(old.status, StatusCode::CONFLICT);
    let closed = import(&fixture, &query, row("HTSF-001")).await;
    assert_eq!(
        (closed.status, fields(&closed)),
        (StatusCode::CONFLICT, vec!["project"])
    );
    for (query, count) in [("", 1), ("?status=completed", 1), ("?status=active", 0)] {
        let list = fixture
            .call("GET", &format!("/projects{query}"), Value::Null)
            .await
            .json;
        assert_eq!(list["total"], count, "{query}");
    }
    for (body, field) in [
        (json!({"status": "paused"}), "status"),
        (json!({"ownerEmail": "x"}), "ownerEmail"),
        (json!({"chartPrefix": "ABC"}), "chartPrefix"),
        (json!({"colour": "red"}), "colour"),
        (json!({"name": null}), "name"),
    ] {
        let answer = fixture.call("PUT", &path, body).await;
        assert_eq!(
            (answer.status, fields(&answer)),
            (StatusCode::BAD_REQUEST, vec![field])
        );
    }
    let events = fixture.events().await;
    let updated: ProjectUpdated = events.last().unwrap().payload().unwrap();
    assert_eq!(updated.updated_fields, ["status"]);
    assert_eq!(events[0].event_type.as_str(), "project.created");
}

#[tokio::test]
async fn a_submission_is_as_far_as_its_samples() {
    let fixture = Fixture::new().await;
    let rows = ["a", "b"].map(|it| format!("{it},Ada,ada@lab.example.edu,dna,HTSF-001,,,,,"));
    let taken = import(&fixture, "", table(&[&rows[0], &rows[1]]))
        .await
        .json;
    let path = format!(
        "/submissions/{}",
        taken["submission"]["id"].as_str().unwrap()
    );
    let ids: Vec<_> = (0..2)
        .map(|it| {
            taken["report"]["rows"][it]["sampleId"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut states = Vec::new();
    for (sample, what, body) in [
        (0, "steps/sample_qc/start", json!({})),
        (0, "steps/sample_qc/fail", json!({"error": "too little"})),
        (0, "release", json!({})),
        (0, "steps/sample_qc/start", json!({})),
        (
            0,
            "status",
            json!({"status": "completed", "override": true, "reason": "r"}),
        ),
        (1, "status", json!({"status": "archived"})),
        (0, "status", json!({"status": "archived"})),
    ] {
        let answer = fixture
            .call("POST", &format!("/samples/{}/{what}", ids[sample]), body)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.json);
        let submission = fixture.call("GET", &path, Value::Null).await.json;
        states.push(submission["state"].as_str().unwrap().to_owned());
    }
    let expected = [
        "in_progress",
        "needs_attention",
        "needs_attention",
        "in_progress",
        "in_progress",
        "completed",
        "completed",
    ];
    assert_eq!(states, expected);
}

#[tokio::test]
async fn what_is_exported_is_imported_as_it_was_and_is_no_formula() {
    let fixture = Fixture::new().await;
    let samples = json!([{
        "sampleName": "-1 pond", "submitterName": "Siobhán O'Neill", "submitterEmail": "s@lab.example.edu",
        "sampleType": "RNA", "chartField": "HTSF-001", "sampleBuffer": "=HYPERLINK(\"x\"), 10 mM", "labName": "'s-Lab",
        "concentration": 1.5, "volume": 10, "a260280Ratio": 1.82, "priority": "high", "flowCellCount": 2,
        "libraryKit": "SQK-LSK114", "flowCellType": "R10.4.1", "material": "'=x", "assignedTo": "Grace",
    }]);
    fixture
        .call("POST", "/submissions/ingest", json!({"samples": samples}))
        .await;
    let csv = fixture
        .send(("GET", "/samples/export"), String::new(), &[])
        .await;
    assert_eq!(csv.0.headers["content-type"], "text/csv; charset=utf-8");
    let name = csv.0.headers["content-disposition"].to_str().unwrap();
    assert!(
        name.contains("nanopore-samples-2") && name.ends_with(".csv\""),
        "{name}"
    );
    let header = "ID,Sample Name,Project ID,Submitter Name,Submitter Email,Lab Name,Sample Type,Sample Buffer,Concentration,Volume,\
                  Total Amount,Flow Cell Type,Flow Cell Count,Status,Priority,Assigned To,Library Prep By,Submitted At,Started At,\
                  Completed At,Created At,Updated At,Chart Field,";
    assert!(csv.1.starts_with(header), "{}", csv.1);
    assert!(
        csv.1.contains("\"'=HYPERLINK(\"\"x\"\"), 10 mM\""),
        "{}",
        csv.1
    );
    assert!(
        csv.1.contains(",'-1 pond,") && csv.1.contains(",''=x,"),
        "{}",
        csv.1
    );
    let taken = import(&fixture, "", csv.1).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.json);
    let list = fixture
        .call("GET", "/samples/export?format=json", Value::Null)
        .await
        .json;
    let said = |sample: &Value| {
        let mut fields = sample.as_object().unwrap().clone();
        let own = [
            "id",
            "version",
            "submissionId",
            "submittedAt",
            "createdAt",
            "updatedAt",
            "createdBy",
        ];
        fields.retain(|name, _| !own.contains(&name.as_str()));
        fields
    };
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(said(&list[0]), said(&list[1]));
    let none = fixture
        .send(
            ("GET", "/samples/export?dateTo=2001-01-01"),
            String::new(),
            &[],
        )
        .await;
    assert_eq!(none.1.lines().count(), 1);
    for query in [
        "format=xml",
        "limit=5",
        "colour=red",
        "format=csv&format=json",
        "dateFrom=x",
    ] {
        let answer = fixture
            .call("GET", &format!("/samples/export?{query}"), Value::Null)
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn the_sample_sheet_has_the_barcodes_of_the_samples_and_warns_of_one_that_stands_twice() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.sample().await, fixture.sample().await);
    for (id, barcode) in [(&one, "barcode01"), (&two, "barcode02")] {
        let path = format!("/samples/{id}/details");
        fixture
            .call("PUT", &path, json!({"barcode": barcode}))
            .await;
    }
    let body = json!({
        "experimentId": "run_7", "kit": "SQK-NBD114.96", "flowCellId": "PAW1",
        "samples": [one, {"id": two, "alias": "pond-B", "barcode": "barcode01", "type": "positive_control"}],
    });
    let sheet = fixture.call("POST", "/sample-sheets", body.clone()).await;
    assert_eq!(sheet.status, StatusCode::OK, "{}", sheet.json);
    let lines = "flow_cell_id,experiment_id,kit,barcode,alias,type\n\
                 PAW1,run_7,SQK-NBD114-96,barcode01,pond_3B,test_sample\n\
                 PAW1,run_7,SQK-NBD114-96,barcode01,pond-B,positive_control\n";
    assert_eq!(sheet.json["csv"], lines);
    assert_eq!(sheet.json["warnings"].as_array().unwrap().len(), 2);
    let mut csv = body.clone();
    csv["format"] = json!("csv");
    let raw = fixture
        .send(("POST", "/sample-sheets"), csv.to_string(), &[])
        .await;
    assert_eq!(raw.1, lines);
    for (field, value, named) in [
        ("kit", json!("SQK-NONE"), "kit"),
        ("flowCellId", json!("paw"), "flowCellId"),
        ("experimentId", json!(""), "experimentId"),
        ("samples", json!(["none"]), "samples[0].id"),
        ("samples", json!([7]), "samples[0].id"),
        (
            "samples",
            json!([{"id": one, "colour": 1}]),
            "samples[0].colour",
        ),
        ("samples", json!([]), "samples"),
        (
            "samples",
            json!([{"id": one, "barcode": "BC01"}]),
            "samples[0].barcode",
        ),
        ("format", json!("xlsx"), "format"),
    ] {
        let mut wrong = body.clone();
        wrong[field] = value;
        let answer = fixture.call("POST", "/sample-sheets", wrong).await;
        assert_eq!(
            (answer.status, fields(&answer)[0]),
            (StatusCode::BAD_REQUEST, named),
            "{}",
            answer.json
        );
    }
}
