//! Random schemas and their changes: what is called compatible must hold for an independent validator.

use serde_json::{Map, Value, json};

use super::*;

/// A sequence of numbers from a seed (SplitMix64), so that a failure can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const WORDS: [&str; 5] = ["low", "high", "urgent", "", "x"];

fn schema(random: &mut Random, depth: u32) -> Value {
    let kinds = if depth == 0 { 7 } else { 12 };
    match random.below(kinds) {
        0 => bounded(random, "integer", ["minimum", "maximum"]),
        1 => bounded(random, "number", ["exclusiveMinimum", "maximum"]),
        2 => bounded(random, "string", ["minLength", "maxLength"]),
        3 => json!({"enum": some(random, &WORDS)}),
        4 => json!({"type": (*random.pick(&["boolean", "null", "string", "integer"]))}),
        5 => json!({"type": ["null", (*random.pick(&["string", "number", "boolean"]))]}),
        6 => json!({"const": (*random.pick(&WORDS))}),
        7 | 8 => object(random, depth),
        9 => {
            let mut list = bounded(random, "array", ["minItems", "maxItems"]);
            if random.one_in(4) {
                list["prefixItems"] = json!([schema(random, depth - 1)]);
            }
            if !random.one_in(4) {
                list["items"] = schema(random, depth - 1);
            }
            if random.one_in(4) {
                list["uniqueItems"] = json!(true);
            }
            list
        }
        10 => {
            let word = *random.pick(&["anyOf", "oneOf", "allOf"]);
            let parts = if random.one_in(2) {
                [object(random, depth), object(random, depth)]
            } else {
                [schema(random, depth - 1), schema(random, depth - 1)]
            };
            json!({ word: parts })
        }
        _ => json!({"$ref": "#/$defs/shared"}),
    }
}

fn some<T: Clone>(random: &mut Random, all: &[T]) -> Vec<T> {
    let mut chosen: Vec<T> = all.iter().filter(|_| !random.one_in(2)).cloned().collect();
    if chosen.is_empty() {
        chosen.push(random.pick(all).clone());
    }
    chosen
}

fn bounded(random: &mut Random, kind: &str, [least, most]: [&str; 2]) -> Value {
    let mut schema = json!({ "type": kind });
    if random.one_in(2) {
        schema[least] = json!(random.below(3));
    }
    if random.one_in(2) {
        schema[most] = json!(2 + random.below(4));
    }
    schema
}

fn object(random: &mut Random, depth: u32) -> Value {
    let names = some(random, &NAMES);
    let properties: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), schema(random, depth - 1)))
        .collect();
    let mut object = json!({"type": "object", "properties": properties});
    if !random.one_in(3) {
        object["required"] = json!(some(random, &names));
    }
    match random.below(6) {
        0 => object["additionalProperties"] = json!(false),
        1 => object["additionalProperties"] = json!(true),
        2 => object["additionalProperties"] = schema(random, depth - 1),
        _ => {}
    }
    object
}

fn document(random: &mut Random) -> Value {
    let mut document = schema(random, 2);
    document["$defs"] = json!({"shared": schema(random, 1)});
    document
}

/// Changes one place.
fn change(random: &mut Random, schema: &mut Value) {
    let places: Vec<String> = places(schema, "");
    let place = random.pick(&places).clone();
    let target = schema.pointer_mut(&place).unwrap();
    let definitions = target.get("$defs").cloned();
    match random.below(4) {
        0 => *target = super::generated::schema(random, 1),
        1 => loosen(random, target),
        2 => {
            if let Some(Value::Array(list)) = target.get_mut("required") {
                list.pop();
            }
        }
        _ => {
            if let Some(Value::Object(properties)) = target.get_mut("properties") {
                let name = (*random.pick(&NAMES)).to_owned();
                properties.insert(name, super::generated::schema(random, 1));
            } else {
                loosen(random, target);
            }
        }
    }
    if let (Some(definitions), Some(map)) = (definitions, target.as_object_mut()) {
        map.insert("$defs".to_owned(), definitions);
    }
}

/// Takes a word away, or moves a bound.
fn loosen(random: &mut Random, target: &mut Value) {
    let Some(map) = target.as_object_mut() else {
        return;
    };
    let keywords: Vec<String> = map
        .keys()
        .filter(|it| *it != "$ref" && *it != "$defs")
        .cloned()
        .collect();
    if keywords.is_empty() {
        return;
    }
    let keyword = random.pick(&keywords).clone();
    match map.get_mut(&keyword) {
        Some(Value::Number(number)) => {
            let moved = number.as_u64().unwrap() + random.below(3);
            map.insert(keyword, moved.saturating_sub(1).into());
        }
        Some(Value::Array(list)) if keyword == "enum" => {
            list.push(json!(*random.pick(&WORDS)));
            list.sort_by_key(Value::to_string);
            list.dedup();
        }
        _ => {
            map.remove(&keyword);
        }
    }
}

/// Pointers to all schemas inside.
fn places(schema: &Value, at: &str) -> Vec<String> {
    let mut all = vec![at.to_owned()];
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        match (keyword.as_str(), value) {
            ("properties" | "$defs", Value::Object(map)) => {
                for (name, inner) in map {
                    all.extend(places(inner, &format!("{at}/{keyword}/{name}")));
                }
            }
            ("items" | "additionalProperties", inner @ Value::Object(_)) => {
                all.extend(places(inner, &format!("{at}/{keyword}")));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                for (index, inner) in list.iter().enumerate() {
                    all.extend(places(inner, &format!("{at}/{keyword}/{index}")));
                }
            }
            _ => {}
        }
    }
    all
}

/// A value that a writer may write; not always a valid one.
fn value(random: &mut Random, root: &Value, schema: &Value, depth: u32) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(&reference[1..]).unwrap();
        return value(random, root, target, depth - 1);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(list)) = schema.get(keyword) {
            let chosen = random.pick(list).clone();
            return value(random, root, &chosen, depth - 1);
        }
    }
    if let Some(Value::Array(list)) = schema.get("allOf") {
        let parts: Vec<Value> = list
            .iter()
            .map(|it| value(random, root, it, depth - 1))
            .collect();
        if parts.iter().all(Value::is_object) {
            let all = parts
                .into_iter()
                .flat_map(|it| it.as_object().unwrap().clone());
            return Value::Object(all.collect());
        }
        return random.pick(&parts).clone();
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(Value::Array(list)) = schema.get("enum") {
        return random.pick(list).clone();
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => random.pick(kinds).as_str().unwrap().to_owned(),
        _ if schema.get("properties").is_some() => "object".to_owned(),
        _ => {
            (*random.pick(&["null", "boolean", "integer", "string", "array", "object"])).to_owned()
        }
    };
    match kind.as_str() {
        "null" => Value::Null,
        "boolean" => random.one_in(2).into(),
        "integer" => (random.below(9).cast_signed() - 2).into(),
        "number" => json!((random.below(18).cast_signed() - 4) as f64 / 2.0),
        "string" if random.one_in(2) => (*random.pick(&WORDS)).into(),
        "string" => "yyyyyyyy"[..usize::try_from(random.below(8)).unwrap()].into(),
        "array" => {
            let items = schema.get("items").cloned().unwrap_or(json!({}));
            let first = schema.pointer("/prefixItems/0").cloned();
            (0..random.below(5))
                .map(|index| match &first {
                    Some(first) if index == 0 => value(random, root, first, depth - 1),
                    _ => value(random, root, &items, depth - 1),
                })
                .collect()
        }
        _ => written_object(random, root, schema, depth),
    }
}

fn written_object(random: &mut Random, root: &Value, schema: &Value, depth: u32) -> Value {
    let mut fields = Map::new();
    let required = schema.get("required").cloned().unwrap_or(json!([]));
    let required = required.as_array().unwrap();
    let named = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in named.into_iter().flatten() {
        if required.contains(&json!(name)) || random.one_in(2) {
            fields.insert(name.clone(), value(random, root, inner, depth - 1));
        }
    }
    let more = match (schema.get("additionalProperties"), named) {
        (Some(more), _) => more.clone(),
        (None, None) => json!(true),
        (None, Some(_)) => json!(false),
    };
    if more != json!(false) {
        for name in NAMES.iter().chain(&["e"]) {
            if !fields.contains_key(*name)
                && named.is_none_or(|it| !it.contains_key(*name))
                && random.one_in(3)
            {
                let more = if more.is_object() {
                    more.clone()
                } else {
                    json!({})
                };
                fields.insert((*name).to_owned(), value(random, root, &more, depth - 1));
            }
        }
    }
    Value::Object(fields)
}

#[test]
fn what_a_writer_writes_is_valid_for_a_reader_that_is_called_compatible() {
    let (mut compatible, mut values, mut refused, mut shown) = (0, 0, 0, 0);
    for seed in 0..10_000 {
        let mut random = Random(seed);
        let old = document(&mut random);
        let mut new = old.clone();
        for _ in 0..=random.below(2) {
            change(&mut random, &mut new);
        }
        let found = check(&old, &new, Mode::Backward);
        let (writer, reader) = (
            jsonschema::validator_for(&old).unwrap(),
            jsonschema::validator_for(&new).unwrap(),
        );
        let mut is_shown = false;
        for _ in 0..20 {
            let written = value(&mut random, &old, &old, 5);
            if !writer.is_valid(&written) {
                continue;
            }
            let is_taken = reader.is_valid(&written);
            if found.is_empty() {
                values += 1;
                assert!(is_taken, "seed {seed}: {written}\nold {old}\nnew {new}");
            }
            is_shown |= !is_taken;
        }
        if found.is_empty() {
            compatible += 1;
        } else {
            refused += 1;
            shown += u32::from(is_shown);
        }
    }
    // Neither answer may be the only one, and enough of the refusals must be of something that can happen.
    println!(
        "{compatible} compatible, {values} values; {refused} not, of which {shown} shown by a value"
    );
    assert!(compatible > 4_000, "{compatible}");
    assert!(values > 50_000, "{values}");
    assert!(shown * 2 > refused, "{shown} of {refused}");
}
