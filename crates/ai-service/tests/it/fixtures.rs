//! Own forms in the layout of the facility's: each is read exactly as its truth file says.

use ai_service::form::{Extraction, Issue, IssueCode};
use ai_service::pdf::PdfErrorKind;

use crate::compare::{check, extract_file};
use crate::fixture;

async fn extraction(name: &str) -> Extraction {
    extract_file(&fixture(name)).await
}

fn messages(issues: &[Issue], code: IssueCode) -> Vec<&str> {
    issues
        .iter()
        .filter(|it| it.code == code)
        .map(|it| it.message.as_str())
        .collect()
}

#[tokio::test]
async fn a_small_form_is_read_exactly() {
    check(&fixture("small.pdf")).await;
    let extraction = extraction("small.pdf").await;
    assert_eq!(extraction.issues, []);
    assert!(extraction.confidence > 0.9, "{}", extraction.confidence);
    extraction.check().unwrap();
}

#[tokio::test]
async fn a_table_over_a_page_break_is_read_exactly() {
    check(&fixture("large.pdf")).await;
    assert_eq!(extraction("large.pdf").await.issues, []);
}

#[tokio::test]
async fn wrapped_names_a_row_cut_by_a_page_break_and_a_comment_like_a_heading_are_read_exactly() {
    check(&fixture("long-names.pdf")).await;
    assert_eq!(extraction("long-names.pdf").await.issues, []);
}

#[tokio::test]
async fn marks_in_the_classic_sunken_style_are_read_exactly() {
    check(&fixture("bevelled.pdf")).await;
    assert_eq!(extraction("bevelled.pdf").await.issues, []);
}

#[tokio::test]
async fn a_blank_form_has_no_value_but_its_printed_head() {
    check(&fixture("blank.pdf")).await;
    let extraction = extraction("blank.pdf").await;
    let fields: Vec<&str> = extraction
        .fields
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(fields, ["service_project", "owner", "lab"]);
    assert_eq!(extraction.issues, []);
}

#[tokio::test]
async fn a_form_without_rows_says_so() {
    check(&fixture("no-rows.pdf")).await;
    let error = extraction("no-rows.pdf").await.check().unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::ValidationError);
    assert_eq!(
        error.to_string(),
        "the form has no sample rows: its sample table is empty"
    );
}

#[tokio::test]
async fn a_ratio_out_of_range_names_row_field_value_and_limit() {
    check(&fixture("out-of-range.pdf")).await;
    let extraction = extraction("out-of-range.pdf").await;
    let error = extraction.check().unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::ValidationError);
    assert_eq!(
        error.to_string(),
        "row 2, a260_280: 298.9 is outside 0.5 to 3.5"
    );
    let field = extraction
        .fields
        .iter()
        .find(|it| it.field == "samples[1].a260_280")
        .unwrap();
    assert!(field.confidence < 0.7, "{field:?}");
}

#[tokio::test]
async fn what_contradicts_itself_is_told_and_not_guessed() {
    check(&fixture("contradictory.pdf")).await;
    let issues = extraction("contradictory.pdf").await.issues;
    assert_eq!(
        messages(&issues, IssueCode::NotANumber),
        ["row 1, qubit_ng_ul: `about 50` is not a number"]
    );
    assert_eq!(
        messages(&issues, IssueCode::OutOfRange),
        [
            "row 2, volume_ul: 5000 µL is outside 0.1 to 1000 µL",
            "flow_cell_count: 40 is outside 1 to 10"
        ]
    );
    assert_eq!(
        messages(&issues, IssueCode::MissingSampleName),
        ["row 2, sample_name: the row has values and no name"]
    );
    assert_eq!(
        messages(&issues, IssueCode::DuplicateSampleName),
        ["row 3, sample_name: `c1` is the name of row 1 too"]
    );
    assert_eq!(
        messages(&issues, IssueCode::AmbiguousChoice),
        [
            "delivery: one choice is asked for, `Deliver my data to ITS Research Computing storage \
          (/proj)` and `Other` are ticked"
        ]
    );
    assert_eq!(messages(&issues, IssueCode::NotAnEmail).len(), 2);
}

#[tokio::test]
async fn the_demo_form_is_the_small_form() {
    let demo = crate::crate_dir().join("../sagabus-server/assets/demo-form.pdf");
    assert!(std::fs::read(demo).unwrap() == std::fs::read(fixture("small.pdf")).unwrap());
}

#[tokio::test]
async fn a_form_that_is_only_locked_for_printing_is_read() {
    let own = extraction("locked-for-printing.pdf").await;
    assert_eq!(own.form, extraction("small.pdf").await.form);
}

#[tokio::test]
async fn evidence_points_at_the_words_that_were_read() {
    let extraction = extraction("small.pdf").await;
    let volume = extraction
        .fields
        .iter()
        .find(|it| it.field == "samples[0].volume_ul")
        .unwrap();
    assert_eq!(
        (volume.value.as_str(), volume.unit.as_deref()),
        ("48", Some("µL"))
    );
    assert_eq!(
        (volume.evidence.page, volume.evidence.text.as_str()),
        (1, "48.0")
    );
    let name = extraction
        .fields
        .iter()
        .find(|it| it.field == "samples[0].sample_name")
        .unwrap();
    assert!(name.evidence.bbox.right() < volume.evidence.bbox.x);
    assert!((name.evidence.bbox.middle_y() - volume.evidence.bbox.middle_y()).abs() < 1.0);
}
