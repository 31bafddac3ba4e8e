//! Which entries a list holds, read from the words of a query.

use nanopore::events::audit::{Category, Outcome, Severity};
use nanopore::query::{not_known, number, time};
use nanopore::sample::FieldErrors;
use sagabus::Timestamp;
use sagabus::event::json_fault;
use serde::de::DeserializeOwned;

/// Longest text to compare with, in characters.
const TEXT_CHARACTERS_MAX: usize = 255;
/// Entries on a page that does not say how many.
const LIMIT_DEFAULT: u32 = 20;
/// Most entries on a page.
const LIMIT_MAX: u32 = 100;

/// Which entries a list holds; what is absent lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Exactly this value, by column.
    pub equal: Vec<(&'static str, String)>,
    /// With each of these tags.
    pub tags: Vec<String>,
    /// With these words in what was done, to what, by whom, why, or in the details, in letters of either case.
    pub words: Option<String>,
    /// Done at this time or later.
    pub from: Option<Timestamp>,
    /// Done at this time or earlier.
    pub to: Option<Timestamp>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// Most entries.
    pub limit: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            page: 1,
            limit: LIMIT_DEFAULT,
        }
    }
}

impl Filter {
    /// The parameters that there are.
    pub const NAMES: [&str; 19] = [
        "dateFrom",
        "dateTo",
        "page",
        "limit",
        "severity",
        "category",
        "outcome",
        "service",
        "action",
        "resource",
        "resourceId",
        "correlationId",
        "eventId",
        "userId",
        "userEmail",
        "sessionId",
        "ipAddress",
        "tags",
        "q",
    ];

    /// Reads a filter and a page from the pairs of a query.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(pairs: &[(String, String)]) -> Result<(Self, Page), FieldErrors> {
        let mut filter = Self::default();
        let mut page = Page::default();
        FieldErrors::check_once(pairs, &[])?;
        let mut errors = FieldErrors::default();
        for (name, value) in pairs {
            let outcome = match name.as_str() {
                "dateFrom" => time(value, "00:00:00Z").map(|time| filter.from = Some(time)),
                "dateTo" => time(value, "23:59:59.999Z").map(|time| filter.to = Some(time)),
                "page" => number(value, 1..=u32::MAX).map(|number| page.page = number),
                "limit" => number(value, 1..=LIMIT_MAX).map(|number| page.limit = number),
                "severity" => word::<Severity>(value).map(|()| filter.push("severity", value)),
                "category" => word::<Category>(value).map(|()| filter.push("category", value)),
                "outcome" => word::<Outcome>(value).map(|()| filter.push("outcome", value)),
                "tags" => text(value).map(|()| {
                    let tags = value.split(',').map(|tag| tag.trim().to_owned());
                    filter.tags.extend(tags);
                }),
                "q" => text(value).map(|()| filter.words = Some(value.clone())),
                _ => match column(name) {
                    Some(column) => text(value).map(|()| filter.push(column, value)),
                    None => Err(not_known(&Self::NAMES)),
                },
            };
            if let Err(message) = outcome {
                errors.add(name.as_str(), message);
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

    fn push(&mut self, column: &'static str, value: &str) {
        self.equal.push((column, value.to_owned()));
    }
}

fn column(name: &str) -> Option<&'static str> {
    match name {
        "service" => Some("service"),
        "action" => Some("action"),
        "resource" => Some("resource"),
        "resourceId" => Some("resource_id"),
        "correlationId" => Some("correlation_id"),
        "eventId" => Some("event_id"),
        "userId" => Some("actor_id"),
        "userEmail" => Some("actor_email"),
        "sessionId" => Some("session_id"),
        "ipAddress" => Some("ip_address"),
        _ => None,
    }
}

fn word<T: DeserializeOwned>(value: &str) -> Result<(), String> {
    serde_json::from_value::<T>(value.into())
        .map(drop)
        .map_err(|error| json_fault(&error))
}

fn text(value: &str) -> Result<(), String> {
    if (1..=TEXT_CHARACTERS_MAX).contains(&value.chars().count()) {
        Ok(())
    } else {
        Err(format!("must have 1 to {TEXT_CHARACTERS_MAX} characters"))
    }
}
