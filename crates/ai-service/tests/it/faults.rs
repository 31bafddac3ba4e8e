//! The twelve kinds of faults: how each is brought about, what is answered, and how often it is tried.

use std::path::PathBuf;
use std::time::Duration;

use ai_service::FileId;
use ai_service::model::{FaultKind, JobStatus};
use ai_service::pdf::{PdfErrorKind, PdfReader, ReaderSettings};
use sagabus::ErrorKind;

use crate::drawn::Paper;
use crate::service::{Fixture, cause, quiet, shell};

/// One kind of fault.
struct Case {
    kind: PdfErrorKind,
    reader: PdfReader,
    bytes: Vec<u8>,
    /// Words of what is said.
    says: &'static str,
    /// Attempts in all: one, or three where another may succeed.
    attempts: usize,
}

/// A reader that waits for its child a tenth of a second.
fn impatient() -> PdfReader {
    let settings = ReaderSettings {
        wall_time_max: Duration::from_millis(100),
        ..ReaderSettings::default()
    };
    let args = vec!["-c".to_owned(), "exec sleep 60".to_owned()];
    PdfReader::with_settings(PathBuf::from("/bin/sh"), args, settings)
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(crate::fixture(name)).unwrap()
}

/// A page that shows a drawing which is not there.
fn without_its_drawing() -> Vec<u8> {
    use crate::hostile::{pdf, stream, text};
    pdf(&[
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
        text("<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<<>>>>"),
        stream("", b"/X Do"),
    ])
}

fn letter() -> Vec<u8> {
    let mut paper = Paper::new();
    paper.line(20.0, 10.0, "Dear facility, please find nothing");
    paper.pdf()
}

fn pages(count: usize) -> Vec<u8> {
    use crate::hostile::{pdf, text};
    let kids: String = (0..count)
        .map(|index| format!("{} 0 R ", index + 3))
        .collect();
    let mut objects = vec![
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text(&format!("<</Type/Pages/Kids[{kids}]/Count {count}>>")),
    ];
    objects.extend((0..count).map(|_| text("<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>")));
    pdf(&objects)
}

fn cases() -> Vec<Case> {
    use PdfErrorKind as Kind;
    let case = |kind, bytes, says| Case {
        kind,
        reader: crate::reader(),
        bytes,
        says,
        attempts: 1,
    };
    let child = |kind, reader, says, attempts| Case {
        kind,
        reader,
        bytes: file("small.pdf"),
        says,
        attempts,
    };
    let whole = file("small.pdf");
    vec![
        case(Kind::FileInvalid, b"hello".to_vec(), "not a PDF"),
        case(
            Kind::FileCorrupted,
            whole[..whole.len() / 2].to_vec(),
            "damaged or cut off",
        ),
        case(Kind::FileTooLarge, pages(51), "51 pages"),
        case(
            Kind::FilePasswordProtected,
            file("encrypted.pdf"),
            "password",
        ),
        child(
            Kind::WorkerFailed,
            shell("exit 3"),
            "ended without an answer",
            3,
        ),
        Case {
            attempts: 3,
            ..case(Kind::ParserError, without_its_drawing(), "parser")
        },
        case(Kind::ExtractionFailed, letter(), "headings"),
        case(Kind::ValidationError, file("blank.pdf"), "no sample rows"),
        child(Kind::TimeoutError, impatient(), "longer than 0.1 s", 3),
        child(
            Kind::MemoryError,
            shell("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$"),
            "more than 768 MB of memory",
            1,
        ),
    ]
}

/// Processes a document that fails, and looks at all that tells of it.
pub(crate) async fn fails(
    fixture: &Fixture,
    (file_id, method): (FileId, Option<nanopore::events::ai::Method>),
    kind: PdfErrorKind,
    (says, attempts): (&str, usize),
) {
    let name = kind.as_str();
    let request = ai_service::ProcessRequest {
        file_id,
        file_name: "form.pdf".to_owned(),
        submission_id: None,
        sample_id: None,
        user_id: None,
        method,
        cause: cause(),
    };
    let error = fixture.service.process(request, quiet()).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("{name}: ")), "{name}: {said}");
    assert!(said.contains(says), "{name}: {said}");
    let (answer, may_pass) = match attempts {
        1 => (ErrorKind::Invalid, false),
        _ => (ErrorKind::Transient, true),
    };
    assert_eq!(error.kind(), answer, "{name}");
    assert_eq!(kind.retryable(), may_pass, "{name}");

    let (jobs, _) = fixture
        .service
        .jobs(Default::default(), Default::default())
        .await
        .unwrap();
    let job = &jobs[0];
    assert_eq!(job.status, JobStatus::Failed, "{name}");
    assert_eq!(job.error.as_ref().unwrap().kind, FaultKind::Pdf(kind));
    assert_eq!(
        usize::try_from(job.retry_count).unwrap(),
        attempts - 1,
        "{name}"
    );
    let stats = fixture.service.stats().await.unwrap();
    assert_eq!(
        usize::try_from(stats.jobs.errors[name]).unwrap(),
        attempts,
        "{name}"
    );

    let mut types = vec![
        "ai.processing_job_created".to_owned(),
        "ai.processing_job_started".to_owned(),
    ];
    for _ in 0..attempts {
        types.push("ai.pdf_processing_started".to_owned());
        types.push("ai.pdf_processing_failed".to_owned());
    }
    types.push("ai.processing_job_failed".to_owned());
    assert_eq!(fixture.types().await, types, "{name}");
    let failed = fixture.payload("ai.processing_job_failed").await;
    assert_eq!(failed["retryCount"], attempts - 1, "{name}");
    assert_eq!(failed["maxRetries"], 2, "{name}");
    assert_eq!(failed["error"], said, "{name}");
}

#[tokio::test]
async fn each_kind_of_fault_is_answered_by_its_name_and_tried_again_where_that_may_help() {
    let cases = cases();
    let seen: std::collections::BTreeSet<&str> = cases.iter().map(|it| it.kind.as_str()).collect();
    let left: Vec<&str> = PdfErrorKind::ALL
        .into_iter()
        .map(PdfErrorKind::as_str)
        .filter(|it| !seen.contains(it))
        .collect();
    assert_eq!(
        left,
        ["NETWORK_ERROR", "UNKNOWN_ERROR"],
        "they have tests of their own"
    );
    for case in cases {
        let fixture = Fixture::with(case.reader).await;
        let upload = fixture.service.store_upload(case.bytes.into()).await;
        let file_id = upload.unwrap().file_id;
        fails(
            &fixture,
            (file_id, None),
            case.kind,
            (case.says, case.attempts),
        )
        .await;
    }
}

#[tokio::test]
async fn an_upload_that_cannot_be_read_is_an_unknown_error() {
    let fixture = Fixture::new().await;
    let file_id = fixture.uploaded("small.pdf").await;
    let path = fixture.folder.path().join("uploads");
    let path = path.join(format!("{}.pdf", file_id.as_str()));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let kind = PdfErrorKind::UnknownError;
    fails(
        &fixture,
        (file_id, None),
        kind,
        ("upload cannot be read", 1),
    )
    .await;
}

#[tokio::test]
async fn a_document_that_is_read_at_the_second_attempt_has_its_result() {
    let folder = tempfile::TempDir::new().unwrap();
    let fixture = Fixture::with(crate::service::failing_once(folder.path())).await;
    let request = fixture.request("small.pdf").await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    let job = fixture.service.job(processed.job_id).await.unwrap();
    assert_eq!((job.status, job.retry_count), (JobStatus::Completed, 1));
    let failed = fixture.payload("ai.pdf_processing_failed").await;
    assert_eq!(failed["retryCount"], 0);
}
