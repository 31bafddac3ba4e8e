//! The JSON test suite over HTTP: what is JSON is read, what is none is refused with a problem, and nothing else ever happens.

use serde_json::{Value, json};

use crate::bad_input::Door;
use crate::client::Answer;

/// What is said of a body that is no JSON.
const NO_JSON: [&str; 14] = [
    "ends too early",
    "more behind its end",
    "a comma stands before",
    "a value is missing",
    "a word is none of",
    "a `:` is missing",
    "a `,` or",
    "is not in quotes",
    "a control character",
    "before what does not go with it",
    "half a pair",
    "not UTF-8",
    "not written as one",
    "nested deeper",
];
/// JSON that is refused on purpose: readers do not agree what an object is in which a name stands twice.
const TWICE: [&str; 5] = [
    "y_object_duplicated_key",
    "y_object_duplicated_key_and_value",
    "t_object_same_key_different_values",
    "t_object_same_key_same_value",
    "t_object_same_key_unclear_values",
];

/// One file of the suite.
struct Case {
    name: String,
    bytes: Vec<u8>,
}

impl Case {
    /// `y` is JSON, `n` is none, of `i` readers may differ, and what they make of `t` may differ.
    fn kind(&self) -> &str {
        &self.name[..1]
    }

    fn is_twice(&self) -> bool {
        TWICE.contains(&self.name.as_str())
    }
}

/// The files, as their table has them: a text, bytes in hexadecimal, or a text so many times.
fn cases() -> Vec<Case> {
    let table: Value = serde_json::from_str(include_str!("json_suite/cases.json")).unwrap();
    let entries = table["cases"].as_object().unwrap().iter();
    let all: Vec<Case> = entries
        .map(|(name, entry)| Case {
            name: name.clone(),
            bytes: bytes(entry),
        })
        .collect();
    let count = |kind: &str| all.iter().filter(|it| it.kind() == kind).count();
    let counts = ["y", "n", "i", "t"].map(count);
    assert_eq!(counts, [95, 188, 35, 22]);
    all
}

fn bytes(entry: &Value) -> Vec<u8> {
    match entry {
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(entry) if entry.contains_key("hex") => {
            let digits: Vec<char> = entry["hex"].as_str().unwrap().chars().collect();
            let byte = |pair: &[char]| {
                let pair: String = pair.iter().collect();
                u8::from_str_radix(&pair, 16).unwrap()
            };
            digits.chunks(2).map(byte).collect()
        }
        _ => {
            let times = usize::try_from(entry["times"].as_u64().unwrap()).unwrap();
            entry["text"].as_str().unwrap().repeat(times).into_bytes()
        }
    }
}

/// A place where JSON is taken: a route, and what stands around the case in its body.
struct Way<'a> {
    method: &'a str,
    path: String,
    kind: &'a str,
    before: &'a str,
    after: &'a str,
}

impl Way<'_> {
    fn send(&self, door: &Door, case: &Case) -> Answer {
        let mut body = self.before.as_bytes().to_vec();
        body.extend_from_slice(&case.bytes);
        body.extend_from_slice(self.after.as_bytes());
        let request = door.server.request(self.method, &self.path);
        request.body(self.kind, body).send()
    }
}

/// Each case at each place where any JSON is taken as a value, and as a whole body.
fn ways(sample: &str) -> Vec<Way<'static>> {
    const JSON: &str = "application/json";
    let way = |method, path: &str, before, after| Way {
        method,
        path: path.to_owned(),
        kind: JSON,
        before,
        after,
    };
    let sample = |what: &str| format!("/api/samples/{sample}{what}");
    vec![
        way(
            "POST",
            "/api/events",
            r#"{"type":"lab.noted","source":"suite","data":"#,
            "}",
        ),
        Way {
            kind: "application/cloudevents+json",
            ..way(
                "POST",
                "/api/events",
                r#"{"specversion":"1.0","id":"e","source":"cloud","type":"lab.noted","data":"#,
                "}",
            )
        },
        way("POST", "/api/events", "", ""),
        way("POST", "/api/schedules?due=2999-01-01T00:00:00Z", "", ""),
        way("POST", "/api/samples", "", ""),
        way("POST", "/api/samples", r#"{"sampleName":"#, "}"),
        way("PUT", &sample(""), "", ""),
        way("PATCH", &sample("/stage"), "", ""),
        way("PUT", &sample("/details"), r#"{"organism":"#, "}"),
        way(
            "POST",
            &sample("/steps/sample_qc/complete"),
            r#"{"results":"#,
            "}",
        ),
        way(
            "POST",
            "/api/samples/bulk",
            r#"{"operation":"delete","ids":"#,
            "}",
        ),
        way("POST", "/api/submissions/ingest", r#"{"samples":"#, "}"),
        way(
            "PUT",
            "/api/catalogue/kit/SQK-LSK114",
            r#"{"attributes":"#,
            "}",
        ),
        way("POST", "/api/sagas", "", ""),
        way(
            "POST",
            "/api/sagas",
            r#"{"name":"suite","steps":[{"id":"a","service":"none","action":"none"}],"context":"#,
            "}",
        ),
        way(
            "POST",
            "/api/sagas",
            r#"{"name":"suite","context":{},"steps":"#,
            "}",
        ),
        way("POST", "/api/dead-letters/redrive", "", ""),
        way(
            "POST",
            "/api/audit/events",
            r#"{"service":"suite","action":"note.made","resource":"note","details":"#,
            "}",
        ),
        way(
            "POST",
            "/api/results/none/corrections",
            r#"{"corrections":"#,
            "}",
        ),
    ]
}

#[test]
fn each_case_of_the_json_test_suite_is_read_or_refused_wherever_json_is_taken() {
    let door = Door::new();
    let sample = json!({
        "sampleName": "pond 3B", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    let made = door.server.post("/api/samples", &sample).expect(201);
    let (cases, mut requests, mut wrong) = (cases(), 0, Vec::new());
    for way in ways(made["id"].as_str().unwrap()) {
        for case in &cases {
            let answer = way.send(&door, case);
            requests += 1;
            if let Err(told) = judge(case, way.before.is_empty(), &answer) {
                let (method, path, before) = (way.method, &way.path, way.before);
                let name = &case.name;
                wrong.push(format!(
                    "{method} {path} {before}: {name}: {told}: {}",
                    answer.text()
                ));
            }
        }
    }
    println!("{requests} requests");
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
    door.server.get("/health/ready").expect(200);
    // A payload of any JSON is taken and comes back: as an envelope, and as a CloudEvent, whose id is the same each time.
    let query = "/api/events?type=lab.noted&limit=1000";
    let page = door.server.get(query).expect(200);
    let of = |source: &str| {
        let events = page["events"].as_array().unwrap().iter();
        events.filter(|it| it["event"]["source"] == source).count()
    };
    let taken = cases
        .iter()
        .filter(|it| it.kind() == "y" && !it.is_twice())
        .count();
    assert!(of("suite") >= taken, "{} of {taken}", of("suite"));
    assert!(of("cloud") == 1, "{}", of("cloud"));
}

/// Whether a case was answered as it must be.
fn judge(case: &Case, is_whole: bool, answer: &Answer) -> Result<(), String> {
    let is_refused = (400..500).contains(&answer.status);
    if !is_refused && !(200..300).contains(&answer.status) {
        return Err(format!("is answered with {}", answer.status));
    }
    let is_problem = answer
        .head
        .contains("content-type: application/problem+json");
    if is_refused && !is_problem {
        return Err("is refused without a problem".to_owned());
    }
    let text = String::from_utf8_lossy(&answer.body);
    let is_no_json = NO_JSON.iter().any(|it| text.contains(it));
    match case.kind() {
        // A body that is not there is not read: an act of which there is nothing to say needs none.
        "n" if is_whole && case.bytes.is_empty() => Ok(()),
        "n" if !is_refused => Err("is taken".to_owned()),
        "y" | "t" if case.is_twice() && !is_refused => {
            Err("has a name twice and is taken".to_owned())
        }
        "y" if is_no_json => Err("is said to be no JSON".to_owned()),
        _ => Ok(()),
    }
}
