//! Precision and recall over drawn quotes and simple forms.

use std::collections::BTreeMap;
use std::fmt::Write;

use ai_service::form::{Form, Sample};
use ai_service::reading::Kind;

use crate::compare::{Counts, tally};
use crate::dice::{Dice, read, say};
use crate::drawn::Paper;

/// The truth of a quote, and the quote: with frames or without, its rows numbered or not, units in a second line or not.
fn quote(seed: usize) -> (Form, Vec<u8>) {
    let mut dice = Dice(1_000 + seed as u64);
    let (frames, numbered, second) = (
        seed.is_multiple_of(2),
        !seed.is_multiple_of(3),
        seed % 5 == 1,
    );
    // Where neither rules nor numbers tell rows apart, a name alone is told and is no row.
    let bare = !frames && !numbered && !second;
    let samples: Vec<Sample> = (0..40 + dice.roll(61))
        .map(|index| Sample {
            sample_name: dice
                .name(index + 1)
                .chars()
                .take(26)
                .collect::<String>()
                .trim()
                .to_owned(),
            volume_ul: dice.number(500, 20_000).or(bare.then_some(20.0)),
            concentration_ng_ul: dice.number(100, 90_000),
            a260_280: dice.number(160, 220),
            ..Sample::default()
        })
        .collect();
    let header = if second {
        ["No", "Sample Name", "Volume", "Conc.", "260/280"]
    } else {
        ["", "Sample Name", "Volume (µL)", "Conc. (ng/µL)", "260/280"]
    };
    let lefts = [20.0, 60.0, 260.0, 350.0, 450.0, 540.0];
    let mut paper = Paper::new();
    paper.line(20.0, 14.0, &format!("Quote {seed}"));
    paper.at += 20.0;
    let row = |paper: &mut Paper, cells: [&str; 5]| {
        let top = paper.at;
        for (cell, edges) in cells.iter().zip(lefts.windows(2)) {
            if frames {
                paper.frame(edges[0], top, edges[1] - edges[0], 16.0);
            }
            if !cell.is_empty() {
                paper.text(edges[0] + 4.0, top + 4.0, 8.0, cell);
            }
        }
        paper.at += 16.0;
    };
    let units = ["", "", "(µL)", "(ng/µL)", ""];
    row(&mut paper, header);
    if second {
        row(&mut paper, units);
    }
    for (index, sample) in samples.iter().enumerate() {
        if paper.need(16.0) && seed.is_multiple_of(4) {
            row(&mut paper, header);
        }
        let number = |it: Option<f64>| it.map_or(String::new(), |it| it.to_string());
        let count = if numbered || second {
            (index + 1).to_string()
        } else {
            String::new()
        };
        let cells = [
            count,
            sample.sample_name.clone(),
            number(sample.volume_ul),
            number(sample.concentration_ng_ul),
            number(sample.a260_280),
        ];
        row(&mut paper, cells.each_ref().map(String::as_str));
    }
    let form = Form {
        samples,
        ..Form::default()
    };
    (form, paper.pdf())
}

#[tokio::test]
async fn thirty_drawn_quotes_of_40_to_100_rows_are_read_exactly() {
    let (mut counts, mut differences) = (Counts::new(), String::new());
    for seed in 0..30 {
        let (truth, pdf) = quote(seed);
        let extraction = read(pdf).await;
        assert_eq!(extraction.kind, Kind::Quote);
        let name = format!("quote {seed}");
        differences += &tally(&name, &extraction.form, &truth, &mut counts);
    }
    say("drawn quotes", &counts, &differences);
    assert_eq!(differences, "");
}

/// The labels that a field of text may have, its name, and values.
const TEXTS: [(&[&str], &str, &[&str]); 14] = [
    (
        &["Sample Name", "Sample ID", "Sample Code"],
        "sampleName",
        &["moss-A1", "É. coli 12", "样本_3"],
    ),
    (
        &["Submitter Name", "Principal Investigator"],
        "submitterName",
        &["Ada Loe", "José Núñez"],
    ),
    (
        &["Submitter Email", "Email"],
        "submitterEmail",
        &["ada@lab.example.org"],
    ),
    (
        &["Lab Name", "Laboratory"],
        "labName",
        &["Loe Lab", "Öberg: group 2"],
    ),
    (
        &["Project Name", "Project"],
        "projectName",
        &["Mosses of the north", "Volume and priority"],
    ),
    (&["Sequencing Type"], "sequencingType", &["DNA", "cDNA"]),
    (
        &["Sample Type"],
        "sampleType",
        &["Genomic DNA", "PCR Product"],
    ),
    (
        &["Library Type", "Library Prep"],
        "libraryType",
        &["Ligation", "Rapid"],
    ),
    (
        &["Flow Cell Type", "Flow Cell"],
        "flowCellType",
        &["FLO-MIN114", "PromethION R10.4.1"],
    ),
    (&["Priority"], "priority", &["High", "Standard"]),
    (
        &["Reference Genome", "Organism"],
        "referenceGenome",
        &["Sphagnum", "none"],
    ),
    (&["Chart Field"], "chartField", &["ABC-1234", "KX-77"]),
    (&["Purity", "260/280"], "purity", &["1.85", "1.85/2.1"]),
    (&["Flow Cell Count"], "flowCellCount", &["1", "3"]),
];

/// A value as written and as read.
type Written = (&'static str, &'static str);

/// A label, a field, and its measures.
const MEASURES: [(&str, &str, &[Written]); 4] = [
    (
        "Concentration",
        "concentration",
        &[
            ("50.5 ng/μL", "50.5 ng/µL"),
            ("0.25 µg/µL", "250 ng/µL"),
            ("10 nM", "10 nM"),
        ],
    ),
    (
        "Volume",
        "volume",
        &[("25 μL", "25 µL"), ("0.1 mL", "100 µL"), ("30ul", "30 µL")],
    ),
    (
        "Fragment Size",
        "fragmentSize",
        &[("12.5 kb", "12500 bp"), ("800 bp", "800 bp")],
    ),
    (
        "Total Amount",
        "totalAmount",
        &[("1000 ng", "1000 ng"), ("1.2 µg", "1200 ng")],
    ),
];

/// The labels and values of a simple form, and what each is read as; one value in four is empty.
fn simple(seed: usize) -> (Vec<(String, String)>, BTreeMap<&'static str, String>) {
    let mut dice = Dice(2_000 + seed as u64);
    let (mut lines, mut truth) = (Vec::new(), BTreeMap::new());
    for (labels, field, values) in TEXTS {
        let value = if dice.roll(4) == 0 {
            ""
        } else {
            dice.of(values)
        };
        lines.push((dice.of(labels).to_owned(), value.to_owned()));
        if !["", "none"].contains(&value) {
            truth.insert(field, value.to_owned());
        }
    }
    for (label, field, values) in MEASURES {
        let (value, read) = values
            .get(dice.roll(values.len() as u64 + 1))
            .copied()
            .unwrap_or_default();
        lines.push((label.to_owned(), value.to_owned()));
        if !read.is_empty() {
            truth.insert(field, read.to_owned());
        }
    }
    (lines, truth)
}

#[tokio::test]
async fn sixty_drawn_simple_forms_are_read_exactly() {
    let (mut counts, mut differences) = (Counts::new(), String::new());
    for seed in 0..60 {
        let (lines, truth) = simple(seed);
        let mut paper = Paper::new();
        paper.line(20.0, 14.0, "Sample Information");
        for (label, value) in &lines {
            paper.line(20.0, 10.0, &format!("{label}: {value}"));
        }
        let extraction = read(paper.pdf()).await;
        assert_eq!(extraction.kind, Kind::Pairs);
        let got: BTreeMap<&str, String> = extraction
            .fields
            .iter()
            .map(|it| {
                let unit = it
                    .unit
                    .as_ref()
                    .map_or(String::new(), |unit| format!(" {unit}"));
                (it.field.as_str(), it.value.clone() + &unit)
            })
            .collect();
        for field in got
            .keys()
            .chain(truth.keys())
            .collect::<std::collections::BTreeSet<_>>()
        {
            let (own, want) = (got.get(field), truth.get(field));
            let count = counts.entry((*field).to_owned()).or_default();
            count[0] += usize::from(own.is_some() && own == want);
            count[1] += usize::from(own.is_some());
            count[2] += usize::from(want.is_some());
            if own != want {
                writeln!(
                    differences,
                    "simple form {seed}: {field}: read {own:?}, truth {want:?}"
                )
                .unwrap();
            }
        }
    }
    say("drawn simple forms", &counts, &differences);
    assert_eq!(differences, "");
}
