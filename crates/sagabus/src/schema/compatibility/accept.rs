//! Whether one value is valid, as far as that can be told without looking into patterns. Pure.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::branch::{ignores_siblings, is_note, kinds, list, resolve};

/// Deepest nesting that is looked into; a schema may lead back to itself.
const DEPTH_MAX: usize = 64;
/// Most schemas that are looked at for one value: references can make a short schema a long way.
const STEPS_MAX: u32 = 10_000;

/// A number of JSON, compared without loss where both are whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i128),
    Other(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        if let Some(whole) = number
            .as_i64()
            .map(i128::from)
            .or(number.as_u64().map(i128::from))
        {
            return Some(Self::Whole(whole));
        }
        let other = number.as_f64()?;
        // 2^100: so far a float with no fraction is told exactly by an `i128`.
        if other.fract() == 0.0 && other.abs() < 1.267_650_600_228_229_4e30 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and within the range"
            )]
            return Some(Self::Whole(other as i128));
        }
        Some(Self::Other(other))
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "the other one has a fraction or is huge"
            )]
            Self::Whole(whole) => whole as f64,
            Self::Other(other) => other,
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Whole(_))
    }
}

/// Whether two values are the same for JSON Schema, to which `1` is `1.0`.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => match (Number::of(one), Number::of(other)) {
            (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
            _ => false,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, a)| other.get(name).is_some_and(|b| same(a, b)))
        }
        (one, other) => one == other,
    }
}

/// The range of a whole-number format, by which generated schemas say the width of an integer.
pub(super) fn range_of(format: &str) -> Option<(Value, Value)> {
    Some(match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        "uint8" => (0.into(), u8::MAX.into()),
        "uint16" => (0.into(), u16::MAX.into()),
        "uint32" => (0.into(), u32::MAX.into()),
        "uint64" | "uint" => (0.into(), u64::MAX.into()),
        _ => return None,
    })
}

/// Whether the value is valid; `None` when it cannot be told.
pub(super) fn accepts(root: &Value, schema: &Value, value: &Value) -> Option<bool> {
    let at = Place {
        root,
        depth: 0,
        steps: &Cell::new(0),
    };
    valid(at, schema, value)
}

/// How far one is.
#[derive(Clone, Copy)]
struct Place<'a> {
    root: &'a Value,
    depth: usize,
    steps: &'a Cell<u32>,
}

impl Place<'_> {
    fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

fn valid(at: Place<'_>, schema: &Value, value: &Value) -> Option<bool> {
    at.steps.set(at.steps.get() + 1);
    if at.depth > DEPTH_MAX || at.steps.get() > STEPS_MAX {
        return None;
    }
    let root = at.root;
    let map = match schema {
        Value::Bool(answer) => return Some(*answer),
        Value::Object(map) => map,
        _ => return None,
    };
    let deeper = |schema: &Value| valid(at.deeper(), schema, value);
    if let Some(reference) = map.get("$ref") {
        let target = resolve(root, reference.as_str()?).ok()?;
        let answer = deeper(target);
        if ignores_siblings(root) || answer == Some(false) {
            return answer;
        }
        let rest = map.iter().filter(|(keyword, _)| *keyword != "$ref");
        let rest: Map<String, Value> = rest.map(|(a, b)| (a.clone(), b.clone())).collect();
        return both(answer, deeper(&Value::Object(rest)));
    }
    let mut all = Some(true);
    for (keyword, wanted) in map {
        let answer = match keyword.as_str() {
            "allOf" => {
                let parts = list(map, keyword).ok()?;
                parts.iter().map(deeper).fold(Some(true), both)
            }
            "anyOf" => any(list(map, keyword).ok()?.iter().map(deeper)),
            "oneOf" => exactly_one(list(map, keyword).ok()?.iter().map(deeper)),
            "not" => deeper(wanted).map(|it| !it),
            "properties" | "additionalProperties" if value.is_object() => {
                // Both together, once.
                if keyword == "properties" && map.contains_key("additionalProperties") {
                    Some(true)
                } else {
                    fields(at, map, value)
                }
            }
            _ => word(at, map, (keyword, wanted), value),
        };
        all = both(all, answer);
        if all == Some(false) {
            return all;
        }
    }
    all
}

fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn any(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(false);
    for answer in answers {
        match answer {
            Some(true) => return Some(true),
            Some(false) => {}
            None => all = None,
        }
    }
    all
}

fn exactly_one(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let answers: Option<Vec<bool>> = answers.collect();
    Some(answers?.into_iter().filter(|it| *it).count() == 1)
}

fn fields(at: Place<'_>, map: &Map<String, Value>, value: &Value) -> Option<bool> {
    let properties = map.get("properties").and_then(Value::as_object);
    let additional = map.get("additionalProperties");
    let mut all = Some(true);
    for (name, field) in value.as_object().into_iter().flatten() {
        let schema = match properties.and_then(|it| it.get(name)) {
            Some(schema) => schema,
            None if map.contains_key("patternProperties") => return None,
            None => match additional {
                Some(schema) => schema,
                None => continue,
            },
        };
        all = both(all, valid(at.deeper(), schema, field));
    }
    all
}

/// One word that stands for itself.
fn word(
    at: Place<'_>,
    map: &Map<String, Value>,
    (keyword, wanted): (&str, &Value),
    value: &Value,
) -> Option<bool> {
    let bound = |is_good: fn(Ordering) -> bool, value: Option<Value>| match value {
        Some(value) => Some(is_good(Number::of(&value)?.compare(Number::of(wanted)?)?)),
        None => Some(true),
    };
    let number = || value.is_number().then(|| value.clone());
    let length = || value.as_str().map(|it| it.chars().count().into());
    let items = || value.as_array().map(|it| it.len().into());
    let entries = || value.as_object().map(|it| it.len().into());
    match keyword {
        note if is_note(note) => Some(true),
        "type" => Some(kinds(wanted).iter().any(|kind| is_of(value, kind))),
        "const" => Some(same(wanted, value)),
        "enum" => Some(wanted.as_array()?.iter().any(|it| same(it, value))),
        "minimum" => bound(Ordering::is_ge, number()),
        "maximum" => bound(Ordering::is_le, number()),
        "exclusiveMinimum" => bound(Ordering::is_gt, number()),
        "exclusiveMaximum" => bound(Ordering::is_lt, number()),
        "minLength" => bound(Ordering::is_ge, length()),
        "maxLength" => bound(Ordering::is_le, length()),
        "minItems" => bound(Ordering::is_ge, items()),
        "maxItems" => bound(Ordering::is_le, items()),
        "minProperties" => bound(Ordering::is_ge, entries()),
        "maxProperties" => bound(Ordering::is_le, entries()),
        "required" => {
            let Some(object) = value.as_object() else {
                return Some(true);
            };
            let names = wanted.as_array()?.iter().filter_map(Value::as_str);
            let mut names = names.map(|name| object.contains_key(name));
            Some(names.all(|it| it))
        }
        "items" if !map.contains_key("prefixItems") && !wanted.is_array() => {
            let items = value.as_array().into_iter().flatten();
            items
                .map(|item| valid(at.deeper(), wanted, item))
                .fold(Some(true), both)
        }
        "format" => match (range_of(wanted.as_str()?), value.is_number()) {
            (Some((least, most)), true) => {
                let number = Number::of(value)?;
                let is_within = number.compare(Number::of(&least)?)?.is_ge()
                    && number.compare(Number::of(&most)?)?.is_le();
                Some(is_within)
            }
            (None, true) | (_, false) if !value.is_string() => Some(true),
            _ => None,
        },
        "pattern" if !value.is_string() => Some(true),
        "properties"
        | "additionalProperties"
        | "patternProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "dependencies"
        | "unevaluatedProperties"
            if !value.is_object() =>
        {
            Some(true)
        }
        "items" | "prefixItems" | "additionalItems" | "contains" | "minContains"
        | "maxContains" | "uniqueItems" | "unevaluatedItems"
            if !value.is_array() =>
        {
            Some(true)
        }
        "multipleOf" if !value.is_number() => Some(true),
        _ => None,
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match (kind, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(_)) => Number::of(value).is_some_and(Number::is_whole),
        _ => false,
    }
}
