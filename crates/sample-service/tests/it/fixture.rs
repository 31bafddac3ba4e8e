//! A service on a folder of its own, with a recorder in the place of the bus.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use sagabus::clock::SystemClock;
use sagabus::event::Cause;
use sagabus::sqlite::Publish;
use sagabus::{Clock, Event, Result};
use sample_service::{Actor, Files, SampleService};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

#[async_trait]
impl Publish for Recorder {
    async fn publish(&self, events: Vec<Event>) -> Result<()> {
        self.0.lock().unwrap().extend(events);
        Ok(())
    }
}

/// Uploads: of each digit there is one, with so many bytes.
#[derive(Debug)]
struct Digits;

#[async_trait]
impl Files for Digits {
    async fn size(&self, file_id: &str) -> Result<Option<u64>> {
        let digit = file_id.chars().next().and_then(|it| it.to_digit(10));
        Ok(digit.map(u64::from))
    }
}

pub(crate) struct Fixture {
    pub(crate) service: SampleService,
    pub(crate) router: Router,
    recorder: Arc<Recorder>,
    _relay: DropGuard,
    _folder: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let service = SampleService::open(folder.path().join("samples.db"), Arc::clone(&clock))
            .await
            .unwrap()
            .with_files(Arc::new(Digits));
        let recorder = Arc::new(Recorder::default());
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(service.outbox().clone().relay(
            Arc::clone(&recorder) as Arc<dyn Publish>,
            clock,
            stop.clone(),
        ));
        Self {
            router: sample_service::routes::api()
                .with_state(service.clone())
                .into_parts()
                .0,
            service,
            recorder,
            _relay: stop.drop_guard(),
            _folder: folder,
        }
    }

    /// All events so far, in order; each must fit its type.
    pub(crate) async fn events(&self) -> Vec<Event> {
        self.service.outbox().drain().await.unwrap();
        let events = self.recorder.0.lock().unwrap().clone();
        for event in &events {
            let info = nanopore::events::TYPES
                .iter()
                .find(|info| info.name == event.event_type.as_str())
                .unwrap();
            (info.check)(&event.data).unwrap();
        }
        events
    }

    /// How many events the inbox has.
    pub(crate) async fn inbox(&self) -> i64 {
        let count = self.service.outbox().database().call(|tx| {
            let query = "SELECT count(*) FROM inbox WHERE consumer = 'sample-service'";
            Ok::<i64, sagabus::Error>(tx.query_row(query, [], |row| row.get(0))?)
        });
        count.await.unwrap()
    }

    pub(crate) async fn event_types(&self) -> Vec<String> {
        let events = self.events().await;
        events
            .iter()
            .map(|event| event.event_type.to_string())
            .collect()
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// The same with a body that is no JSON; the answer too may be none.
    pub(crate) async fn send(
        &self,
        (method, path): (&str, &str),
        body: String,
        headers: &[(&str, &str)],
    ) -> (Answer, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        (answer, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn sample(&self) -> String {
        let sample = self.service.create(&fields(), actor()).await.unwrap();
        sample.id
    }
}

pub(crate) fn actor() -> Actor {
    Actor {
        user_id: "user-1".to_owned(),
        cause: Cause {
            correlation_id: "work-1".to_owned(),
            causation_id: None,
        },
    }
}

pub(crate) fn fields() -> Map<String, Value> {
    object(json!({
        "sampleName": "pond 3B", "submitterName": "Siobhán O'Neill",
        "submitterEmail": "siobhan@lab.example.edu", "sampleType": "DNA", "chartField": "HTSF-001",
    }))
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("not an object"),
    }
}

/// The truth of each real form, on machines that have them.
pub(crate) fn real_forms() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/forms");
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}
