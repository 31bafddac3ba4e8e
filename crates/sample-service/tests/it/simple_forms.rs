//! What a simple form or a quote says reaches its samples; whoever uploads wins; what nobody says is not made up.

use nanopore::steps::StepCall;
use sagabus::event::Cause;
use sample_service::model::{Filter, NewSubmission, Page, Sample};
use serde_json::{Value, json};

use super::fixture::Fixture;

fn call(key: &str) -> StepCall {
    StepCall {
        key: format!("saga-1/{key}"),
        fence: 1,
        cause: Cause {
            correlation_id: "saga-1".to_owned(),
            causation_id: None,
        },
        input: json!({"submissionId": "sub-1"}),
    }
}

/// The samples that become of a form, by name and e-mail of the upload; or what is wrong.
async fn taken(form: Value, by: (Option<&str>, Option<&str>)) -> Result<Vec<Sample>, String> {
    let fixture = Fixture::new().await;
    let submission = NewSubmission {
        id: Some("sub-1".to_owned()),
        file_name: "form.pdf".to_owned(),
        file_id: "0".repeat(64),
        submitter_name: by.0.map(str::to_owned),
        submitter_email: by.1.map(str::to_owned),
    };
    let service = &fixture.service;
    service
        .create_submission(submission, crate::fixture::actor())
        .await
        .unwrap();
    service.validate_sample(call("validate")).await.unwrap();
    let made = service.update_status(call("update"), json!({"form": form}));
    let page = Page {
        page: 1,
        limit: 100,
    };
    let made = made.await.map_err(|error| error.chain());
    let (samples, _) = service.list(Filter::default(), page).await.unwrap();
    assert_eq!(samples.is_empty(), made.is_err());
    made.map(|_| samples)
}

fn quote() -> Value {
    json!({
        "samples": [
            {"sample_name": "moss 1", "volume_ul": 25.0, "concentration_ng_ul": 50.5, "a260_280": 1.85},
            {"sample_name": "moss 2", "concentration_ng_ul": 40.0, "nanodrop_ng_ul": 90.0},
            {"sample_name": "moss 3", "concentration_ng_ul": 40.0, "qubit_ng_ul": 30.0},
        ],
        "said": {
            "submitterName": "Ada Loe", "submitterEmail": "ada@lab.example.org", "labName": "Loe Lab",
            "projectName": "Mosses", "chartField": "HTSF-001", "sequencingType": "RNA", "sampleType": "Total RNA",
            "sampleBuffer": "EB", "libraryType": "Direct RNA", "flowCellType": "FLO-MIN114", "flowCellCount": "2",
            "priority": "Standard",
        },
    })
}

#[tokio::test]
async fn what_a_simple_form_says_reaches_each_of_its_samples() {
    let samples = taken(quote(), (None, None)).await.unwrap();
    let fields: Vec<Value> = samples
        .iter()
        .map(|it| serde_json::to_value(&it.fields).unwrap())
        .collect();
    assert_eq!(
        fields[0],
        json!({
            "sampleName": "moss 1", "submitterName": "Ada Loe", "submitterEmail": "ada@lab.example.org",
            "labName": "Loe Lab", "projectId": "Mosses", "chartField": "HTSF-001", "sampleType": "RNA",
            "material": "Total RNA", "sampleBuffer": "EB", "libraryKit": "Direct RNA",
            "flowCellProduct": "FLO-MIN114", "flowCellCount": 2, "priority": "normal", "concentration": 50.5,
            "volume": 25.0, "a260280Ratio": 1.85,
        })
    );
    let measured = |index: usize| {
        let of = |field: &str| fields[index].get(field).cloned();
        (
            of("concentration"),
            of("concentrationMethod"),
            of("nanodropConcentration"),
        )
    };
    assert_eq!(measured(1), (Some(json!(40.0)), None, Some(json!(90.0))));
    assert_eq!(measured(2), (Some(json!(30.0)), Some(json!("Qubit")), None));
}

#[tokio::test]
async fn whoever_uploads_a_form_wins_over_what_stands_on_it() {
    let by = (Some("Grace Hill"), Some("grace@lab.example.org"));
    for sample in taken(quote(), by).await.unwrap() {
        assert_eq!(sample.fields.submitter_name, "Grace Hill");
        assert_eq!(sample.fields.submitter_email, "grace@lab.example.org");
        assert_eq!(sample.fields.lab_name.as_deref(), Some("Loe Lab"));
    }
}

#[tokio::test]
async fn what_nobody_says_is_not_made_up() {
    for (missing, text) in [
        ("submitterName", "`submitterName` is neither given"),
        ("submitterEmail", "`submitterEmail` is neither given"),
    ] {
        let mut form = quote();
        form["said"].as_object_mut().unwrap().remove(missing);
        let wrong = taken(form, (None, None)).await.unwrap_err();
        assert!(wrong.contains(text), "{wrong}");
    }
    let mut form = quote();
    for field in ["sequencingType", "sampleType"] {
        form["said"].as_object_mut().unwrap().remove(field);
    }
    let wrong = taken(form.clone(), (None, None)).await.unwrap_err();
    assert!(wrong.contains("`sampleType` is not said"), "{wrong}");
    form["said"]["sampleType"] = "Genomic DNA".into();
    let fields = form["said"].as_object_mut().unwrap();
    fields.remove("chartField");
    fields.remove("projectName");
    for sample in taken(form, (None, None)).await.unwrap() {
        assert_eq!(sample.fields.sample_type.as_str(), "DNA");
        assert_eq!(sample.fields.chart_field, None);
        assert_eq!(sample.fields.project_id, None);
    }
}

#[tokio::test]
async fn a_word_that_is_none_is_refused_and_not_left_out() {
    for (field, value, text) in [
        ("chartField", "ABC-1234", "chartField"),
        ("chartField", "HTSF-999", "HTSF-999"),
        ("priority", "whenever", "`priority`"),
        ("flowCellCount", "two", "`flowCellCount`"),
        ("submitterEmail", "ada at lab", "`submitterEmail`"),
    ] {
        let mut form = quote();
        form["said"][field] = value.into();
        let wrong = taken(form, (None, None)).await.unwrap_err();
        assert!(wrong.contains(text), "{field}: {wrong}");
    }
}
