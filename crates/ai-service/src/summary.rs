//! What events tell of a form. Events are kept for years by the audit trail, so they hold no personal data.
//!
//! Left out: owner, laboratory (it is named after its head), e-mail addresses, comments, and every other free text; of
//! the addresses and the comments only the number is told. The rows of the table are left out for their size. Who may
//! see all of it reads the result by its id.

use serde_json::{Map, Value, json};

use crate::form::{Form, Issue, IssueCode};

/// Longest text, in characters.
const TEXT_CHARACTERS_MAX: usize = 300;
/// Most entries of a list.
const ENTRIES_MAX: usize = 20;

/// The `extractedData` of an event: the project, what was ticked, and counts.
#[must_use]
pub fn data(form: &Form) -> Map<String, Value> {
    let list = |texts: &[String]| -> Value {
        let texts = texts.iter().take(ENTRIES_MAX);
        texts.map(|text| Value::from(short(text))).collect()
    };
    let option = |text: &Option<String>| text.as_deref().map_or(Value::Null, |it| short(it).into());
    let fields = [
        ("serviceProject", short(&form.service_project).into()),
        ("kit", option(&form.kit)),
        ("sampleTypes", list(&form.sample_types)),
        ("humanDna", json!(form.human_dna)),
        ("buffer", list(&form.buffer)),
        ("flowCells", list(&form.flow_cells)),
        ("basecalling", list(&form.basecalling)),
        ("formats", list(&form.formats)),
        ("delivery", option(&form.delivery)),
        ("sampleCount", form.samples.len().into()),
        ("emailCount", form.emails.len().into()),
        ("hasComments", (!form.comments.is_empty()).into()),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The `issues` of an event. An issue that would quote an address or free text names its field and kind only.
#[must_use]
pub fn issues(issues: &[Issue]) -> Vec<String> {
    let mut texts: Vec<String> = issues.iter().take(ENTRIES_MAX).map(issue).collect();
    if issues.len() > ENTRIES_MAX {
        texts.push(format!("and {} more", issues.len() - ENTRIES_MAX));
    }
    texts
}

fn issue(issue: &Issue) -> String {
    match issue.code {
        IssueCode::NotAnEmail => format!("{}: is not an e-mail address", issue.field),
        IssueCode::UnexpectedText => format!("{}: has text that belongs to no field", issue.field),
        _ => short(&issue.message),
    }
}

/// The text on one line, cut where it is too long for an event.
pub(crate) fn short(text: &str) -> String {
    let line = |it: char| if it.is_control() { ' ' } else { it };
    let mut characters = text.chars().map(line);
    let mut kept: String = characters.by_ref().take(TEXT_CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    kept
}
