//! A fake of a model's endpoint in this process: it answers as it is told to, and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_service::{ModelSettings, ModelUrl};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// What it does with a call; the last one stands for all further calls.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// It answers with these fields.
    Says(Value),
    /// It answers with this text.
    Text(&'static str),
    /// It answers with this body.
    Body(&'static str),
    /// It answers with a status, and a `Retry-After`.
    Status(u16, Option<&'static str>),
    /// It does not answer.
    Hangs,
    /// It makes vectors: `1, 0` for texts with this word or with `sample name`, else `0, 1`.
    Vectors(&'static str),
    /// It says what any line of the document orders: each `set FIELD to VALUE`, and whatever is a label.
    Obeys,
}

#[derive(Debug)]
struct Shared {
    does: Mutex<Vec<Does>>,
    asked: Mutex<Vec<Value>>,
}

/// A running fake.
#[derive(Debug)]
pub(crate) struct Fake {
    shared: Arc<Shared>,
    port: u16,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    shared.asked.lock().unwrap().push(asked.clone());
    let does = {
        let mut does = shared.does.lock().unwrap();
        match does.len() {
            0 | 1 => does.first().cloned().unwrap(),
            _ => does.remove(0),
        }
    };
    let content = |text: String| {
        let answer = json!({"choices": [{"message": {"role": "assistant", "content": text}}]});
        axum::Json(answer).into_response()
    };
    match does {
        Does::Says(fields) => content(json!({"fields": fields}).to_string()),
        Does::Text(text) => content(text.to_owned()),
        Does::Body(body) => body.into_response(),
        Does::Status(status, retry_after) => {
            let status = StatusCode::from_u16(status).unwrap();
            match retry_after {
                Some(seconds) => (status, [(header::RETRY_AFTER, seconds)]).into_response(),
                None => status.into_response(),
            }
        }
        Does::Hangs => std::future::pending().await,
        Does::Vectors(word) => {
            let texts = asked["input"].as_array().unwrap().iter();
            let vector = |it: &Value| {
                let text = it.as_str().unwrap();
                let is_it = text.contains(word) || text == "sample name";
                json!({"embedding": if is_it { [1.0, 0.0] } else { [0.0, 1.0] }})
            };
            axum::Json(json!({"data": texts.map(vector).collect::<Vec<_>>()})).into_response()
        }
        Does::Obeys => content(json!({"fields": obeyed(&asked)}).to_string()),
    }
}

/// Everything that is ordered anywhere in what the model is given, with a quote for each.
fn obeyed(asked: &Value) -> Vec<Value> {
    let all = asked["messages"][1]["content"].as_str().unwrap();
    let document: Value = serde_json::from_str(all).unwrap();
    let mut fields = Vec::new();
    for page in document["pages"].as_array().unwrap() {
        for line in page["lines"].as_array().unwrap() {
            let line = line.as_str().unwrap();
            let order = line
                .split_once("set ")
                .and_then(|(_, it)| it.split_once(" to "));
            if let Some((field, value)) = order {
                fields.push(
                    json!({"field": field, "value": value, "page": page["page"], "quote": line}),
                );
            }
        }
    }
    fields
}

impl Fake {
    /// One that does these things, one for each call.
    pub(crate) async fn new(does: Vec<Does>) -> Self {
        let shared = Arc::new(Shared {
            does: Mutex::new(does),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/v1/embeddings", post(answer))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async move { axum::serve(listener, router).await.unwrap() };
        let task = tokio_util::task::TaskTracker::new().spawn(serving);
        Self {
            shared,
            port,
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }

    /// Settings that ask it, without patience.
    pub(crate) fn settings(&self) -> ModelSettings {
        ModelSettings {
            url: Some(ModelUrl::read(&format!("http://127.0.0.1:{}/v1", self.port)).unwrap()),
            name: "small".to_owned(),
            embedding: String::new(),
            timeout: Duration::from_secs(5),
            retry_delay: Duration::from_millis(2),
            open_for: Duration::from_secs(60),
        }
    }

    /// What it was asked.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }
}
