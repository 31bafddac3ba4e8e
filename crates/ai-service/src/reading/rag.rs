//! Finds the field of a label that is only like one that is known: by words, and by vectors where they are made. Pure.
//!
//! The words are those of all names of the fields (BM25); an endpoint may make vectors of the labels.

use std::collections::{BTreeMap, BTreeSet};

use nanopore::events::ai::Method;

use super::Kind;
use super::answer::ALONE_CONFIDENCE_MAX;
use super::fields::{FIELDS, Field};
use super::kind::PAIRS_MIN;
use super::pairs::{self, Unlabelled};
use super::said::{OF_ALL, form, said};
use crate::form::{Extraction, Findings, Form};
use crate::pdf::{Document, PdfError};

/// How much a word that comes again counts, and how much a long name; the usual numbers.
const K: f64 = 1.2;
const B: f64 = 0.75;
/// Below this part of what the names themselves reach, a label is none of the field.
const SCORE_MIN: f64 = 0.6;
/// The next field must be so much less like the label.
const MARGIN: f64 = 0.1;
/// Most labels that vectors are made of.
const LABELS_MAX: usize = 50;
/// A label with more words is a sentence.
const WORDS_MAX: usize = 8;

/// Words that say nothing of a field.
const EMPTY: [&str; 12] = [
    "of", "the", "your", "a", "an", "for", "in", "is", "please", "and", "or", "to",
];

/// A label that is like a name of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Match {
    /// The name of the field.
    pub(super) field: &'static str,
    /// How like, 0 to 1.
    pub(super) score: f64,
    /// The name that it is like.
    pub(super) alias: &'static str,
}

/// How like labels are to names of fields by their vectors, 0 to 1: by label and name.
pub(crate) type Vectors = BTreeMap<(String, &'static str), f64>;

/// All names of fields.
pub(crate) fn aliases() -> Vec<&'static str> {
    FIELDS
        .iter()
        .flat_map(|field| field.labels())
        .copied()
        .collect()
}

/// The words of a name, in their plain forms.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|it: char| !it.is_alphanumeric())
        .filter(|word| !word.is_empty() && !EMPTY.contains(word))
        .map(|word| match word.strip_suffix('s') {
            Some(one) if one.len() > 3 && !one.ends_with('s') => one.to_owned(),
            _ => word.to_owned(),
        })
        .collect()
}

/// The names of all fields with what their words weigh.
#[derive(Debug)]
pub(super) struct Index {
    names: Vec<(&'static Field, &'static str, Vec<String>)>,
    rarity: BTreeMap<String, f64>,
    mean_length: f64,
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Index {
    /// Of all fields.
    pub(super) fn new() -> Self {
        let names: Vec<_> = FIELDS
            .iter()
            .flat_map(|field| {
                field
                    .labels()
                    .iter()
                    .map(move |alias| (field, *alias, words(alias)))
            })
            .collect();
        let mut of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (field, _, words) in &names {
            for word in words {
                of.entry(word).or_default().insert(field.name);
            }
        }
        // A word that few fields have says most.
        let fields = number(FIELDS.len());
        let rarity = of
            .into_iter()
            .map(|(word, fields_with)| {
                let with = number(fields_with.len());
                (
                    word.to_owned(),
                    (1.0 + (fields - with + 0.5) / (with + 0.5)).ln(),
                )
            })
            .collect();
        let lengths: usize = names.iter().map(|(_, _, words)| words.len()).sum();
        Self {
            rarity,
            mean_length: number(lengths) / number(names.len()).max(1.0),
            names,
        }
    }

    fn bm25(&self, asked: &[String], name: &[String]) -> f64 {
        let length = number(name.len()) / self.mean_length;
        let asked: BTreeSet<&String> = asked.iter().collect();
        asked
            .into_iter()
            .map(|word| {
                let times = number(name.iter().filter(|it| *it == word).count());
                let rarity = self.rarity.get(word).copied().unwrap_or(0.0);
                rarity * times * (K + 1.0) / (times + K * (1.0 - B + B * length))
            })
            .sum()
    }

    /// The field whose name a label is most like; nothing where none is like it, or two are.
    pub(super) fn find(&self, label: &str, vectors: &Vectors) -> Option<Match> {
        let asked = words(label);
        if asked.is_empty() || asked.len() > WORDS_MAX {
            return None;
        }
        let mut best: BTreeMap<&'static str, Match> = BTreeMap::new();
        for (field, alias, name) in &self.names {
            // What the label reaches of what the name and the label themselves would; half of its words have to be there.
            let most = self.bm25(name, name).max(self.own(&asked));
            let shared = asked.iter().filter(|word| name.contains(word)).count();
            let by_words = match 2 * shared < asked.len() {
                true => 0.0,
                false => self.bm25(&asked, name) / most.max(f64::MIN_POSITIVE),
            };
            let by_vectors = vectors
                .get(&(label.to_owned(), *alias))
                .copied()
                .unwrap_or(0.0);
            let score = by_words.max(by_vectors).min(1.0);
            let is_better = best.get(field.name).is_none_or(|it| it.score < score);
            if is_better {
                best.insert(
                    field.name,
                    Match {
                        field: field.name,
                        score,
                        alias,
                    },
                );
            }
        }
        let mut all: Vec<Match> = best.into_values().collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        let first = all.first()?.clone();
        let next = all.get(1).map_or(0.0, |it| it.score);
        (first.score >= SCORE_MIN && first.score - next >= MARGIN).then_some(first)
    }

    /// What the known words of a label would reach in a name of their own; unknown ones count half of a rare one.
    fn own(&self, asked: &[String]) -> f64 {
        let rare = (1.0 + (number(FIELDS.len()) - 0.5) / 1.5).ln();
        let length = number(asked.len()) / self.mean_length;
        let asked: BTreeSet<&String> = asked.iter().collect();
        let weights = asked
            .into_iter()
            .map(|word| self.rarity.get(word).copied().unwrap_or(rare * 0.5));
        weights.sum::<f64>() * (K + 1.0) / (1.0 + K * (1.0 - B + B * length))
    }
}

/// Adds the values under labels that are like a name of a field, and says which and why. A document of no known kind is
/// read so where enough of its labels are known or like one.
///
/// # Errors
/// As `base`.
pub(super) fn read(
    document: &Document,
    base: Result<Extraction, PdfError>,
    vectors: &Vectors,
) -> Result<Extraction, PdfError> {
    let index = Index::new();
    let mut found: Vec<(Match, Unlabelled)> = Vec::new();
    for value in pairs::unlabelled(document) {
        if let Some(like) = index.find(&value.label, vectors) {
            found.push((like, value));
        }
    }
    let mut extraction = match base {
        Ok(extraction) if [Kind::Pairs, Kind::Quote].contains(&extraction.kind) => extraction,
        Err(_) if pairs::known(document) + found.len() >= PAIRS_MIN => pairs::read(document),
        other => return other,
    };
    extraction.method = Method::Rag;
    let of_quote = |field: &str| extraction.kind != Kind::Quote || OF_ALL.contains(&field);
    found.retain(|(like, _)| of_quote(like.field));
    let mut findings = Findings::default();
    for (at, (like, value)) in found.iter().enumerate() {
        let mut others = found.iter().enumerate();
        let is_other =
            |(index, (it, _)): (usize, &(Match, Unlabelled))| index != at && it.field == like.field;
        if others.any(is_other) || extraction.fields.iter().any(|it| it.field == like.field) {
            continue;
        }
        let Some(field) = FIELDS.iter().find(|it| it.name == like.field) else {
            continue;
        };
        let known = findings.fields.len();
        pairs::judge(field, (value.unit.clone(), &value.passage), &mut findings);
        for found in findings.fields.iter_mut().skip(known) {
            found.confidence = found.confidence.min(ALONE_CONFIDENCE_MAX * like.score);
            found.method = Some(Method::Rag);
        }
        let own = format!("`{}` is the label of no field", value.label);
        extraction.issues.retain(|it| it.message != own);
        extraction.notes.push(format!(
            "{}: the label `{}` is like `{}` ({:.2})",
            like.field, value.label, like.alias, like.score
        ));
    }
    if extraction.fields.is_empty() && !findings.fields.is_empty() {
        let sum: f64 = findings.fields.iter().map(|it| it.confidence).sum();
        extraction.confidence = sum / number(findings.fields.len());
    }
    extraction.fields.extend(findings.fields);
    extraction.issues.extend(findings.issues);
    extraction.form = match extraction.kind {
        Kind::Quote => Form {
            said: Some(Box::new(said(&extraction.fields))),
            ..extraction.form
        },
        _ => form(&extraction.fields),
    };
    Ok(extraction)
}

/// The labels that are those of no field, for vectors of them.
pub(crate) fn labels(document: &Document) -> Vec<String> {
    let labels: BTreeSet<String> = pairs::unlabelled(document)
        .into_iter()
        .map(|it| it.label)
        .collect();
    labels.into_iter().take(LABELS_MAX).collect()
}

/// How like each label is to each name by their vectors, in the order of both.
pub(crate) fn likeness(labels: &[String], vectors: &[Vec<f64>]) -> Vectors {
    let (of_labels, of_names) = vectors.split_at(labels.len().min(vectors.len()));
    let mut all = Vectors::new();
    for (label, a) in labels.iter().zip(of_labels) {
        for (alias, b) in aliases().into_iter().zip(of_names) {
            let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            let length = |it: &[f64]| it.iter().map(|it| it * it).sum::<f64>().sqrt();
            let lengths = length(a) * length(b);
            if lengths > 0.0 && a.len() == b.len() {
                all.insert((label.clone(), alias), (product / lengths).clamp(0.0, 1.0));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_like_a_name_is_found_and_one_like_two_or_none_is_not() {
        let index = Index::new();
        let none = Vectors::new();
        for (label, expected) in [
            ("Name of the submitter", Some("submitterName")),
            ("Name of sample", Some("sampleName")),
            ("Concentrations", Some("concentration")),
            ("Your e-mail", Some("submitterEmail")),
            ("Total volume of sample", Some("volume")),
            ("Type of flow cell", Some("flowCellType")),
            ("Number of flow cells", Some("flowCellCount")),
            ("Name", None),
            // Half of one name, and all of the names of two fields.
            ("Field", None),
            ("Type of sample", None),
            ("Type", None),
            ("Date", None),
            (
                "Signature of the head of department of biology at our university here",
                None,
            ),
            ("", None),
        ] {
            let found = index.find(label, &none);
            assert_eq!(
                found.as_ref().map(|it| it.field),
                expected,
                "{label}: {found:?}"
            );
        }
    }

    #[test]
    fn vectors_find_what_shares_no_word() {
        let index = Index::new();
        let label = "Probe".to_owned();
        assert_eq!(index.find(&label, &Vectors::new()), None);
        let vectors = Vectors::from([((label.clone(), "sample name"), 0.82)]);
        let found = index.find(&label, &vectors).unwrap();
        assert_eq!((found.field, found.alias), ("sampleName", "sample name"));
    }
}
