//! Precision and recall over drawn forms of the facility's layout, and over its own where they are there.

use ai_service::form::{Form, Sample};
use ai_service::reading::Kind;

use crate::compare::{Counts, every_value_has_its_evidence, extract_file, tally};
use crate::dice::{Dice, WORDS, read, say};
use crate::drawn::{Paper, wrapped};
use crate::{fixture, issued_forms};

const KITS: [&str; 4] = [
    "Ligation Sequencing (SQK-LSK114)",
    "Ligation Sequencing with Barcoding (SQK-NBD114.96)",
    "Rapid Sequencing (SQK-RAD114)",
    "Rapid Sequencing with Barcoding (SQK-RBK114.24)",
];
const TYPES: [&str; 4] = [
    "High Molecular Weight DNA / gDNA",
    "Fragmented DNA",
    "PCR Amplicons",
    "cDNA",
];
const BUFFERS: [&str; 2] = ["EB", "Nuclease-Free Water"];
const FLOW_CELLS: [&str; 2] = ["MinION Flow Cell", "PromethION Flow Cell"];
const BASECALLING: [&str; 3] = [
    "HAC (High Accuracy - Usually sufficient for most applications)",
    "SUP (Super-High Accuracy - Computing intensive and may add 1-2 weeks to data delivery)",
    "Methylation",
];
const FORMATS: [&str; 2] = [
    "FASTQ / BAM",
    "POD5 (only necessary if you wish to do basecalling on your own)",
];
const DELIVERY: [&str; 4] = [
    "Deliver my data to ITS Research Computing storage (/proj)",
    "Provide me with a URL to download my data via the web",
    "Pre-arranged data delivery method for this project",
    "Other",
];
const HEADER: [&str; 6] = [
    "Sample Name",
    "Volume (µL)",
    "Qubit Conc. (ng/µL)",
    "Nanodrop Conc. (ng/µL)",
    "A260/A280 ratio",
    "A260/A230 ratio",
];
/// The options whose bit is set.
fn ticked(options: &[&str], bits: usize) -> Vec<String> {
    let set = |(index, _): &(usize, &&str)| (bits >> index) & 1 == 1;
    options
        .iter()
        .enumerate()
        .filter(set)
        .map(|(_, label)| (*label).to_owned())
        .collect()
}

/// A form; over 80 seeds each combination of each question's ticks comes.
fn form(seed: usize) -> Form {
    let mut dice = Dice(seed as u64);
    let count = match seed {
        0 => 0,
        1 => 100,
        _ => 1 + dice.roll(if seed.is_multiple_of(4) { 100 } else { 12 }),
    };
    let blank = seed == 0;
    let text = |dice: &mut Dice, options: &[&str]| {
        if blank {
            String::new()
        } else {
            dice.of(options).to_owned()
        }
    };
    Form {
        service_project: format!("HTSF--{}-{}", dice.of(&["AB", "QX", "TZ"]), 100 + seed),
        owner: dice
            .of(&["Ada Loe", "José Núñez", "Łukasz Öberg"])
            .to_owned(),
        lab: dice.of(&["Loe, Ada (UNC) Lab", "Öberg Lab"]).to_owned(),
        kit: KITS
            .get(if blank { 9 } else { seed % 5 })
            .map(|it| (*it).to_owned()),
        sample_types: ticked(&TYPES, seed % 16),
        human_dna: [None, Some(true), Some(false)][seed % 3],
        buffer: ticked(&BUFFERS, seed % 4),
        samples: (0..count).map(|index| dice.sample(index + 1)).collect(),
        flow_cells: ticked(&FLOW_CELLS, seed / 4 % 4),
        genome_size: text(&mut dice, &["", "480 Mb", "3.1 Gb", "12 kb"]),
        coverage: text(&mut dice, &["", "60x", "30 ×"]),
        flow_cell_count: text(&mut dice, &["", "1", "4"]),
        comments: if blank || dice.roll(3) == 0 {
            String::new()
        } else {
            (0..5)
                .map(|_| dice.of(&WORDS))
                .collect::<Vec<_>>()
                .join(" ")
        },
        basecalling: ticked(&BASECALLING, seed % 8),
        formats: ticked(&FORMATS, seed / 2 % 4),
        emails: (0..if blank { 0 } else { dice.roll(3) })
            .map(|index| {
                format!(
                    "{}{index}@lab.example.org",
                    dice.of(&["ada", "jürgen", "o.loe+x"])
                )
            })
            .collect(),
        delivery: DELIVERY
            .get(if blank { 9 } else { seed / 5 % 5 })
            .map(|it| (*it).to_owned()),
        said: None,
    }
}

fn options(paper: &mut Paper, heading: &str, round: bool, labels: &[&str], ticked: &[String]) {
    paper.at += 6.0;
    paper.line(20.0, 10.0, heading);
    for label in labels {
        paper.option(round, ticked.iter().any(|it| it == label), label);
    }
}

fn written(paper: &mut Paper, heading: &str, text: &str) {
    paper.at += 6.0;
    paper.line(20.0, 10.0, heading);
    if !text.is_empty() {
        paper.line(30.0, 9.0, text);
    }
}

fn cells(sample: &Sample) -> [String; 6] {
    let number = |it: Option<f64>| it.map_or(String::new(), |it| it.to_string());
    [
        sample.sample_name.clone(),
        number(sample.volume_ul),
        number(sample.qubit_ng_ul),
        number(sample.nanodrop_ng_ul),
        number(sample.a260_280),
        number(sample.a260_230),
    ]
}

/// Draws a row of the table with its frame.
fn ruled(paper: &mut Paper, cells: &[String; 6], widths: [f64; 6]) {
    let lines: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(text, w)| wrapped(text, 8.0, w - 6.0))
        .collect();
    let rows = lines.iter().map(Vec::len).max().unwrap();
    let height = 6.0 + 10.0 * f64::from(u32::try_from(rows).unwrap());
    paper.need(height);
    let (mut x, top) = (20.0, paper.at);
    for (lines, w) in lines.iter().zip(widths) {
        paper.frame(x, top, w, height);
        let mut at = top + 3.0;
        for line in lines {
            paper.text(x + 3.0, at, 8.0, line);
            at += 10.0;
        }
        x += w;
    }
    paper.at += height;
}

/// Draws the form in the layout of the facility's.
fn draw(form: &Form) -> Vec<u8> {
    let mut paper = Paper::new();
    let one = |choice: Option<&String>| choice.into_iter().cloned().collect::<Vec<_>>();
    paper.line(300.0, 14.0, "High Throughput Sequencing Facility - 1");
    paper.line(20.0, 10.0, "Form associated with:");
    paper.line(
        20.0,
        10.0,
        &format!(
            "Service Project {} at High Throughput Sequencing Facility - 1",
            form.service_project
        ),
    );
    paper.line(20.0, 10.0, &format!("Owner: {} ({})", form.owner, form.lab));
    paper.line(20.0, 10.0, "HTSF Nanopore Submission Form DNA");
    options(
        &mut paper,
        "* I will be submitting DNA for:",
        true,
        &KITS,
        &one(form.kit.as_ref()),
    );
    options(
        &mut paper,
        "* Type of Sample",
        false,
        &TYPES,
        &form.sample_types,
    );
    let human = form
        .human_dna
        .map(|it| if it { "Yes" } else { "No" }.to_owned());
    options(
        &mut paper,
        "* Do these samples contain human DNA? (required)",
        true,
        &["Yes", "No"],
        &one(human.as_ref()),
    );
    options(&mut paper, "Sample Buffer:", false, &BUFFERS, &form.buffer);
    paper.line(20.0, 10.0, "* Sample Information:");
    let widths = [160.0, 70.0, 90.0, 100.0, 76.0, 76.0];
    ruled(&mut paper, &HEADER.map(str::to_owned), widths);
    for sample in &form.samples {
        ruled(&mut paper, &cells(sample), widths);
    }
    options(
        &mut paper,
        "* Flow Cell Selection:",
        false,
        &FLOW_CELLS,
        &form.flow_cells,
    );
    written(&mut paper, "Approx. Transcriptome Size", &form.genome_size);
    written(&mut paper, "Approx. Coverage Needed", &form.coverage);
    written(
        &mut paper,
        "Estimated number of Flow Cells",
        &form.flow_cell_count,
    );
    written(
        &mut paper,
        "Additional Comments / Special Needs",
        &form.comments,
    );
    paper.line(20.0, 10.0, "Bioinformatics and Data Delivery");
    options(
        &mut paper,
        "I would like my data to be basecalled using:",
        false,
        &BASECALLING,
        &form.basecalling,
    );
    options(&mut paper, "File Format:", false, &FORMATS, &form.formats);
    written(
        &mut paper,
        "Data Delivery Notification email addresses:",
        &form.emails.join(", "),
    );
    options(
        &mut paper,
        "How would you like to retrieve your data from HTSF?",
        true,
        &DELIVERY,
        &one(form.delivery.as_ref()),
    );
    paper.line(
        20.0,
        9.0,
        "Note: For Bioinformatics Analysis and Consulting please contact BARC",
    );
    paper.pdf()
}

#[tokio::test]
async fn eighty_drawn_forms_are_read_exactly_and_a_blank_one_has_only_its_printed_head() {
    let (mut counts, mut differences) = (Counts::new(), String::new());
    for seed in 0..80 {
        let truth = form(seed);
        let extraction = read(draw(&truth)).await;
        assert_eq!(extraction.kind, Kind::HtsfForm);
        differences += &tally(
            &format!("form {seed}"),
            &extraction.form,
            &truth,
            &mut counts,
        );
        every_value_has_its_evidence(&extraction);
        if seed == 0 {
            let fields: Vec<&str> = extraction
                .fields
                .iter()
                .map(|it| it.field.as_str())
                .collect();
            let printed = ["service_project", "owner", "lab"];
            assert_eq!(fields, printed);
        }
    }
    say("drawn forms", &counts, &differences);
    assert_eq!(differences, "");
}

#[tokio::test]
async fn the_facility_s_forms_and_the_fixtures_are_counted() {
    let (mut counts, mut differences) = (Counts::new(), String::new());
    let mut files: Vec<std::path::PathBuf> = [
        "small",
        "large",
        "long-names",
        "bevelled",
        "blank",
        "no-rows",
    ]
    .map(|it| fixture(&format!("{it}.pdf")))
    .into();
    if let Some(folder) = issued_forms::folder() {
        let all = std::fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().path());
        files.extend(all.filter(|it| {
            it.extension().is_some_and(|it| it == "pdf") && it.with_extension("json").exists()
        }));
    }
    for file in files {
        let truth = std::fs::read_to_string(file.with_extension("json")).unwrap();
        let truth: Form = serde_json::from_str(&truth).unwrap();
        let extraction = extract_file(&file).await;
        differences += &tally("form", &extraction.form, &truth, &mut counts);
    }
    say(
        "the facility's forms and the fixtures",
        &counts,
        &differences,
    );
    assert_eq!(differences, "");
}
