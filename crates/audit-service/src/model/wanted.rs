//! What a report is to be of, and when it is made again.

use std::collections::BTreeMap;

use nanopore::events::audit::{ReportFormat, ReportType};
use nanopore::sample::FieldErrors;
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::declared::{Declared, Order, fields_as, text};
use super::{Cron, Filter};

/// Longest period of a report, in days.
const DAYS_MAX: u32 = 3_660;
/// Most people that a report is for.
const RECIPIENTS_MAX: usize = 50;

/// A report that is made again and again.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// Its name among schedules.
    pub id: String,
    /// What its reports are called.
    pub name: String,
    /// What they are about.
    #[serde(rename = "type")]
    pub report_type: ReportType,
    /// Their file format.
    pub format: ReportFormat,
    /// When they are made.
    #[schemars(with = "String")]
    pub schedule: Cron,
    /// How many days before it each is of.
    pub days: u32,
    /// Which entries, as the parameters of a list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, String>,
    /// Who they are for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Whether they are made now.
    #[serde(default = "yes")]
    pub is_active: bool,
    /// Who wants it so.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// A report that is made once, now.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// What it is called.
    pub name: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub report_type: ReportType,
    /// Its file format.
    pub format: ReportFormat,
    /// Entries of acts at this time or later.
    pub from: Timestamp,
    /// Entries of acts at this time or earlier.
    pub to: Timestamp,
    /// Which entries, as the parameters of a list.
    #[serde(default)]
    pub filters: BTreeMap<String, String>,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Entries that are taken out of the trail.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Export {
    /// As JSON, or as a table.
    pub format: ReportFormat,
    /// Which entries, as the parameters of a list.
    #[serde(default)]
    pub filters: BTreeMap<String, String>,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
}

fn yes() -> bool {
    true
}

/// The entries of these filters. Pages and times are said otherwise.
pub(crate) fn filter(filters: &BTreeMap<String, String>) -> Result<Filter, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut pairs = Vec::with_capacity(filters.len());
    for (name, value) in filters {
        match name.as_str() {
            "page" | "limit" => errors.add(format!("filters.{name}"), "is not for this"),
            _ => pairs.push((name.clone(), value.clone())),
        }
    }
    let filter = match Filter::read(&pairs) {
        Ok((filter, _)) => filter,
        Err(wrong) => {
            errors.0.extend(wrong.inside("filters").0);
            Filter::default()
        }
    };
    match errors.0.is_empty() {
        true => Ok(filter),
        false => Err(errors),
    }
}

fn check_filters(errors: &mut FieldErrors, filters: &BTreeMap<String, String>) {
    if let Err(wrong) = filter(filters) {
        errors.0.extend(wrong.0);
    }
}

impl Declared for Schedule {
    const RESOURCE: &'static str = "report_schedule";
    const ACTIONS: [&'static str; 2] =
        ["audit.report_schedule_set", "audit.report_schedule_lifted"];

    fn id(&self) -> &str {
        &self.id
    }

    fn order(&self) -> Order {
        Order {
            author: self.author.clone(),
            reason: self.reason.clone(),
        }
    }

    fn check(&self, errors: &mut FieldErrors) {
        text(errors, "name", Some(&self.name));
        if !(1..=DAYS_MAX).contains(&self.days) {
            errors.add("days", format!("must be a whole number, 1 to {DAYS_MAX}"));
        }
        if self.recipients.len() > RECIPIENTS_MAX {
            errors.add("recipients", format!("must be at most {RECIPIENTS_MAX}"));
        }
        for (index, recipient) in self.recipients.iter().enumerate() {
            text(errors, &format!("recipients[{index}]"), Some(recipient));
        }
        check_filters(errors, &self.filters);
    }
}

impl Wanted {
    /// Reads what is wanted.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn read(fields: Map<String, Value>) -> Result<Self, FieldErrors> {
        let wanted: Self = fields_as(fields)?;
        let mut errors = FieldErrors::default();
        text(&mut errors, "name", Some(&wanted.name));
        text(&mut errors, "author", Some(&wanted.author));
        text(&mut errors, "reason", Some(&wanted.reason));
        if wanted.from > wanted.to {
            errors.add("from", "is after `to`");
        }
        check_filters(&mut errors, &wanted.filters);
        match errors.0.is_empty() {
            true => Ok(wanted),
            false => Err(errors),
        }
    }
}

impl Export {
    /// Reads what is wanted.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn read(fields: Map<String, Value>) -> Result<Self, FieldErrors> {
        let export: Self = fields_as(fields)?;
        let mut errors = FieldErrors::default();
        text(&mut errors, "author", Some(&export.author));
        text(&mut errors, "reason", Some(&export.reason));
        if export.format == ReportFormat::Pdf {
            errors.add("format", "must be `json` or `csv`");
        }
        check_filters(&mut errors, &export.filters);
        match errors.0.is_empty() {
            true => Ok(export),
            false => Err(errors),
        }
    }
}
