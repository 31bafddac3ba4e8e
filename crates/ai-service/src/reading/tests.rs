//! Which kind a document is, and what is never made of it, on lines made by hand.

mod told;

use super::*;
use crate::form::Said;
use crate::pdf::{Line, Page, Rect, Word};

/// A page of lines 14 points apart; each letter is 5 points wide, two spaces begin a new column.
fn document(lines: &[&str]) -> Document {
    let visible = Rect {
        x: 0.0,
        y: 0.0,
        w: 612.0,
        h: 792.0,
    };
    let line = |(index, text): (usize, &&str)| {
        let y = 30.0 + 14.0 * f64::from(u32::try_from(index).unwrap());
        let mut words = Vec::new();
        let mut x = 40.0;
        for piece in text.split(' ') {
            let w = 5.0 * f64::from(u32::try_from(piece.chars().count()).unwrap());
            if !piece.is_empty() {
                let rect = Rect { x, y, w, h: 10.0 };
                let text = piece.to_owned();
                words.push(Word { text, rect });
            }
            x += w + 5.0;
        }
        let rect = words.iter().map(|it| it.rect).reduce(|a, b| a.union(&b))?;
        Some(Line {
            words,
            rect,
            size: 10.0,
        })
    };
    let page = Page {
        number: 1,
        width: 612.0,
        height: 792.0,
        visible,
        lines: lines.iter().enumerate().filter_map(line).collect(),
        hidden: 0,
        pictures: 0,
        marks: Vec::new(),
        rules: Vec::new(),
    };
    Document { pages: vec![page] }
}

const SIMPLE: [&str; 16] = [
    "Sample Information",
    "Sample Name: moss-A1",
    "Submitter Name: Ada Loe",
    "Submitter Email: ada@lab.example.org",
    "Lab Name: Loe Lab",
    "Project Name: Mosses of the north",
    "Sample Type: DNA",
    "Sample Buffer: EB",
    "Concentration: 50.5 ng/μL",
    "Volume: 25 μL",
    "Total Amount: 1000 ng",
    "Flow Cell Type: FLO-MIN114",
    "Flow Cell Count: 1",
    "Priority: High",
    "Assigned To:",
    "Chart Field: ____",
];

fn value<'a>(extraction: &'a Extraction, name: &str) -> Option<(&'a str, Option<&'a str>)> {
    let field = extraction.fields.iter().find(|it| it.field == name)?;
    Some((field.value.as_str(), field.unit.as_deref()))
}

fn read(lines: &[&str]) -> Extraction {
    super::read(&document(lines), Method::Pattern).unwrap()
}

fn messages(extraction: &Extraction) -> Vec<&str> {
    extraction
        .issues
        .iter()
        .map(|it| it.message.as_str())
        .collect()
}

#[test]
fn the_kind_is_told_by_labels_and_headers() {
    assert_eq!(kind(&document(&SIMPLE)), Kind::Pairs);
    assert_eq!(
        kind(&document(&["No    Name    Volume (µL)    Conc. (ng/µL)"])),
        Kind::Quote
    );
    assert_eq!(
        kind(&document(&["Dear facility,", "please find: nothing"])),
        Kind::Unknown
    );
    assert_eq!(kind(&document(&[])), Kind::Scan);
}

#[test]
fn the_simple_form_has_each_value_with_its_unit_and_nothing_for_what_is_empty() {
    let extraction = read(&SIMPLE);
    assert_eq!(value(&extraction, "sampleName"), Some(("moss-A1", None)));
    assert_eq!(value(&extraction, "sequencingType"), Some(("DNA", None)));
    assert_eq!(value(&extraction, "sampleType"), None);
    assert_eq!(
        value(&extraction, "concentration"),
        Some(("50.5", Some("ng/µL")))
    );
    assert_eq!(value(&extraction, "volume"), Some(("25", Some("µL"))));
    assert_eq!(
        value(&extraction, "flowCellType"),
        Some(("FLO-MIN114", None))
    );
    assert_eq!(
        value(&extraction, "totalAmount"),
        Some(("1000", Some("ng")))
    );
    assert_eq!(value(&extraction, "assignedTo"), None);
    assert_eq!(value(&extraction, "chartField"), None);
    assert_eq!(extraction.fields.len(), 13);
    assert_eq!(messages(&extraction), Vec::<&str>::new());
    assert!(extraction.confidence > 0.7, "{}", extraction.confidence);
    assert_eq!(extraction.form.samples[0].concentration(), Some(50.5));
    extraction.check().unwrap();
}

#[test]
fn a_simple_form_without_values_has_none_and_no_confidence() {
    let blank: Vec<String> = SIMPLE
        .iter()
        .map(|line| {
            line.split_once(':')
                .map_or((*line).to_owned(), |(label, _)| format!("{label}:"))
        })
        .collect();
    let blank: Vec<&str> = blank.iter().map(String::as_str).collect();
    let extraction = read(&blank);
    assert_eq!(extraction.fields, []);
    assert!(extraction.confidence == 0.0);
    let error = extraction.check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the form has no sample: its sample name is empty"
    );
}

#[test]
fn a_document_of_another_kind_gives_an_error_and_one_without_text_no_value_and_no_confidence() {
    let other = document(&["Priority method for this project"]);
    let error = super::read(&other, Method::Pattern).unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::ExtractionFailed);
    let extraction = read(&[]);
    assert_eq!((extraction.kind, extraction.fields.len()), (Kind::Scan, 0));
    assert!(extraction.confidence == 0.0);
    extraction.check().unwrap_err();
}

#[test]
fn qubit_comes_before_nanodrop_and_both_stay() {
    let extraction = read(&[
        "Sample Name: a",
        "NanoDrop Concentration: 90 ng/µL",
        "Qubit Concentration (ng/µL): 60",
        "Volume: 0.025 mL",
    ]);
    assert_eq!(
        value(&extraction, "concentration"),
        Some(("60", Some("ng/µL")))
    );
    assert_eq!(
        value(&extraction, "nanodropConcentration"),
        Some(("90", Some("ng/µL")))
    );
    assert_eq!(value(&extraction, "volume"), Some(("25", Some("µL"))));
    let volume = extraction
        .fields
        .iter()
        .find(|it| it.field == "volume")
        .unwrap();
    assert_eq!(volume.evidence.text, "0.025 mL");
}

#[test]
fn what_cannot_be_is_flagged_and_never_mended() {
    let extraction = read(&[
        "Sample Name: a",
        "Submitter Email: ada at lab",
        "Concentration: -5 ng/µL",
        "Volume: 9000 µL",
        "Purity: 18.5",
        "Priority: whenever",
        "Demultiplexing: perhaps",
        "Fragment Size: 10 nM",
        "Project Name: one",
        "Project: two",
    ]);
    assert_eq!(value(&extraction, "volume"), Some(("9000", Some("µL"))));
    for (name, count) in [
        ("submitterEmail", 0),
        ("concentration", 1),
        ("purity", 1),
        ("demultiplexing", 0),
        ("fragmentSize", 0),
        ("projectName", 0),
    ] {
        let own = extraction.fields.iter().filter(|it| it.field == name);
        assert_eq!(own.count(), count, "{name}");
        assert!(
            extraction.issues.iter().any(|it| it.field == name),
            "{name}"
        );
    }
    for field in extraction
        .fields
        .iter()
        .filter(|it| it.field != "sampleName")
    {
        assert!(field.confidence < 0.7, "{field:?}");
    }
}

#[test]
fn a_value_without_a_unit_or_with_a_molar_one_is_kept_flagged_and_no_number_of_the_sample() {
    for (line, want) in [
        ("Concentration: 50", None),
        ("Concentration: 10 nM", Some("nM")),
    ] {
        let extraction = read(&["Sample Name: a", "Lab: b", line]);
        assert_eq!(value(&extraction, "concentration").unwrap().1, want);
        assert_eq!(extraction.form.samples[0].concentration(), None);
        assert_eq!(extraction.issues.len(), 1);
    }
}

#[test]
fn a_line_under_a_value_is_its_rest_and_one_under_a_label_is_told_where_it_may_be() {
    let extraction = read(&[
        "Sample Name: a",
        "Project Name: Mosses of",
        "              the north",
        "Lab: b",
    ]);
    assert_eq!(
        value(&extraction, "projectName"),
        Some(("Mosses of the north", None))
    );
    let long = format!("Project Name: {}", "m".repeat(90));
    let extraction = read(&["Sample Name: a", &long, "the north", "Lab:b"]);
    assert_eq!(extraction.issues.len(), 1, "{:?}", extraction.issues);
    assert_eq!(value(&extraction, "labName"), Some(("b", None)));
}

#[test]
fn a_table_is_read_by_its_columns_and_what_is_no_row_is_no_sample() {
    let extraction = read(&[
        "Quote 17",
        "No    Sample Name      Volume     Conc.      260/280",
        "                       (µL)       (ng/µL)    ratio",
        "1     moss A1          25         50.5       1.85",
        "2     moss with a long name indeed 12.5  30       ",
        "3     x                           7",
        "      y z",
        "Page 1 of 1",
    ]);
    let names: Vec<&str> = extraction
        .form
        .samples
        .iter()
        .map(|it| it.sample_name.as_str())
        .collect();
    assert_eq!(names[0], "moss A1");
    assert_eq!(names[2], "x y z");
    assert_eq!(names.len(), 3);
    let third = &extraction.form.samples[2];
    assert_eq!(
        (third.volume_ul, third.concentration_ng_ul, third.a260_280),
        (None, Some(7.0), None)
    );
    assert!(
        messages(&extraction)
            .iter()
            .any(|it| it.contains("Page 1 of 1"))
    );
}

#[test]
fn what_stands_above_the_table_of_a_quote_is_said_of_all_its_samples() {
    let lines = [
        "Quote: 17",
        "Submitter: Ada Loe",
        "Email: ada@lab.example.org",
        "Chart Field: HTSF-001",
        "Project:",
        "Sample Type: RNA",
        "No    Sample Name      Volume (µL)     Conc. (ng/µL)",
        "1     moss A1          25              50.5",
        "2     moss A2          25              50.5",
    ];
    let extraction = read(&lines);
    assert_eq!(extraction.kind, Kind::Quote);
    assert_eq!(messages(&extraction), Vec::<&str>::new());
    let said = extraction.form.said.clone().unwrap();
    assert_eq!(
        *said,
        Said {
            submitter_name: Some("Ada Loe".to_owned()),
            submitter_email: Some("ada@lab.example.org".to_owned()),
            chart_field: Some("HTSF-001".to_owned()),
            sequencing_type: Some("RNA".to_owned()),
            ..Said::default()
        }
    );
    assert_eq!(extraction.form.samples.len(), 2);
    assert_eq!(value(&extraction, "chartField"), Some(("HTSF-001", None)));
}

#[test]
fn a_simple_form_says_who_submits_and_who_pays_and_nothing_that_is_not_written() {
    let said = read(&SIMPLE).form.said.unwrap();
    assert_eq!(said.submitter_name.as_deref(), Some("Ada Loe"));
    assert_eq!(said.submitter_email.as_deref(), Some("ada@lab.example.org"));
    assert_eq!(said.project_name.as_deref(), Some("Mosses of the north"));
    assert_eq!(said.sequencing_type.as_deref(), Some("DNA"));
    assert_eq!((said.chart_field, said.sample_type), (None, None));
}

#[test]
fn without_a_model_the_labels_are_read_and_the_reason_is_said() {
    let pattern = super::read(&document(&SIMPLE), Method::Pattern).unwrap();
    for (method, way) in [
        (Method::Llm, Method::Pattern),
        (Method::Hybrid, Method::Rag),
    ] {
        let read = super::read(&document(&SIMPLE), method).unwrap();
        assert_eq!(read.method, way);
        assert_eq!(read.fields, pattern.fields);
        assert!(
            read.notes.join("").contains("no model is configured"),
            "{:?}",
            read.notes
        );
        let letter = document(&["Dear facility,", "nothing"]);
        let error = super::read(&letter, method).unwrap_err();
        assert!(error.message.contains("no model is configured"), "{error}");
    }
}

#[test]
fn labels_that_are_like_a_name_are_read_with_the_reason_and_for_a_person_to_see() {
    let lines = [
        "Name of the sample: moss-A1",
        "Name of submitter: Ada Loe",
        "Total sample volume (µL): 25",
        "Date: 2026-11-28",
        "Signature: X",
    ];
    let error = super::read(&document(&lines), Method::Pattern).unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::ExtractionFailed);
    let read = super::read(&document(&lines), Method::Rag).unwrap();
    assert_eq!(read.method, Method::Rag);
    assert_eq!(value(&read, "sampleName"), Some(("moss-A1", None)));
    assert_eq!(value(&read, "submitterName"), Some(("Ada Loe", None)));
    assert_eq!(value(&read, "volume"), Some(("25", Some("µL"))));
    assert_eq!(read.fields.len(), 3);
    for field in &read.fields {
        assert!(
            field.confidence < 0.7 && field.method == Some(Method::Rag),
            "{field:?}"
        );
    }
    assert_eq!(read.notes.len(), 3, "{:?}", read.notes);
    assert_eq!(read.form.samples[0].volume_ul, Some(25.0));
    // What has no field is told as before.
    let told = messages(&read).join("; ");
    assert!(
        told.contains("`Date`") && told.contains("`Signature`"),
        "{told}"
    );
}

#[test]
fn a_label_that_is_known_goes_before_one_that_is_like_it() {
    let lines = [
        "Sample Name: a",
        "Lab: b",
        "Volume: 25 µL",
        "Total volume of the sample: 30 µL",
    ];
    let read = super::read(&document(&lines), Method::Rag).unwrap();
    assert_eq!(value(&read, "volume"), Some(("25", Some("µL"))));
    assert_eq!(read.fields.len(), 3);
}
