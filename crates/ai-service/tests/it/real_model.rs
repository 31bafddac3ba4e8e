//! A real server with a small language model is asked in earnest, where `ops/model/install.sh` has brought one.
//!
//! So small a model gets much wrong: what counts is what becomes of its answers.

use std::process::Stdio;
use std::time::Duration;

use ai_service::model::ExtractionResult;
use ai_service::{ModelSettings, ModelUrl, ProcessRequest};
use nanopore::events::ai::Method;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::drawn::Paper;
use crate::methods::asking;
use crate::service::{cause, quiet};

/// The server and its address; nothing where there is none.
#[expect(
    clippy::print_stdout,
    reason = "what is skipped must be said, also by a helper of tests"
)]
async fn served() -> Option<(Child, ModelUrl)> {
    let root = crate::crate_dir().join("../..");
    let folder = root.join("target/tools/model");
    if !folder.join("model.gguf").is_file() {
        println!("skipped: a real language model: `sh ops/model/install.sh` brings a small one");
        return None;
    }
    let mut child = Command::new("python3")
        .arg(root.join("ops/model/serve.py"))
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.next_line().await.unwrap().unwrap();
    let url = ModelUrl::read(&format!("{}/v1", address.trim())).unwrap();
    Some((child, url))
}

#[tokio::test]
async fn a_real_small_model_answers_in_the_schema_and_what_it_makes_up_does_not_count() {
    let Some((_server, url)) = served().await else {
        return;
    };
    let fixture = asking(ModelSettings {
        url: Some(url),
        name: "small".to_owned(),
        timeout: Duration::from_mins(4),
        ..ModelSettings::default()
    })
    .await;
    let lines = [
        "Sample Name: moss-A1",
        "Volume: 25 µL",
        "Sequencing Type: DNA",
    ];
    let mut paper = Paper::new();
    for line in lines {
        paper.line(20.0, 10.0, line);
    }
    let upload = fixture.service.store_upload(paper.pdf().into()).await;
    let request = ProcessRequest {
        file_id: upload.unwrap().file_id,
        file_name: "form.pdf".to_owned(),
        submission_id: None,
        sample_id: None,
        user_id: None,
        method: Some(Method::Hybrid),
        cause: cause(),
    };
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    let id = processed.extraction_result_id;
    let result: ExtractionResult = fixture.service.result(id).await.unwrap();
    for field in &result.fields {
        println!(
            "{}: {} ({:?}, {})",
            field.field, field.value, field.method, field.confidence
        );
    }
    println!("{:?}\n{:?}", result.issues, result.notes);
    let stats = fixture.service.stats().await.unwrap().model;
    assert_eq!(
        (stats.answers, result.extraction_method),
        (1, Method::Hybrid)
    );
    // What labels say stays whatever the model says, and each value stands on the page.
    for (field, value) in [
        ("sampleName", "moss-A1"),
        ("volume", "25"),
        ("sequencingType", "DNA"),
    ] {
        let found = result.fields.iter().find(|it| it.field == field).unwrap();
        assert_eq!(found.value, value);
    }
    for field in result
        .fields
        .iter()
        .filter(|it| it.method == Some(Method::Llm))
    {
        let quote = field.evidence.text.to_lowercase();
        assert!(lines.join(" ").to_lowercase().contains(&quote), "{field:?}");
        assert!(field.confidence <= 0.65);
    }
}
