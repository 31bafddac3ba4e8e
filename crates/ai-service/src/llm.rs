//! A language model behind an endpoint of the usual shape: one question with one schema, no tools, and patience with limits.
//!
//! The model is told what stands on the pages as data. What it answers is no value before it was found there (see
//! [`crate::reading`]). Nothing but the configured address is asked, and no redirect is followed.

mod breaker;
mod http;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sagabus::Clock;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use self::breaker::{Breaker, Gate};
use self::http::{CallError, post};
use crate::settings::ModelSettings;

/// Calls after the first one of a question.
const RETRIES_MAX: u32 = 3;
/// Longest wait between two calls.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// All calls of a question together take at most so many times the time of one.
const TIMES_MAX: u32 = 3;
/// Longest answer, in tokens.
const TOKENS_MAX: u32 = 2_048;

/// Whether a model can be asked, for people and for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStats {
    /// Its name; absent where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 0: it is asked; 1: it failed too often and is not asked for a while; 2: one question tries it.
    pub breaker: u8,
    /// Calls that failed, ever.
    pub failures: u64,
    /// Questions that were answered.
    pub answers: u64,
}

/// A model that may be there.
#[derive(Debug)]
pub(crate) struct Model {
    settings: ModelSettings,
    breaker: Mutex<Breaker>,
    answers: std::sync::atomic::AtomicU64,
    /// The tasks that carry the calls.
    connections: TaskTracker,
}

impl Model {
    pub(crate) fn new(settings: ModelSettings) -> Self {
        Self {
            breaker: Mutex::new(Breaker::new(settings.open_for)),
            settings,
            answers: std::sync::atomic::AtomicU64::new(0),
            connections: TaskTracker::new(),
        }
    }

    /// Its name, where one is configured.
    pub(crate) fn name(&self) -> Option<&str> {
        let named = !self.settings.name.is_empty();
        (self.settings.url.is_some() && named).then_some(self.settings.name.as_str())
    }

    /// Whether it has vectors for texts.
    pub(crate) fn embeds(&self) -> bool {
        self.settings.url.is_some() && !self.settings.embedding.is_empty()
    }

    pub(crate) fn stats(&self, clock: &dyn Clock) -> ModelStats {
        let breaker = self.breaker();
        ModelStats {
            name: self.name().map(str::to_owned),
            breaker: breaker.state(clock.elapsed()),
            failures: breaker.failures(),
            answers: self.answers.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    /// Asks one question and returns the JSON of the answer.
    ///
    /// # Errors
    /// Why there is none, for a person.
    pub(crate) async fn ask(
        &self,
        (system, user): (&str, &str),
        schema: &Value,
        clock: &dyn Clock,
    ) -> Result<Value, String> {
        let name = self.name().ok_or("no model is configured")?;
        let body = json!({
            "model": name,
            "temperature": 0,
            "max_tokens": TOKENS_MAX,
            "stream": false,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "form", "strict": true, "schema": schema},
            },
        });
        let answer = self.call("/chat/completions", &body, clock).await?;
        let text = answer.pointer("/choices/0/message/content");
        let text = text.and_then(Value::as_str);
        let text = text.ok_or("the model's answer has no text")?;
        serde_json::from_str(text).map_err(|_| "the model's answer is not JSON".to_owned())
    }

    /// Vectors of texts, one for each.
    ///
    /// # Errors
    /// Why there are none, for a person.
    pub(crate) async fn embed(
        &self,
        texts: &[String],
        clock: &dyn Clock,
    ) -> Result<Vec<Vec<f64>>, String> {
        let body = json!({"model": self.settings.embedding, "input": texts});
        let answer = self.call("/embeddings", &body, clock).await?;
        let vectors: Option<Vec<Vec<f64>>> =
            answer.get("data").and_then(Value::as_array).map(|data| {
                let vector = |it: &Value| {
                    let numbers = it.get("embedding").and_then(Value::as_array)?;
                    numbers.iter().map(Value::as_f64).collect()
                };
                data.iter().filter_map(vector).collect()
            });
        let vectors = vectors.filter(|it| it.len() == texts.len());
        vectors.ok_or_else(|| "the answer has not a vector for each text".to_owned())
    }

    /// One question with all its calls.
    async fn call(&self, path: &str, body: &Value, clock: &dyn Clock) -> Result<Value, String> {
        let url = self.settings.url.as_ref().ok_or("no model is configured")?;
        let begun = clock.elapsed();
        let most = self.settings.timeout.saturating_mul(TIMES_MAX);
        let mut repeat = 0;
        loop {
            if self.breaker().ask(clock.elapsed()) == Gate::Closed {
                return Err("the model failed too often and is not asked for a while".to_owned());
            }
            let call = post(url, path, body, &self.connections);
            let outcome = tokio::time::timeout(self.settings.timeout, call).await;
            let outcome = outcome.unwrap_or_else(|_| {
                let seconds = self.settings.timeout.as_secs_f64();
                Err(CallError::passing(format!("no answer within {seconds} s")))
            });
            let error = match outcome {
                Ok(answer) => {
                    self.breaker().succeeded();
                    self.answers
                        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.breaker().failed(clock.elapsed());
            repeat += 1;
            let wait = error
                .retry_after
                .unwrap_or_else(|| self.wait(repeat, clock));
            let spent = clock.elapsed().saturating_sub(begun) + wait;
            if !error.may_pass || repeat > RETRIES_MAX || spent > most {
                return Err(format!("the model did not answer: {}", error.text));
            }
            tokio::time::sleep(wait.min(WAIT_MAX)).await;
        }
    }

    /// Twice as long each time, a tenth more or less by lot.
    fn wait(&self, repeat: u32, clock: &dyn Clock) -> Duration {
        let factor = 2_u32.saturating_pow(repeat.saturating_sub(1));
        let wait = self.settings.retry_delay.saturating_mul(factor);
        let lot = u32::try_from(clock.random() % 201).unwrap_or(100);
        (wait.min(WAIT_MAX) / 1000).saturating_mul(900 + lot)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
