//! Finds the headings of the form and what stands between each two of them.

use super::evidence::Passage;
use super::labels::{Section, key};
use crate::pdf::{Document, Line, Mark, Page, Rect, Rule, Word};

/// Candidates that are weighed; a usual form has twenty.
const CANDIDATES_MAX: usize = 400;
/// The weight of a heading with more words behind it on its line.
const PREFIX_WEIGHT: f64 = 0.8;

/// A line that reads like a heading.
#[derive(Clone, Debug)]
struct Candidate<'a> {
    section: Section,
    page: &'a Page,
    line: &'a Line,
    rest: &'a [Word],
    weight: f64,
}

/// The part of one page that belongs to a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'a> {
    pub(super) page: &'a Page,
    top: f64,
    bottom: f64,
}

impl<'a> Slice<'a> {
    fn holds(&self, rect: &Rect) -> bool {
        self.top < rect.middle_y() && rect.middle_y() < self.bottom
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &'a Line> + use<'a> {
        let slice = *self;
        slice
            .page
            .lines
            .iter()
            .filter(move |line| slice.holds(&line.rect))
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = &'a Mark> + use<'a> {
        let slice = *self;
        slice
            .page
            .marks
            .iter()
            .filter(move |mark| slice.holds(&mark.rect))
    }

    /// Rules that reach into the slice, however far they go on.
    pub(super) fn rules(&self) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let slice = *self;
        slice
            .page
            .rules
            .iter()
            .filter(move |rule| rule.rect.bottom() > slice.top && rule.rect.y < slice.bottom)
    }
}

/// What stands under one heading, up to the next.
#[derive(Clone, Debug)]
pub(crate) struct Region<'a> {
    pub(super) section: Section,
    /// How well the heading matches, from 0 to 1.
    pub(super) quality: f64,
    /// Words behind the heading on its own line.
    pub(super) inline: Option<Passage>,
    pub(super) slices: Vec<Slice<'a>>,
}

impl<'a> Region<'a> {
    /// The lines with their page numbers, in reading order.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'a Page, &'a Line)> + '_ {
        self.slices
            .iter()
            .flat_map(|slice| slice.lines().map(|line| (slice.page, line)))
    }
}

/// The sections that were found, in the order of the paper.
pub(super) fn regions(document: &Document) -> Vec<Region<'_>> {
    let headings = headings(document);
    headings
        .iter()
        .enumerate()
        .map(|(index, heading)| {
            let next = headings.get(index + 1);
            let inline = passage(heading.page, heading.rest);
            Region {
                section: heading.section,
                quality: if inline.is_none() { 1.0 } else { 0.95 },
                inline: inline.filter(|inline| key(&inline.text) != "required"),
                slices: slices(document, heading, next),
            }
        })
        .collect()
}

/// The whole document as one region: for a document that is one table.
pub(crate) fn whole(document: &Document) -> Region<'_> {
    let slice = |page| Slice {
        page,
        top: f64::MIN,
        bottom: f64::MAX,
    };
    Region {
        section: Section::Samples,
        quality: 1.0,
        inline: None,
        slices: document.pages.iter().map(slice).collect(),
    }
}

/// Words as a passage; nothing when there are none.
pub(crate) fn passage(page: &Page, words: &[Word]) -> Option<Passage> {
    let rect = words
        .iter()
        .map(|word| word.rect)
        .reduce(|a, b| a.union(&b))?;
    Some(Passage {
        page: page.number,
        rect,
        text: crate::pdf::join(words),
    })
}

fn slices<'a>(
    document: &'a Document,
    from: &Candidate<'a>,
    to: Option<&Candidate<'a>>,
) -> Vec<Slice<'a>> {
    document
        .pages
        .iter()
        .filter(|page| page.number >= from.page.number)
        .filter(|page| to.is_none_or(|to| page.number <= to.page.number))
        .map(|page| Slice {
            page,
            top: if page.number == from.page.number {
                from.line.rect.middle_y()
            } else {
                f64::MIN
            },
            bottom: to
                .filter(|to| to.page.number == page.number)
                .map_or(f64::MAX, |to| to.line.rect.middle_y()),
        })
        .collect()
}

/// The heaviest chain of candidates in which the sections come in the order of the paper.
///
/// A comment may repeat the words of a heading; position and font size tell the two apart.
fn headings(document: &Document) -> Vec<Candidate<'_>> {
    let candidates = weighed(candidates(document));
    // For each candidate the best chain that ends with it: its weight and the one before.
    let mut best: Vec<(f64, Option<usize>)> = Vec::with_capacity(candidates.len());
    for candidate in &candidates {
        let before = best
            .iter()
            .zip(&candidates)
            .enumerate()
            .filter(|(_, (_, earlier))| earlier.section < candidate.section)
            .map(|(index, ((weight, _), _))| (*weight, index))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        best.push(match before {
            Some((weight, index)) => (weight + candidate.weight, Some(index)),
            None => (candidate.weight, None),
        });
    }
    let mut at = best
        .iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| a.0.total_cmp(&b.0))
        .map(|(index, _)| index);
    let mut chain = Vec::new();
    while let Some(index) = at {
        chain.extend(candidates.get(index).cloned());
        at = best.get(index).and_then(|(_, before)| *before);
    }
    chain.reverse();
    chain
}

fn candidates(document: &Document) -> Vec<Candidate<'_>> {
    let mut found: Vec<Candidate<'_>> = document
        .pages
        .iter()
        .flat_map(|page| page.lines.iter().map(move |line| (page, line)))
        .flat_map(|(page, line)| {
            Section::ALL.into_iter().filter_map(move |section| {
                let rest = rest_after(section, &line.words)?;
                let weight = if rest.is_empty() { 1.0 } else { PREFIX_WEIGHT };
                Some(Candidate {
                    section,
                    page,
                    line,
                    rest,
                    weight,
                })
            })
        })
        .take(CANDIDATES_MAX)
        .collect();
    found.sort_by(|a, b| {
        let middle = a.line.rect.middle_y().total_cmp(&b.line.rect.middle_y());
        a.page.number.cmp(&b.page.number).then(middle)
    });
    found
}

/// The words behind the heading; nothing when the line does not begin with it.
fn rest_after(section: Section, words: &[Word]) -> Option<&[Word]> {
    let longest = section
        .headings()
        .iter()
        .map(|heading| heading.len())
        .max()?;
    let mut read = String::new();
    for (index, word) in words.iter().enumerate() {
        read.push_str(&key(&word.text));
        if section.headings().contains(&read.as_str()) {
            return words.get(index + 1..);
        }
        if read.len() > longest {
            return None;
        }
    }
    None
}

/// Headings stand at one left edge and in a few sizes: what fits the others weighs more.
fn weighed(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let left = median(candidates.iter().map(|it| it.line.rect.x).collect());
    let size = median(candidates.iter().map(|it| it.line.size).collect());
    for candidate in &mut candidates {
        let away = (candidate.line.rect.x - left).abs();
        candidate.weight += 0.2 / (1.0 + away);
        candidate.weight += 0.2 / (1.0 + (candidate.line.size - size).abs());
    }
    candidates
}
