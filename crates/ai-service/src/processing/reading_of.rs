//! Reads the document of a job, unless the same content was read not long ago.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use nanopore::events::ai::Method;
use sagabus::{Error, Result, Timestamp};

use super::{OnProgress, extract};
use crate::form::Extraction;
use crate::model::Job;
use crate::pdf::{Document, PdfError, PdfErrorKind, Progress};
use crate::reading::{self, Asked, Kind, NoAnswer, Vectors};
use crate::repository as rows;
use crate::service::AiService;
use crate::uploads::FileId;

/// For so long what was read of the same content by the same method is taken again.
const KNOWN: Duration = Duration::from_hours(1);

impl AiService {
    pub(super) async fn read_form(
        &self,
        job: &Job,
        on_progress: OnProgress,
    ) -> std::result::Result<Extraction, PdfError> {
        let unreadable = |error: Error| PdfError::new(PdfErrorKind::UnknownError, error.chain());
        if let Some(known) = self.known(job).await.map_err(unreadable)? {
            self.shared.cache_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(known);
        }
        let file_id = FileId::new(&job.file_id).map_err(unreadable)?;
        let bytes = self.upload(file_id).await.map_err(unreadable)?;
        let progress = |step: Progress| {
            self.note_progress(&job.id, step.percent);
            on_progress(step);
        };
        let extraction = self.read_by(job.method, bytes, progress).await?;
        // Of a picture nothing can be checked: a person says what stands there.
        if extraction.kind != Kind::Scan {
            extraction.check()?;
        }
        Ok(extraction)
    }

    /// Reads a document by a method, and asks the model where that is part of it.
    async fn read_by(
        &self,
        method: Method,
        bytes: Bytes,
        progress: impl Fn(Progress),
    ) -> std::result::Result<Extraction, PdfError> {
        if method == Method::Pattern {
            return extract(&self.shared.reader, bytes, progress).await;
        }
        let document = Arc::new(self.shared.reader.read(bytes, progress).await?);
        let mut notes = Vec::new();
        let vectors = match method {
            Method::Rag | Method::Hybrid => self.vectors(&document, &mut notes).await,
            Method::Llm | Method::Pattern => Vectors::new(),
        };
        let asked = match method {
            Method::Llm | Method::Hybrid => self.ask(&document, &mut notes).await,
            Method::Rag | Method::Pattern => Err(NoAnswer::NotAsked(String::new())),
        };
        let read = move || {
            let mut extraction = reading::read_with(&document, method, &vectors, asked)?;
            extraction.notes.extend(notes);
            Ok(extraction)
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
            let message = "the layout of the document could not be understood";
            Err(PdfError::new(PdfErrorKind::UnknownError, message))
        })
    }

    /// What the model says of what a person sees of the document.
    async fn ask(&self, document: &Document, notes: &mut Vec<String>) -> Asked {
        if let Some(why) = reading::not_asked(reading::kind(document)) {
            return Err(why);
        }
        let model = &self.shared.model;
        let Some(name) = model.name() else {
            return Err(NoAnswer::NotAsked("no model is configured".to_owned()));
        };
        let (text, is_all) = reading::text(document);
        if !is_all {
            notes.push("the model was given the beginning of a long document".to_owned());
        }
        let question = (reading::TASK, text.as_str());
        let answer = model.ask(question, &reading::schema(), &*self.clock).await;
        answer
            .map(|answer| (name.to_owned(), answer))
            .map_err(NoAnswer::Failed)
    }

    /// How like its labels are to those known, by vectors where the endpoint makes them.
    async fn vectors(&self, document: &Document, notes: &mut Vec<String>) -> Vectors {
        let labels = reading::labels(document);
        if labels.is_empty() || !self.shared.model.embeds() {
            return Vectors::new();
        }
        let mut texts = labels.clone();
        texts.extend(reading::aliases().into_iter().map(str::to_owned));
        match self.shared.model.embed(&texts, &*self.clock).await {
            Ok(vectors) => reading::likeness(&labels, &vectors),
            Err(why) => {
                notes.push(format!("labels were compared by their words alone: {why}"));
                Vectors::new()
            }
        }
    }

    /// What was read of the same content before, as it was read.
    async fn known(&self, job: &Job) -> Result<Option<Extraction>> {
        let (file_id, asked) = (job.file_id.clone(), job.method);
        let known = i64::try_from(KNOWN.as_millis()).unwrap_or(i64::MAX);
        let from = self.clock.now().milliseconds().saturating_sub(known);
        let from = Timestamp::from_milliseconds(from);
        let result = self
            .read(move |tx| rows::known_result(tx, &file_id, asked, from))
            .await?;
        Ok(result.map(|result| Extraction {
            kind: result.kind,
            method: result.extraction_method,
            form: result.extracted_data,
            fields: result.fields,
            confidence: result.confidence_score,
            issues: result.issues,
            model: result.model,
            notes: result.notes,
        }))
    }
}
