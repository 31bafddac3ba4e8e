//! A person's look at a result: why one is needed, who has it, what is corrected, and how it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use nanopore::sample::FieldErrors;
use sagabus::event::ATTRIBUTE_BYTES_MAX;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, Result, Timestamp};
use serde_json::Value;

use crate::accuracy::{has_degraded, tally};
use crate::correction::{apply, check_form, for_samples};
use crate::form::Extraction;
use crate::model::{
    Correction, ExtractionResult, Fault, InReview, Job, Part, Review, ReviewFilter, ReviewStatus,
};
use crate::publisher::Publisher;
use crate::repository as rows;
use crate::service::AiService;
use crate::summary;

/// A person who has a review for so long and does nothing has it no more when another one wants it.
const CLAIM: Duration = Duration::from_mins(30);
/// Most values that are corrected at one time.
const CORRECTIONS_MAX: usize = 2_000;
/// Longest reason, in characters.
const REASON_CHARACTERS_MAX: usize = 1_000;
/// Most reasons that are kept.
const REASONS_MAX: usize = 20;

/// Why a person must look at what was read; nothing when nobody must. Values that are less sure than `threshold` count,
/// and so does what was not seen or is not to be seen.
pub(crate) fn reasons(extraction: &Extraction, threshold: f64, makes_samples: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if extraction.confidence < threshold {
        let confidence = extraction.confidence;
        reasons.push(format!("confidence {confidence} is below {threshold}"));
    }
    let flags = extraction.issues.iter();
    reasons.extend(
        flags
            .filter(|issue| issue.code.asks_for_a_person())
            .map(|issue| summary::short(&issue.message)),
    );
    let unsure = extraction.fields.iter();
    reasons.extend(
        unsure
            .filter(|field| field.confidence < threshold)
            .map(|field| format!("{}: confidence {}", field.field, field.confidence)),
    );
    let says_molecule = extraction
        .form
        .said
        .as_ref()
        .is_none_or(|said| said.sequencing_type.is_some() || said.sample_type.is_some());
    if makes_samples && !says_molecule {
        reasons.push("sequencingType: the form does not say what the samples are".to_owned());
    }
    if reasons.len() > REASONS_MAX {
        let more = reasons.len() - REASONS_MAX;
        reasons.truncate(REASONS_MAX);
        reasons.push(format!("and {more} more"));
    }
    reasons
}

impl AiService {
    /// A part of the results that a person has to look at, or has looked at, oldest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn reviews(&self, filter: ReviewFilter, part: Part) -> Result<(Vec<InReview>, u64)> {
        self.read(move |tx| rows::list_reviews(tx, filter, part))
            .await
    }

    /// Takes a review for one person; nobody else can correct or decide it while they do.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when there is nothing to look at, or somebody else does since less than 30 minutes.
    ///
    /// # Cancel safety
    /// It is taken or not.
    pub async fn claim_review(&self, id: String, author: String) -> Result<ExtractionResult> {
        check_author(&author)?;
        self.change(move |tx, publisher| {
            let now = publisher.now();
            let (mut result, mut review) = open(tx, &id)?;
            if let (Some(other), Some(since)) = (&review.claimed_by, review.claimed_at)
                && *other != author
                && now.since(since) < CLAIM
            {
                let text = format!("result is looked at by somebody else since {since}");
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            review.status = ReviewStatus::Claimed;
            review.claimed_by = Some(author);
            review.claimed_at = Some(now);
            keep(tx, &mut result, review, now)?;
            Ok(result)
        })
        .await
    }

    /// Puts values in the place of what was read; `null` takes one away. What was there is kept beside, with time and author.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field; `NotFound`; `Conflict` unless the author has claimed the review.
    ///
    /// # Cancel safety
    /// All corrections are kept or none.
    pub async fn correct(
        &self,
        id: String,
        author: String,
        corrections: BTreeMap<String, Value>,
    ) -> Result<ExtractionResult> {
        check_author(&author)?;
        if corrections.is_empty() || corrections.len() > CORRECTIONS_MAX {
            let text = format!("must have 1 to {CORRECTIONS_MAX} fields");
            return Err(FieldErrors::one("corrections", text).into());
        }
        self.change(move |tx, publisher| {
            let now = publisher.now();
            let (mut result, mut review) = claimed(tx, &id, &author)?;
            let (form, changes) = apply(result.form(), &corrections)?;
            for change in changes {
                let correction = Correction {
                    field: change.field,
                    old_value: change.old,
                    new_value: change.new,
                    author: author.clone(),
                    time: now,
                };
                rows::insert_correction(tx, &id, &correction)?;
                result.corrections.push(correction);
            }
            result.corrected_data = Some(form);
            review.claimed_at = Some(now);
            keep(tx, &mut result, review, now)?;
            Ok(result)
        })
        .await
    }

    /// Lets a result count, as it was corrected. Publishes `ai.extraction_reviewed`, which lets the samples be made, and
    /// `ai.model_performance_recorded` for each method or model that had read a value, with
    /// `ai.model_performance_degraded` where it fell below the threshold.
    ///
    /// # Errors
    /// `Invalid` when no samples can be made of it; `NotFound`; `Conflict` unless the author has claimed the review.
    ///
    /// # Cancel safety
    /// It is decided or not.
    pub async fn accept_review(&self, id: String, author: String) -> Result<ExtractionResult> {
        check_author(&author)?;
        let corrections = self.check_samples(&id, &author).await?;
        let threshold = self.shared.settings.accuracy_threshold;
        self.change(move |tx, publisher| {
            let (result, review) = claimed(tx, &id, &author)?;
            if result.corrections.len() != corrections {
                let text = format!("result `{id}` is corrected at this moment");
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            let (result, mut job) = decide(
                tx,
                publisher,
                result,
                review,
                (ReviewStatus::Accepted, &author),
            )?;
            measure(tx, publisher, &mut job, &result, (threshold, &author))?;
            rows::update_job(tx, &job)?;
            Ok(result)
        })
        .await
    }

    /// Whether samples can be made of what the author has before them, since once decided it cannot be asked again; tells how many
    /// corrections that has.
    async fn check_samples(&self, id: &str, author: &str) -> Result<usize> {
        let (id, author) = (id.to_owned(), author.to_owned());
        let (result, _) = self.read(move |tx| claimed(tx, &id, &author)).await?;
        check_form(result.form()).map_err(|error| Error::from(&Fault::from(error)))?;
        if let Some(submission) = &result.submission_id {
            let form = for_samples(result.form())?;
            match &self.submissions {
                Some(submissions) => submissions.check(submission, form).await?,
                None => form.check()?,
            }
        }
        Ok(result.corrections.len())
    }

    /// Refuses a result: no samples are made of it. Publishes `ai.extraction_reviewed`.
    ///
    /// # Errors
    /// `Invalid` without a reason; `NotFound`; `Conflict` unless the author has claimed the review.
    ///
    /// # Cancel safety
    /// It is decided or not.
    pub async fn refuse_review(
        &self,
        id: String,
        author: String,
        reason: String,
    ) -> Result<ExtractionResult> {
        check_author(&author)?;
        let reason = reason.trim().to_owned();
        if reason.is_empty() || reason.chars().count() > REASON_CHARACTERS_MAX {
            let text = format!("must have 1 to {REASON_CHARACTERS_MAX} characters");
            return Err(FieldErrors::one("reason", text).into());
        }
        self.change(move |tx, publisher| {
            let (result, mut review) = claimed(tx, &id, &author)?;
            review.decision_reason = Some(reason);
            let (result, job) = decide(
                tx,
                publisher,
                result,
                review,
                (ReviewStatus::Refused, &author),
            )?;
            rows::update_job(tx, &job)?;
            Ok(result)
        })
        .await
    }
}

fn check_author(author: &str) -> Result<(), FieldErrors> {
    if author.trim().is_empty() || author.len() > ATTRIBUTE_BYTES_MAX {
        let text = format!("must have 1 to {ATTRIBUTE_BYTES_MAX} bytes: a decision has an author");
        return Err(FieldErrors::one("x-user-id", text));
    }
    Ok(())
}

/// A result that is not decided, and its review.
fn open(tx: &Transaction<'_>, id: &str) -> Result<(ExtractionResult, Review)> {
    let result = rows::get_result(tx, id)?;
    let conflict = |text: String| Err(Error::new(ErrorKind::Conflict, text));
    if result.status != crate::model::ResultStatus::Current {
        return conflict(format!("result `{id}` was taken back"));
    }
    match result.review.clone() {
        Some(review) if review.status.is_open() => Ok((result, review)),
        Some(review) => conflict(format!("result `{id}` is `{}`", review.status.as_str())),
        None => conflict(format!("result `{id}` waits for nobody")),
    }
}

/// A result that this person has claimed.
fn claimed(tx: &Transaction<'_>, id: &str, author: &str) -> Result<(ExtractionResult, Review)> {
    let (result, review) = open(tx, id)?;
    if review.claimed_by.as_deref() != Some(author) {
        let text = format!("result `{id}` is not claimed by who decides it");
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    Ok((result, review))
}

fn keep(
    tx: &Transaction<'_>,
    result: &mut ExtractionResult,
    review: Review,
    now: Timestamp,
) -> Result<()> {
    result.review = Some(review);
    result.updated_at = now;
    rows::update_review(tx, result)
}

fn decide(
    tx: &Transaction<'_>,
    publisher: &mut Publisher<'_>,
    mut result: ExtractionResult,
    mut review: Review,
    (status, author): (ReviewStatus, &str),
) -> Result<(ExtractionResult, Job)> {
    let now = publisher.now();
    review.status = status;
    review.decided_by = Some(author.to_owned());
    review.decided_at = Some(now);
    keep(tx, &mut result, review, now)?;
    let mut job = rows::get_job(tx, &result.job_id)?;
    publisher.reviewed(&mut job, &result)?;
    Ok((result, job))
}

/// Counts what was right, and tells it.
fn measure(
    tx: &Transaction<'_>,
    publisher: &mut Publisher<'_>,
    job: &mut Job,
    result: &ExtractionResult,
    (threshold, author): (f64, &str),
) -> Result<()> {
    for tally in tally(result) {
        let before = rows::performance(tx, &tally.model)?.map(|it| it.accuracy);
        let time = result.processing_time_ms;
        rows::insert_performance(tx, &result.id, &tally, time, publisher.now())?;
        let Some(now) = rows::performance(tx, &tally.model)? else {
            continue;
        };
        publisher.performance(job, &now, author)?;
        if has_degraded(before, now.accuracy, threshold) {
            publisher.degraded(job, (before, &now), threshold, author)?;
        }
    }
    Ok(())
}
