//! Compares an extracted form with its truth, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use ai_service::form::{Extraction, Form, extract};

/// Reads a PDF through the child process and extracts its form.
pub(crate) async fn extract_file(pdf: &Path) -> Extraction {
    let bytes = std::fs::read(pdf).unwrap();
    let document = crate::read(bytes).await.unwrap();
    extract(&document).unwrap()
}

/// Requires that the form is exactly the truth; ticked choices are compared as sets.
pub(crate) async fn check(pdf: &Path) {
    let truth = std::fs::read_to_string(pdf.with_extension("json")).unwrap();
    let truth: Form = serde_json::from_str(&truth).unwrap();
    let extraction = extract_file(pdf).await;
    let (got, want) = (flat(&extraction.form), flat(&truth));
    let report = report(&got, &want);
    assert!(
        got == want,
        "{}\n{report}\nissues: {:#?}",
        pdf.display(),
        extraction.issues
    );
    every_value_has_its_evidence(&extraction);
}

pub(crate) fn every_value_has_its_evidence(extraction: &Extraction) {
    let values: usize = flat(&extraction.form).values().map(BTreeSet::len).sum();
    assert_eq!(
        extraction.fields.len(),
        values,
        "one evidence for each value"
    );
    for field in &extraction.fields {
        assert!((0.0..1.0).contains(&field.confidence), "{field:?}");
        assert!(
            field.evidence.page >= 1 && field.evidence.bbox.w > 0.0,
            "{field:?}"
        );
    }
}

/// The values by field path; the order of ticked choices does not count, that of rows does.
fn flat(form: &Form) -> BTreeMap<String, BTreeSet<String>> {
    let mut out = BTreeMap::new();
    collect("", &serde_json::to_value(form).unwrap(), &mut out);
    out
}

fn collect(path: &str, value: &serde_json::Value, out: &mut BTreeMap<String, BTreeSet<String>>) {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                collect(&format!("{path}{dot}{name}"), value, out);
            }
        }
        Value::Array(items) if path == "samples" => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{path}[{index}]"), item, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(path, item, out)),
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        other => {
            out.entry(path.to_owned())
                .or_default()
                .insert(other.to_string());
        }
    }
}

type Values = BTreeMap<String, BTreeSet<String>>;

/// For each field: values that are right, that were read, that are true.
pub(crate) type Counts = BTreeMap<String, [usize; 3]>;

/// Counts the values of one form, and tells what differs.
pub(crate) fn tally(name: &str, got: &Form, want: &Form, counts: &mut Counts) -> String {
    count(name, &flat(got), &flat(want), counts)
}

fn count(name: &str, got: &Values, want: &Values, counts: &mut Counts) -> String {
    let field = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let mut differences = String::new();
    let empty = BTreeSet::new();
    for path in got.keys().chain(want.keys()).collect::<BTreeSet<_>>() {
        let (own, truth) = (
            got.get(path).unwrap_or(&empty),
            want.get(path).unwrap_or(&empty),
        );
        let count = counts.entry(field(path)).or_default();
        count[0] += own.intersection(truth).count();
        count[1] += own.len();
        count[2] += truth.len();
        if own != truth {
            writeln!(differences, "{name}: {path}: read {own:?}, truth {truth:?}").unwrap();
        }
    }
    differences
}

/// The counts as the rows of a table.
pub(crate) fn rows(counts: &Counts) -> String {
    let mut out = String::from("| field | precision | recall |\n|---|---|---|\n");
    for (field, [right, read, truth]) in counts {
        writeln!(out, "| {field} | {right}/{read} | {right}/{truth} |").unwrap();
    }
    out
}

/// Precision and recall for each field, and what differs.
fn report(got: &Values, want: &Values) -> String {
    let mut counts = Counts::new();
    let differences = count("form", got, want, &mut counts);
    rows(&counts) + &differences
}
