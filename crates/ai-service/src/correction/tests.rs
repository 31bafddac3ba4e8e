//! What may be put where.

use serde_json::json;

use super::*;
use crate::form::Sample;

fn form() -> Form {
    Form {
        owner: "Ada Loe".to_owned(),
        emails: vec!["ada@lab.example.org".to_owned()],
        samples: ["a", "b", "c"]
            .map(|name| Sample {
                sample_name: name.to_owned(),
                volume_ul: Some(25.0),
                ..Sample::default()
            })
            .to_vec(),
        ..Form::default()
    }
}

fn corrected(form: &Form, corrections: Value) -> Result<(Form, Vec<Change>), String> {
    let corrections: BTreeMap<String, Value> = serde_json::from_value(corrections).unwrap();
    apply(form, &corrections).map_err(|error| error.chain())
}

#[test]
fn a_correction_takes_the_place_of_one_value_and_says_what_was_there() {
    let wanted = json!({
        "samples[1].volume_ul": 30, "owner": "Ada L. Loe", "samples[0].volume_ul": 25, "kit": "Rapid",
        "emails[1]": "lab@example.org", "human_dna": true,
    });
    let (got, changes) = corrected(&form(), wanted).unwrap();
    let mut want = form();
    want.samples[1].volume_ul = Some(30.0);
    want.owner = "Ada L. Loe".to_owned();
    want.kit = Some("Rapid".to_owned());
    want.human_dna = Some(true);
    want.emails.push("lab@example.org".to_owned());
    assert_eq!(got, want);
    let fields: Vec<(&str, &Value)> = changes
        .iter()
        .map(|it| (it.field.as_str(), &it.old))
        .collect();
    assert_eq!(fields.len(), 5, "25 is 25.0: {fields:?}");
    assert!(fields.contains(&("samples[1].volume_ul", &json!(25.0))));
    assert!(fields.contains(&("emails[1]", &Value::Null)));
}

#[test]
fn rows_are_added_at_the_end_and_taken_away() {
    let more = json!({"samples[4].sample_name": "e", "samples[3].sample_name": "d", "samples[3].volume_ul": 5});
    let (got, _) = corrected(&form(), more).unwrap();
    let names: Vec<&str> = got
        .samples
        .iter()
        .map(|it| it.sample_name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    let less = json!({"samples[0]": null, "samples[2]": null, "samples[1].sample_name": "B"});
    let (got, changes) = corrected(&form(), less).unwrap();
    let names: Vec<&str> = got
        .samples
        .iter()
        .map(|it| it.sample_name.as_str())
        .collect();
    assert_eq!((names, changes.len()), (vec!["B"], 3));
}

#[test]
fn what_does_not_fit_is_refused_by_its_field_and_nothing_is_changed() {
    for (field, value, text) in [
        ("colour", json!("red"), "is no field"),
        ("samples[0].colour", json!("red"), "is no field"),
        ("samples[-1].volume_ul", json!(1), "is no field"),
        ("samples[0].volume_ul", json!("much"), "is not a value"),
        ("samples[0].volume_ul", json!(-1), "outside"),
        (
            "samples[0].volume_ul",
            json!(1e308),
            "is 1e308, outside of 0",
        ),
        ("samples[0].a260_280", json!(18), "outside"),
        ("samples[9].volume_ul", json!(1), "not the next one"),
        ("samples[9]", Value::Null, "is no row"),
        ("samples[0]", json!({}), "must be `null`"),
        ("samples[1000].volume_ul", json!(1), "more than 1000"),
        ("owner", Value::Null, "is not a value"),
        ("emails", json!("one"), "is not a value"),
        ("chartField", json!("HTSF-001"), "this kind"),
        ("comments", json!("x".repeat(5_001)), "at most 5000"),
    ] {
        let wrong = corrected(&form(), json!({field: value, "kit": "Rapid"})).unwrap_err();
        assert!(
            wrong.contains(field) && wrong.contains(text),
            "{field}: {wrong}"
        );
    }
}

#[test]
fn the_names_of_a_simple_form_stand_for_its_sample_and_for_what_it_says() {
    let blank = Form {
        said: Some(Box::default()),
        ..Form::default()
    };
    let wanted = json!({"sampleName": "moss", "concentration": 50.5, "chartField": "HTSF-001"});
    let (got, changes) = corrected(&blank, wanted).unwrap();
    assert_eq!(got.samples[0].concentration_ng_ul, Some(50.5));
    assert_eq!(got.said.unwrap().chart_field.as_deref(), Some("HTSF-001"));
    assert_eq!(changes.len(), 3);
}

#[test]
fn a_correction_means_one_thing() {
    for (wanted, told) in [
        (
            json!({"samples[0]": null, "samples[0].volume_ul": 3}),
            "taken away together with it",
        ),
        (json!({"samples[00].volume_ul": 3}), "is no field of a form"),
        (json!({"lab": "a\u{0}b"}), "has the character U+0000"),
    ] {
        let error = corrected(&form(), wanted).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_form_needs_rows_and_each_row_a_name() {
    check_form(&form()).unwrap();
    assert!(check_form(&Form::default()).is_err());
    let mut unnamed = form();
    unnamed.samples[1].sample_name = " ".to_owned();
    let error = check_form(&unnamed).unwrap_err().to_string();
    assert!(error.contains("samples[1]"), "{error}");
}
