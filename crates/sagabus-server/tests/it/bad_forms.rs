//! Files that are no good form: each has its own clear error, leaves nothing half-done, and the server lives.

use sagabus::{Clock, SystemClock};
use serde_json::Value;

use crate::program::{Place, Server, form, form_bytes, run, until};
use crate::{pdf, world};

/// Most bytes of a file that is taken.
const FILE_BYTES_MAX: usize = 50 * 1024 * 1024;

struct Bad {
    name: &'static str,
    bytes: Vec<u8>,
    /// Kinds of the error: a bomb hits the limit of memory or of time, whichever is nearer.
    kinds: &'static [&'static str],
    /// Words of its text.
    words: &'static [&'static str],
}

/// The bad files, each with what must be said about it.
fn bad_files() -> Vec<Bad> {
    let whole = form_bytes("small.pdf");
    let bad = |name, bytes, kinds, words| Bad {
        name,
        bytes,
        kinds,
        words,
    };
    vec![
        bad(
            "not-a-pdf.pdf",
            b"PK\x03\x04 a word processor's file".to_vec(),
            &["FILE_INVALID"],
            &["PDF"],
        ),
        bad(
            "encrypted.pdf",
            form_bytes("encrypted.pdf"),
            &["FILE_PASSWORD_PROTECTED"],
            &["password"],
        ),
        bad(
            "truncated.pdf",
            whole[..whole.len() / 2].to_vec(),
            &["FILE_CORRUPTED"],
            &[],
        ),
        bad(
            "bomb.pdf",
            pdf::bomb(),
            &["MEMORY_ERROR", "TIMEOUT_ERROR"],
            &[],
        ),
        bad(
            "no-rows.pdf",
            form_bytes("no-rows.pdf"),
            &["VALIDATION_ERROR"],
            &["no sample rows"],
        ),
        bad(
            "blank.pdf",
            form_bytes("blank.pdf"),
            &["VALIDATION_ERROR"],
            &["no sample rows"],
        ),
        bad(
            "out-of-range.pdf",
            form_bytes("out-of-range.pdf"),
            &["VALIDATION_ERROR"],
            &["a260_280", "298.9", "0.5", "3.5"],
        ),
    ]
}

fn too_large() -> Vec<u8> {
    let mut bytes = b"%PDF-1.4\n".to_vec();
    bytes.resize(FILE_BYTES_MAX + 1, b' ');
    bytes
}

fn check_text(file: &Bad, text: &str) {
    assert!(
        file.kinds.iter().any(|kind| text.contains(kind)),
        "{}: {text}",
        file.name
    );
    for word in file.words {
        assert!(text.contains(word), "{}: {word}: {text}", file.name);
    }
}

#[test]
fn a_bad_form_is_rejected_with_its_reason_and_the_next_good_one_is_taken() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    for file in bad_files() {
        let began = SystemClock.elapsed();
        let taken = server
            .request("POST", "/api/submissions")
            .upload(file.name, &file.bytes, &[])
            .send()
            .expect(202);
        let id = taken["submissionId"].as_str().unwrap();
        let submission = ended(&server, id);
        let spent = SystemClock.elapsed().saturating_sub(began);
        assert_eq!(submission["status"], "rejected", "{submission}");
        let reason = submission["reason"].as_str().unwrap();
        check_text(&file, reason);
        println!("{}: {reason} ({} ms)", file.name, spent.as_millis());
        world::settle(&server, &data);
        let saga = server.get(taken["saga"].as_str().unwrap()).expect(200);
        assert_eq!(saga["status"], "compensated", "{saga}");
        check_text(&file, saga["error"].as_str().unwrap());
        let events = world::all_events(&server);
        let failed: Vec<&Value> = world::of_type(&events, "ai.pdf_processing_failed")
            .filter(|event| event["correlationId"] == id)
            .collect();
        assert!(!failed.is_empty(), "{}", file.name);
        check_text(&file, &failed[0]["data"].to_string());
        let types = world::types_of(&events, id);
        for wanted in [
            "saga.step_failed",
            "saga.compensation_started",
            "saga.compensation_completed",
            "saga.failed",
        ] {
            assert!(types.iter().any(|it| it == wanted), "{wanted}: {types:?}");
        }
        assert!(
            !types.iter().any(|it| it.starts_with("sample.")),
            "{types:?}"
        );
    }
    server
        .request("POST", "/api/submissions")
        .upload("large.pdf", &too_large(), &[])
        .send()
        .expect_problem(413, &["FILE_TOO_LARGE", "50 MiB"]);
    server
        .request("POST", "/api/submissions")
        .upload("empty.pdf", b"", &[])
        .send()
        .expect_problem(400, &["`file`"]);
    let good = server
        .request("POST", "/api/submissions")
        .upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
        .expect(202);
    let good = ended(&server, good["submissionId"].as_str().unwrap());
    assert_eq!(good["status"], "accepted", "{good}");
    let checked = world::check(&server, &data, 3);
    assert_eq!((checked.accepted, checked.rejected), (1, bad_files().len()));
    let strangers = std::fs::read_dir(data.join("uploads"))
        .unwrap()
        .filter(|it| {
            it.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_none_or(|it| it != "pdf")
        })
        .count();
    assert_eq!(strangers, 0, "half an upload is left");
    assert_eq!(server.terminate().code, Some(0));
}

/// The submission after its saga.
fn ended(server: &Server, id: &str) -> Value {
    until("the submission's end", || {
        let submission = server.get(&format!("/api/submissions/{id}")).expect(200);
        let status = submission["status"].as_str().unwrap();
        (status == "accepted" || status == "rejected").then_some(submission)
    })
}

#[test]
fn extract_says_what_is_wrong_with_a_file_and_stores_nothing() {
    let place = Place::new();
    for file in bad_files() {
        let path = place.file(file.name);
        std::fs::write(&path, &file.bytes).unwrap();
        let ran = run(&["extract", path.to_str().unwrap()]);
        // Without rows, or with a wrong value, a form can be read: it is shown, and what is wrong with it.
        if file.kinds == ["VALIDATION_ERROR"] {
            assert_eq!(ran.code, Some(0), "{}: {}", file.name, ran.err);
            assert!(
                ran.err.starts_with("warning: would be rejected: "),
                "{}",
                ran.err
            );
            check_text(&file, &ran.err);
            let rows = if file.name == "out-of-range.pdf" {
                3
            } else {
                0
            };
            assert!(ran.out.contains(&format!("samples: {rows}")), "{}", ran.out);
            continue;
        }
        assert_eq!(ran.code, Some(1), "{}: {}", file.name, ran.out);
        assert_eq!(ran.out, "");
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
        check_text(&file, &ran.err);
    }
    let path = place.file("large.pdf");
    std::fs::write(&path, too_large()).unwrap();
    let ran = run(&["extract", path.to_str().unwrap()]);
    assert!(
        ran.code == Some(1) && ran.err.contains("FILE_TOO_LARGE"),
        "{ran:?}"
    );
    let ran = run(&["extract", "/no/such/file.pdf"]);
    assert!(
        ran.code == Some(1) && ran.err.contains("/no/such/file.pdf"),
        "{ran:?}"
    );
    assert!(!place.data().exists());
}

#[test]
fn extract_prints_the_form_with_confidence_and_evidence() {
    let ran = run(&["extract", form("small.pdf").to_str().unwrap(), "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let read: Value = serde_json::from_str(&ran.out).unwrap();
    let truth: Value = serde_json::from_slice(&form_bytes("small.json")).unwrap();
    for (name, value) in truth.as_object().unwrap() {
        assert_eq!(&read["form"][name], value, "{name}");
    }
    assert!(read["confidence"].as_f64().unwrap() > 0.7);
    let volume = read["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["field"] == "samples[0].volume_ul")
        .unwrap();
    assert_eq!(volume["evidence"]["page"], 1, "{volume}");
    let ran = run(&["extract", form("small.pdf").to_str().unwrap()]);
    assert!(
        ran.out.contains("samples: 3") && ran.out.contains("moss-A1"),
        "{}",
        ran.out
    );
}
