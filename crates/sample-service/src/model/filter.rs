//! Which samples a list holds, read from the words of a query.

use nanopore::query::{not_known, number, time};
use nanopore::sample::{FieldErrors, Priority, SampleType, Status, visible};
use sagabus::Timestamp;

/// Longest text to search for or compare with, in characters.
const TEXT_CHARACTERS_MAX: usize = 255;

/// What may be given more than once.
const LISTS: [&str; 4] = ["status", "priority", "sampleType", "flowCellType"];

/// Which samples a list holds; empty lists and absent values let all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these statuses.
    pub status: Vec<String>,
    /// Any of these priorities.
    pub priority: Vec<String>,
    /// Any of these molecules.
    pub sample_type: Vec<String>,
    /// Any of these flow cells.
    pub flow_cell_type: Vec<String>,
    /// Exactly this value, by column.
    pub equal: Vec<(&'static str, String)>,
    /// Submitted at this time or later.
    pub from: Option<Timestamp>,
    /// Submitted at this time or earlier.
    pub to: Option<Timestamp>,
    /// Part of the name, the submitter, the laboratory or the project.
    pub term: Option<String>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// Most entries.
    pub limit: u32,
}

impl Page {
    /// How many entries come before.
    #[must_use]
    pub fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.limit)
    }
}

impl Filter {
    /// The parameters that there are.
    pub const NAMES: [&str; 17] = [
        "status",
        "priority",
        "sampleType",
        "flowCellType",
        "dateFrom",
        "dateTo",
        "searchTerm",
        "q",
        "page",
        "limit",
        "assignedTo",
        "submitterName",
        "submitterEmail",
        "labName",
        "projectId",
        "chartField",
        "submissionId",
    ];

    /// Reads a filter and a page from the pairs of a query. A list is repeated pairs, `name[]`, or commas.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(
        pairs: &[(String, String)],
        limit_default: u32,
        limit_max: u32,
    ) -> Result<(Self, Page), FieldErrors> {
        let mut filter = Self::default();
        let mut page = Page {
            page: 1,
            limit: limit_default,
        };
        FieldErrors::check_once(pairs, &LISTS)?;
        let mut errors = FieldErrors::default();
        for (name, value) in pairs {
            let name = name.trim_end_matches("[]");
            let outcome = match name {
                "status" => words(&mut filter.status, value, |word| {
                    Status::from_word(word).is_some()
                }),
                "priority" => words(&mut filter.priority, value, |word| {
                    Priority::from_word(word).is_some()
                }),
                "sampleType" => words(&mut filter.sample_type, value, |word| {
                    SampleType::from_word(word).is_some()
                }),
                "flowCellType" => words(&mut filter.flow_cell_type, value, |word| !word.is_empty()),
                "dateFrom" => time(value, "00:00:00Z").map(|time| filter.from = Some(time)),
                "dateTo" => time(value, "23:59:59.999Z").map(|time| filter.to = Some(time)),
                "searchTerm" | "q" if filter.term.is_some() => Err("is given twice".to_owned()),
                "searchTerm" | "q" => visible(value)
                    .and_then(|()| text(value))
                    .map(|text| filter.term = Some(text)),
                "page" => number(value, 1..=u32::MAX).map(|number| page.page = number),
                "limit" => number(value, 1..=limit_max).map(|number| page.limit = number),
                _ => match column(name) {
                    Some(column) => text(value).map(|text| filter.equal.push((column, text))),
                    None => Err(not_known(&Self::NAMES)),
                },
            };
            if let Err(message) = outcome {
                errors.add(name, message);
            }
        }
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && from > to
        {
            errors.add("dateFrom", "is after `dateTo`");
        }
        if errors.0.is_empty() {
            Ok((filter, page))
        } else {
            Err(errors)
        }
    }
}

/// The column that a filter for one exact value reads.
fn column(name: &str) -> Option<&'static str> {
    match name {
        "assignedTo" => Some("assigned_to"),
        "submitterName" => Some("submitter_name"),
        "submitterEmail" => Some("submitter_email"),
        "labName" => Some("lab_name"),
        "projectId" => Some("project_id"),
        "chartField" => Some("chart_field"),
        "submissionId" => Some("submission_id"),
        _ => None,
    }
}

fn words(to: &mut Vec<String>, value: &str, known: fn(&str) -> bool) -> Result<(), String> {
    for word in value.split(',') {
        if !known(word) {
            return Err(format!("has no value `{}`", word.escape_debug()));
        }
        to.push(word.to_owned());
    }
    Ok(())
}

fn text(value: &str) -> Result<String, String> {
    let characters = value.chars().count();
    if characters == 0 || characters > TEXT_CHARACTERS_MAX {
        return Err(format!("must have 1 to {TEXT_CHARACTERS_MAX} characters"));
    }
    Ok(value.to_owned())
}
