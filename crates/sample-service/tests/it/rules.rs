//! The rules of the fields of a sample: what is taken as it was sent, and what is refused by the name of its field.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::fixture::{Fixture, fields};

/// A field, values that are taken, and values that are refused.
type Rule = (&'static str, Vec<Value>, Vec<Value>);

fn texts(count: usize) -> Value {
    "x".repeat(count).into()
}

/// Values that are no text where one is wanted.
fn no_texts() -> Vec<Value> {
    vec![json!(7), json!(["a"]), json!({"a": 1}), json!(true)]
}

fn rules() -> Vec<Rule> {
    let mut rules = of_texts();
    rules.extend(of_numbers());
    for (_, _, refused) in &mut rules {
        assert!(!refused.is_empty());
    }
    rules
}

fn of_texts() -> Vec<Rule> {
    let name = |good: Vec<Value>, bad: Vec<Value>| (good, [bad, no_texts()].concat());
    let person = || {
        name(
            vec![
                json!("Zoë Nuñez-O'Neill"),
                json!("李 小龍"),
                json!("Dr. Søren Å."),
                texts(255),
            ],
            vec![
                json!(""),
                json!("  "),
                texts(256),
                json!("R2D2"),
                json!("a\nb"),
                json!("a<b>"),
            ],
        )
    };
    let catalogue = |good: &str| name(vec![json!(good)], vec![json!("no such thing"), json!("")]);
    let (sample_good, sample_bad) = name(
        vec![json!("pond 3-B_1.2"), json!("Probe Ä 中"), texts(255)],
        vec![
            json!(""),
            json!(" "),
            texts(256),
            json!("a/b"),
            json!("<i>"),
            json!("a\tb"),
        ],
    );
    let (submitter_good, submitter_bad) = person();
    let (assigned_good, assigned_bad) = person();
    let (prep_good, prep_bad) = person();
    let (lab_good, lab_bad) = name(
        vec![
            json!("Lab of A. O'Neill, Ph.D."),
            json!("Labör & Co"),
            texts(255),
        ],
        vec![json!(""), texts(256), json!("<lab>"), json!("a\nb")],
    );
    let (project_good, project_bad) = name(
        vec![json!("HTSF-CJ 1.2_3"), texts(100)],
        vec![texts(101), json!("a/b")],
    );
    let (buffer_good, buffer_bad) = name(
        vec![json!("10 mM Tris, pH 8.0 (<0.1 mM EDTA) & µL"), texts(100)],
        vec![texts(101), json!("a\u{0}b")],
    );
    let (mail_good, mail_bad) = name(
        vec![json!("ada@lab.example.edu"), json!("a.b+c@x.y.example")],
        vec![
            json!("ada"),
            json!("ada@lab"),
            json!("a b@c.example"),
            json!("@c.example"),
            json!("a@-c.example"),
        ],
    );
    let (flow_good, flow_bad) = catalogue("R10.4.1");
    let (product_good, product_bad) = catalogue("FLO-MIN114");
    let (kit_good, kit_bad) = catalogue("SQK-LSK114");
    let (service_good, service_bad) = catalogue("standard");
    let (account_good, account_bad) = name(
        vec![json!("HTSF-001"), json!("NANO-005"), json!("SEQ-003")],
        vec![
            json!("HTSF-999"),
            json!("HTSF-1"),
            json!("htsf-001"),
            json!("ABC-001"),
            json!(""),
        ],
    );
    let word = |good: &[&str]| -> (Vec<Value>, Vec<Value>) {
        let good = good.iter().map(|it| json!(it)).collect();
        (
            good,
            [vec![json!("banana"), json!("")], no_texts()].concat(),
        )
    };
    let (type_good, type_bad) = word(&["DNA", "RNA", "Protein", "Other"]);
    let (priority_good, priority_bad) = word(&["low", "normal", "high", "urgent"]);
    vec![
        ("sampleName", sample_good, sample_bad),
        ("submitterName", submitter_good, submitter_bad),
        ("assignedTo", assigned_good, assigned_bad),
        ("libraryPrepBy", prep_good, prep_bad),
        ("labName", lab_good, lab_bad),
        ("projectId", project_good, project_bad),
        ("sampleBuffer", buffer_good, buffer_bad),
        ("submitterEmail", mail_good, mail_bad),
        ("flowCellType", flow_good, flow_bad),
        ("flowCellProduct", product_good, product_bad),
        ("libraryKit", kit_good, kit_bad),
        ("serviceType", service_good, service_bad),
        ("chartField", account_good, account_bad),
        ("sampleType", type_good, type_bad),
        ("priority", priority_good, priority_bad),
    ]
}

fn of_numbers() -> Vec<Rule> {
    let no_numbers = || vec![json!("7"), json!([7]), json!(true)];
    let number = |good: [f64; 2], bad: [f64; 2]| {
        let (good, bad) = (good.map(|it| json!(it)), bad.map(|it| json!(it)));
        (good.to_vec(), [bad.to_vec(), no_numbers()].concat())
    };
    let (volume_good, volume_bad) = number([0.1, 1_000.0], [0.099, 1_000.1]);
    // Of DNA.
    let (concentration_good, concentration_bad) = number([0.1, 1_000.0], [0.09, 1_000.1]);
    let (amount_good, amount_bad) = number([0.001, 100_000.0], [0.0, 100_001.0]);
    vec![
        ("volume", volume_good, volume_bad),
        ("concentration", concentration_good, concentration_bad),
        ("totalAmount", amount_good, amount_bad),
        (
            "flowCellCount",
            vec![json!(1), json!(10)],
            vec![json!(0), json!(11), json!(1.5), json!("2"), json!(-1)],
        ),
    ]
}

async fn send(fixture: &Fixture, body: Map<String, Value>) -> (StatusCode, Value) {
    let answer = fixture.call("POST", "/samples", Value::Object(body)).await;
    (answer.status, answer.json)
}

fn wrong(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors
        .map(|it| it["field"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn a_value_within_its_rule_is_kept_as_it_was_sent_and_one_beyond_it_is_refused_by_its_field()
{
    let fixture = Fixture::new().await;
    for (field, taken, refused) in rules() {
        for value in taken {
            let mut body = fields();
            body.insert(field.to_owned(), value.clone());
            let (status, answer) = send(&fixture, body).await;
            assert_eq!(status, StatusCode::CREATED, "{field} {value}: {answer}");
            assert_eq!(answer[field], value, "{field}");
        }
        for value in refused {
            let mut body = fields();
            body.insert(field.to_owned(), value.clone());
            let (status, answer) = send(&fixture, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{field} {value}: {answer}");
            assert_eq!(wrong(&answer), [field], "{value}: {answer}");
        }
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_with_an_error_for_each_field() {
    let fixture = Fixture::new().await;
    let (mut body, mut expected) = (Map::new(), Vec::new());
    for (field, _, refused) in rules() {
        body.insert(field.to_owned(), refused.last().unwrap().clone());
        expected.push(field);
    }
    body.insert("colour".to_owned(), json!("red"));
    expected.push("colour");
    let (status, answer) = send(&fixture, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let mut found = wrong(&answer);
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{answer}");
    assert!(fixture.events().await.is_empty());

    let (_, answer) = send(&fixture, Map::new()).await;
    let mut missing = wrong(&answer);
    missing.sort_unstable();
    let required = [
        "chartField",
        "sampleName",
        "sampleType",
        "submitterEmail",
        "submitterName",
    ];
    assert_eq!(missing, required, "{answer}");
}

#[tokio::test]
async fn an_amount_is_concentration_times_volume_and_the_range_is_that_of_the_molecule() {
    let fixture = Fixture::new().await;
    let with = |more: Value| {
        let mut body = fields();
        body.extend(more.as_object().unwrap().clone());
        body
    };
    for (more, field) in [
        (
            json!({"concentration": 50.2, "volume": 20, "totalAmount": 1004}),
            None,
        ),
        (
            json!({"concentration": 50.2, "volume": 20, "totalAmount": 1004.0009}),
            None,
        ),
        (
            json!({"concentration": 50.2, "volume": 20, "totalAmount": 1004.002}),
            Some("totalAmount"),
        ),
        (json!({"sampleType": "RNA", "concentration": 100}), None),
        (
            json!({"sampleType": "RNA", "concentration": 900}),
            Some("concentration"),
        ),
        (json!({"sampleType": "Protein", "concentration": 10}), None),
        (
            json!({"sampleType": "Other", "concentration": 10_000}),
            None,
        ),
        (
            json!({"sampleType": "Other", "concentration": 10_001}),
            Some("concentration"),
        ),
    ] {
        let (status, answer) = send(&fixture, with(more.clone())).await;
        match field {
            None => assert_eq!(status, StatusCode::CREATED, "{more}: {answer}"),
            Some(field) => assert_eq!(wrong(&answer), [field], "{more}: {answer}"),
        }
    }
}
