//! Each kind of change by table, and the careful answers against an independent validator.

mod generated;

use serde_json::json;

use super::*;

/// What backward and forward find, as `path code`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "rows read better without `&`"
)]
fn check_both(old: Value, new: Value, backward: &[&str], forward: &[&str]) {
    for (mode, expected) in [(Mode::Backward, backward), (Mode::Forward, forward)] {
        let found: Vec<String> = check(&old, &new, mode)
            .iter()
            .map(|it| format!("{} {}", it.path, it.reason.code()))
            .collect();
        assert_eq!(found, expected, "{mode:?}: {old} to {new}");
    }
    let full = check(&old, &new, Mode::Full).len();
    assert_eq!(full, backward.len() + forward.len());
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "rows read better without `&`"
)]
fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

#[test]
fn a_field_may_be_added_when_it_is_not_required() {
    let old = object(json!({"a": {"type": "string"}}), &["a"]);
    let two = json!({"a": {"type": "string"}, "b": {"type": "integer"}});
    check_both(old.clone(), object(two.clone(), &["a"]), &[], &[]);
    check_both(
        old.clone(),
        object(two, &["a", "b"]),
        &["$.b required"],
        &[],
    );
    let with_default = json!({"a": {"type": "string"}, "b": {"type": "integer", "default": 1}});
    check_both(old.clone(), object(with_default.clone(), &["a"]), &[], &[]);
    let found = check(&old, &object(with_default, &["a", "b"]), Mode::Backward);
    assert_eq!(found[0].reason, Reason::Required { has_default: true });
    assert_eq!(found[0].direction, Direction::Backward);
}

#[test]
fn a_required_field_that_is_removed_breaks_old_readers() {
    let old = object(
        json!({"a": {"type": "string"}, "b": {"type": "string"}}),
        &["a", "b"],
    );
    let new = object(json!({"a": {"type": "string"}}), &["a"]);
    check_both(old.clone(), new, &[], &["$.b required"]);
    let optional = object(
        json!({"a": {"type": "string"}, "b": {"type": "string"}}),
        &["a"],
    );
    check_both(old, optional, &[], &["$.b required"]);
}

#[test]
fn a_reader_that_refuses_what_it_does_not_know_refuses_added_fields() {
    let closed = |names: &[&str]| {
        let properties: serde_json::Map<_, _> = names
            .iter()
            .map(|it| ((*it).to_owned(), json!({"type": "string"})))
            .collect();
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    };
    check_both(
        closed(&["a"]),
        closed(&["a", "b"]),
        &[],
        &["$.b field_refused"],
    );
}

#[test]
fn a_writer_that_says_its_further_fields_are_open_may_have_written_any() {
    let map = json!({"type": "object", "additionalProperties": true});
    let named = object(json!({"a": {"type": "string"}}), &[]);
    check_both(map.clone(), named, &["$.a open_field"], &[]);
    let numbers = json!({"type": "object", "additionalProperties": {"type": "number"}});
    check_both(map, numbers, &["$.* type_narrowed"; 5], &[]);
}

#[test]
fn a_type_may_widen_for_new_readers() {
    check_both(
        json!({"type": "integer"}),
        json!({"type": "number"}),
        &[],
        &["$ type_narrowed"],
    );
    check_both(
        json!({"type": "string"}),
        json!({"type": ["string", "null"]}),
        &[],
        &["$ type_narrowed"],
    );
    check_both(
        json!({"type": "integer", "format": "uint32", "minimum": 0}),
        json!({"type": "integer", "format": "uint64", "minimum": 0}),
        &[],
        &["$ bound_tightened"],
    );
    check_both(
        json!({"type": "string"}),
        json!({"type": "integer"}),
        &["$ type_narrowed"],
        &["$ type_narrowed"],
    );
}

#[test]
fn a_value_of_an_enumeration_may_be_added_for_new_readers_only() {
    let old = json!({"type": "string", "enum": ["low", "high"]});
    let new = json!({"type": "string", "enum": ["low", "high", "urgent"]});
    check_both(old.clone(), new.clone(), &[], &["$ value_refused"]);
    check_both(
        old.clone(),
        json!({"type": "string"}),
        &[],
        &["$ values_only"],
    );
    // The form that generated schemas give an enumeration whose values have descriptions.
    let one_of = json!({"oneOf": [
        {"type": "string", "const": "low", "description": "l"},
        {"type": "string", "enum": ["high", "urgent"]},
    ]});
    check_both(old, one_of.clone(), &[], &["$ value_refused"]);
    check_both(new, one_of, &[], &[]);
}

#[test]
fn a_bound_may_widen_for_new_readers() {
    for (kind, keyword, loose, tight) in [
        ("number", "minimum", 0, 1),
        ("number", "maximum", 9, 8),
        ("number", "exclusiveMinimum", 0, 1),
        ("number", "exclusiveMaximum", 9, 8),
        ("integer", "multipleOf", 2, 4),
        ("string", "minLength", 1, 2),
        ("string", "maxLength", 9, 8),
        ("array", "minItems", 1, 2),
        ("array", "maxItems", 9, 8),
        ("object", "minProperties", 1, 2),
        ("object", "maxProperties", 9, 8),
    ] {
        let with = |bound: i32| json!({"type": kind, keyword: bound});
        check_both(with(tight), with(loose), &[], &["$ bound_tightened"]);
        check_both(
            json!({ "type": kind }),
            with(tight),
            &["$ bound_tightened"],
            &[],
        );
    }
    check_both(
        json!({"type": "number", "minimum": 1}),
        json!({"type": "number", "exclusiveMinimum": 1}),
        &["$ bound_tightened"],
        &[],
    );
    check_both(
        json!({"type": "array"}),
        json!({"type": "array", "uniqueItems": true}),
        &["$ bound_tightened"],
        &[],
    );
    // Beyond 2^53, where floats would not see the difference.
    check_both(
        json!({"type": "integer", "maximum": 9_007_199_254_740_993_u64}),
        json!({"type": "integer", "maximum": 9_007_199_254_740_992_u64}),
        &["$ bound_tightened"],
        &[],
    );
}

#[test]
fn a_pattern_or_format_may_be_dropped_for_new_readers() {
    for keyword in ["pattern", "format"] {
        let with = |text: &str| json!({"type": "string", keyword: text});
        check_both(
            with("date"),
            json!({"type": "string"}),
            &[],
            &["$ pattern_changed"],
        );
        check_both(
            with("date"),
            with("time"),
            &["$ pattern_changed"],
            &["$ pattern_changed"],
        );
    }
}

#[test]
fn a_place_deep_in_the_data_is_named() {
    let with = |volume: Value| {
        object(
            json!({"samples": {"type": "array", "items": object(json!({"volume": volume}), &[])}}),
            &[],
        )
    };
    check_both(
        with(json!({"type": "number"})),
        with(json!({"type": "number", "minimum": 0})),
        &["$.samples[*].volume bound_tightened"],
        &[],
    );
    let tuple =
        |second: &str| json!({"type": "array", "items": [{"type": "string"}, {"type": second}]});
    check_both(
        tuple("integer"),
        tuple("number"),
        &[],
        &["$[1] type_narrowed"],
    );
}

#[test]
fn references_are_followed_also_into_themselves() {
    let tree = |kind: &str| {
        json!({
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "properties": {
                "name": {"type": kind},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            }}},
        })
    };
    check_both(tree("string"), tree("string"), &[], &[]);
    check_both(
        tree("integer"),
        tree("number"),
        &[],
        &["$.children[*].name type_narrowed", "$.name type_narrowed"],
    );
    let broken = json!({"$ref": "#/$defs/none"});
    check_both(
        broken.clone(),
        broken,
        &["$ too_complex"],
        &["$ too_complex"],
    );
    let endless = json!({"$ref": "#"});
    check_both(
        endless,
        json!({"type": "string"}),
        &["$ too_complex"],
        &["$ too_complex"],
    );
}

#[test]
fn alternatives_must_each_be_taken_by_one() {
    let old = json!({"oneOf": [
        object(json!({"kind": {"const": "a"}, "n": {"type": "integer"}}), &["kind", "n"]),
        object(json!({"kind": {"const": "b"}}), &["kind"]),
    ]});
    let new = json!({"oneOf": [
        object(json!({"kind": {"const": "a"}, "n": {"type": "number"}}), &["kind", "n"]),
        object(json!({"kind": {"const": "b"}}), &["kind"]),
        object(json!({"kind": {"const": "c"}}), &["kind"]),
    ]});
    check_both(old, new, &[], &["$.n type_narrowed", "$ no_alternative"]);
    // A value that two alternatives take is valid for neither.
    let twice = json!({"oneOf": [{"type": "object"}, {"type": "object"}]});
    check_both(json!({"type": "object"}), twice, &["$ no_alternative"], &[]);
}

#[test]
fn what_is_not_understood_is_not_called_compatible() {
    let old = json!({"type": "object"});
    for word in [
        "if",
        "not",
        "propertyNames",
        "unevaluatedProperties",
        "madeUp",
    ] {
        let new = json!({"type": "object", word: {"required": ["a"]}});
        let found = check(&old, &new, Mode::Backward);
        let keyword = word.to_owned();
        assert_eq!(found[0].reason, Reason::NotComparable { keyword });
    }
}

#[test]
fn a_schema_made_to_cost_time_is_given_up() {
    let mut definitions = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
        definitions.insert(level.to_string(), json!({"anyOf": [next, next]}));
    }
    definitions.insert("30".to_owned(), json!(false));
    let bomb = json!({"$ref": "#/$defs/0", "$defs": definitions});
    let text = json!({"type": "string"});
    assert_eq!(
        check(&bomb, &text, Mode::Backward)[0].reason,
        Reason::TooComplex
    );
    assert!(!check(&text, &bomb, Mode::Backward).is_empty());
}
