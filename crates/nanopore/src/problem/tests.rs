//! What a caller reads of a failure.

use super::*;

#[test]
fn wrong_fields_are_listed_one_by_one() {
    let mut errors = FieldErrors::one("volume", "is -1 µL");
    errors.add("sampleName", "is required");
    let problem = Problem::from(&Error::from(errors));
    assert_eq!(
        serde_json::to_value(&problem).unwrap(),
        serde_json::json!({
            "type": "urn:sagabus:problem:invalid",
            "title": "The input is wrong",
            "status": 400,
            "detail": "some fields are wrong: `volume` is -1 µL; `sampleName` is required",
            "errors": [
                {"field": "volume", "message": "is -1 µL"},
                {"field": "sampleName", "message": "is required"},
            ],
        })
    );
}

#[test]
fn a_failure_of_the_machine_does_not_show_its_inside() {
    let error = Error::new(ErrorKind::Corrupt, "database file is damaged")
        .with_source(std::io::Error::other("/srv/secret/path"));
    let problem = Problem::from(&error);
    assert_eq!(
        (problem.status, problem.detail.as_str()),
        (500, "database file is damaged")
    );
}

#[test]
fn what_is_too_large_has_its_own_status() {
    let problem = Problem::from(&Error::from(TooLarge::body()));
    assert_eq!(
        serde_json::to_value(&problem).unwrap(),
        serde_json::json!({
            "type": "urn:sagabus:problem:too_large",
            "title": "The content is too large",
            "status": 413,
            "detail": "what was sent is refused: the body has more than 1024 KiB",
        })
    );
}

#[test]
fn what_was_sent_is_cited_within_bounds_with_what_is_wrong_and_why() {
    let long = "ä".repeat(100_000);
    let mut errors = FieldErrors::one(long.clone(), format!("is `{long}`, not one of these"));
    for _ in 0..1_000 {
        errors.add("x", "is not a field here");
    }
    let problem = Problem::from(&Error::from(errors));
    assert_eq!(problem.errors.len(), ERRORS_MAX);
    let first = &problem.errors[0];
    assert!(first.field.chars().count() < 110, "{}", first.field);
    assert!(
        first.message.starts_with("is `ä") && first.message.ends_with("ä`, not one of these"),
        "{}",
        first.message
    );
    let detail = problem.detail;
    assert!(detail.starts_with("some fields are wrong: "), "{detail}");
    assert!(detail.ends_with("and 981 more"), "{detail}");
    assert!(detail.chars().count() < 1_010, "{detail}");
}
