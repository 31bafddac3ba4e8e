//! The document says what the routes are.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{About, Answer, Api, Field, Kind, Operation, document, of};

/// Something that is answered.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Tube {
    /// What stands on it.
    label: String,
    rack: Option<Rack>,
}

/// Where it stands.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Rack {
    row: u8,
}

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Wanted {
    /// At least so full.
    volume: Option<u32>,
    rack: String,
}

const NEW: [Field; 2] = [
    Field::required("label", Kind::Text(16), "What stands on it"),
    Field::optional("row", Kind::Maybe(&Kind::Number(1, 8)), "Where it is put"),
];

fn tubes() -> Vec<Operation> {
    let api: Api = Api::new("tubes")
        .get(
            "/tubes",
            async || "",
            Operation::new("listTubes", "The tubes")
                .asked(Kind::Of(of::<Wanted>))
                .answers(Answer::json(200, Kind::List(&Kind::Of(of::<Tube>)), "All")),
        )
        .post(
            "/tubes/{rack}",
            async || "",
            Operation::new("addTube", "Adds a tube")
                .place("rack", Kind::Number(1, 4), "Which rack")
                .if_match()
                .takes(Kind::Object(&NEW))
                .answers(Answer::json(201, Kind::Of(of::<Tube>), "The tube").tagged()),
        );
    let api: Api = Api::new("all").nest("/lab", api);
    api.into_parts().1
}

fn written() -> Value {
    let about = About {
        title: "tubes",
        version: "1",
        description: "of a test",
        server: "http://127.0.0.1",
        tags: &[("tubes", "Tubes")],
        problem: of::<Rack>,
    };
    document(&about, &tubes())
}

#[test]
fn a_route_stands_under_its_whole_path_with_what_it_takes_and_answers() {
    let written = written();
    let add = &written["paths"]["/lab/tubes/{rack}"]["post"];
    assert_eq!(add["operationId"], "addTube");
    let body = &add["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["label"]));
    assert_eq!(body["additionalProperties"], false);
    assert_eq!(body["properties"]["label"]["maxLength"], 16);
    let place = &add["parameters"][0];
    assert_eq!(
        (&place["in"], &place["required"]),
        (&json!("path"), &json!(true))
    );
    assert_eq!(place["schema"]["maximum"], 4);
    let tube = "#/components/schemas/Tube";
    let made = &add["responses"]["201"];
    assert_eq!(made["content"]["application/json"]["schema"]["$ref"], tube);
    assert_eq!(made["headers"]["ETag"]["required"], true);
    for status in ["400", "404", "409", "413", "415", "507"] {
        let problem = "#/components/responses/Problem";
        assert_eq!(add["responses"][status]["$ref"], problem, "{status}");
    }
    let list = &written["paths"]["/lab/tubes"]["get"]["responses"];
    assert!(list["404"].is_null() && list["507"].is_null(), "{list}");
}

#[test]
fn what_a_type_is_asked_with_are_parameters_and_none_of_them_is_null() {
    let written = written();
    let parameters = &written["paths"]["/lab/tubes"]["get"]["parameters"];
    assert_eq!(parameters[0]["name"], "rack");
    assert_eq!(parameters[0]["required"], true);
    let volume = &parameters[1];
    assert_eq!(
        (&volume["name"], &volume["required"]),
        (&json!("volume"), &json!(false))
    );
    assert_eq!(volume["schema"]["type"], "integer");
    assert_eq!(volume["description"], "At least so full.");
    assert_eq!(tubes()[0].parameters(), ["rack", "volume"]);
    assert!(tubes()[1].parameters().is_empty());
}

#[test]
fn every_reference_leads_to_a_schema() {
    fn references(of: &Value, found: &mut Vec<String>) {
        match of {
            Value::Object(fields) => {
                let reference = fields.get("$ref").and_then(Value::as_str);
                found.extend(reference.map(str::to_owned));
                fields.values().for_each(|it| references(it, found));
            }
            Value::Array(items) => items.iter().for_each(|it| references(it, found)),
            _ => {}
        }
    }
    let written = written();
    let mut found = Vec::new();
    references(&written, &mut found);
    assert!(found.iter().any(|it| it.ends_with("/Rack")), "{found:?}");
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(written.pointer(place).is_some(), "{reference}");
    }
}
