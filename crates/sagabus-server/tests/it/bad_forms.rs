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
        // The largest that is taken at all.
        bad("50-mb.pdf", large(FILE_BYTES_MAX), &["FILE_CORRUPTED"], &[]),
    ]
}

/// A file that begins like a PDF.
fn large(bytes: usize) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    file.resize(bytes, b' ');
    file
}

fn too_large() -> Vec<u8> {
    large(FILE_BYTES_MAX + 1)
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

#[test]
fn a_file_over_50_mb_is_refused_with_its_own_error_and_event_and_nothing_of_it_stays() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place);
    let rows = ["samples.sqlite", "ai.sqlite"].map(|name| {
        let table = match name {
            "ai.sqlite" => "processing_jobs",
            _ => "submissions",
        };
        (name, format!("SELECT count(*) FROM {table}"))
    });
    // One byte too many, and far more than the door lets through.
    for (name, bytes) in [
        ("one-more.pdf", too_large()),
        ("far-more.pdf", large(FILE_BYTES_MAX * 2)),
    ] {
        for path in ["/api/submissions", "/api/process/pdf"] {
            let words = ["FILE_TOO_LARGE", "50 MiB", "urn:sagabus:problem:too_large"];
            let mut request = server.request("POST", path).upload(name, &bytes, &[]);
            if path == "/api/submissions" {
                request = request.header("idempotency-key", "large");
            }
            request
                .header("x-user-id", "ada")
                .send()
                .expect_problem(413, &words);
            world::settle(&server, &data);
            let events = world::all_events(&server);
            let told: Vec<&Value> = world::of_type(&events, "ai.pdf_processing_failed")
                .filter(|event| event["data"]["fileName"] == name)
                .collect();
            let of_this_path = if path == "/api/submissions" { 0 } else { 1 };
            assert_eq!(told.len(), of_this_path + 1, "{told:?}");
            let told = told[of_this_path];
            assert!(
                told["data"]["error"]
                    .as_str()
                    .unwrap()
                    .starts_with("FILE_TOO_LARGE: ")
            );
            assert_eq!(told["data"]["userId"], "ada");
            assert!(told["correlationId"].is_string(), "{told}");
            for (database, query) in &rows {
                assert_eq!(world::number(&data, database, query), 0, "{database}");
            }
            assert_eq!(std::fs::read_dir(data.join("uploads")).unwrap().count(), 0);
        }
    }
    // The trail has it, and the key is free for the file that was meant.
    let query = "SELECT count(*) FROM audit_entries WHERE action = 'ai.pdf_processing_failed'";
    assert_eq!(world::number(&data, "audit.sqlite", query), 4);
    let memory = resident_bytes_max(server.id());
    println!("largest resident memory: {} MiB", memory / (1024 * 1024));
    // The program needs about 30 MiB; a file of 50 MiB held in memory would show.
    assert!(memory < 64 * 1024 * 1024, "{memory}");
    let good = server
        .request("POST", "/api/submissions")
        .header("idempotency-key", "large")
        .upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
        .expect(202);
    let good = ended(&server, good["submissionId"].as_str().unwrap());
    assert_eq!(good["status"], "accepted", "{good}");
    let checked = world::check(&server, &data, 3);
    assert_eq!((checked.accepted, checked.rejected), (1, 0));
    assert_eq!(server.terminate().code, Some(0));
}

/// The most memory that a process had so far.
fn resident_bytes_max(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with("VmHWM:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
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
    let fields = read["fields"].as_array().unwrap();
    for field in fields {
        let confidence = field["confidence"].as_f64().unwrap();
        assert!(confidence > 0.0 && confidence < 1.0, "{field}");
        assert!(field["evidence"]["page"].as_u64().unwrap() >= 1, "{field}");
        assert!(field["evidence"]["bbox"].is_object() || field["evidence"]["bbox"].is_array());
    }
    for row in 0..3 {
        let name = format!("samples[{row}].sample_name");
        assert!(
            fields.iter().any(|it| it["field"] == name.as_str()),
            "{name}"
        );
    }
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
