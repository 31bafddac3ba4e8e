//! The catalogue, details and attachments, over HTTP.

use axum::http::StatusCode;
use nanopore::events::facility::CatalogueChanged;
use nanopore::events::sample::{SampleAttachmentAdded, SampleUpdated};
use sample_service::model::NewSubmission;
use serde_json::{Value, json};

use super::fixture::{Answer, Fixture, actor, fields};

fn field(answer: &Answer) -> (u16, &str) {
    let field = answer.json["errors"][0]["field"].as_str();
    (answer.status.as_u16(), field.unwrap_or_default())
}

async fn with(fixture: &Fixture, field: &str, value: Value) -> Answer {
    let mut body = fields();
    body.insert(field.to_owned(), value);
    fixture.call("POST", "/samples", body.into()).await
}

#[tokio::test]
async fn kits_flow_cells_and_accounts_are_data_that_change_while_the_service_runs() {
    let fixture = Fixture::new().await;
    for (name, value) in [
        ("libraryKit", "SQK-NEW001"),
        ("flowCellProduct", "FLO-MIN195"),
        ("flowCellType", "FLO-MIN106"),
        ("flowCellType", "R10.5.1"),
        ("serviceType", "rush"),
        ("chartField", "NANO-006"),
    ] {
        let refused = with(&fixture, name, value.into()).await;
        assert_eq!(field(&refused), (400, name), "{}", refused.json);
    }
    for (kind, item) in [
        (
            "kit",
            json!({"name": "SQK-NEW001", "description": "New kit", "attributes": {"reactions": 6}}),
        ),
        ("flow_cell", json!({"name": "FLO-MIN195"})),
        (
            "service",
            json!({"name": "rush", "attributes": {"targetDays": 7}}),
        ),
        ("chart_field", json!({"name": "NANO-006"})),
    ] {
        let path = format!("/catalogue/{kind}");
        let added = fixture.call("POST", &path, item.clone()).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.json);
        let again = fixture.call("POST", &path, item).await;
        assert_eq!(field(&again), (409, "name"));
    }
    for (name, value) in [
        ("libraryKit", "SQK-NEW001"),
        ("flowCellProduct", "FLO-MIN195"),
        ("flowCellType", "R10.4.1"),
        ("serviceType", "rush"),
        ("chartField", "NANO-006"),
    ] {
        let made = with(&fixture, name, value.into()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    }
    let codes = fixture.call("GET", "/chart-fields", Value::Null).await.json;
    assert_eq!(codes.as_array().unwrap().len(), 16);

    // What is no longer used is refused for new samples, and stays with those that name it.
    let made = with(&fixture, "libraryKit", "SQK-NEW001".into()).await;
    let id = made.json["id"].as_str().unwrap();
    let path = "/catalogue/kit/SQK-NEW001";
    let changed = fixture.call("PUT", path, json!({"isActive": false})).await;
    assert_eq!(changed.json["attributes"], json!({"reactions": 6}));
    assert_eq!(changed.json["description"], "New kit");
    let same = fixture.call("PUT", path, json!({"isActive": false})).await;
    assert_eq!(same.status, StatusCode::OK);
    let refused = with(&fixture, "libraryKit", "SQK-NEW001".into()).await;
    assert_eq!(field(&refused), (400, "libraryKit"));
    let patched = fixture
        .call("PUT", &format!("/samples/{id}"), json!({"volume": 5}))
        .await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.json);
    let back = fixture
        .call(
            "PUT",
            &format!("/samples/{id}"),
            json!({"libraryKit": "SQK-GONE"}),
        )
        .await;
    assert_eq!(field(&back), (400, "libraryKit"));

    let list = |query: &str| format!("/catalogue/kit?active={query}");
    for (query, count) in [("true", 4), ("false", 1)] {
        let items = fixture.call("GET", &list(query), Value::Null).await.json;
        assert_eq!(items.as_array().unwrap().len(), count, "{query}");
    }
    assert_eq!(
        field(&fixture.call("GET", &list("no"), Value::Null).await),
        (400, "active")
    );
    for (method, path, body, code) in [
        ("GET", "/catalogue/robots", Value::Null, 404),
        ("PUT", "/catalogue/kit/none", json!({}), 404),
        ("PUT", path, json!({"name": "other"}), 400),
        ("PUT", path, json!({"isActive": "no"}), 400),
        ("GET", "/catalogue/kit?colour=red", Value::Null, 400),
    ] {
        let answer = fixture.call(method, path, body).await;
        assert_eq!(answer.status.as_u16(), code, "{path}: {}", answer.json);
    }
    let events = fixture.events().await;
    let changes: Vec<CatalogueChanged> = events
        .iter()
        .filter(|it| it.event_type.as_str() == "catalogue.changed")
        .map(|it| it.payload().unwrap())
        .collect();
    let told: Vec<_> = changes
        .iter()
        .map(|it| (it.name.as_str(), it.is_new, it.is_active))
        .collect();
    assert_eq!(
        told,
        [
            ("SQK-NEW001", true, true),
            ("FLO-MIN195", true, true),
            ("rush", true, true),
            ("NANO-006", true, true),
            ("SQK-NEW001", false, false),
        ]
    );
}

#[tokio::test]
async fn details_are_part_of_a_sample_with_its_version_and_its_event() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let path = format!("/samples/{id}/details");
    assert_eq!(
        fixture.call("GET", &path, Value::Null).await.json,
        json!({})
    );
    let said = json!({"organism": "Zea mays <B73>", "barcodeKit": "SQK-NBD114.96", "barcode": "barcode07"});
    let put = fixture
        .call_with("PUT", &path, said.clone(), &[("if-match", "\"1\"")])
        .await;
    assert_eq!(
        (put.status, &put.json),
        (StatusCode::OK, &said),
        "{}",
        put.json
    );
    assert_eq!(put.headers["etag"], "\"2\"");
    let old = fixture
        .call_with(
            "PUT",
            &path,
            json!({"organism": "x"}),
            &[("if-match", "\"1\"")],
        )
        .await;
    assert_eq!(old.status, StatusCode::CONFLICT);
    let refused = fixture
        .call(
            "PUT",
            &path,
            json!({"barcodeKit": "none", "barcode": "BC7"}),
        )
        .await;
    assert_eq!(field(&refused), (400, "barcode"));
    let refused = fixture
        .call("PUT", &path, json!({"barcodeKit": "none"}))
        .await;
    assert_eq!(field(&refused), (400, "barcodeKit"));
    fixture.call("PUT", &path, json!({"barcode": null})).await;
    fixture.call("PUT", &path, json!({"barcode": null})).await;
    let events = fixture.events().await;
    assert_eq!(events.len(), 3);
    let updated: SampleUpdated = events[2].payload().unwrap();
    assert_eq!(updated.updated_fields, ["details.barcode"]);
    assert_eq!(updated.changes["details.barcode"].old_value, "barcode07");
    fixture
        .call("DELETE", &format!("/samples/{id}"), Value::Null)
        .await;
    assert_eq!(
        fixture.call("GET", &path, Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_file_is_attached_to_a_sample_or_a_submission_and_taken_away_with_an_event_each() {
    let fixture = Fixture::new().await;
    let sample = fixture.sample().await;
    let submission = NewSubmission {
        file_name: "form.pdf".to_owned(),
        file_id: "0".repeat(64),
        ..NewSubmission::default()
    };
    let submission = fixture
        .service
        .create_submission(submission, actor())
        .await
        .unwrap()
        .id;
    let of_sample = format!("/samples/{sample}/attachments");
    let of_submission = format!("/submissions/{submission}/attachments");
    let file = json!({
        "fileId": "7".repeat(64), "fileName": "gel – 1.png", "fileType": "image/png", "description": "ladder left",
    });
    for (body, expected) in [
        (json!({"fileId": "7", "fileName": "a"}), (400, "fileId")),
        (
            json!({"fileId": "f".repeat(64), "fileName": "a"}),
            (400, "fileId"),
        ),
        (
            json!({"fileId": "7".repeat(64), "fileName": " "}),
            (400, "fileName"),
        ),
        (
            json!({"fileId": "7".repeat(64), "fileName": "a", "fileType": "png"}),
            (400, "fileType"),
        ),
        (json!({"fileId": "7".repeat(64)}), (400, "fileName")),
    ] {
        let answer = fixture.call("POST", &of_sample, body).await;
        assert_eq!(field(&answer), expected, "{}", answer.json);
    }
    assert_eq!(
        fixture
            .call("POST", "/samples/none/attachments", file.clone())
            .await
            .status,
        404
    );
    let first = fixture.call("POST", &of_sample, file.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json);
    assert_eq!(
        (&first.json["fileSize"], &first.json["sampleId"]),
        (&json!(7), &json!(sample))
    );
    assert_eq!(first.json["submissionId"], Value::Null);
    let second = fixture.call("POST", &of_submission, file).await.json;
    assert_eq!(
        (&second["sampleId"], &second["submissionId"]),
        (&Value::Null, &json!(submission))
    );
    let ids = |list: &Answer| {
        list.json
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&fixture.call("GET", &of_sample, Value::Null).await),
        [first.json["id"].clone()]
    );
    assert_eq!(
        ids(&fixture.call("GET", &of_submission, Value::Null).await),
        [second["id"].clone()]
    );
    // Each is taken from its owner only, and once.
    let id = first.json["id"].as_str().unwrap();
    for (path, code) in [
        (format!("{of_submission}/{id}"), 404),
        (format!("{of_sample}/{id}"), 204),
        (format!("{of_sample}/{id}"), 404),
        (
            format!("{of_submission}/{}", second["id"].as_str().unwrap()),
            204,
        ),
    ] {
        let answer = fixture.call("DELETE", &path, Value::Null).await;
        assert_eq!(answer.status, code, "{path}: {}", answer.json);
    }
    let types = fixture.event_types().await;
    assert_eq!(
        types,
        [
            "sample.created",
            "submission.created",
            "sample.attachment_added",
            "submission.attachment_added",
            "sample.attachment_removed",
            "submission.attachment_removed",
        ]
    );
    let events = fixture.events().await;
    let added: SampleAttachmentAdded = events[2].payload().unwrap();
    assert_eq!(
        (added.file_size, added.file_type.as_str()),
        (7, "image/png")
    );
}
