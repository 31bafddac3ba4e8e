//! Which acts an alert tells of.

use serde_json::json;

use super::*;
use crate::model::read;

fn alert(field: &str, operator: &str, value: &Value) -> Result<Alert, FieldErrors> {
    let alert = json!({
        "id": "a", "name": "A", "severity": "high", "recipients": ["head@lab.example.edu"],
        "condition": {"field": field, "operator": operator, "value": value},
        "author": "head", "reason": "r",
    });
    read(alert.as_object().unwrap().clone())
}

fn act() -> Act {
    let act = json!({
        "service": "auth", "action": "auth.login.refused", "resource": "session", "userId": "ada",
        "severity": "warn", "durationMs": 40, "details": {"tries": 3, "from": {"room": "B7"}, "none": null},
    });
    Act::read(act.as_object().unwrap(), Default::default()).unwrap()
}

#[test]
fn each_operator_compares_as_it_says() {
    for (field, operator, value, expected) in [
        ("action", "equals", json!("auth.login.refused"), true),
        ("action", "equals", json!("auth.login"), false),
        ("severity", "equals", json!("warn"), true),
        ("severity", "not_equals", json!("info"), true),
        ("severity", "not_equals", json!("warn"), false),
        ("action", "contains", json!("refused"), true),
        ("action", "contains", json!("Refused"), false),
        ("durationMs", "greater_than", json!(39), true),
        ("durationMs", "greater_than", json!(40), false),
        ("details.tries", "less_than", json!(3.5), true),
        ("details.tries", "equals", json!(3.0), true),
        ("details.from.room", "in", json!(["B6", "B7"]), true),
        ("details.from.room", "not_in", json!(["B6"]), true),
        ("details.from.room", "not_in", json!(["B7"]), false),
        ("userId", "in", json!(["ada"]), true),
        // What is not there fits nothing, not even that it is another.
        ("userEmail", "not_equals", json!("x"), false),
        ("details.none", "not_equals", json!("x"), false),
        ("details.no.where", "not_in", json!(["x"]), false),
        ("action", "greater_than", json!(1), false),
    ] {
        let alert = alert(field, operator, &value).unwrap();
        assert_eq!(alert.is_of(&act()), expected, "{field} {operator} {value}");
    }
    let mut other = alert("userId", "equals", &json!("ada")).unwrap();
    other.service = Some("sample-service".to_owned());
    assert!(!other.is_of(&act()));
    other.service = Some("auth".to_owned());
    assert!(other.is_of(&act()));
    other.is_active = false;
    assert!(!other.is_of(&act()));
}

#[test]
fn a_condition_that_makes_no_sense_is_refused_by_its_field() {
    for (field, operator, value, wrong) in [
        ("colour", "equals", json!("x"), "condition.field"),
        ("details.", "equals", json!("x"), "condition.field"),
        ("action", "equals", json!(["x"]), "condition.value"),
        ("details..a", "equals", json!("x"), "condition.field"),
        ("action", "equals", Value::Null, "condition.value"),
        ("action", "not_in", json!([null]), "condition.value"),
        ("action", "in", json!(["x", ["y"]]), "condition.value"),
        ("action", "contains", json!(1), "condition.value"),
        ("action", "greater_than", json!("x"), "condition.value"),
        ("action", "in", json!([]), "condition.value"),
        ("action", "in", json!("x"), "condition.value"),
        ("action", "like", json!("x"), "condition.operator"),
    ] {
        let errors = alert(field, operator, &value).unwrap_err();
        assert_eq!(errors.0[0].field, wrong, "{errors}");
    }
}
