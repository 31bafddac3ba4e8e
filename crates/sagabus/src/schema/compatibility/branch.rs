//! What a writer may write, as alternatives of one type or one value each. Pure.
//!
//! An alternative may stand for more than its schema allows, never for less: what fits a reader then fits it for sure.

use serde_json::{Map, Value, json};

use super::accept::{Number, accepts, same};

/// Most alternatives of one schema: beyond, a product of alternatives is no schema of an event any more.
const BRANCHES_MAX: usize = 1024;
/// Deepest nesting of references and combinations in one place.
const DEPTH_MAX: usize = 32;

/// Most schemas that are looked at for the alternatives of one: references can make a short schema a long way.
const STEPS_MAX: u32 = 10_000;

/// Words that say nothing about what is valid.
const NOTES: [&str; 15] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "$anchor",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
];

/// Types of JSON, as schemas name them.
pub(super) const KINDS: [&str; 7] = [
    "null", "boolean", "integer", "number", "string", "array", "object",
];

/// The schema cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex;

/// One alternative.
#[derive(Clone, Debug)]
pub(super) enum Branch {
    /// This value.
    Value(Value),
    /// Values of one type.
    Flat {
        kind: &'static str,
        keywords: Map<String, Value>,
    },
}

/// Follows a local reference.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, TooComplex> {
    let pointer = reference.strip_prefix('#').ok_or(TooComplex)?;
    root.pointer(pointer).ok_or(TooComplex)
}

/// Whether words beside a `$ref` count: in drafts up to 07 they do not.
pub(super) fn ignores_siblings(root: &Value) -> bool {
    root.get("$schema")
        .and_then(Value::as_str)
        .is_some_and(|it| it.contains("draft-0"))
}

/// Whether a word says nothing about what is valid.
pub(super) fn is_note(keyword: &str) -> bool {
    NOTES.contains(&keyword) || keyword.starts_with("x-")
}

/// The alternatives of a schema.
pub(super) fn branches(root: &Value, schema: &Value) -> Result<Vec<Branch>, TooComplex> {
    let mut all = Vec::new();
    for keywords in expand(root, schema, 0, &mut 0)? {
        split(root, keywords, &mut all);
        if all.len() > BRANCHES_MAX {
            return Err(TooComplex);
        }
    }
    Ok(all)
}

/// Alternatives without references and combinations.
fn expand(
    root: &Value,
    schema: &Value,
    depth: usize,
    steps: &mut u32,
) -> Result<Vec<Map<String, Value>>, TooComplex> {
    *steps += 1;
    if depth > DEPTH_MAX || *steps > STEPS_MAX {
        return Err(TooComplex);
    }
    let map = match schema {
        Value::Bool(true) => return Ok(vec![Map::new()]),
        Value::Bool(false) => return Ok(Vec::new()),
        Value::Object(map) => map,
        _ => return Err(TooComplex),
    };
    let mut all = vec![Map::new()];
    if let Some(reference) = map.get("$ref") {
        let target = resolve(root, reference.as_str().ok_or(TooComplex)?)?;
        all = cross(&all, &expand(root, target, depth + 1, steps)?)?;
        if ignores_siblings(root) {
            return Ok(all);
        }
    }
    let base: Map<String, Value> = map
        .iter()
        .filter(|(keyword, _)| !is_note(keyword) && !is_combination(keyword))
        .map(|(keyword, value)| (keyword.clone(), value.clone()))
        .collect();
    all = cross(&all, &[base])?;
    for part in list(map, "allOf")? {
        all = cross(&all, &expand(root, part, depth + 1, steps)?)?;
    }
    for keyword in ["anyOf", "oneOf"] {
        if !map.contains_key(keyword) {
            continue;
        }
        let mut alternatives = Vec::new();
        for part in list(map, keyword)? {
            alternatives.extend(expand(root, part, depth + 1, steps)?);
        }
        all = cross(&all, &alternatives)?;
    }
    Ok(all)
}

fn is_combination(keyword: &str) -> bool {
    matches!(keyword, "$ref" | "allOf" | "anyOf" | "oneOf")
}

/// The schemas under a combination.
pub(super) fn list<'a>(
    map: &'a Map<String, Value>,
    keyword: &str,
) -> Result<&'a [Value], TooComplex> {
    match map.get(keyword) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(TooComplex),
    }
}

fn cross(
    all: &[Map<String, Value>],
    others: &[Map<String, Value>],
) -> Result<Vec<Map<String, Value>>, TooComplex> {
    if all.len().saturating_mul(others.len()) > BRANCHES_MAX {
        return Err(TooComplex);
    }
    let mut product = Vec::new();
    for one in all {
        product.extend(others.iter().filter_map(|other| merge(one.clone(), other)));
    }
    Ok(product)
}

/// Both at once; `None` when nothing is left. Words that cannot be joined are taken from the first alone.
fn merge(mut one: Map<String, Value>, other: &Map<String, Value>) -> Option<Map<String, Value>> {
    for (keyword, value) in other {
        let Some(mine) = one.get(keyword).cloned() else {
            one.insert(keyword.clone(), value.clone());
            continue;
        };
        if mine == *value {
            continue;
        }
        let joined = match keyword.as_str() {
            "type" => join_types(&mine, value)?,
            "enum" => join_values(&mine, value)?,
            "const" if same(&mine, value) => mine,
            "const" => return None,
            "required" => join_names(&mine, value),
            "properties" => join_properties(&mine, value),
            "additionalProperties" => json!({"allOf": [mine, value]}),
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                farther(mine, value, std::cmp::Ordering::Less)
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                farther(mine, value, std::cmp::Ordering::Greater)
            }
            _ => mine,
        };
        one.insert(keyword.clone(), joined);
    }
    Some(one)
}

/// The tighter of two bounds: `mine`, unless it compares to `other` as `looser`.
fn farther(mine: Value, other: &Value, looser: std::cmp::Ordering) -> Value {
    match (Number::of(&mine), Number::of(other)) {
        (Some(a), Some(b)) if a.compare(b) == Some(looser) => other.clone(),
        _ => mine,
    }
}

fn join_types(one: &Value, other: &Value) -> Option<Value> {
    let (one, other) = (kinds(one), kinds(other));
    let has = |kinds: &[&str], kind: &str| {
        kinds.contains(&kind) || kind == "integer" && kinds.contains(&"number")
    };
    let both: Vec<&str> = KINDS
        .into_iter()
        .filter(|kind| has(&one, kind) && has(&other, kind))
        .collect();
    (!both.is_empty()).then(|| json!(both))
}

/// The types under `type`.
pub(super) fn kinds(value: &Value) -> Vec<&str> {
    match value {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn join_values(one: &Value, other: &Value) -> Option<Value> {
    let (one, other) = (one.as_array()?, other.as_array()?);
    let both: Vec<&Value> = one
        .iter()
        .filter(|value| other.iter().any(|it| same(it, value)))
        .collect();
    (!both.is_empty()).then(|| json!(both))
}

fn join_names(one: &Value, other: &Value) -> Value {
    let mut names: Vec<Value> = one.as_array().cloned().unwrap_or_default();
    for name in other.as_array().into_iter().flatten() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Value::Array(names)
}

fn join_properties(one: &Value, other: &Value) -> Value {
    let mut all = one.as_object().cloned().unwrap_or_default();
    for (name, schema) in other.as_object().into_iter().flatten() {
        let joined = match all.get(name) {
            Some(mine) if mine != schema => json!({"allOf": [mine, schema]}),
            _ => schema.clone(),
        };
        all.insert(name.clone(), joined);
    }
    Value::Object(all)
}

/// Splits by type, and a list of values by value.
fn split(root: &Value, keywords: Map<String, Value>, all: &mut Vec<Branch>) {
    let values = match (keywords.get("const"), keywords.get("enum")) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    };
    let schema = Value::Object(keywords);
    if let Some(values) = values {
        // What the other words refuse for sure is not written.
        let written = values
            .into_iter()
            .filter(|value| accepts(root, &schema, value) != Some(false));
        all.extend(written.map(Branch::Value));
        return;
    }
    let Value::Object(keywords) = schema else {
        return;
    };
    let types = keywords.get("type").map(kinds);
    for kind in KINDS {
        // Without a type, `number` has the integers with it.
        let is_written = match &types {
            Some(types) => {
                types.contains(&kind) && !(kind == "integer" && types.contains(&"number"))
            }
            None => kind != "integer",
        };
        match kind {
            _ if !is_written => {}
            "null" => all.push(Branch::Value(Value::Null)),
            "boolean" => all.extend([false, true].map(|it| Branch::Value(it.into()))),
            kind => all.push(Branch::Flat {
                kind,
                keywords: keywords.clone(),
            }),
        }
    }
}

/// Whether no value of the branch is valid for the schema, for sure.
pub(super) fn is_disjoint(
    writer: &Value,
    branch: &Branch,
    reader: &Value,
    schema: &Value,
    depth: usize,
) -> bool {
    let Ok(others) = branches(reader, schema) else {
        return false;
    };
    others
        .iter()
        .all(|other| are_disjoint(writer, branch, reader, other, depth))
}

fn are_disjoint(
    writer: &Value,
    one: &Branch,
    reader: &Value,
    other: &Branch,
    depth: usize,
) -> bool {
    match (one, other) {
        (Branch::Value(one), Branch::Value(other)) => !same(one, other),
        (Branch::Value(value), flat @ Branch::Flat { .. }) => refuses(reader, flat, value),
        (flat @ Branch::Flat { .. }, Branch::Value(value)) => refuses(writer, flat, value),
        (
            Branch::Flat {
                kind: one_kind,
                keywords: one,
            },
            Branch::Flat {
                kind: other_kind,
                keywords: other,
            },
        ) => {
            let both_numbers = [one_kind, other_kind]
                .iter()
                .all(|kind| matches!(**kind, "integer" | "number"));
            if one_kind != other_kind && !both_numbers {
                return true;
            }
            *one_kind == "object"
                && depth < DEPTH_MAX
                && required(one).any(|name| {
                    let property = |keywords: &Map<String, Value>| {
                        keywords.get("properties")?.get(name).cloned()
                    };
                    let (Some(a), Some(b)) = (property(one), property(other)) else {
                        return false;
                    };
                    required(other).any(|it| it == name)
                        && branches(writer, &a).is_ok_and(|all| {
                            all.iter()
                                .all(|it| is_disjoint(writer, it, reader, &b, depth + 1))
                        })
                })
        }
    }
}

fn refuses(root: &Value, branch: &Branch, value: &Value) -> bool {
    let Branch::Flat { kind, keywords } = branch else {
        return false;
    };
    let mut schema = keywords.clone();
    schema.insert("type".to_owned(), (*kind).into());
    accepts(root, &Value::Object(schema), value) == Some(false)
}

/// The names under `required`.
pub(super) fn required(keywords: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let names = keywords.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}
