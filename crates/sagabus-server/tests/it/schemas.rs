//! Schemas of events from the command line and over HTTP, and the guide about them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::program::{Place, Server, run, sagabus};

#[test]
fn the_server_tells_each_event_type_with_its_versions_and_schemas() {
    let place = Place::new();
    let server = Server::start(&place);
    let list = server.get("/api/schemas").expect(200);
    let types = list["schemas"].as_array().unwrap();
    assert_eq!(types.len(), 66);
    let created =
        json!({"type": "sample.created", "source": "sample-service", "versions": ["1.0"]});
    assert!(types.contains(&created), "{list}");
    let one = server.get("/api/schemas/sample.created").expect(200);
    assert_eq!(one["versions"][0]["version"], "1.0");
    assert_eq!(one["versions"][0]["schema"]["required"][0], "sampleId");
    server
        .get("/api/schemas/lab.noted")
        .expect_problem(404, &["lab.noted"]);
    let document = server.get("/asyncapi.json").expect(200);
    let printed: Value = serde_json::from_str(&run(&["schema", "asyncapi"]).out).unwrap();
    assert_eq!(document, printed);
    let printed: Value = serde_json::from_str(&run(&["schema", "list", "-o", "json"]).out).unwrap();
    assert_eq!(list, printed);
    let arguments = ["schema", "show", "sample.created", "-o", "json"];
    let printed: Value = serde_json::from_str(&run(&arguments).out).unwrap();
    assert_eq!(one, printed);
}

#[test]
fn every_reference_of_the_asyncapi_document_leads_to_what_it_names() {
    let document: Value = serde_json::from_str(&run(&["schema", "asyncapi"]).out).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 300, "{}", references.len());
    for reference in &references {
        let target = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(target.is_some(), "{reference}");
    }
    let channels = document["channels"].as_object().unwrap();
    assert_eq!(channels.len(), 66);
    assert_eq!(document["operations"].as_object().unwrap().len(), 132);
    let message = &document["components"]["messages"]["sample.created-1.0"];
    assert_eq!(
        message["payload"]["$ref"],
        "#/components/schemas/sample.created-1.0"
    );
    assert_eq!(
        message["headers"]["allOf"][1]["properties"]["ce-type"]["const"],
        "sample.created"
    );
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner {
                    Value::String(text) if name == "$ref" => references.push(text.clone()),
                    inner => collect(inner, references),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|it| collect(it, references)),
        _ => {}
    }
}

#[test]
fn wrong_arguments_about_schemas_are_refused_with_a_hint() {
    let check = |arguments: &[&str], word: &str| {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(word), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
    };
    check(&["schema", "show", "sampel.created"], "`sample.created`");
    check(&["schema", "show", "nothing"], "schema list");
    check(
        &["schema", "show", "sample.created", "--version", "3.0"],
        "versions 1.0",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.json", "{}");
    let none = folder.path().join("none.json").to_str().unwrap().to_owned();
    check(&["schema", "check", &none, &good], "none.json");
    check(
        &["schema", "check", &good, &file("bad.json", "{")],
        "bad.json",
    );
    check(
        &["schema", "check", &good, &file("list.json", "[]")],
        "list.json",
    );
    let huge = file("huge.json", &" ".repeat(1024 * 1024 + 1));
    check(&["schema", "check", &good, &huge], "1048577");
}

/// A block of the guide: the word behind the fence, and its text.
fn blocks(guide: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut is_inside = false;
    for line in guide.lines() {
        match line.strip_prefix("```") {
            Some(word) => {
                is_inside = !is_inside;
                if is_inside {
                    all.push((word.to_owned(), String::new()));
                }
            }
            None if is_inside => {
                let (_, text) = all.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    all
}

/// Runs a command of the guide beside the files of the guide; what it printed, errors last.
fn output(command: &str, folder: &Path) -> String {
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let ran = crate::program::finish(sagabus(&arguments).current_dir(folder));
    format!("{}{}", ran.out, ran.err)
}

#[test]
fn the_schema_guide_shows_what_really_happens() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/schemas.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let server = Server::start(&place);
    let mut answer: Option<Answer> = None;
    // Where the guide's event stands in the guide, and where it stands here.
    let mut positions: Option<(String, String)> = None;
    let mut counts: HashMap<String, u32> = HashMap::new();
    for (word, text) in blocks(&guide) {
        *counts.entry(word.clone()).or_default() += 1;
        match word.as_str() {
            "json old.json" | "json new.json" => {
                let name = word.split(' ').nth(1).unwrap();
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            "console" => {
                let (command, shown) = text.split_once('\n').unwrap();
                let printed = output(command.strip_prefix("$ ").unwrap(), folder.path());
                match shown.split_once("…\n") {
                    Some((start, end)) => {
                        assert!(printed.starts_with(start), "{command}: {printed}");
                        assert!(printed.ends_with(end), "{command}: {printed}");
                    }
                    None => assert_eq!(printed, shown, "{command}"),
                }
            }
            "http request" => {
                let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
                let mut lines = head.lines();
                let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
                let path = match &positions {
                    Some((guide, here)) => path.replace(guide, here),
                    None => path.to_owned(),
                };
                let headers: Vec<(&str, &str)> =
                    lines.map(|it| it.split_once(": ").unwrap()).collect();
                let mut request = server
                    .request(method, &path)
                    .body("text/plain", body.trim_end());
                for (name, value) in headers {
                    request = request.header(&name.to_lowercase(), value);
                }
                answer = Some(request.send());
            }
            "http answer" => {
                let answer = answer.take().unwrap();
                let (head, body) = text.split_once("\n\n").unwrap();
                for line in head.lines() {
                    let is_there = answer.head.lines().any(|it| it.eq_ignore_ascii_case(line));
                    assert!(is_there, "{line}: {}", answer.head);
                }
                let position = |text: &str| {
                    let value: Value = serde_json::from_str(text).unwrap();
                    value.get("position").map(|it| format!("events/{it}"))
                };
                if let (Some(guide), Some(here)) = (position(body), position(&answer.text())) {
                    positions = Some((guide, here));
                }
                let mut shown: Value = serde_json::from_str(body).unwrap();
                if let Some(position) = shown.get_mut("position") {
                    *position = answer.json()["position"].clone();
                    assert_eq!(answer.json(), shown);
                } else {
                    assert_eq!(answer.text().trim_end(), body.trim_end());
                }
            }
            "rust" => {}
            word => panic!("a block of `{word}` is not checked"),
        }
    }
    assert!(
        counts["console"] >= 4 && counts["http answer"] >= 3,
        "{counts:?}"
    );
}
