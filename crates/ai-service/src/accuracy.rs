//! How right a reading was, by what a person put in its place. Pure.

use std::collections::BTreeMap;

use nanopore::events::ai::Method;
use serde_json::Value;

use crate::correction::{Step, place, same};
use crate::model::{ExtractionResult, method_word};

/// Values of one method or model, and how many of them were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The model, or the method where none is asked.
    pub(crate) model: String,
    /// Values that stayed as they were read.
    pub(crate) right: u64,
    /// Values that were read, and those that were missed.
    pub(crate) values: u64,
}

/// Compares what was read with what a person put there. A value that was missed counts for the method of the whole.
pub(crate) fn tally(result: &ExtractionResult) -> Vec<Tally> {
    let name = |method: Method| match (method, &result.model) {
        (Method::Llm, Some(model)) => model.clone(),
        _ => method_word(method).to_owned(),
    };
    let changed = changed(result);
    let mut tallies: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut read: Vec<Vec<Step>> = Vec::new();
    for field in &result.fields {
        let Some(at) = place(&field.field) else {
            // What the form has no place for nobody can correct.
            continue;
        };
        let method = field.method.unwrap_or(result.extraction_method);
        let tally = tallies.entry(name(method)).or_default();
        // A row that was taken away has no right value.
        let is_wrong = |(step, (old, new)): (&Vec<Step>, &(&Value, &Value))| {
            at.starts_with(step) && !same(old, new)
        };
        tally.0 += u64::from(!changed.iter().any(is_wrong));
        tally.1 += 1;
        read.push(at);
    }
    let missed = changed.iter().filter(|(at, (old, new))| {
        is_blank(old) && !is_blank(new) && !read.iter().any(|it| it == *at)
    });
    let missed = u64::try_from(missed.count()).unwrap_or(u64::MAX);
    if missed > 0 {
        tallies.entry(name(result.extraction_method)).or_default().1 += missed;
    }
    let tallies = tallies.into_iter();
    tallies
        .map(|(model, (right, values))| Tally {
            model,
            right,
            values,
        })
        .collect()
}

/// What was first at each corrected place, and what is last.
fn changed(result: &ExtractionResult) -> BTreeMap<Vec<Step>, (&Value, &Value)> {
    let mut changed: BTreeMap<Vec<Step>, (&Value, &Value)> = BTreeMap::new();
    for correction in &result.corrections {
        if let Some(at) = place(&correction.field) {
            changed
                .entry(at)
                .and_modify(|it| it.1 = &correction.new_value)
                .or_insert((&correction.old_value, &correction.new_value));
        }
    }
    changed
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty)
}

/// Whether a model has just become worse than is expected: it fell below, or begins there.
pub(crate) fn has_degraded(before: Option<f64>, now: f64, threshold: f64) -> bool {
    now < threshold && before.is_none_or(|before| before >= threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_degrades_when_it_falls_below_and_not_again_while_it_stays_there() {
        for (before, now, expected) in [
            (None, 0.95, false),
            (None, 0.85, true),
            (Some(0.95), 0.9, false),
            (Some(0.9), 0.89, true),
            (Some(0.89), 0.5, false),
            (Some(0.5), 0.95, false),
        ] {
            assert_eq!(has_degraded(before, now, 0.9), expected, "{before:?} {now}");
        }
    }
}
