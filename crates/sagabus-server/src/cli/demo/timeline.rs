//! The demonstration's report: events, steps, samples, audit trail.

use std::collections::BTreeMap;
use std::sync::Arc;

use ai_service::AiService;
use ai_service::model::{Job, JobFilter, Part};
use sagabus::saga::{SagaStatus, Status};
use sagabus::{Event, Result};

use crate::assemble::System;
use crate::cli::Failure;
use crate::cli::print::say;
use crate::intake::Taken;

/// Characters of a subject that are shown.
const SUBJECT_CHARACTERS: usize = 13;

/// Prints everything about one submission.
pub(super) async fn print(
    system: &System,
    taken: &Taken,
    saga: &SagaStatus,
) -> Result<(), Failure> {
    let events = events(system, &taken.correlation_id).await?;
    print_events(&events);
    print_steps(saga);
    print_samples(system, taken).await?;
    print_audit(system).await
}

/// The job that reads a submission's form.
pub(super) async fn job(ai: &AiService, submission_id: &str) -> Result<Option<Job>> {
    let filter = JobFilter {
        submission_id: Some(submission_id.to_owned()),
        ..JobFilter::default()
    };
    let latest = Part {
        limit: 1,
        offset: 0,
    };
    let (jobs, _) = ai.jobs(filter, latest).await?;
    Ok(jobs.into_iter().next())
}

/// All events of one piece of work, in order.
async fn events(system: &System, correlation_id: &str) -> Result<Vec<(u64, Arc<Event>)>> {
    let mut found = Vec::new();
    let mut position = 1;
    loop {
        let page = system.bus.read(position, 1000).await?;
        found.extend(
            page.events
                .into_iter()
                .filter(|(_, event)| event.correlation_id.as_deref() == Some(correlation_id)),
        );
        if page.is_last {
            return Ok(found);
        }
        position = page.next;
    }
}

fn print_events(events: &[(u64, Arc<Event>)]) {
    let positions: BTreeMap<&str, u64> = events
        .iter()
        .map(|(position, event)| (event.id.as_str(), *position))
        .collect();
    say!();
    say!("events ({})", events.len());
    say!(
        "  {:>4}  {:<24}  {:<31}  {:<13}  caused by",
        "pos",
        "time",
        "type",
        "subject"
    );
    for (position, event) in events {
        let subject = event.subject.as_deref().unwrap_or("-");
        // The end of an id tells more than its beginning, which is the time.
        let skipped = subject.chars().count().saturating_sub(SUBJECT_CHARACTERS);
        let subject: String = subject.chars().skip(skipped).collect();
        let cause = match &event.causation_id {
            None => "-".to_owned(),
            Some(id) => positions
                .get(id.as_str())
                .map_or_else(|| id.to_string(), ToString::to_string),
        };
        say!(
            "  {position:>4}  {:<24}  {:<31}  {subject:<13}  {cause}",
            event.time.to_string(),
            event.event_type.as_str()
        );
    }
}

fn print_steps(saga: &SagaStatus) {
    say!();
    say!("saga {} {}: {}", saga.name, saga.id, saga.status);
    for step in &saga.steps {
        let duration = step.duration.map_or_else(
            || "-".to_owned(),
            |duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0),
        );
        say!(
            "  {:<22} {:<16} {duration:>10}  attempts {}{}",
            step.id,
            step.phase.as_str(),
            step.attempts,
            step.error
                .as_deref()
                .map(|error| format!("  {error}"))
                .unwrap_or_default()
        );
    }
    if saga.status != Status::Completed
        && let Some(error) = &saga.error
    {
        say!("  why: {error}");
    }
}

async fn print_samples(system: &System, taken: &Taken) -> Result<(), Failure> {
    let samples = system.services.sample()?;
    let submission = samples.submission(taken.submission.id.clone()).await?;
    say!();
    say!(
        "submission {}: {}",
        submission.number,
        submission.status.as_str()
    );
    if let Some(reason) = &submission.reason {
        say!("  why: {reason}");
    }
    let ai = system.services.ai()?;
    let job = job(ai, &taken.submission.id).await?;
    let Some(result_id) = job.and_then(|job| job.result_id) else {
        say!("  no samples");
        return Ok(());
    };
    let result = ai.result(result_id).await?;
    say!(
        "  form read with confidence {:.2} ({}); {} samples tracked",
        result.confidence_score,
        result.status.as_str(),
        submission.sample_count
    );
    say!(
        "  {:<20} {:>10} {:>14} {:>14} {:>8} {:>8}  confidence",
        "sample",
        "volume µL",
        "Qubit ng/µL",
        "NanoDrop ng/µL",
        "260/280",
        "260/230"
    );
    for (row, sample) in result.extracted_data.samples.iter().enumerate() {
        let prefix = format!("samples[{row}].");
        let confidences: Vec<f64> = result
            .fields
            .iter()
            .filter(|field| field.field.starts_with(&prefix))
            .map(|field| field.confidence)
            .collect();
        let least = confidences.iter().copied().fold(1.0, f64::min);
        say!(
            "  {:<20} {:>10} {:>14} {:>14} {:>8} {:>8}  {least:.2}",
            sample.sample_name,
            number(sample.volume_ul),
            number(sample.qubit_ng_ul),
            number(sample.nanodrop_ng_ul),
            number(sample.a260_280),
            number(sample.a260_230)
        );
    }
    Ok(())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

async fn print_audit(system: &System) -> Result<(), Failure> {
    let verification = system.services.audit()?.verify().await?;
    say!();
    say!("audit trail: {verification}");
    Ok(())
}
