//! Rules of reading a form, on documents made by hand.

use super::*;
use crate::pdf::{Document, Line, Mark, MarkShape, Page, PdfErrorKind, Rect, Rule, Word};

const COLUMN: f64 = 104.0;
const HEADER: [&str; 6] = [
    "Sample Name",
    "Volume (µL)",
    "Qubit Conc. (ng/µL)",
    "Nanodrop Conc. (ng/µL)",
    "A260/A280 ratio",
    "A260/A230 ratio",
];

/// A page under construction: each line stands 20 points below the one before.
struct Sheet {
    page: Page,
    at: f64,
}

fn sheet(number: u32) -> Sheet {
    let visible = Rect {
        x: 0.0,
        y: 0.0,
        w: 700.0,
        h: 800.0,
    };
    let (lines, marks, rules) = (Vec::new(), Vec::new(), Vec::new());
    let page = Page {
        number,
        width: 700.0,
        height: 800.0,
        visible,
        lines,
        hidden: 0,
        pictures: 0,
        marks,
        rules,
    };
    Sheet { page, at: 10.0 }
}

impl Sheet {
    /// Pieces of text at given distances from the left; each letter is 4 points wide.
    fn pieces(mut self, pieces: &[(f64, &str)]) -> Self {
        let mut words = Vec::new();
        for (left, text) in pieces {
            let mut x = *left;
            for word in text.split_whitespace() {
                let w = 4.0 * f64::from(u32::try_from(word.chars().count()).unwrap());
                words.push(Word {
                    text: word.to_owned(),
                    rect: Rect {
                        x,
                        y: self.at,
                        w,
                        h: 10.0,
                    },
                });
                x += w + 4.0;
            }
        }
        let rect = words
            .iter()
            .map(|word| word.rect)
            .reduce(|a, b| a.union(&b))
            .unwrap();
        self.page.lines.push(Line {
            words,
            rect,
            size: 10.0,
        });
        self.at += 20.0;
        self
    }

    fn line(self, text: &str) -> Self {
        self.pieces(&[(20.0, text)])
    }

    fn row(self, cells: [&str; 6]) -> Self {
        let mut x = 20.0;
        let mut pieces = Vec::new();
        for cell in cells {
            if !cell.is_empty() {
                pieces.push((x, cell));
            }
            x += COLUMN;
        }
        self.pieces(&pieces)
    }

    fn option(mut self, label: &str, ink: f64) -> Self {
        let rect = Rect {
            x: 25.0,
            y: self.at,
            w: 9.0,
            h: 9.0,
        };
        self.page.marks.push(Mark {
            rect,
            shape: MarkShape::Box,
            ink,
        });
        self.pieces(&[(40.0, label)])
    }

    /// A rule from edge to edge of the table between the lines.
    fn rule(mut self) -> Self {
        let rect = Rect {
            x: 15.0,
            y: self.at - 5.0,
            w: 6.0 * COLUMN,
            h: 0.5,
        };
        self.page.rules.push(Rule { rect });
        self
    }

    /// The text section with all of its headings from the flow cells on.
    fn rest(self, comments: &[&str]) -> Document {
        let mut sheet = self
            .line("* Flow Cell Selection:")
            .option("MinION Flow Cell", 0.0)
            .line("Approx. Coverage Needed")
            .line("Estimated number of Flow Cells")
            .line("Additional Comments / Special Needs");
        for comment in comments {
            if comment.is_empty() {
                sheet.at += 20.0;
                continue;
            }
            sheet = sheet.pieces(&[(26.0, comment)]);
        }
        sheet
            .line("Bioinformatics and Data Delivery")
            .line("File Format:")
            .option("FASTQ / BAM", 0.3)
            .line("Data Delivery Notification email addresses:")
            .line("Note: questions")
            .done()
    }

    fn done(self) -> Document {
        Document {
            pages: vec![self.page],
        }
    }
}

fn beginning() -> Sheet {
    sheet(1)
        .line("Form associated with:")
        .line("Service Project HTSF--A-1 at Somewhere")
        .line("Owner: A B (B, A Lab)")
        .line("HTSF Nanopore Submission Form DNA")
        .line("* Sample Information:")
}

fn names(extraction: &Extraction) -> Vec<&str> {
    extraction
        .form
        .samples
        .iter()
        .map(|sample| sample.sample_name.as_str())
        .collect()
}

fn codes(extraction: &Extraction) -> Vec<IssueCode> {
    let all = extraction.issues.iter().map(|issue| issue.code);
    // Headings that these documents leave out are not what the tests are about.
    all.filter(|code| *code != IssueCode::MissingSection)
        .collect()
}

#[test]
fn a_table_without_rules_is_read_by_its_header() {
    let document = beginning()
        .row(HEADER)
        .row(["a 1", "5", "", "7.5", "", "2"])
        .row(["b", "", "", "", "", ""]);
    let extraction = extract(&document.rest(&[])).unwrap();
    assert_eq!(names(&extraction), ["a 1", "b"]);
    let first = &extraction.form.samples[0];
    assert_eq!((first.volume_ul, first.qubit_ng_ul), (Some(5.0), None));
    assert_eq!(
        (first.nanodrop_ng_ul, first.a260_280, first.a260_230),
        (Some(7.5), None, Some(2.0))
    );
    let volume = &extraction
        .fields
        .iter()
        .find(|it| it.field == "samples[0].volume_ul")
        .unwrap();
    assert!(
        volume.confidence < 0.9,
        "columns without rules are less sure: {volume:?}"
    );
}

#[test]
fn a_header_that_is_printed_again_on_the_next_page_is_no_row() {
    let first = beginning()
        .row(HEADER)
        .row(["a", "5", "", "", "", ""])
        .done();
    let second = sheet(2)
        .row(HEADER)
        .row(["b", "6", "", "", "", ""])
        .rest(&[]);
    let mut document = first;
    document.pages.extend(second.pages);
    assert_eq!(names(&extract(&document).unwrap()), ["a", "b"]);
}

#[test]
fn a_row_that_a_page_break_cuts_is_one_row_and_two_rows_stay_two() {
    let cut = |second: [&str; 6]| {
        let mut document = beginning()
            .rule()
            .row(HEADER)
            .rule()
            .row(["a", "5", "", "", "", ""])
            .done();
        document
            .pages
            .extend(sheet(2).row(second).rule().rest(&[]).pages);
        extract(&document).unwrap()
    };
    let extraction = cut(["long", "", "6", "", "", ""]);
    assert_eq!(names(&extraction), ["a long"]);
    assert_eq!(extraction.form.samples[0].qubit_ng_ul, Some(6.0));
    assert_eq!(names(&cut(["b", "6", "", "", "", ""])), ["a", "b"]);
}

#[test]
fn the_number_of_a_row_before_its_name_is_no_value() {
    let numbered = |cells: [&'static str; 6]| {
        move |sheet: Sheet, number: &str| {
            let mut pieces = vec![(2.0, number)];
            let at = (0..6).map(|index| 20.0 + COLUMN * f64::from(index));
            pieces.extend(at.zip(cells).filter(|(_, cell)| !cell.is_empty()));
            sheet.pieces(&pieces)
        }
    };
    let mut sheet = beginning().row(HEADER);
    for x in [0.0, 16.0]
        .into_iter()
        .chain((1..7).map(|index| 16.0 + COLUMN * f64::from(index)))
    {
        let rect = Rect {
            x,
            y: sheet.at - 25.0,
            w: 0.5,
            h: 60.0,
        };
        sheet.page.rules.push(Rule { rect });
    }
    let sheet = numbered(["a", "5", "", "", "", ""])(sheet, "1");
    let sheet = numbered(["b", "6", "", "", "", ""])(sheet, "9");
    let extraction = extract(&sheet.rest(&[])).unwrap();
    assert_eq!(names(&extraction), ["a", "b"]);
    assert_eq!(codes(&extraction), [IssueCode::UnexpectedText]);
    assert!(
        extraction
            .issues
            .iter()
            .any(|it| it.message.starts_with("row 2: `9`"))
    );
}

#[test]
fn a_value_with_an_unreadable_glyph_is_doubtful() {
    let document = beginning()
        .row(HEADER)
        .row(["a\u{fffd}b", "5", "", "", "", ""])
        .rest(&[]);
    let extraction = extract(&document).unwrap();
    let of = |path: &str| {
        let field = extraction
            .fields
            .iter()
            .find(|it| it.field == path)
            .unwrap();
        field.confidence
    };
    assert!(of("samples[0].sample_name") < 0.5);
    assert!(of("samples[0].volume_ul") > 0.8);
}

#[test]
fn a_form_without_answers_to_its_starred_questions_is_not_trusted() {
    let document = beginning().row(HEADER).rest(&[]);
    let extraction = extract(&document).unwrap();
    assert!(extraction.confidence < 0.5, "{}", extraction.confidence);
}

#[test]
fn a_column_in_another_unit_is_an_error() {
    let mut header = HEADER;
    header[1] = "Volume (mL)";
    let extraction = extract(
        &beginning()
            .row(header)
            .row(["a", "5", "", "", "", ""])
            .rest(&[]),
    )
    .unwrap();
    assert_eq!(codes(&extraction), [IssueCode::NotANumber]);
    assert!(extraction.check().unwrap_err().message.contains("`mL`"));
}

#[test]
fn comments_keep_the_writers_line_breaks_and_lose_those_of_the_printer() {
    let full = "word ".repeat(32);
    let document = beginning().row(HEADER).rest(&[
        full.trim(),
        "wrapped here.",
        "A new line.",
        "",
        "A new paragraph.",
    ]);
    let comments = extract(&document).unwrap().form.comments;
    assert_eq!(
        comments,
        format!("{full}wrapped here.\nA new line.\n\nA new paragraph.")
    );
}

#[test]
fn a_comment_that_reads_like_a_heading_stays_a_comment() {
    let document = beginning().row(HEADER).rest(&["File Format:", "any"]);
    let extraction = extract(&document).unwrap();
    assert_eq!(extraction.form.comments, "File Format:\nany");
    assert_eq!(extraction.form.formats, ["FASTQ / BAM"]);
}

#[test]
fn a_faint_mark_is_no_tick_and_is_told() {
    let mut document = sheet(1)
        .line("Form associated with:")
        .line("HTSF Nanopore Submission Form DNA")
        .line("Type of Sample")
        .option("cDNA", 0.08)
        .option("PCR Amplicons", 0.5);
    document = document.line("* Sample Information:").row(HEADER);
    let extraction = extract(&document.rest(&[])).unwrap();
    assert_eq!(extraction.form.sample_types, ["PCR Amplicons"]);
    assert_eq!(codes(&extraction), [IssueCode::FaintMark]);
}

#[test]
fn options_beside_each_other_keep_their_own_labels() {
    let mut form = sheet(1)
        .line("Form associated with:")
        .line("HTSF Nanopore Submission Form DNA");
    form = form.line("* Do these samples contain human DNA? (required)");
    for (x, ink) in [(25.0, 0.0), (125.0, 0.9)] {
        let rect = Rect {
            x,
            y: form.at,
            w: 9.0,
            h: 9.0,
        };
        form.page.marks.push(Mark {
            rect,
            shape: MarkShape::Radio,
            ink,
        });
    }
    form = form
        .pieces(&[(40.0, "Yes"), (140.0, "No")])
        .line("* Sample Information:")
        .row(HEADER);
    let extraction = extract(&form.rest(&[])).unwrap();
    assert_eq!(extraction.form.human_dna, Some(false));
    assert_eq!(extraction.fields[0].value, "false");
}

#[test]
fn another_document_is_not_taken_for_the_form() {
    let document = sheet(1)
        .line("Invoice")
        .line("File Format:")
        .line("Note: pay")
        .done();
    let error = extract(&document).unwrap_err();
    assert_eq!(error.kind, PdfErrorKind::ExtractionFailed);
    assert!(error.message.contains("2 of its 18 headings"), "{error}");
}

#[test]
fn an_extraction_survives_its_own_json() {
    let document = beginning()
        .row(HEADER)
        .row(["a", "5", "", "", "", ""])
        .rest(&["x"]);
    let extraction = extract(&document).unwrap();
    let json = serde_json::to_string(&extraction).unwrap();
    assert_eq!(
        serde_json::from_str::<Extraction>(&json).unwrap(),
        extraction
    );
    assert!(
        json.contains(r#""kit":null"#) && json.contains(r#""coverage":"""#),
        "{json}"
    );
}
