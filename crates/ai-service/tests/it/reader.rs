//! The child process: its limits, its end, and what is told on the way.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use ai_service::pdf::{PdfErrorKind, PdfReader, Progress, ReaderSettings, Stage};

use crate::{fixture, reader};

fn small() -> bytes::Bytes {
    std::fs::read(fixture("small.pdf")).unwrap().into()
}

/// A reader whose child is a shell command.
fn shell(command: &str, settings: ReaderSettings) -> PdfReader {
    let args = vec!["-c".to_owned(), command.to_owned()];
    PdfReader::with_settings(PathBuf::from("/bin/sh"), args, settings)
}

/// Processes that this test's process has started and that still exist, dead or alive.
pub(crate) fn children() -> Vec<String> {
    let own = format!("/proc/{}/task", std::process::id());
    let mut children = Vec::new();
    for task in std::fs::read_dir(own).unwrap() {
        let list =
            std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().map(str::to_owned));
    }
    children
}

#[tokio::test]
async fn progress_never_goes_back_and_ends_with_the_last_stage() {
    let seen: Mutex<Vec<Progress>> = Mutex::new(Vec::new());
    reader()
        .read(small(), |step| seen.lock().unwrap().push(step))
        .await
        .unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted_by_key(|step| step.percent), "{seen:?}");
    assert_eq!(seen.first().unwrap().stage, Stage::Initialising);
    assert_eq!(seen.last().unwrap().stage, Stage::Finalising);
    assert_eq!(children(), Vec::<String>::new());
}

#[tokio::test]
async fn the_child_says_how_far_it_is_locked_in() {
    let reader = reader();
    assert_eq!(reader.confinement(), None);
    reader.read(small(), |_| {}).await.unwrap();
    let confinement = reader.confinement().unwrap();
    assert!(
        confinement.limits && confinement.no_new_privileges,
        "{confinement:?}"
    );
}

#[tokio::test]
async fn the_child_stands_back_where_others_want_the_processor() {
    let seen = Mutex::new(Vec::new());
    let look = |_| {
        for child in children() {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            // The name, in brackets, may hold spaces; the niceness is the seventeenth field behind it.
            let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
            let niceness = fields.and_then(|it| it.split(' ').nth(16).map(str::to_owned));
            seen.lock().unwrap().extend(niceness);
        }
    };
    reader().read(small(), look).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.iter().any(|it| it == "10"), "{seen:?}");
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_at_the_wall_clock_limit() {
    let settings = ReaderSettings {
        wall_time_max: Duration::from_millis(200),
        ..ReaderSettings::default()
    };
    let error = shell("exec sleep 60", settings)
        .read(small(), |_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::TimeoutError);
    assert!(error.message.contains("0.2 s"), "{error}");
    assert!(error.retryable());
    assert_eq!(children(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dropped_reading_leaves_no_child() {
    let reader = shell("exec sleep 60", ReaderSettings::default());
    let reading = reader.read(small(), |_| {});
    assert!(
        tokio::time::timeout(Duration::from_millis(100), reading)
            .await
            .is_err()
    );
    for _ in 0..100 {
        if children().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("left: {:?}", children());
}

#[tokio::test]
async fn a_child_that_dies_or_talks_nonsense_is_a_failed_worker() {
    for command in [
        "exit 3",
        "kill -SEGV $$",
        "echo nonsense",
        "echo '{\"v\":9,\"document\":{\"pages\":[]}}'",
    ] {
        let error = shell(command, ReaderSettings::default())
            .read(small(), |_| {})
            .await
            .unwrap_err();
        assert_eq!(error.kind, PdfErrorKind::WorkerFailed, "{command}: {error}");
    }
    let missing = PdfReader::new(PathBuf::from("/nonexistent/worker"), Vec::new());
    let error = missing.read(small(), |_| {}).await.unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::WorkerFailed);
    assert_eq!(children(), Vec::<String>::new());
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let settings = ReaderSettings {
        answer_bytes_max: 100_000,
        ..ReaderSettings::default()
    };
    let error = shell("exec yes ''", settings)
        .read(small(), |_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::WorkerFailed, "{error}");
    let endless = shell("exec tr '\\0' x </dev/zero", settings)
        .read(small(), |_| {})
        .await
        .unwrap_err();
    assert_eq!(endless.kind, PdfErrorKind::FileTooLarge, "{endless}");
    assert_eq!(children(), Vec::<String>::new());
}

#[tokio::test]
async fn no_more_children_run_than_allowed() {
    let settings = ReaderSettings {
        children_max: 1,
        ..ReaderSettings::default()
    };
    let reader = PdfReader::with_settings(
        PathBuf::from(env!("CARGO_BIN_EXE_pdf-worker")),
        Vec::new(),
        settings,
    );
    let most = Mutex::new(0);
    let watch = |_| {
        let mut most = most.lock().unwrap();
        *most = children().len().max(*most);
    };
    let (a, b, c) = tokio::join!(
        reader.read(small(), watch),
        reader.read(small(), watch),
        reader.read(small(), watch)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(*most.lock().unwrap(), 1);
}
