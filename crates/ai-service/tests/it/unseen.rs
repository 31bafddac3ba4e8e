//! Text that nobody sees is flagged and never a value; a page that is a picture is told.

use ai_service::form::{Extraction, IssueCode};
use ai_service::reading::Kind;

use crate::drawn::Paper;

/// A simple form, and below it something drawn in a way of its own.
async fn with(draw: impl Fn(&mut Paper)) -> Extraction {
    let mut paper = Paper::new();
    for line in [
        "Sample Name: moss-A1",
        "Submitter Name: Ada Loe",
        "Volume: 25 µL",
    ] {
        paper.line(20.0, 10.0, line);
    }
    draw(&mut paper);
    extract(paper.pdf()).await
}

async fn extract(pdf: Vec<u8>) -> Extraction {
    let reader = crate::reader();
    let extraction = ai_service::extract(&reader, pdf.into(), |_| {}).await;
    extraction.unwrap()
}

const SECRET: &str = "Chart Field: EVIL-1";

/// The secret between two operators.
fn within(before: &str, paper: &mut Paper) {
    paper.raw(&format!("q {before}"));
    paper.line(20.0, 10.0, SECRET);
    paper.raw("Q");
}

fn codes(extraction: &Extraction) -> Vec<IssueCode> {
    extraction.issues.iter().map(|it| it.code).collect()
}

async fn is_hidden(what: &str, draw: impl Fn(&mut Paper)) {
    let extraction = with(draw).await;
    let fields: Vec<&str> = extraction
        .fields
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(fields, ["sampleName", "submitterName", "volume"], "{what}");
    assert_eq!(codes(&extraction), [IssueCode::HiddenText], "{what}");
    assert!(extraction.confidence <= 0.5, "{what}");
    let message = &extraction.issues[0].message;
    assert!(message.ends_with("(lines: 1)"), "{what}: {message}");
    assert!(!message.contains("EVIL"), "{what}");
}

#[tokio::test]
async fn text_that_nobody_sees_is_flagged_and_never_a_value() {
    for way in [
        "3 Tr",
        "7 Tr",
        "1 g",
        "1 1 1 rg",
        "0 0 0 0 k",
        "/DeviceRGB cs 1 1 1 sc",
        "0.97 0.97 0.97 rg",
        // A narrow line has letters without width.
        "0 Tz",
        // What undoes the state of nobody undoes nothing.
        "3 Tr q Q",
        "Q 3 Tr Q",
    ] {
        is_hidden(way, |paper| within(way, paper)).await;
    }
    is_hidden("tiny", |paper| paper.line(20.0, 2.0, SECRET)).await;
    is_hidden("beside the page", |paper| paper.line(700.0, 10.0, SECRET)).await;
    is_hidden("left of the page", |paper| paper.line(-500.0, 10.0, SECRET)).await;
    is_hidden("above the page", |paper| {
        paper.text(20.0, -300.0, 10.0, SECRET);
    })
    .await;
}

#[tokio::test]
async fn white_text_on_a_dark_ground_is_seen() {
    let extraction = with(|paper| {
        let bottom = 792.0 - paper.at - 14.0;
        within(&format!("0 0 0.5 rg 10 {bottom} 300 16 re f 1 g"), paper);
    })
    .await;
    assert!(extraction.fields.iter().any(|it| it.field == "chartField"));
    assert_eq!(extraction.issues, []);
}

#[tokio::test]
async fn text_of_a_usual_look_is_not_flagged() {
    for way in [
        "0 Tr",
        "2 Tr",
        "0.5 g",
        "0 0 1 rg",
        "50 Tz",
        "3 Tr 0 Tr",
        "q 3 Tr Q",
    ] {
        let extraction = with(|paper| within(way, paper)).await;
        assert!(
            extraction.fields.iter().any(|it| it.field == "chartField"),
            "{way}"
        );
        assert_eq!(codes(&extraction), [], "{way}");
    }
}

const PICTURE: &str = "q 600 0 0 780 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q";

#[tokio::test]
async fn a_page_that_is_a_picture_is_told_and_a_document_of_pictures_has_no_values() {
    let extraction = with(|paper| {
        paper.need(10_000.0);
        paper.raw(PICTURE);
    })
    .await;
    assert_eq!(codes(&extraction), [IssueCode::ScannedPage]);
    assert!(extraction.issues[0].message.starts_with("page 2: "));
    assert!(extraction.confidence <= 0.5);
    assert_eq!(extraction.fields.len(), 3);

    let mut paper = Paper::new();
    paper.raw(PICTURE);
    let extraction = extract(paper.pdf()).await;
    assert_eq!(extraction.kind, Kind::Scan);
    assert_eq!(codes(&extraction), [IssueCode::ScannedPage]);
    assert_eq!((extraction.fields.len(), extraction.confidence), (0, 0.0));
}

#[tokio::test]
async fn a_scan_with_a_layer_of_recognised_text_is_a_scan() {
    let mut paper = Paper::new();
    paper.raw(PICTURE);
    paper.raw("3 Tr");
    for line in ["Sample Name: moss", "Volume: 25 µL", "Lab: Loe"] {
        paper.line(20.0, 10.0, line);
    }
    let extraction = extract(paper.pdf()).await;
    assert_eq!(extraction.kind, Kind::Scan);
    assert_eq!(
        codes(&extraction),
        [IssueCode::HiddenText, IssueCode::ScannedPage]
    );
    assert_eq!(extraction.fields, []);
}

#[tokio::test]
async fn hidden_text_in_a_form_inside_the_page_is_hidden_too() {
    use crate::hostile::{pdf, stream, text};
    let font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>";
    let line =
        |top: u32, it: &str| format!("BT /F 10 Tf 1 0 0 1 20 {} Tm ({it}) Tj ET\n", 792 - top);
    let page = [
        line(50, "Sample Name: moss"),
        line(70, "Volume: 25 uL"),
        line(90, "Lab: Loe"),
        "/X Do 3 Tr /Y Do".to_owned(),
    ]
    .concat();
    let form = "/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</Font<</F 5 0 R>>>>";
    // Of itself, and by the page's state, which its own white text does not end.
    let own = format!("3 Tr {}", line(110, SECRET));
    let taken_over = format!("q 1 g {} Q {}", line(130, SECRET), line(150, SECRET));
    let file = pdf(&[
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
        text(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R\
             /Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R/Y 7 0 R>>>>>>",
        ),
        stream("", page.as_bytes()),
        text(font),
        stream(form, own.as_bytes()),
        stream(form, taken_over.as_bytes()),
    ]);
    let extraction = extract(file).await;
    let fields: Vec<&str> = extraction
        .fields
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(fields, ["sampleName", "labName", "volume"]);
    assert_eq!(codes(&extraction), [IssueCode::HiddenText]);
    assert!(extraction.issues[0].message.contains("(lines: 3)"));
}

/// A simple form whose last line, in a font of its own, is shown by a form inside the page after these operators.
fn inside(before: &str, content: &str, font: &str) -> Vec<u8> {
    use crate::hostile::{pdf, stream, text};
    let line =
        |top: u32, it: &str| format!("BT /F 10 Tf 1 0 0 1 20 {} Tm ({it}) Tj ET\n", 792 - top);
    let page = [
        line(50, "Sample Name: moss"),
        line(70, "Volume: 25 uL"),
        line(90, "Lab: Loe"),
        format!("{before} /Y Do"),
    ]
    .concat();
    let form =
        "/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</Font<</F 5 0 R/G 7 0 R>>>>";
    let shown = format!("{content} BT /G 10 Tf 1 0 0 1 20 600 Tm ({SECRET}) Tj ET");
    pdf(&[
        text("<</Type/Catalog/Pages 2 0 R>>"),
        text("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
        text(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R\
             /Resources<</Font<</F 5 0 R>>/XObject<</Y 6 0 R>>>>>>",
        ),
        stream("", page.as_bytes()),
        text(HELVETICA),
        stream(form, shown.as_bytes()),
        text(font),
    ])
}

const HELVETICA: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>";

#[tokio::test]
async fn a_page_cannot_paint_the_signs_that_mark_hidden_text() {
    // Where the signs would be if it were always the same place.
    let far = |from: i32| format!("{from} 0 1 1 re f ");
    let ends = far(-8_000_000).repeat(4);
    let seen = extract(inside("", "", HELVETICA)).await;
    assert!(seen.fields.iter().any(|it| it.field == "chartField"));
    let hidden = extract(inside("3 Tr", &ends, HELVETICA)).await;
    assert!(hidden.fields.iter().all(|it| it.field != "chartField"));
    assert_eq!(codes(&hidden), [IssueCode::HiddenText]);
}

#[tokio::test]
async fn letters_without_width_are_hidden_however_large_they_are() {
    let widths = "0 ".repeat(256);
    let flat = format!(
        "<</Type/Font/Subtype/Type1/BaseFont/Flat/FirstChar 0/LastChar 255/Widths[{widths}]\
         /Encoding/WinAnsiEncoding/FontDescriptor<</Type/FontDescriptor/FontName/Flat/Flags 32>>>>"
    );
    let extraction = extract(inside("", "", &flat)).await;
    assert!(extraction.fields.iter().all(|it| it.field != "chartField"));
    assert_eq!(codes(&extraction), [IssueCode::HiddenText]);
}
