//! Reads ticked boxes and radio buttons by comparing their ink with the other marks of the form.

use super::evidence::{Findings, IssueCode, Passage};
use super::labels::{Section, key};
use super::layout::{Region, Slice, passage};
use crate::pdf::{Document, Line, Mark, MarkShape, Rect, Word};

/// More ink than the emptiest mark of the form by this much is a tick. A thin cross has 0.3.
const TICK_CONTRAST: f64 = 0.12;
/// Less than this is the noise of an empty mark.
const EMPTY_CONTRAST: f64 = 0.04;
/// The contrast of a tick that leaves no doubt.
const CLEAR_CONTRAST: f64 = 0.3;
/// An empty mark never has more ink than this, even when all marks of the form are ticked.
const EMPTY_INK_MAX: f64 = 0.15;

/// The ink of an empty mark on this document, for each shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inks {
    boxes: f64,
    radios: f64,
}

impl Inks {
    /// Measures all marks of a document.
    pub(super) fn of(document: &Document) -> Self {
        let least = |shape: MarkShape| {
            let marks = document.pages.iter().flat_map(|page| &page.marks);
            marks
                .filter(|mark| mark.shape == shape)
                .map(|mark| mark.ink)
                .fold(EMPTY_INK_MAX, f64::min)
        };
        Self {
            boxes: least(MarkShape::Box),
            radios: least(MarkShape::Radio),
        }
    }

    fn contrast(self, mark: &Mark) -> f64 {
        let empty = match mark.shape {
            MarkShape::Box => self.boxes,
            MarkShape::Radio => self.radios,
        };
        mark.ink - empty
    }
}

/// One option of a section.
struct Choice<'a> {
    mark: &'a Mark,
    label: Passage,
    left: f64,
    bottom: f64,
}

/// The labels of the ticked options, in the order of the form.
pub(super) fn many(region: &Region<'_>, inks: Inks, findings: &mut Findings) -> Vec<String> {
    let field = region.section.field();
    let ticked = ticked(region, inks, findings);
    let mut labels = Vec::with_capacity(ticked.len());
    for (index, (label, confidence)) in ticked.into_iter().enumerate() {
        findings.found(format!("{field}[{index}]"), &label.text, confidence, &label);
        labels.push(label.text);
    }
    labels
}

/// The label of the one ticked option; nothing when none or more than one is ticked.
pub(super) fn one(region: &Region<'_>, inks: Inks, findings: &mut Findings) -> Option<String> {
    let field = region.section.field();
    let mut ticked = ticked(region, inks, findings);
    if ticked.len() > 1 {
        let labels: Vec<String> = ticked
            .iter()
            .map(|(label, _)| format!("`{}`", label.text))
            .collect();
        let message = format!(
            "{field}: one choice is asked for, {} are ticked",
            labels.join(" and ")
        );
        findings.issue(IssueCode::AmbiguousChoice, field, message);
        return None;
    }
    let (label, confidence) = ticked.pop()?;
    findings.found(field, &label.text, confidence, &label);
    Some(label.text)
}

fn ticked(region: &Region<'_>, inks: Inks, findings: &mut Findings) -> Vec<(Passage, f64)> {
    let field = region.section.field();
    let choices: Vec<Choice<'_>> = region
        .slices
        .iter()
        .flat_map(|slice| choices(slice, region.section, findings))
        .collect();
    if choices.is_empty() {
        let message = format!("{field}: no tick boxes were found under the heading");
        findings.issue(IssueCode::MissingSection, field, message);
    }
    let mut out = Vec::new();
    for choice in choices {
        let contrast = inks.contrast(choice.mark);
        if contrast >= TICK_CONTRAST {
            let known = region
                .section
                .options()
                .contains(&key(&choice.label.text).as_str());
            let clear = 0.6 + 0.4 * (contrast / CLEAR_CONTRAST).min(1.0);
            let confidence = clear * region.quality * if known { 1.0 } else { 0.85 };
            out.push((choice.label, confidence));
        } else if contrast > EMPTY_CONTRAST {
            let message = format!(
                "{field}: the mark of `{}` is too faint to tell",
                choice.label.text
            );
            findings.issue(IssueCode::FaintMark, field, message);
        }
    }
    out
}

fn choices<'a>(slice: &Slice<'a>, section: Section, findings: &mut Findings) -> Vec<Choice<'a>> {
    let lines: Vec<&Line> = slice.lines().collect();
    let marks: Vec<&Mark> = slice.marks().collect();
    let mut out: Vec<Choice<'a>> = Vec::new();
    for mark in &marks {
        let Some(line) = lines.iter().find(|line| beside(&mark.rect, &line.rect)) else {
            continue;
        };
        let next = marks
            .iter()
            .filter(|other| beside(&other.rect, &line.rect) && other.rect.x > mark.rect.x)
            .map(|other| other.rect.x)
            .fold(f64::MAX, f64::min);
        let words: Vec<Word> = line
            .words
            .iter()
            .filter(|word| word.rect.x >= mark.rect.right() - 1.0 && word.rect.x < next)
            .cloned()
            .collect();
        if let Some(label) = passage(slice.page, &words) {
            let (left, bottom) = (label.rect.x, label.rect.bottom());
            out.push(Choice {
                mark,
                label,
                left,
                bottom,
            });
        }
    }
    for line in lines
        .iter()
        .filter(|line| !marks.iter().any(|it| beside(&it.rect, &line.rect)))
    {
        // A long label goes on below its first line.
        let before = out.iter_mut().find(|choice| {
            (choice.left - line.rect.x).abs() < 2.0
                && (-0.2..0.8).contains(&((line.rect.y - choice.bottom) / line.size))
        });
        match before {
            Some(choice) => {
                choice.label.text.push(' ');
                choice.label.text.push_str(&line.text());
                choice.label.rect = choice.label.rect.union(&line.rect);
                choice.bottom = line.rect.bottom();
            }
            None => {
                let field = section.field();
                let message = format!("{field}: `{}` belongs to no option", line.text());
                findings.issue(IssueCode::UnexpectedText, field, message);
            }
        }
    }
    out
}

/// Whether a mark and a line stand at one height.
fn beside(mark: &Rect, line: &Rect) -> bool {
    (mark.middle_y() - line.middle_y()).abs() < 0.5 * mark.h.max(line.h)
}
