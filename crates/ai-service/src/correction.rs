//! Puts what a person says in the place of what was read, field by field. Pure.

use std::collections::BTreeMap;

use nanopore::sample::{FieldErrors, written};
use sagabus::{Error, Result};
use serde_json::{Map, Value};

use crate::form::{Column, Form, limit};
use crate::pdf::{PdfError, PdfErrorKind};

/// Most rows of a form.
const ROWS_MAX: usize = 1_000;
/// Longest text, in characters.
const TEXT_CHARACTERS_MAX: usize = 5_000;

/// One value that is put in the place of another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) field: String,
    pub(crate) old: Value,
    pub(crate) new: Value,
}

/// One step from a form to a value in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

/// The values of a form by the paths that fields have.
#[derive(Debug)]
struct Places(Value);

impl Places {
    fn of(form: &Form) -> Result<Self> {
        let json = serde_json::to_value(form);
        json.map(Self)
            .map_err(|error| Error::invalid("form cannot be written as JSON").with_source(error))
    }

    /// The value at a path, `null` where there is none; nothing where the form has no such place.
    fn get(&self, field: &str) -> Option<&Value> {
        let mut at = &self.0;
        for step in place(field)? {
            at = match step {
                Step::Name(name) => at.get(&name),
                Step::Index(index) => at.get(index),
            }
            .unwrap_or(&Value::Null);
        }
        Some(at)
    }
}

/// Whether two values are the same; numbers by their value.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// The form with each correction in its place, and what changed.
///
/// # Errors
/// Every field that the form has no place for, or whose value does not fit.
pub(crate) fn apply(
    form: &Form,
    corrections: &BTreeMap<String, Value>,
) -> Result<(Form, Vec<Change>)> {
    let mut places = Places::of(form)?;
    let mut errors = FieldErrors::default();
    let mut changes = Vec::new();
    let mut rows_gone = Vec::new();
    for (field, value) in in_order(corrections) {
        let steps = match check(form, field, value) {
            Ok(steps) if is_taken_away(&steps, corrections) => {
                errors.add(field, "is of a row that is taken away together with it");
                continue;
            }
            Ok(steps) => steps,
            Err(wrong) => {
                errors.add(field, wrong);
                continue;
            }
        };
        let old = places.get(field).cloned().unwrap_or_default();
        if let [Step::Name(_), Step::Index(index)] = steps.as_slice()
            && field.starts_with("samples[")
        {
            match old.is_null() {
                true => errors.add(field, "is no row of the form"),
                false => rows_gone.push(*index),
            }
        } else {
            let mut next = places.0.clone();
            let fits = put(&mut next, &steps, value.clone())
                && serde_json::from_value::<Form>(next.clone()).is_ok();
            if !fits {
                errors.add(
                    field,
                    "is not a value of this field, or its row is not the next one",
                );
                continue;
            }
            places.0 = next;
        }
        if !same(&old, value) {
            changes.push(Change {
                field: field.clone(),
                old,
                new: value.clone(),
            });
        }
    }
    if !errors.0.is_empty() {
        return Err(errors.into());
    }
    rows_gone.sort_unstable();
    if let Some(rows) = places.0.get_mut("samples").and_then(Value::as_array_mut) {
        for index in rows_gone
            .into_iter()
            .rev()
            .filter(|it| *it < rows.len())
            .collect::<Vec<_>>()
        {
            rows.remove(index);
        }
    }
    let form = serde_json::from_value(places.0)
        .map_err(|error| Error::invalid("form cannot be read").with_source(error))?;
    Ok((form, changes))
}

/// Whether it is a field of a row that another correction takes away: which of the two is meant nobody can say.
fn is_taken_away(steps: &[Step], corrections: &BTreeMap<String, Value>) -> bool {
    match steps {
        [Step::Name(list), Step::Index(index), Step::Name(_)] => corrections
            .get(&format!("{list}[{index}]"))
            .is_some_and(Value::is_null),
        _ => false,
    }
}

/// Rows by their numbers, so that new ones follow each other.
fn in_order(corrections: &BTreeMap<String, Value>) -> Vec<(&String, &Value)> {
    let row = |field: &str| match place(field).as_deref() {
        Some([_, Step::Index(index), ..]) => *index,
        _ => 0,
    };
    let mut all: Vec<(&String, &Value)> = corrections.iter().collect();
    all.sort_by_key(|(field, _)| row(field));
    all
}

fn check(form: &Form, field: &str, value: &Value) -> Result<Vec<Step>, String> {
    let steps = place(field).ok_or("is no field of a form")?;
    if let [Step::Name(name), ..] = steps.as_slice()
        && name == "said"
        && form.said.is_none()
    {
        return Err("is no field of this kind of form".to_owned());
    }
    if let Some(text) = value.as_str() {
        if text.contains('\0') {
            return Err("has the character U+0000, which is not to be seen".to_owned());
        }
        if text.chars().count() > TEXT_CHARACTERS_MAX {
            return Err(format!(
                "must have at most {TEXT_CHARACTERS_MAX} characters"
            ));
        }
    }
    match steps.as_slice() {
        [Step::Name(name), Step::Index(_)] if name == "samples" && !value.is_null() => {
            return Err(
                "must be `null`, which takes the row away; its fields are corrected one by one"
                    .to_owned(),
            );
        }
        [Step::Name(name), Step::Index(index), ..] if name == "samples" && *index >= ROWS_MAX => {
            return Err(format!("has more than {ROWS_MAX} rows"));
        }
        [Step::Name(name), Step::Index(_), Step::Name(column)] if name == "samples" => {
            within(column, value)?;
        }
        _ => {}
    }
    Ok(steps)
}

/// Whether a number of a row is one that can be.
fn within(column: &str, value: &Value) -> Result<(), String> {
    let limit = columns()
        .into_iter()
        .filter_map(limit)
        .find(|it| it.field == column);
    let (Some(limit), Some(number)) = (limit, value.as_f64()) else {
        return Ok(());
    };
    let (least, most) = limit.allowed;
    match (least..=most).contains(&number) {
        true => Ok(()),
        false => {
            let number = written(number);
            Err(format!("is {number}, outside of {least} to {most}"))
        }
    }
}

const fn columns() -> [Column; 6] {
    [
        Column::Volume,
        Column::Qubit,
        Column::Nanodrop,
        Column::Concentration,
        Column::A260A280,
        Column::A260A230,
    ]
}

/// Puts a value at a place; false where there is none. A list grows by one at its end, a row with it.
fn put(at: &mut Value, steps: &[Step], value: Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *at = value;
        return true;
    };
    let next = match step {
        Step::Name(name) => {
            let Some(object) = at.as_object_mut() else {
                return false;
            };
            object.entry(name.as_str()).or_insert(Value::Null)
        }
        Step::Index(index) => {
            let Some(list) = at.as_array_mut() else {
                return false;
            };
            if *index == list.len() {
                list.push(match rest.is_empty() {
                    true => Value::Null,
                    false => blank_row(),
                });
            }
            match list.get_mut(*index) {
                Some(next) => next,
                None => return false,
            }
        }
    };
    put(next, rest, value)
}

fn blank_row() -> Value {
    serde_json::to_value(crate::form::Sample::default())
        .unwrap_or_else(|_| Value::Object(Map::new()))
}

/// Where a field stands in a form: the facility's fields by their paths, those of simple forms by their names.
pub(crate) fn place(field: &str) -> Option<Vec<Step>> {
    const OF_THE_ROW: [(&str, &str); 5] = [
        ("sampleName", "sample_name"),
        ("volume", "volume_ul"),
        ("concentration", "concentration_ng_ul"),
        ("qubitConcentration", "qubit_ng_ul"),
        ("nanodropConcentration", "nanodrop_ng_ul"),
    ];
    const ROW: [&str; 7] = [
        "sample_name",
        "volume_ul",
        "qubit_ng_ul",
        "nanodrop_ng_ul",
        "concentration_ng_ul",
        "a260_280",
        "a260_230",
    ];
    const ALONE: [&str; 9] = [
        "service_project",
        "owner",
        "lab",
        "kit",
        "human_dna",
        "genome_size",
        "coverage",
        "flow_cell_count",
        "comments",
    ];
    const LISTS: [&str; 6] = [
        "sample_types",
        "buffer",
        "flow_cells",
        "basecalling",
        "formats",
        "emails",
    ];
    let name = |text: &str| Step::Name(text.to_owned());
    if let Some((_, column)) = OF_THE_ROW.iter().find(|(it, _)| *it == field) {
        return Some(vec![name("samples"), Step::Index(0), name(column)]);
    }
    if crate::reading::OF_ALL.contains(&field) {
        return Some(vec![name("said"), name(field)]);
    }
    if ALONE.contains(&field) || LISTS.contains(&field) || field == "delivery" {
        return Some(vec![name(field)]);
    }
    let (list, rest) = field.split_once('[')?;
    let (index, rest) = rest.split_once(']')?;
    let digits = index;
    let index: usize = digits.parse().ok()?;
    if index.to_string() != digits {
        return None;
    }
    match (list, rest.strip_prefix('.')) {
        ("samples", Some(column)) if ROW.contains(&column) => {
            Some(vec![name(list), Step::Index(index), name(column)])
        }
        ("samples", None) if rest.is_empty() => Some(vec![name(list), Step::Index(index)]),
        (list, None) if rest.is_empty() && LISTS.contains(&list) => {
            Some(vec![name(list), Step::Index(index)])
        }
        _ => None,
    }
}

/// Whether samples can be made of a form that a person has seen.
///
/// # Errors
/// `VALIDATION_ERROR`, naming the row.
pub(crate) fn check_form(form: &Form) -> Result<(), PdfError> {
    let refused = |message: String| PdfError::new(PdfErrorKind::ValidationError, message);
    if form.samples.is_empty() {
        return Err(refused("the form has no sample: add its rows".to_owned()));
    }
    match form
        .samples
        .iter()
        .position(|it| it.sample_name.trim().is_empty())
    {
        Some(index) => Err(refused(format!(
            "samples[{index}].sample_name: the row has no name"
        ))),
        None => Ok(()),
    }
}

/// The form as whoever makes samples of it reads it.
///
/// # Errors
/// `Invalid` where it is none.
pub(crate) fn for_samples(form: &Form) -> Result<nanopore::sample::Form, Error> {
    serde_json::to_value(form)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::invalid("form cannot be read").with_source(error))
}

#[cfg(test)]
mod tests;
