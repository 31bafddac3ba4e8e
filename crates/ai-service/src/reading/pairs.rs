//! Reads a form of `Label: value` lines.

use nanopore::events::ai::Method;

use super::fields::{FIELDS, Field, Rule, labelled};
use super::kind::Kind;
use super::said;
use super::units::{Measure, measure};
use crate::form::{
    Column, Extraction, Findings, IssueCode, Limit, Passage, Reading, is_email, key, limit,
    overall, passage, read_number,
};
use crate::pdf::{Document, Line, Page, Word};

/// The longest label, in words.
const LABEL_WORDS_MAX: usize = 6;
/// A line that ends beyond this part of the page may have been broken there.
const FULL_LINE: f64 = 0.8;
/// A line this near below another may be its rest, in font sizes.
const NEXT_LINE: f64 = 0.8;
/// A gap between a label and its value without a colon, in font sizes.
const WIDE_GAP: f64 = 2.0;
/// What a whole number of flow cells may be.
const FLOW_CELLS: std::ops::RangeInclusive<u32> = 1..=10;

/// One line with a label.
struct Pair {
    label: String,
    /// The unit that stands in brackets behind the label.
    unit: Option<String>,
    value: Option<Passage>,
    /// The value may go on where nobody can tell.
    doubtful: bool,
}

/// A value with its field and its place.
struct Found<'a> {
    field: &'static Field,
    pair: &'a Pair,
    passage: &'a Passage,
}

/// How many known fields a document has labels for.
pub(super) fn known(document: &Document) -> usize {
    let lines = document.pages.iter().flat_map(|page| &page.lines);
    let labels = lines.filter_map(|line| split(&line.words));
    let fields = labels.filter_map(|(label, _)| labelled(&bare(&label).0).next());
    let names: std::collections::BTreeSet<&str> = fields.map(|field| field.name).collect();
    names.len()
}

/// Reads the form.
pub(super) fn read(document: &Document) -> Extraction {
    let mut findings = Findings::default();
    let pairs = pairs(document, &mut findings);
    take(&pairs, FIELDS.iter(), true, &mut findings);
    prefer_qubit(&mut findings);
    let has = |field: &&Field| findings.fields.iter().any(|it| it.field == field.name);
    let required: Vec<&Field> = FIELDS.iter().filter(|field| field.required).collect();
    let answered = required.iter().filter(|field| has(field)).count();
    Extraction {
        kind: Kind::Pairs,
        method: Method::Pattern,
        form: said::form(&findings.fields),
        confidence: overall(&findings, &[(answered, required.len())]),
        fields: findings.fields,
        issues: findings.issues,
        model: None,
        notes: Vec::new(),
    }
}

/// Reads the fields of these names alone; what else stands there is not looked at.
pub(super) fn read_only(document: &Document, names: &[&str], findings: &mut Findings) {
    // Lines that are no pairs are none of a form here.
    let pairs = pairs(document, &mut Findings::default());
    let fields = FIELDS.iter().filter(|field| names.contains(&field.name));
    take(&pairs, fields, false, findings);
}

/// Takes a value of a field as its rule says.
pub(super) fn judge(
    field: &'static Field,
    (unit, passage): (Option<String>, &Passage),
    findings: &mut Findings,
) {
    let pair = Pair {
        label: String::new(),
        unit,
        value: None,
        doubtful: false,
    };
    let found = Found {
        field,
        pair: &pair,
        passage,
    };
    found.take(findings);
}

/// A value under a label that is that of no field.
#[derive(Debug)]
pub(super) struct Unlabelled {
    pub(super) label: String,
    pub(super) unit: Option<String>,
    pub(super) passage: Passage,
}

/// The values under labels that are those of no field: before a colon, or with a wide gap behind them.
pub(super) fn unlabelled(document: &Document) -> Vec<Unlabelled> {
    let mut all = Vec::new();
    let lines = document.pages.iter();
    for (page, line) in lines.flat_map(|page| page.lines.iter().map(move |line| (page, line))) {
        let Some((label, rest)) = split(&line.words).or_else(|| blocks(line)) else {
            continue;
        };
        let (label, unit) = bare(&label);
        let value = passage(page, &rest).filter(|it| !says_nothing(&it.text));
        if let Some(passage) = value.filter(|_| labelled(&label).next().is_none()) {
            all.push(Unlabelled {
                label,
                unit,
                passage,
            });
        }
    }
    all
}

/// A label and a value with a wide gap between them, and no other one.
fn blocks(line: &Line) -> Option<(String, Vec<Word>)> {
    let is_wide = |pair: &[Word]| match pair {
        [left, right] => right.rect.x - left.rect.right() > WIDE_GAP * line.size,
        _ => false,
    };
    let mut gaps = line
        .words
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| is_wide(pair));
    let (at, _) = gaps.next()?;
    if gaps.next().is_some() || at >= LABEL_WORDS_MAX {
        return None;
    }
    let (label, value) = line.words.split_at(at + 1);
    Some((crate::pdf::join(label), value.to_vec()))
}

/// Takes the value of each field; a label of no field is told where `all` pairs should have one.
fn take(
    pairs: &[Pair],
    fields: impl Iterator<Item = &'static Field>,
    all: bool,
    findings: &mut Findings,
) {
    let mut found: Vec<Found<'_>> = Vec::new();
    for pair in pairs {
        let Some(passage) = pair.value.as_ref().filter(|it| !says_nothing(&it.text)) else {
            continue;
        };
        let field = labelled(&pair.label)
            .find(|field| field.rule.fits(&passage.text))
            .or_else(|| labelled(&pair.label).last());
        match field {
            Some(field) => found.push(Found {
                field,
                pair,
                passage,
            }),
            None if all => {
                let message = format!("`{}` is the label of no field", pair.label);
                findings.issue(IssueCode::UnexpectedText, "", message);
            }
            None => {}
        }
    }
    for field in fields {
        let mut own = found.iter().filter(|it| it.field.name == field.name);
        let Some(first) = own.next() else {
            continue;
        };
        match own.find(|it| it.passage.text != first.passage.text) {
            Some(other) => {
                let message = format!(
                    "{}: is given twice, as `{}` and as `{}`",
                    field.name, first.passage.text, other.passage.text
                );
                findings.issue(IssueCode::AmbiguousChoice, field.name, message);
            }
            None => first.take(findings),
        }
    }
}

/// The pairs of all pages, each with the rest of its value on the lines below.
fn pairs(document: &Document, findings: &mut Findings) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut last: Option<(&Page, &Line, f64)> = None;
    for (page, line) in document
        .pages
        .iter()
        .flat_map(|page| page.lines.iter().map(move |line| (page, line)))
    {
        if let Some((label, rest)) = split(&line.words) {
            let (label, unit) = bare(&label);
            let value = passage(page, &rest);
            last = value.as_ref().map(|it| (page, line, it.rect.x));
            pairs.push(Pair {
                label,
                unit,
                value,
                doubtful: false,
            });
            continue;
        }
        let before = last.take().filter(|(own, above, _)| {
            own.number == page.number && line.rect.y - above.rect.bottom() < NEXT_LINE * line.size
        });
        let Some(((_, above, left), pair)) = before.zip(pairs.last_mut()) else {
            continue;
        };
        if line.rect.x >= left - 2.0 {
            // It stands under the value, right of the label: it is the value's next line.
            if let Some(value) = &mut pair.value {
                value.text.push(' ');
                value.text.push_str(&line.text());
                value.rect = value.rect.union(&line.rect);
            }
            last = Some((page, line, left));
        } else if above.rect.right() > FULL_LINE * page.visible.right() {
            pair.doubtful = true;
            let message = format!(
                "`{}` may be the rest of what `{}` says, or not",
                line.text(),
                pair.label
            );
            findings.issue(IssueCode::UnexpectedText, "", message);
        }
    }
    pairs
}

/// Takes a line apart at its first colon; nothing when there is no label before it.
fn split(words: &[Word]) -> Option<(String, Vec<Word>)> {
    let mut first = words.iter().take(LABEL_WORDS_MAX);
    let colon = first.position(|word| word.text.contains(':'))?;
    let (before, from) = words.split_at(colon);
    let (word, after) = from.split_first()?;
    let (end, begin) = word.text.split_once(':')?;
    let label = format!("{} {end}", crate::pdf::join(before));
    let mut rest = Vec::with_capacity(after.len() + 1);
    if !begin.is_empty() {
        // No space stands behind the colon: the value begins in the label's last word.
        rest.push(Word {
            text: begin.to_owned(),
            rect: word.rect,
        });
    }
    rest.extend_from_slice(after);
    let named = label.contains(char::is_alphabetic) || labelled(&label).next().is_some();
    named.then(|| (label.trim().to_owned(), rest))
}

/// A label without the brackets behind it, and what stands in them.
fn bare(label: &str) -> (String, Option<String>) {
    let label = label.trim_matches(['*', ' ']);
    match label.split_once('(') {
        Some((name, rest)) => {
            let inside = rest.split(')').next().unwrap_or(rest);
            (name.trim().to_owned(), Some(inside.trim().to_owned()))
        }
        None => (label.to_owned(), None),
    }
}

/// Signs that a person writes, or a form prints, where there is no value.
fn says_nothing(text: &str) -> bool {
    read_number(text, "") == Reading::Empty || !text.contains(char::is_alphanumeric)
}

impl Found<'_> {
    fn take(&self, findings: &mut Findings) {
        let (name, text) = (self.field.name, self.passage.text.as_str());
        let trust = if self.pair.doubtful { 0.6 } else { 0.95 };
        let wrong = |findings: &mut Findings, code, what: &str| {
            findings.issue(code, name, format!("{name}: `{text}` {what}"));
        };
        let likely = match self.field.rule {
            Rule::Text => 1.0,
            Rule::Name => {
                let usual = |it: char| it.is_alphanumeric() || " -_.".contains(it);
                if text.chars().all(usual) {
                    1.0
                } else {
                    let what = "has other signs than letters, digits, space, `-`, `_` and `.`";
                    wrong(findings, IssueCode::UnusualValue, what);
                    0.85
                }
            }
            Rule::Email if is_email(text) => 1.0,
            Rule::Email => {
                return wrong(findings, IssueCode::NotAnEmail, "is not an e-mail address");
            }
            Rule::Choice(options) => self.choice(options, findings),
            Rule::YesNo => match key(text).as_str() {
                "yes" | "y" | "true" => return self.keep("true", None, trust, findings),
                "no" | "n" | "false" => return self.keep("false", None, trust, findings),
                _ => return wrong(findings, IssueCode::UnexpectedText, "is neither yes nor no"),
            },
            Rule::Ratio => return self.ratio(trust, findings),
            Rule::Count => match text.parse::<u32>() {
                Ok(count) if FLOW_CELLS.contains(&count) => 1.0,
                Ok(_) => {
                    wrong(findings, IssueCode::OutOfRange, "is outside 1 to 10");
                    0.3
                }
                Err(_) => return wrong(findings, IssueCode::NotANumber, "is not a whole number"),
            },
            Rule::Measure(units) => {
                return match measure(text, self.pair.unit.as_deref(), units) {
                    Measure::Empty => {}
                    Measure::Unreadable => {
                        wrong(
                            findings,
                            IssueCode::NotANumber,
                            "is not a number with a unit of this field",
                        );
                    }
                    Measure::Value {
                        value,
                        unit,
                        plain,
                        standard,
                    } => {
                        let likely = self.judge(value, unit, standard, findings);
                        self.keep(&value.to_string(), unit, trust * plain * likely, findings);
                    }
                };
            }
        };
        self.keep(text, None, trust * likely, findings);
    }

    /// How likely the value is by the usual answers.
    fn choice(&self, options: &[&str], findings: &mut Findings) -> f64 {
        let (name, text) = (self.field.name, self.passage.text.as_str());
        let own = key(text);
        if options.iter().any(|option| own.contains(&key(option))) {
            return 1.0;
        }
        let message = format!("{name}: `{text}` is none of the usual answers");
        findings.issue(IssueCode::UnusualValue, name, message);
        0.65
    }

    fn keep(&self, value: &str, unit: Option<&str>, confidence: f64, findings: &mut Findings) {
        let found = findings.found(self.field.name, value, confidence, self.passage);
        found.unit = unit.map(str::to_owned);
    }

    /// Flags what cannot be, and what a rule cannot be applied to.
    fn judge(
        &self,
        value: f64,
        unit: Option<&str>,
        standard: bool,
        findings: &mut Findings,
    ) -> f64 {
        let name = self.field.name;
        let Some(limit) = limit_of(name) else {
            if value > 0.0 {
                return 1.0;
            }
            findings.issue(
                IssueCode::OutOfRange,
                name,
                format!("{name}: {value} is not above 0"),
            );
            return 0.3;
        };
        let written = unit.map_or(String::new(), |unit| format!(" {unit}"));
        let within = |(least, most): (f64, f64)| (least..=most).contains(&value);
        if !standard {
            let message = match unit {
                Some(unit) => format!(
                    "{name}: {value} {unit} cannot be made {} without more facts",
                    limit.unit
                ),
                None => format!("{name}: {value} has no unit"),
            };
            findings.issue(IssueCode::UnusualValue, name, message);
            if value > 0.0 {
                return 0.65;
            }
        }
        let range = |(least, most): (f64, f64)| format!("{least} to {most}{written}");
        if !within(limit.allowed) && (standard || value <= 0.0) {
            let message = format!(
                "{name}: {value}{written} is outside {}",
                range(limit.allowed)
            );
            findings.issue(IssueCode::OutOfRange, name, message);
            0.3
        } else if !within(limit.usual) {
            let message = format!(
                "{name}: {value}{written} is unusual, most are {}",
                range(limit.usual)
            );
            findings.issue(IssueCode::UnusualValue, name, message);
            0.75
        } else {
            1.0
        }
    }

    /// One or two ratios; they are kept as written.
    fn ratio(&self, trust: f64, findings: &mut Findings) {
        let (name, text) = (self.field.name, self.passage.text.as_str());
        let Some(limit) = limit(Column::A260A280) else {
            return;
        };
        let parts: Vec<Reading> = text
            .split('/')
            .map(|part| read_number(part.trim(), ""))
            .collect();
        let mut likely: f64 = 1.0;
        for part in &parts {
            let Reading::Number { value, plain } = part else {
                let message =
                    format!("{name}: `{text}` is not one number or two with `/` between them");
                return findings.issue(IssueCode::NotANumber, name, message);
            };
            likely = likely.min(*plain);
            let (least, most) = limit.allowed;
            if !(least..=most).contains(value) {
                let message = format!("{name}: {value} is outside {least} to {most}");
                findings.issue(IssueCode::OutOfRange, name, message);
                likely = 0.3;
            }
        }
        if parts.len() > 2 {
            let message = format!("{name}: `{text}` has more than two numbers");
            return findings.issue(IssueCode::NotANumber, name, message);
        }
        self.keep(text, None, trust * likely, findings);
    }
}

fn limit_of(name: &str) -> Option<Limit> {
    match name {
        "concentration" => limit(Column::Concentration),
        "qubitConcentration" => limit(Column::Qubit),
        "nanodropConcentration" => limit(Column::Nanodrop),
        "volume" => limit(Column::Volume),
        _ => None,
    }
}

/// Where the form has no plain concentration, that by Qubit is the one, else that by NanoDrop; both stay.
fn prefer_qubit(findings: &mut Findings) {
    let find = |name: &str| findings.fields.iter().find(|it| it.field == name);
    if find("concentration").is_some() {
        return;
    }
    let measured = find("qubitConcentration").or(find("nanodropConcentration"));
    if let Some(measured) = measured {
        let mut field = measured.clone();
        "concentration".clone_into(&mut field.field);
        findings.fields.push(field);
    }
}
