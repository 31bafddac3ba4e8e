//! What is told of a document and what is not taken of it, each by one case.

use super::*;

/// The message of the only issue.
fn only(lines: &[&str]) -> String {
    let extraction = read(lines);
    let told = messages(&extraction);
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].to_owned()
}

fn confidence(extraction: &Extraction, name: &str) -> f64 {
    let mut fields = extraction.fields.iter();
    fields.find(|it| it.field == name).unwrap().confidence
}

const HEADER: &str = "No    Sample Name      Volume (µL)     Conc. (ng/µL)      260/280";

#[test]
fn a_row_number_that_is_missing_is_told() {
    let told = only(&[
        HEADER,
        "1     moss A1          25              50.5               1.8",
        "3     moss A2          25              50.5               1.8",
    ]);
    assert_eq!(told, "row 2: number 3 comes after 1");
}

#[test]
fn a_name_that_stands_twice_and_a_row_without_one_are_told() {
    let told = only(&[
        HEADER,
        "1     moss A1          25              50.5               1.8",
        "2     moss A1          25              50.5               1.8",
    ]);
    assert!(told.contains("moss A1"), "{told}");
    let extraction = read(&[
        HEADER,
        "1     moss A1          25              50.5               1.8",
        "2                      25              50.5               1.8",
    ]);
    let told = messages(&extraction).join("; ");
    assert!(told.contains("has values and no name"), "{told}");
    extraction.check().unwrap_err();
}

#[test]
fn a_value_in_a_column_that_nobody_knows_is_told() {
    let told = only(&[
        "No    Sample Name      Volume (µL)     Conc. (ng/µL)      Colour",
        "1     moss A1          25              50.5               red",
        "2     moss A2          25              50.5",
    ]);
    assert_eq!(told, "row 1: `red` stands in an unknown column");
}

#[test]
fn two_labels_make_no_form() {
    let two = document(&["Sample Name: a", "Volume: 25 µL", "Colour: red"]);
    assert_eq!(kind(&two), Kind::Unknown);
    let three = document(&["Sample Name: a", "Volume: 25 µL", "Lab: b"]);
    assert_eq!(kind(&three), Kind::Pairs);
}

#[test]
fn a_value_that_may_go_on_where_nobody_can_tell_is_doubtful() {
    let long = format!("Project Name: {}", "m".repeat(90));
    let extraction = read(&["Sample Name: a", &long, "the north", "Lab: b"]);
    assert!(confidence(&extraction, "projectName") < 0.7);
    assert!(confidence(&extraction, "labName") > 0.9);
}

#[test]
fn a_count_beyond_ten_a_third_ratio_and_a_rare_volume_are_told() {
    let with = |line: &str| {
        let lines = ["Sample Name: a", "Lab: b", "Project: c", line];
        (read(&lines), only(&lines))
    };
    let (extraction, told) = with("Flow Cell Count: 12");
    assert_eq!(told, "flowCellCount: `12` is outside 1 to 10");
    assert!(confidence(&extraction, "flowCellCount") < 0.7);
    let (extraction, told) = with("Purity: 1.8/2.0/2.2");
    assert!(told.contains("more than two numbers"), "{told}");
    assert_eq!(value(&extraction, "purity"), None);
    let (extraction, told) = with("Volume: 0.6 µL");
    assert!(told.contains("is unusual, most are 1 to 500"), "{told}");
    assert!(confidence(&extraction, "volume") < 0.8);
    assert_eq!(value(&extraction, "volume"), Some(("0.6", Some("µL"))));
}

#[test]
fn yes_is_true_and_no_is_false() {
    for (word, want) in [
        ("Yes", "true"),
        ("y", "true"),
        ("No", "false"),
        ("FALSE", "false"),
    ] {
        let line = format!("Demultiplexing: {word}");
        let extraction = read(&["Sample Name: a", "Lab: b", &line]);
        assert_eq!(value(&extraction, "demultiplexing"), Some((want, None)));
    }
}
