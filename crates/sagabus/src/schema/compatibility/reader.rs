//! Whether a reader takes each alternative of a writer. Pure.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::accept::accepts;
use super::bounds::{bound, incomparable, numbers, strings};
use super::branch::{
    Branch, branches, ignores_siblings, is_disjoint, kinds, list, required, resolve,
};
use super::reason::Reason;

/// Most pairs of schemas that are compared: beyond, the schemas are not those of events.
const STEPS_MAX: u32 = 20_000;
/// Deepest nesting of pairs.
const DEPTH_MAX: usize = 64;

/// What was found, with its place in the data.
pub(super) type Found = Vec<(String, Reason)>;

/// Compares one writer with one reader.
pub(super) struct Comparison<'a> {
    writer: &'a Value,
    reader: &'a Value,
    steps: u32,
    /// Pairs on the way here that have a reference: met again inside themselves, they fit if all else does.
    open: Vec<(Value, Value)>,
}

/// A writer's alternative of one type, beside a reader's plain words.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) kind: &'static str,
    pub(super) written: &'a Map<String, Value>,
    pub(super) taken: &'a Map<String, Value>,
    pub(super) path: &'a str,
    depth: usize,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(writer: &'a Value, reader: &'a Value) -> Self {
        Self {
            writer,
            reader,
            steps: 0,
            open: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Found {
        let (writer, reader) = (self.writer, self.reader);
        let mut found = self.schemas(writer, reader, "$", 0);
        // Alternatives of the writer may find the same thing again.
        let mut unique = Found::new();
        found.retain(|it| {
            let is_new = !unique.contains(it);
            if is_new {
                unique.push(it.clone());
            }
            is_new
        });
        found
    }

    /// What keeps `reader` from taking all that `writer` allows.
    fn schemas(&mut self, writer: &Value, reader: &Value, path: &str, depth: usize) -> Found {
        self.steps += 1;
        if self.steps > STEPS_MAX || depth > DEPTH_MAX {
            return vec![(path.to_owned(), Reason::TooComplex)];
        }
        let pair = (writer.clone(), reader.clone());
        let has_reference = [writer, reader].iter().any(|it| it.get("$ref").is_some());
        if has_reference {
            if self.open.contains(&pair) {
                return Found::new();
            }
            self.open.push(pair);
        }
        let found = match branches(self.writer, writer) {
            Ok(all) => all
                .iter()
                .flat_map(|branch| self.takes(branch, reader, path, depth))
                .collect(),
            Err(_) => vec![(path.to_owned(), Reason::TooComplex)],
        };
        if has_reference {
            self.open.pop();
        }
        found
    }

    fn takes(&mut self, branch: &Branch, reader: &Value, path: &str, depth: usize) -> Found {
        self.steps += 1;
        let only = |reason| vec![(path.to_owned(), reason)];
        if self.steps > STEPS_MAX || depth > DEPTH_MAX {
            return only(Reason::TooComplex);
        }
        match (branch, reader) {
            (_, Value::Bool(true)) => Found::new(),
            (_, Value::Bool(false)) => only(Reason::FieldRefused),
            (Branch::Value(value), Value::Object(_)) => {
                if accepts(self.reader, reader, value) == Some(true) {
                    Found::new()
                } else {
                    only(refused(value, reader))
                }
            }
            (Branch::Flat { kind, keywords }, Value::Object(taken)) => {
                let pair = Pair {
                    kind,
                    written: keywords,
                    taken,
                    path,
                    depth,
                };
                self.parts(branch, pair)
            }
            _ => only(Reason::TooComplex),
        }
    }

    /// The reader's reference, combinations and plain words: each must take the alternative.
    fn parts(&mut self, branch: &Branch, pair: Pair<'_>) -> Found {
        let Pair {
            taken, path, depth, ..
        } = pair;
        let broken = || vec![(path.to_owned(), Reason::TooComplex)];
        let mut found = Found::new();
        if let Some(reference) = taken.get("$ref") {
            let Some(Ok(target)) = reference.as_str().map(|it| resolve(self.reader, it)) else {
                return broken();
            };
            found.extend(self.takes(branch, target, path, depth + 1));
            if ignores_siblings(self.reader) {
                return found;
            }
        }
        let combinations = ["allOf", "anyOf", "oneOf"].map(|keyword| list(taken, keyword));
        let [Ok(all_of), Ok(any_of), Ok(one_of)] = combinations else {
            return broken();
        };
        for part in all_of {
            found.extend(self.takes(branch, part, path, depth + 1));
        }
        if taken.contains_key("anyOf") {
            found.extend(self.alternatives(branch, any_of, path, depth).1);
        }
        if taken.contains_key("oneOf") {
            let (chosen, not_taken) = self.alternatives(branch, one_of, path, depth);
            found.extend(not_taken);
            // Exactly one: whatever else could take it as well would make it invalid.
            let mut others = one_of
                .iter()
                .enumerate()
                .filter(|(index, _)| Some(*index) != chosen);
            let is_alone =
                others.all(|(_, other)| is_disjoint(self.writer, branch, self.reader, other, 0));
            if chosen.is_some() && !is_alone {
                found.push((path.to_owned(), Reason::NoAlternative));
            }
        }
        found.extend(self.words(pair));
        found
    }

    /// The first alternative that takes the branch, or why none does.
    fn alternatives(
        &mut self,
        branch: &Branch,
        alternatives: &[Value],
        path: &str,
        depth: usize,
    ) -> (Option<usize>, Found) {
        let mut types: Option<(&'static str, Vec<String>)> = None;
        let mut near = Vec::new();
        for (index, alternative) in alternatives.iter().enumerate() {
            let found = self.takes(branch, alternative, path, depth + 1);
            match found.first() {
                None => return (Some(index), Found::new()),
                Some((place, Reason::TypeNarrowed { written, taken })) if place == path => {
                    let (_, all) = types.get_or_insert((written, Vec::new()));
                    all.extend(taken.iter().cloned());
                }
                // What differs by its tag was not meant.
                Some(_) if is_disjoint(self.writer, branch, self.reader, alternative, 0) => {}
                Some(_) => near.push(found),
            }
        }
        let found = match (near.len(), types) {
            // The one alternative of the right type says best what is wrong.
            (1, _) => near.swap_remove(0),
            (0, Some((written, taken))) => {
                vec![(path.to_owned(), Reason::TypeNarrowed { written, taken })]
            }
            _ => vec![(path.to_owned(), Reason::NoAlternative)],
        };
        (None, found)
    }

    /// The reader's words that stand for themselves.
    fn words(&mut self, pair: Pair<'_>) -> Found {
        let Pair {
            kind, taken, path, ..
        } = pair;
        let only = |reason| vec![(path.to_owned(), reason)];
        if let Some(types) = taken.get("type") {
            let types = kinds(types);
            let is_number = kind == "integer" && types.contains(&"number");
            if !is_number && !types.contains(&kind) {
                return only(Reason::TypeNarrowed {
                    written: kind,
                    taken: types.into_iter().map(str::to_owned).collect(),
                });
            }
        }
        if let Some(value) = taken.get("const") {
            let taken = vec![value.clone()];
            return only(Reason::ValuesOnly { taken });
        }
        if let Some(Value::Array(values)) = taken.get("enum") {
            let taken = values.clone();
            return only(Reason::ValuesOnly { taken });
        }
        let mut found = match kind {
            "integer" | "number" => numbers(pair),
            "string" => strings(pair),
            "array" => self.arrays(pair),
            "object" => self.objects(pair),
            _ => Found::new(),
        };
        found.extend(incomparable(pair));
        found
    }

    fn arrays(&mut self, pair: Pair<'_>) -> Found {
        let Pair {
            written,
            taken,
            path,
            depth,
            ..
        } = pair;
        let mut found = Found::new();
        for (keyword, looser) in [
            ("minItems", Ordering::Less),
            ("maxItems", Ordering::Greater),
        ] {
            found.extend(bound(pair, keyword, looser, written.get(keyword)));
        }
        let items_max = written.get("maxItems").and_then(Value::as_u64);
        let is_unique =
            written.get("uniqueItems") == Some(&json!(true)) || items_max.is_some_and(|it| it <= 1);
        if taken.get("uniqueItems") == Some(&json!(true)) && !is_unique {
            let taken = json!(true);
            let reason = Reason::BoundTightened {
                keyword: "uniqueItems",
                taken,
                written: None,
            };
            found.push((path.to_owned(), reason));
        }
        let (first_written, rest_written) = items(written);
        let (first_taken, rest_taken) = items(taken);
        for index in 0..first_written.len().max(first_taken.len()) {
            if items_max.is_some_and(|max| index as u64 >= max) {
                return found;
            }
            let one = first_written.get(index).unwrap_or(&rest_written);
            let other = first_taken.get(index).unwrap_or(&rest_taken);
            let place = format!("{path}[{index}]");
            found.extend(self.schemas(one, other, &place, depth + 1));
        }
        if items_max != Some(0) {
            let place = format!("{path}[*]");
            found.extend(self.schemas(&rest_written, &rest_taken, &place, depth + 1));
        }
        found
    }

    fn objects(&mut self, pair: Pair<'_>) -> Found {
        let Pair {
            written,
            taken,
            path,
            depth,
            ..
        } = pair;
        let mut found = Found::new();
        let fields_written = fields(written);
        let fields_taken = fields(taken);
        for name in required(taken).filter(|name| !required(written).any(|it| it == *name)) {
            let schema = fields_taken.and_then(|it| it.get(name));
            let has_default = schema.is_some_and(|it| it.get("default").is_some());
            found.push((format!("{path}.{name}"), Reason::Required { has_default }));
        }
        let more_written = further(written);
        let more_taken = taken.get("additionalProperties").unwrap_or(&ANY);
        for (name, one) in fields_written.into_iter().flatten() {
            let other = fields_taken
                .and_then(|it| it.get(name))
                .unwrap_or(more_taken);
            let place = format!("{path}.{name}");
            found.extend(self.schemas(one, other, &place, depth + 1));
        }
        if more_written != Value::Bool(false) {
            for (name, other) in fields_taken.into_iter().flatten() {
                let is_named = fields_written.is_some_and(|it| it.contains_key(name));
                let place = format!("{path}.{name}");
                if !is_named
                    && !self
                        .schemas(&more_written, other, &place, depth + 1)
                        .is_empty()
                {
                    found.push((place, Reason::OpenField));
                }
            }
            let place = format!("{path}.*");
            found.extend(self.schemas(&more_written, more_taken, &place, depth + 1));
        }
        let least = written.get("minProperties").and_then(Value::as_u64);
        let least = least
            .unwrap_or_default()
            .max(required(written).count() as u64);
        found.extend(bound(
            pair,
            "minProperties",
            Ordering::Less,
            Some(&json!(least)),
        ));
        let named = fields_written.map_or(0, Map::len);
        let most = match written.get("maxProperties") {
            None if more_written == Value::Bool(false) => Some(json!(named)),
            most => most.cloned(),
        };
        found.extend(bound(
            pair,
            "maxProperties",
            Ordering::Greater,
            most.as_ref(),
        ));
        found
    }
}

/// Why a value is not taken: `null` and the booleans stand for their types.
fn refused(value: &Value, reader: &Value) -> Reason {
    let types = reader.get("type").map(kinds).unwrap_or_default();
    let written = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        _ => "",
    };
    if written.is_empty() || types.is_empty() || types.contains(&written) {
        let value = value.clone();
        return Reason::ValueRefused { value };
    }
    Reason::TypeNarrowed {
        written,
        taken: types.into_iter().map(str::to_owned).collect(),
    }
}

/// A schema that takes anything.
static ANY: Value = Value::Bool(true);

fn fields(map: &Map<String, Value>) -> Option<&Map<String, Value>> {
    map.get("properties").and_then(Value::as_object)
}

/// What a writer may write in fields that it does not name.
fn further(written: &Map<String, Value>) -> Value {
    let patterns = written.get("patternProperties").and_then(Value::as_object);
    let additional = match written.get("additionalProperties") {
        Some(schema) => schema.clone(),
        // A writer that names its fields writes those; one that names none is a map.
        None => Value::Bool(!written.contains_key("properties") && patterns.is_none()),
    };
    match patterns {
        None => additional,
        Some(patterns) => {
            let all: Vec<Value> = patterns.values().cloned().chain([additional]).collect();
            json!({ "anyOf": all })
        }
    }
}

/// The schemas of the first items, and that of all others.
fn items(map: &Map<String, Value>) -> (Vec<Value>, Value) {
    let rest = |keyword: &str| map.get(keyword).cloned().unwrap_or(Value::Bool(true));
    match (map.get("prefixItems"), map.get("items")) {
        (Some(Value::Array(first)), _) => (first.clone(), rest("items")),
        (_, Some(Value::Array(first))) => (first.clone(), rest("additionalItems")),
        _ => (Vec::new(), rest("items")),
    }
}
