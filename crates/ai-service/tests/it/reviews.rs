//! What is read with doubt waits for a person, who corrects and decides it; what they correct says how right a method is.

use std::collections::BTreeMap;
use std::sync::Arc;

use ai_service::form::IssueCode;
use ai_service::model::{ExtractionResult, Part, ReviewFilter, ReviewStatus};
use ai_service::{AiService, ProcessRequest, Submissions};
use async_trait::async_trait;
use nanopore::steps::StepCall;
use sagabus::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::drawn::Paper;
use crate::service::{Fixture, cause, quiet};

/// A simple form with text that nobody sees.
fn doubtful(name: &str) -> Vec<u8> {
    let mut paper = Paper::new();
    for line in [
        format!("Sample Name: {name}"),
        "Submitter Name: Ada Loe".to_owned(),
        "Sequencing Type: DNA".to_owned(),
        "Concentration: 50.5 ng/µL".to_owned(),
        "Volume: 25 µL".to_owned(),
    ] {
        paper.line(20.0, 10.0, &line);
    }
    paper.raw("3 Tr");
    paper.line(20.0, 10.0, "Chart Field: HTSF-001");
    paper.pdf()
}

async fn request(fixture: &Fixture, pdf: Vec<u8>) -> ProcessRequest {
    let upload = fixture.service.store_upload(pdf.into()).await.unwrap();
    ProcessRequest {
        file_id: upload.file_id,
        file_name: "form.pdf".to_owned(),
        submission_id: Some("sub-1".to_owned()),
        sample_id: None,
        user_id: Some("ada".to_owned()),
        method: None,
        cause: cause(),
    }
}

/// The result of a form that waits for a person.
async fn waiting(fixture: &Fixture, name: &str) -> String {
    let request = request(fixture, doubtful(name)).await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    assert!(processed.review);
    assert_eq!(processed.form.samples, [], "nothing goes on by itself");
    processed.extraction_result_id
}

fn corrections(value: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(value).unwrap()
}

async fn correct(
    fixture: &Fixture,
    id: &str,
    author: &str,
    value: Value,
) -> Result<ExtractionResult, Error> {
    let corrections = corrections(value);
    let service = &fixture.service;
    service
        .correct(id.to_owned(), author.to_owned(), corrections)
        .await
}

async fn claim(fixture: &Fixture, id: &str, author: &str) -> Result<ExtractionResult, Error> {
    let service = &fixture.service;
    service.claim_review(id.to_owned(), author.to_owned()).await
}

async fn accept(fixture: &Fixture, id: &str, author: &str) -> Result<ExtractionResult, Error> {
    let service = &fixture.service;
    service
        .accept_review(id.to_owned(), author.to_owned())
        .await
}

async fn take(fixture: &Fixture, id: &str) -> Result<Value, Error> {
    let call = StepCall {
        key: "saga-2/process_pdf".to_owned(),
        fence: 1,
        cause: cause(),
        input: json!({"submissionId": "sub-1", "extractionResultId": id}),
    };
    fixture.service.take_reviewed(call).await
}

#[tokio::test]
async fn a_doubtful_form_waits_is_corrected_by_who_claims_it_and_goes_on_when_accepted() {
    let fixture = Fixture::new().await;
    let id = waiting(&fixture, "moss-A1").await;
    let result = fixture.service.result(id.clone()).await.unwrap();
    assert!(
        result
            .issues
            .iter()
            .any(|it| it.code == IssueCode::HiddenText)
    );
    let low = fixture.payload("ai.extraction_confidence_low").await;
    assert_eq!(low["extractionResultId"], json!(id));

    let (queue, total) = fixture
        .service
        .reviews(ReviewFilter::default(), Part::default())
        .await
        .unwrap();
    assert_eq!((total, &queue[0].extraction_result_id), (1, &id));
    assert_eq!(queue[0].review.status, ReviewStatus::Waiting);
    let reasons = queue[0].review.reasons.join("; ");
    assert!(
        reasons.contains("below 0.7") && reasons.contains("nobody sees"),
        "{reasons}"
    );

    // Before it is decided nothing is made of it, and only who has it may touch it.
    assert_eq!(
        take(&fixture, &id).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    for early in [
        correct(&fixture, &id, "grace", json!({"volume": 30})).await,
        accept(&fixture, &id, "grace").await,
    ] {
        assert_eq!(early.unwrap_err().kind(), ErrorKind::Conflict);
    }
    claim(&fixture, &id, "grace").await.unwrap();
    let other = claim(&fixture, &id, "mallory").await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert!(!other.to_string().contains("grace"), "{other}");

    correct(&fixture, &id, "grace", json!({"volume": 30}))
        .await
        .unwrap();
    let wrong = correct(&fixture, &id, "grace", json!({"volume": 9000, "kit": "x"})).await;
    assert!(wrong.unwrap_err().chain().contains("`volume` is 9000"));
    let result = correct(
        &fixture,
        &id,
        "grace",
        json!({"chartField": "HTSF-002", "volume": 31}),
    )
    .await;
    let result = result.unwrap();
    // What was read stays beside what was put in its place.
    assert_eq!(result.extracted_data.samples[0].volume_ul, Some(25.0));
    assert_eq!(result.form().samples[0].volume_ul, Some(31.0));
    let told: Vec<(&str, &Value, &Value, &str)> = result
        .corrections
        .iter()
        .map(|it| {
            (
                it.field.as_str(),
                &it.old_value,
                &it.new_value,
                it.author.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("volume", &json!(25.0), &json!(30), "grace"),
            ("chartField", &Value::Null, &json!("HTSF-002"), "grace"),
            ("volume", &json!(30.0), &json!(31), "grace"),
        ]
    );

    let result = accept(&fixture, &id, "grace").await.unwrap();
    let review = result.review.unwrap();
    assert_eq!(review.status, ReviewStatus::Accepted);
    assert_eq!(review.decided_by.as_deref(), Some("grace"));
    let again = accept(&fixture, &id, "grace").await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let output = take(&fixture, &id).await.unwrap();
    assert_eq!(output["form"]["samples"][0]["volume_ul"], 31.0);
    assert_eq!(output["form"]["said"]["chartField"], "HTSF-002");
    assert_eq!(output.get("review"), None);
    assert_eq!(
        fixture.payload("ai.extraction_reviewed").await,
        json!({
            "extractionResultId": id, "submissionId": "sub-1", "fileName": "form.pdf", "accepted": true,
            "correctionCount": 3, "userId": "grace",
        })
    );
    let stats = fixture.service.stats().await.unwrap().reviews;
    assert_eq!((stats.waiting, stats.claimed, stats.accepted), (0, 0, 1));
    let (queue, _) = fixture
        .service
        .reviews(ReviewFilter::default(), Part::default())
        .await
        .unwrap();
    assert_eq!(queue, []);
}

#[tokio::test]
async fn what_no_samples_can_be_made_of_is_not_accepted_and_is_corrected_again() {
    let fixture = Fixture::new().await;
    let id = waiting(&fixture, "moss").await;
    claim(&fixture, &id, "grace").await.unwrap();
    for (field, wrong, right, told) in [
        (
            "samples[0].sample_name",
            "=1+1",
            "moss",
            "`samples[0].sampleName`",
        ),
        (
            "samples[0].sample_name",
            "mo\u{202e}ss",
            "moss",
            "`samples[0].sampleName`",
        ),
        (
            "submitterEmail",
            "not an email",
            "ada@lab.example.edu",
            "`submitterEmail`",
        ),
    ] {
        let put = async |value: &str| correct(&fixture, &id, "grace", json!({field: value})).await;
        put(wrong).await.unwrap();
        let refused = accept(&fixture, &id, "grace").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{wrong}");
        assert!(refused.chain().contains(told), "{}", refused.chain());
        put(right).await.unwrap();
    }
    accept(&fixture, &id, "grace").await.unwrap();
    assert_eq!(
        take(&fixture, &id).await.unwrap()["form"]["samples"][0]["sample_name"],
        "moss"
    );
}

/// Has nothing against a form, and corrects it while it is asked.
#[derive(Debug)]
struct Meanwhile(AiService, String);

#[async_trait]
impl Submissions for Meanwhile {
    async fn check(&self, _: &str, _: nanopore::sample::Form) -> sagabus::Result<()> {
        let wrong = [("samples[0].sample_name".to_owned(), json!("=1+1"))];
        let corrected = self
            .0
            .correct(self.1.clone(), "grace".to_owned(), wrong.into());
        corrected.await.map(drop)
    }
}

#[tokio::test]
async fn what_is_corrected_while_it_is_accepted_is_not_decided_unseen() {
    let fixture = Fixture::new().await;
    let id = waiting(&fixture, "moss").await;
    claim(&fixture, &id, "grace").await.unwrap();
    let meanwhile = Meanwhile(fixture.service.clone(), id.clone());
    let service = fixture
        .service
        .clone()
        .with_submissions(Arc::new(meanwhile));
    let refused = service.accept_review(id.clone(), "grace".to_owned()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{}", refused.chain());
    let result = fixture.service.result(id).await.unwrap();
    assert_eq!(result.review.unwrap().status, ReviewStatus::Claimed);
}

#[tokio::test]
async fn a_refused_form_goes_no_further_and_says_why() {
    let fixture = Fixture::new().await;
    let id = waiting(&fixture, "moss").await;
    claim(&fixture, &id, "grace").await.unwrap();
    let refuse = |reason: &str| {
        let service = fixture.service.clone();
        let (id, reason) = (id.clone(), reason.to_owned());
        async move { service.refuse_review(id, "grace".to_owned(), reason).await }
    };
    assert_eq!(refuse(" ").await.unwrap_err().kind(), ErrorKind::Invalid);
    refuse("text that nobody sees").await.unwrap();
    let error = take(&fixture, &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("text that nobody sees"));
    let told = fixture.payload("ai.extraction_reviewed").await;
    assert_eq!(
        (&told["accepted"], told.get("reason")),
        (&json!(false), None)
    );
    assert_eq!(fixture.service.stats().await.unwrap().performance, []);
}

#[tokio::test]
async fn a_scan_has_no_values_and_a_person_may_put_all_of_them_there() {
    let fixture = Fixture::new().await;
    let mut paper = Paper::new();
    paper.raw("q 600 0 0 780 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q");
    let request = request(&fixture, paper.pdf()).await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    assert!(processed.review);
    let id = processed.extraction_result_id;
    claim(&fixture, &id, "grace").await.unwrap();
    let empty = accept(&fixture, &id, "grace").await.unwrap_err();
    assert!(empty.to_string().contains("no sample"), "{empty}");
    let typed = json!({
        "samples[0].sample_name": "moss 1", "samples[0].volume_ul": 25, "samples[1].sample_name": "moss 2",
        "sequencingType": "DNA", "submitterName": "Ada Loe",
    });
    correct(&fixture, &id, "grace", typed).await.unwrap();
    accept(&fixture, &id, "grace").await.unwrap();
    let output = take(&fixture, &id).await.unwrap();
    assert_eq!(output["sampleCount"], 2);
    // All of it was missed.
    let performance = fixture.service.stats().await.unwrap().performance;
    assert_eq!((performance[0].accuracy, performance[0].values), (0.0, 5));
}

#[tokio::test]
async fn corrections_say_how_right_a_method_is_and_a_fall_is_told_once() {
    let fixture = Fixture::new().await;
    // The form has five values with a place.
    for (name, wrong) in [("a", 0), ("b", 2), ("c", 2)] {
        let id = waiting(&fixture, name).await;
        claim(&fixture, &id, "grace").await.unwrap();
        if wrong > 0 {
            let values = json!({"volume": 30, "sampleName": "other"});
            correct(&fixture, &id, "grace", values).await.unwrap();
        }
        accept(&fixture, &id, "grace").await.unwrap();
    }
    let events = fixture.events().await;
    let of = |kind: &str| -> Vec<Value> {
        let own = events.iter().filter(|it| it.event_type.as_str() == kind);
        own.map(|it| serde_json::from_slice(&it.data).unwrap())
            .collect()
    };
    let recorded: Vec<(Value, Value)> = of("ai.model_performance_recorded")
        .iter()
        .map(|it| (it["accuracyScore"].clone(), it["sampleCount"].clone()))
        .collect();
    assert_eq!(
        recorded,
        [
            (json!(1.0), json!(1)),
            (json!(0.8), json!(2)),
            (json!(11.0 / 15.0), json!(3)),
        ]
    );
    let degraded = of("ai.model_performance_degraded");
    assert_eq!(degraded.len(), 1, "a fall is told once");
    assert_eq!(degraded[0]["modelName"], "pattern");
    assert_eq!(degraded[0]["previousAccuracy"], 1.0);
    assert_eq!(degraded[0]["currentAccuracy"], 0.8);
    let fall = degraded[0]["degradationPercentage"].as_f64().unwrap();
    assert!((fall - 20.0).abs() < 1e-9, "{fall}");
}

#[tokio::test]
async fn a_form_that_is_sure_waits_for_nobody() {
    let fixture = Fixture::new().await;
    let request = fixture.request("small.pdf").await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    assert!(!processed.review);
    let result = fixture
        .service
        .result(processed.extraction_result_id.clone())
        .await
        .unwrap();
    assert_eq!(result.review, None);
    let claimed = claim(&fixture, &processed.extraction_result_id, "grace").await;
    assert_eq!(claimed.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_decision_has_an_author_and_a_taken_back_result_none() {
    let fixture = Fixture::new().await;
    let id = waiting(&fixture, "moss").await;
    assert_eq!(
        claim(&fixture, &id, " ").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        claim(&fixture, "none", "a").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    claim(&fixture, &id, "grace").await.unwrap();
    let none = correct(&fixture, &id, "grace", json!({}))
        .await
        .unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid);
}

/// Why a simple form with these lines waits; and whether one that came with its sample does.
async fn reasons(more: &[&str]) -> (Vec<String>, bool) {
    let mut paper = Paper::new();
    let lines = [
        "Sample Name: moss-A1",
        "Submitter Name: Ada Loe",
        "Submitter Email: ada@lab.example.org",
        "Library Type: Ligation",
        "Flow Cell Type: MinION",
        "Volume: 25 µL",
    ];
    for line in lines.iter().chain(more) {
        paper.line(20.0, 10.0, line);
    }
    let fixture = Fixture::new().await;
    let mut request = request(&fixture, paper.pdf()).await;
    let processed = fixture.service.process(request.clone(), quiet()).await;
    let id = processed.unwrap().extraction_result_id;
    let result = fixture.service.result(id).await.unwrap();
    assert!(result.confidence_score > 0.7, "{}", result.confidence_score);
    (request.submission_id, request.sample_id) = (None, Some("sample-1".to_owned()));
    let of_sample = fixture.service.process(request, quiet()).await.unwrap();
    let reasons = result.review.map(|it| it.reasons).unwrap_or_default();
    (reasons, of_sample.review)
}

#[tokio::test]
async fn one_value_in_doubt_and_a_molecule_that_nobody_names_are_enough_for_a_person() {
    let whole = ["Sequencing Type: DNA", "Sample Type: Genomic DNA"];
    assert_eq!(reasons(&whole).await, (vec![], false));
    let doubtful = [&whole[..], &["Priority: whenever"]].concat();
    let (why, _) = reasons(&doubtful).await;
    assert_eq!(why, ["priority: confidence 0.617"]);
    let (why, of_sample) = reasons(&[]).await;
    assert_eq!(
        why,
        ["sequencingType: the form does not say what the samples are"]
    );
    // A sample that was entered says itself what it is.
    assert!(!of_sample);
}
