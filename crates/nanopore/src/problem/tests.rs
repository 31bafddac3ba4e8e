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
            "detail": "what was sent is refused: body has more bytes than are taken here",
        })
    );
}
