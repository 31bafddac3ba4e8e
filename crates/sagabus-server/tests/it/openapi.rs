//! Every answer that a test sees is one that the OpenAPI document says.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::client::Answer;

/// What is said of a route of a service that a process does not serve.
pub(crate) const NOT_SERVED: &str = "not served here: this process serves only";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

thread_local! {
    /// Schemas of answers that were met, by their place in the document.
    static VALIDATORS: RefCell<HashMap<String, Rc<Validator>>> = RefCell::default();
}

/// Checks the answer to a request whose first line is `line`. Of what is no route of the document nothing is said.
pub(crate) fn check(line: &str, answer: &Answer) {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    let Some((template, operation)) = operation(&DOCUMENT, method, path) else {
        return;
    };
    // The document of a process that serves only some services says nothing of the routes of others.
    if answer.status == 404 && answer.text().contains(NOT_SERVED) {
        return;
    }
    if let Err(wrong) = fits(template, method, operation, answer) {
        panic!(
            "{line} answers {wrong}: {} {}",
            answer.status,
            answer.text()
        );
    }
}

fn fits(template: &str, method: &str, operation: &Value, answer: &Answer) -> Result<(), String> {
    // Refused before the program sees it: heads and addresses that are too long.
    if [414, 431].contains(&answer.status) && answer.body.is_empty() {
        return Ok(());
    }
    let response = &operation["responses"][answer.status.to_string()];
    if response.is_null() {
        return Err("with a status that is not documented".to_owned());
    }
    let response = match response["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    };
    for name in response["headers"].as_object().into_iter().flatten() {
        let head = answer.head.to_lowercase();
        if !head.contains(&format!("\r\n{}: ", name.0.to_lowercase())) {
            return Err(format!("without the header {}", name.0));
        }
    }
    let Some(content) = response["content"].as_object() else {
        return match answer.body.is_empty() {
            true => Ok(()),
            false => Err("with a body where none is documented".to_owned()),
        };
    };
    let media_type = answer
        .head
        .lines()
        .find_map(|it| it.strip_prefix("content-type: "));
    let media_type = media_type.unwrap_or_default();
    // The binary form of an event has the type of its payload.
    let Some(documented) = content.get(media_type) else {
        let is_binary = answer.head.contains("\r\nce-id: ");
        return match is_binary {
            true => Ok(()),
            false => Err(format!("with `{media_type}`, which is not documented")),
        };
    };
    if media_type != "application/json" && !media_type.ends_with("+json") {
        return Ok(());
    }
    let place = format!("{method} {template} {} {media_type}", answer.status);
    let validator = validator(place, &documented["schema"]);
    let wrong: Vec<String> = validator
        .iter_errors(&answer.json())
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("what its schema does not say: {wrong:#?}")),
    }
}

fn validator(place: String, schema: &Value) -> Rc<Validator> {
    VALIDATORS.with_borrow_mut(|all| {
        let made = all.entry(place).or_insert_with(|| {
            let mut schema = schema.clone();
            // References are from the root of the document.
            schema["components"] = json!({"schemas": DOCUMENT["components"]["schemas"]});
            Rc::new(jsonschema::validator_for(&schema).unwrap())
        });
        Rc::clone(made)
    })
}

/// All routes, with something in the place of what is in braces.
pub(crate) fn routes() -> BTreeSet<String> {
    let paths = DOCUMENT["paths"].as_object().unwrap().keys();
    let filled = paths.map(|path| {
        let parts = path.split('/');
        let parts = parts.map(|it| if it.starts_with('{') { "1" } else { it });
        parts.collect::<Vec<_>>().join("/")
    });
    let all: BTreeSet<String> = filled.collect();
    assert!(all.len() > 45, "{all:?}");
    all
}

/// The paths without names in braces that one with names would fit too, and that can be read.
pub(crate) fn words_beside_names() -> BTreeSet<String> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str, path: &str| {
        let (of_template, parts) = (template.split('/'), path.split('/'));
        template.contains('{')
            && of_template.clone().count() == parts.clone().count()
            && of_template
                .zip(parts)
                .all(|(of, part)| of == part || of.starts_with('{'))
    };
    let plain = paths.iter().filter(|(path, _)| !path.contains('{'));
    let read = plain.filter(|(_, methods)| !methods["get"].is_null());
    let beside = read.filter(|(path, _)| paths.keys().any(|it| fits(it, path)));
    beside.map(|(path, _)| path.clone()).collect()
}

/// The operation of a path, with its template: the one with the most parts that are the same.
fn operation<'d>(document: &'d Value, method: &str, path: &str) -> Option<(&'d str, &'d Value)> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let of_template: Vec<&str> = template.split('/').collect();
        of_template.len() == parts.len()
            && (of_template.iter().zip(&parts)).all(|(template, part)| {
                template == part || (template.starts_with('{') && !part.is_empty())
            })
    };
    let found = document["paths"].as_object().unwrap().iter();
    let found = found.filter(|(template, _)| fits(template));
    let (template, methods) = found.min_by_key(|(template, _)| template.matches('{').count())?;
    let operation = methods.get(method.to_lowercase())?;
    Some((template, operation))
}
