//! The whole document, and what every route says of itself.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Of all services, and of each alone.
fn documents() -> Vec<Value> {
    let alone = Service::ALL.into_iter().map(|it| Served::only(&[it]));
    let all = std::iter::once(Served::all()).chain(alone);
    all.map(|served| document(&served)).collect()
}

/// Path, method and operation.
fn all_of(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    all.collect()
}

#[test]
fn each_operation_has_an_id_of_its_own_a_summary_and_its_refusals() {
    for document in documents() {
        let mut ids = BTreeSet::new();
        for (path, method, operation) in all_of(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(
                ids.insert(id),
                "`{id}` is there twice, once at {method} {path}"
            );
            let says = operation["summary"].as_str().unwrap();
            assert!(
                says.len() > 5 && !says.ends_with('.'),
                "{method} {path}: {says}"
            );
            let answers = operation["responses"].as_object().unwrap();
            let is_good = |it: &String| it.starts_with('2');
            assert!(
                answers.keys().any(is_good),
                "{method} {path} never does what it is for"
            );
            let mut refusals = vec!["400", "403", "408", "415", "500", "503"];
            if path.contains('{') {
                refusals.push("404");
            }
            if operation["requestBody"].is_object() {
                refusals.push("413");
            }
            if method != "get" {
                refusals.push("507");
            }
            for status in refusals {
                assert!(
                    answers.contains_key(status),
                    "{method} {path} lacks {status}"
                );
            }
        }
    }
}

#[test]
fn each_part_of_a_path_is_described_and_no_parameter_is_there_twice() {
    for document in documents() {
        for (path, method, operation) in all_of(&document) {
            let parts = path
                .split('/')
                .filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
            let parts: BTreeSet<&str> = parts.collect();
            let mut seen = BTreeSet::new();
            let mut of_path = BTreeSet::new();
            for parameter in operation["parameters"].as_array().unwrap() {
                let place = parameter["in"].as_str().unwrap();
                let name = parameter["name"].as_str().unwrap();
                // The names of headers are the same in capitals.
                let same = match place {
                    "header" => name.to_lowercase(),
                    _ => name.to_owned(),
                };
                assert!(seen.insert((place, same)), "{method} {path}: {name} twice");
                if place == "path" {
                    of_path.insert(name);
                }
            }
            assert_eq!(parts, of_path, "{method} {path}");
        }
    }
}

#[test]
fn what_is_said_of_a_part_of_a_path_is_of_one_that_is_there() {
    for it in operations(&Served::all()) {
        for name in it.places() {
            let is_there = it
                .path()
                .split('/')
                .any(|part| part == format!("{{{name}}}"));
            assert!(
                is_there,
                "`{}`: {name} is no part of {}",
                it.id(),
                it.path()
            );
        }
    }
}

#[test]
fn the_groups_that_are_said_are_those_that_are_used() {
    for document in documents() {
        let used = all_of(&document).into_iter();
        let used: BTreeSet<&str> = used
            .map(|(_, _, it)| it["tags"][0].as_str().unwrap())
            .collect();
        let said = document["tags"].as_array().unwrap().iter();
        let said: Vec<&str> = said.map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(said.len(), used.len(), "{said:?}");
        assert_eq!(said.into_iter().collect::<BTreeSet<_>>(), used);
    }
    // Those that no operation uses are left out above.
    let all = document(&Served::all());
    assert_eq!(all["tags"].as_array().unwrap().len(), TAGS.len());
}

/// Hands each reference in a document to `take`.
fn references<'d>(value: &'d Value, take: &mut impl FnMut(&'d str)) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                take(reference);
            }
            fields.values().for_each(|it| references(it, take));
        }
        Value::Array(items) => items.iter().for_each(|it| references(it, take)),
        _ => {}
    }
}

#[test]
fn each_reference_leads_somewhere_and_each_schema_is_used_and_there_once() {
    for document in documents() {
        let mut used = BTreeSet::new();
        references(&document, &mut |reference| {
            let pointer = reference.strip_prefix('#').unwrap_or(reference);
            assert!(
                document.pointer(pointer).is_some(),
                "{reference} leads nowhere"
            );
            if let Some(name) = pointer.strip_prefix("/components/schemas/") {
                used.insert(name.to_owned());
            }
        });
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            assert!(used.contains(name), "`{name}` is used nowhere");
            // What is called as another is given a number.
            let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
            let is_numbered = stem != name && schemas.contains_key(stem);
            assert!(!is_numbered, "`{name}` has the name of another schema");
        }
        assert_eq!(document["openapi"], json!("3.1.0"));
    }
}

#[test]
fn each_route_that_reads_something_says_what_it_shows() {
    for it in operations(&Served::all()) {
        // A sample sheet is asked for with a body.
        let is_read = it.method() == "GET" || it.id() == "makeSampleSheet";
        let says = it.shown().is_some();
        assert_eq!(is_read, says, "`{}`: it reads, it says what", it.id());
    }
}

/// What makes something and is no intake: the log refuses it by itself, or it is of who looks after the facility.
const NO_INTAKES: [&str; 10] = [
    "publishEvents",
    "scheduleEvent",
    "startSaga",
    "addItem",
    "reportAct",
    "makeReport",
    "setPolicy",
    "setHold",
    "setAlert",
    "setReportSchedule",
];

#[test]
fn each_route_that_makes_something_is_an_intake_or_known_to_be_none() {
    for it in operations(&Served::all()) {
        let makes = it.answers_with(201) || it.answers_with(202);
        let is_none = NO_INTAKES.contains(&it.id());
        assert!(
            !makes || it.is_intake() != is_none,
            "`{}` says nothing",
            it.id()
        );
        assert!(!it.is_intake() || it.method() == "POST", "`{}`", it.id());
    }
}
