//! The routes, as a client sees them.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use ai_service::pdf::FILE_BYTES_MAX;
use sagabus::Error;
use sagabus::sqlite::rusqlite::Transaction;

use crate::service::{Fixture, HAPPY};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

async fn send(fixture: &Fixture, request: Request<Body>) -> Answer {
    let router = ai_service::routes::api()
        .with_state::<()>(fixture.service.clone())
        .into_parts()
        .0;
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        json: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

async fn get(fixture: &Fixture, path: &str) -> Answer {
    send(fixture, Request::get(path).body(Body::empty()).unwrap()).await
}

/// One part of a body: its disposition beside `form-data`, and its content.
type FormPart<'a> = (&'a str, &'a [u8]);

async fn post(fixture: &Fixture, parts: &[FormPart<'_>]) -> Answer {
    let mut body = Vec::new();
    for (disposition, content) in parts {
        body.extend_from_slice(b"--cut\r\ncontent-disposition: form-data; ");
        body.extend_from_slice(disposition.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--cut--\r\n");
    let request = Request::post("/process/pdf")
        .header("content-type", "multipart/form-data; boundary=cut")
        .header("x-user-id", "ada")
        .header("x-correlation-id", "work-7");
    send(fixture, request.body(body.into()).unwrap()).await
}

/// Waits for the jobs that go on.
async fn settled(fixture: &Fixture) {
    let long = std::time::Duration::from_secs(60);
    assert_eq!(fixture.service.shutdown(long).await, 0);
}

const FILE: &str = "name=\"file\"; filename=\"form.pdf\"";

#[tokio::test]
async fn an_uploaded_form_is_processed_in_the_background() {
    let fixture = Fixture::new().await;
    let pdf = std::fs::read(crate::fixture("small.pdf")).unwrap();
    let parts: [FormPart<'_>; 2] = [("name=\"sampleId\"", b"sample-1"), (FILE, &pdf)];
    let accepted = post(&fixture, &parts).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.json);
    let id = accepted.json["jobId"].as_str().unwrap().to_owned();
    let url = format!("/api/jobs/{id}");
    assert_eq!(accepted.json["statusUrl"], url);
    assert_eq!(accepted.headers["location"], url);
    assert_eq!(accepted.json["status"], "pending");
    settled(&fixture).await;

    let job = get(&fixture, &format!("/jobs/{id}")).await.json;
    assert_eq!(
        (&job["status"], &job["progress"]),
        (&json!("completed"), &json!(100))
    );
    assert_eq!(
        (&job["userId"], &job["correlationId"]),
        (&json!("ada"), &json!("work-7"))
    );
    let result = get(
        &fixture,
        &format!("/results/{}", job["resultId"].as_str().unwrap()),
    )
    .await
    .json;
    assert_eq!(result["extractionMethod"], "pattern");
    assert!(result["confidenceScore"].as_f64().unwrap() > 0.9);
    let evidence = &result["fields"][0]["evidence"];
    assert_eq!(
        (
            &evidence["page"],
            evidence["bbox"].as_array().unwrap().len()
        ),
        (&json!(1), 4)
    );
    for (path, total) in [
        ("/jobs", 1),
        ("/jobs?status=completed&type=pdf_extraction", 1),
        ("/jobs?status=failed", 0),
        ("/jobs/sample/sample-1", 1),
        ("/jobs/sample/sample-2", 0),
    ] {
        assert_eq!(get(&fixture, path).await.json["total"], total, "{path}");
    }
    let stats = get(&fixture, "/ai/stats").await.json;
    assert_eq!(stats["results"]["total"], 1);
    assert_eq!(
        get(&fixture, "/jobs/stats").await.json,
        json!({
            "total": 1, "active": 0, "queued": 0, "errors": {},
            "byStatus": [{"status": "completed", "jobType": "pdf_extraction", "count": 1}],
        })
    );
    assert_eq!(fixture.types().await, HAPPY);
}

#[tokio::test]
async fn a_file_that_is_no_pdf_is_accepted_and_its_job_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let accepted = post(&fixture, &[(FILE, b"hello")]).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    settled(&fixture).await;
    let id = accepted.json["jobId"].as_str().unwrap();
    let job = get(&fixture, &format!("/jobs/{id}")).await.json;
    assert_eq!(
        (&job["status"], &job["error"]["kind"]),
        (&json!("failed"), &json!("FILE_INVALID"))
    );
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_as_too_large_and_told_of() {
    let fixture = Fixture::new().await;
    for more in [1, 1024 * 1024] {
        let bytes = vec![b'x'; FILE_BYTES_MAX + more];
        let parts: [FormPart<'_>; 2] = [("name=\"sampleId\"", b"sample-1"), (FILE, &bytes)];
        let refused = post(&fixture, &parts).await;
        assert_eq!(
            refused.status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{}",
            refused.json
        );
        assert_eq!(refused.headers["content-type"], "application/problem+json");
        assert_eq!(refused.json["status"], 413);
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("FILE_TOO_LARGE"), "{detail}");
        assert!(detail.contains("52428800 bytes"), "{detail}");
    }
    let events = fixture.events().await;
    let told: Vec<Value> = events
        .iter()
        .map(|event| {
            assert_eq!(event.event_type.as_str(), "ai.pdf_processing_failed");
            assert_eq!(event.correlation_id.as_deref(), Some("work-7"));
            serde_json::from_slice(&event.data).unwrap()
        })
        .collect();
    let error =
        "FILE_TOO_LARGE: the file has more than 50 MiB (52428800 bytes), the most that is taken";
    assert_eq!(
        told.first(),
        Some(&json!({
            "sampleId": "sample-1", "fileName": "form.pdf", "userId": "ada", "processingMethod": "pattern",
            "retryCount": 0, "error": error,
        }))
    );
    // A body that comes in one piece and is over its own limit is refused before it is taken apart.
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&told[1]["error"], &told[1]["fileName"]),
        (&json!(error), &json!("document.pdf"))
    );
    let stats = fixture.service.stats().await.unwrap();
    assert_eq!(stats.jobs.total, 0);
    let stats = get(&fixture, "/jobs/stats").await.json;
    assert_eq!(stats["errors"], json!({"FILE_TOO_LARGE": 2}));
    settled(&fixture).await;
    let left = std::fs::read_dir(fixture.folder.path().join("uploads")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn bodies_queries_and_ids_that_make_no_sense_get_a_problem_document() {
    let fixture = Fixture::new().await;
    let long = [b'x'; 2000];
    let parts: [(&[FormPart<'_>], &str); 6] = [
        (&[], "`file` is required"),
        (&[("name=\"sampleId\"", b"s")], "`file` is required"),
        (
            &[("name=\"colour\"", b"red")],
            "`colour` is not a field here",
        ),
        (
            &[("name=\"sampleId\"", &long)],
            "`sampleId` has more than 1024 bytes",
        ),
        (&[(FILE, b"a"), (FILE, b"b")], "`file` is given twice"),
        (
            &[(FILE, b"a"), ("name=\"sampleId\"", b"")],
            "`sampleId` must have",
        ),
    ];
    for (parts, text) in parts {
        let refused = post(&fixture, parts).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{detail}");
    }
    let plain = Request::post("/process/pdf")
        .body("%PDF-1.4".into())
        .unwrap();
    let refused = send(&fixture, plain).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for (path, code, text) in [
        ("/jobs/none", 404, "`none` does not exist"),
        ("/results/none", 404, "`none` does not exist"),
        ("/jobs?status=banana", 400, "`status` has no value `banana`"),
        (
            "/jobs?limit=101",
            400,
            "`limit` must be a whole number, 1 to 100",
        ),
        (
            "/jobs?colour=red",
            400,
            "`colour` is not known; there are `status`, ",
        ),
    ] {
        let refused = get(&fixture, path).await;
        assert_eq!(refused.status.as_u16(), code, "{path}");
        assert_eq!(refused.headers["content-type"], "application/problem+json");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{detail}");
    }
    settled(&fixture).await;
    assert_eq!(fixture.service.stats().await.unwrap().jobs.total, 0);
}

#[tokio::test]
async fn after_its_end_the_service_takes_nothing_and_says_so() {
    let fixture = Fixture::new().await;
    settled(&fixture).await;
    let refused = post(&fixture, &[(FILE, b"a")]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&fixture, "/ai/stats").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_full_queue_of_documents_takes_no_more_and_says_so() {
    let fixture = Fixture::new().await;
    let waiting = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000) \
        INSERT INTO processing_jobs (id, job_type, status, progress, file_name, file_id, file_bytes, correlation_id, \
        created_ms, updated_ms) SELECT 'job-' || n, 'pdf_extraction', 'pending', 0, 'f.pdf', 'f', 1, 'c', 1, 1 FROM n";
    let insert = move |tx: &Transaction<'_>| Ok::<_, Error>(tx.execute(waiting, [])?);
    let database = fixture.service.outbox().database();
    assert_eq!(database.call(insert).await.unwrap(), 1_000);
    let pdf = std::fs::read(crate::fixture("small.pdf")).unwrap();
    let refused = post(&fixture, &[(FILE, &pdf)]).await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.contains("1000 documents wait"), "{detail}");
    // As soon as one has ended there is room again.
    let end = |tx: &Transaction<'_>| {
        let end = "UPDATE processing_jobs SET status = 'cancelled' WHERE id = 'job-1'";
        Ok::<_, Error>(tx.execute(end, [])?)
    };
    database.call(end).await.unwrap();
    let taken = post(&fixture, &[(FILE, &pdf)]).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.json);
    settled(&fixture).await;
}
