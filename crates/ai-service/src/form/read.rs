//! Puts the sections together: one document in, one extraction out.

use nanopore::events::ai::Method;

use super::choices::{Inks, many, one};
use super::evidence::{Extraction, Findings, IssueCode, overall};
use super::labels::{Section, key};
use super::layout::{Region, regions};
use super::model::Form;
use super::{head, rows, texts};
use crate::pdf::{Document, PdfError, PdfErrorKind};
use crate::reading::Kind;

/// Headings that must be there for a document to be this form.
const HEADINGS_MIN: usize = 9;

/// The questions with a star on the form: it is not complete without an answer to each.
const REQUIRED: [Section; 5] = [
    Section::Kit,
    Section::SampleTypes,
    Section::HumanDna,
    Section::Samples,
    Section::FlowCells,
];

/// Whether enough headings of the HTSF nanopore submission form are there.
pub(crate) fn is_htsf(document: &Document) -> bool {
    regions(document).len() >= HEADINGS_MIN
}

/// Reads the HTSF nanopore submission form.
///
/// # Errors
/// `EXTRACTION_FAILED` when the document is another one.
pub fn extract(document: &Document) -> Result<Extraction, PdfError> {
    let regions = regions(document);
    let all = Section::ALL.len();
    if regions.len() < HEADINGS_MIN {
        let found = regions.len();
        let message = format!(
            "the PDF is not the HTSF Nanopore submission form: {found} of its {all} headings were \
             found, at least {HEADINGS_MIN} are needed"
        );
        return Err(PdfError::new(PdfErrorKind::ExtractionFailed, message));
    }
    let mut form = Form::default();
    let mut findings = Findings::default();
    let inks = Inks::of(document);
    for region in &regions {
        read_section(region, inks, &mut form, &mut findings);
    }
    for section in Section::ALL {
        let missing = !regions.iter().any(|region| region.section == section);
        if missing && !section.field().is_empty() {
            let message = format!("{}: its heading was not found", section.field());
            findings.issue(IssueCode::MissingSection, section.field(), message);
        }
    }
    let answered = |section: &&Section| {
        let field = section.field();
        findings.fields.iter().any(|it| it.field.starts_with(field))
    };
    let answered = REQUIRED.iter().filter(answered).count();
    let shares = [(regions.len(), all), (answered, REQUIRED.len())];
    let confidence = overall(&findings, &shares);
    Ok(Extraction {
        kind: Kind::HtsfForm,
        method: Method::Pattern,
        form,
        fields: findings.fields,
        confidence,
        issues: findings.issues,
        model: None,
        notes: Vec::new(),
    })
}

fn read_section(region: &Region<'_>, inks: Inks, form: &mut Form, findings: &mut Findings) {
    match region.section {
        Section::Head => head::read(region, form, findings),
        Section::Kit => form.kit = one(region, inks, findings),
        Section::SampleTypes => form.sample_types = many(region, inks, findings),
        Section::HumanDna => form.human_dna = human_dna(region, inks, findings),
        Section::Buffer => form.buffer = many(region, inks, findings),
        Section::Samples => form.samples = rows::samples(region, findings),
        Section::FlowCells => form.flow_cells = many(region, inks, findings),
        Section::GenomeSize => form.genome_size = texts::value(region, findings),
        Section::Coverage => form.coverage = texts::value(region, findings),
        Section::FlowCellCount => form.flow_cell_count = texts::flow_cell_count(region, findings),
        Section::Comments => form.comments = texts::comments(region, findings),
        Section::Basecalling => form.basecalling = many(region, inks, findings),
        Section::Formats => form.formats = many(region, inks, findings),
        Section::Emails => form.emails = texts::emails(region, findings),
        Section::Delivery => form.delivery = one(region, inks, findings),
        Section::Title | Section::Bioinformatics | Section::Note => {}
    }
}

fn human_dna(region: &Region<'_>, inks: Inks, findings: &mut Findings) -> Option<bool> {
    let label = one(region, inks, findings)?;
    let answer = match key(&label).as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    match (answer, findings.fields.last_mut()) {
        (Some(answer), Some(field)) => field.value = answer.to_string(),
        _ => {
            findings.fields.pop();
            let message = format!("human_dna: `{label}` is neither yes nor no");
            findings.issue(IssueCode::UnexpectedText, "human_dna", message);
        }
    }
    answer
}
