//! What the services tell of themselves.

use std::collections::BTreeMap;
use std::fmt;

use ai_service::model::Stats;
use sample_service::model::{Measures, PROCESSING_SECONDS, Statistics};

use super::Snapshot;
use super::out::Out;

impl Snapshot {
    pub(super) fn encode_services(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        if let Some((statistics, measures)) = &self.samples {
            encode_samples(statistics, measures, out)?;
        }
        match &self.ai {
            Some(ai) => encode_jobs(ai, out).and_then(|()| encode_reading(ai, out)),
            None => Ok(()),
        }
    }
}

/// Counts of words.
fn word<'c>(
    label: &'static str,
    counts: &'c BTreeMap<String, u64>,
) -> impl Iterator<Item = ([(&'static str, String); 1], u64)> + 'c {
    counts
        .iter()
        .map(move |(word, count)| ([(label, word.clone())], *count))
}

fn encode_samples(
    statistics: &Statistics,
    measures: &Measures,
    out: &mut Out<'_, '_>,
) -> fmt::Result {
    out.gauges(
        "samples_by_status",
        "Samples, by status",
        word("status", &statistics.samples_by_status),
    )?;
    out.gauges(
        "samples_by_priority",
        "Samples, by priority",
        word("priority", &statistics.samples_by_priority),
    )?;
    // A gauge, since samples can be deleted; the name is older than that insight.
    let samples = measures.samples.iter();
    out.gauges(
        "samples_total",
        "Samples, by molecule and priority",
        samples.map(|(kind, priority, count)| {
            let labels = [
                ("sample_type", kind.clone()),
                ("priority", priority.clone()),
            ];
            (labels, *count)
        }),
    )?;
    let bounds = PROCESSING_SECONDS.into_iter().map(f64::from);
    let buckets: Vec<(f64, u64)> = bounds
        .chain([f64::INFINITY])
        .zip(measures.processing_counts)
        .collect();
    out.histogram(
        "sample_processing_time_seconds",
        "Time of completed samples, from when form and tube were there, without holds",
        measures.processing_seconds,
        &buckets,
    )
}

fn encode_jobs(ai: &Stats, out: &mut Out<'_, '_>) -> fmt::Result {
    let jobs = &ai.jobs;
    out.gauge(
        "ai_processing_queue_size",
        "Jobs that wait for their turn",
        jobs.queued,
    )?;
    out.gauge("ai_processing_active_jobs", "Jobs that run", jobs.active)?;
    // A gauge, since a job moves from one status to the next; the name is older than that insight.
    out.gauges(
        "ai_processing_jobs_total",
        "Jobs, by present status and type",
        jobs.by_status.iter().map(|it| {
            let labels = [
                ("status", it.status.as_str().to_owned()),
                ("type", it.job_type.to_owned()),
            ];
            (labels, it.count)
        }),
    )?;
    out.counters(
        "ai_processing_errors",
        "Failed jobs, by kind of error",
        word("type", &jobs.errors),
    )
}

fn encode_reading(ai: &Stats, out: &mut Out<'_, '_>) -> fmt::Result {
    let reviews = &ai.reviews;
    let reviews = [
        ("waiting", reviews.waiting),
        ("claimed", reviews.claimed),
        ("accepted", reviews.accepted),
        ("refused", reviews.refused),
    ];
    out.gauges(
        "ai_reviews",
        "Results that a person has to look at, or has looked at, by status",
        reviews
            .into_iter()
            .map(|(status, count)| ([("status", status)], count)),
    )?;
    out.float_gauges(
        "ai_model_accuracy",
        "Right values of all in the last results that a person has accepted",
        ai.performance
            .iter()
            .map(|it| ([("model", it.model.clone())], it.accuracy)),
    )?;
    out.counter(
        "ai_extraction_cache_hits",
        "Documents whose values were known",
        ai.cache_hits,
    )?;
    let model = &ai.model;
    out.counter(
        "ai_model_answers",
        "Answers of the language model",
        model.answers,
    )?;
    let llm = [("name", "llm")];
    out.gauges(
        "circuit_breaker_state",
        "0 it is asked, 1 it is not asked, 2 it is tried",
        std::iter::once((llm, u64::from(model.breaker))),
    )?;
    out.gauges(
        "circuit_breaker_failures",
        "Calls that failed",
        std::iter::once((llm, model.failures)),
    )
}
