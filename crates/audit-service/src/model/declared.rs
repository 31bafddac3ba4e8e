//! What somebody has laid down for the trail, such as a policy or a legal hold: each is an entry of the trail, and so is its end.

use nanopore::events::audit::Category;
use nanopore::sample::{FieldErrors, visible};
use sagabus::Timestamp;
use sagabus::event::json_fault;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest text, in characters.
const TEXT_CHARACTERS_MAX: usize = 255;
/// Longest time that entries can be made to keep their content: a hundred years.
const DAYS_MAX: u32 = 36_500;

/// How long entries keep their content.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Its name.
    pub id: String,
    /// Days after which the content of an entry goes.
    pub days: u32,
    /// Only entries of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Only entries about this kind of thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Who wants it so.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// What must keep its content whatever a policy says. An entry is held if it fits all that is said.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "LegalHold")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// Its name.
    pub id: String,
    /// Entries about this kind of thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Entries about this thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Entries of what this person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Entries of acts at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Entries of acts at this time or earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Who wants it so.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Who ends something, and why; or who has something done.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// Who.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// What can be laid down and ended again.
pub trait Declared: JsonSchema + Serialize + DeserializeOwned + Send + 'static {
    /// The kind of thing, as it stands in entries.
    const RESOURCE: &'static str;
    /// What the entry says that lays it down, and what the one that ends it.
    const ACTIONS: [&'static str; 2];

    /// Its name.
    fn id(&self) -> &str;

    /// Who laid it down, and why.
    fn order(&self) -> Order;

    /// What is wrong with it beside the names.
    fn check(&self, errors: &mut FieldErrors);
}

impl Declared for Policy {
    const RESOURCE: &'static str = "retention_policy";
    const ACTIONS: [&'static str; 2] = [
        "audit.retention_policy_set",
        "audit.retention_policy_lifted",
    ];

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
        if !(1..=DAYS_MAX).contains(&self.days) {
            errors.add("days", format!("must be a whole number, 1 to {DAYS_MAX}"));
        }
        text(errors, "resource", self.resource.as_deref());
    }
}

impl Declared for Hold {
    const RESOURCE: &'static str = "legal_hold";
    const ACTIONS: [&'static str; 2] = ["audit.hold_set", "audit.hold_lifted"];

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
        let texts = [
            ("resource", &self.resource),
            ("resourceId", &self.resource_id),
            ("actorId", &self.actor_id),
        ];
        for (name, given) in texts {
            text(errors, name, given.as_deref());
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            errors.add("from", "is after `to`");
        }
    }
}

/// Reads what is to be laid down.
///
/// # Errors
/// What is wrong, by field.
pub fn read<D: Declared>(fields: Map<String, Value>) -> Result<D, FieldErrors> {
    let read: D = fields_as(fields)?;
    let mut errors = FieldErrors::default();
    let Order { author, reason } = read.order();
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
    if !read.id().chars().all(is_allowed) {
        errors.add("id", "must be of letters, digits, `_`, `-` and dots");
    }
    text(&mut errors, "id", Some(read.id()));
    text(&mut errors, "author", Some(&author));
    text(&mut errors, "reason", Some(&reason));
    read.check(&mut errors);
    match errors.0.is_empty() {
        true => Ok(read),
        false => Err(errors),
    }
}

impl Order {
    /// Reads who wants something, and why.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn read(fields: Map<String, Value>) -> Result<Self, FieldErrors> {
        let order: Self = fields_as(fields)?;
        let mut errors = FieldErrors::default();
        text(&mut errors, "author", Some(&order.author));
        text(&mut errors, "reason", Some(&order.reason));
        match errors.0.is_empty() {
            true => Ok(order),
            false => Err(errors),
        }
    }
}

/// Reads fields, and names the one that is wrong.
pub(super) fn fields_as<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, FieldErrors> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let said = error.to_string();
        // A field that is missing or not known is named in the text alone.
        let named = said.split('`').nth(1).unwrap_or_default();
        let is_missing = said.starts_with("missing field");
        let field = match path.as_str() {
            "." => named.to_owned(),
            path if is_missing => format!("{path}.{named}"),
            path => path.to_owned(),
        };
        let text = match is_missing {
            true => "is required".to_owned(),
            false => json_fault(&error),
        };
        FieldErrors::one(field, text)
    })
}

pub(super) fn text(errors: &mut FieldErrors, field: &str, given: Option<&str>) {
    let Some(given) = given else {
        return;
    };
    if !(1..=TEXT_CHARACTERS_MAX).contains(&given.trim().chars().count()) {
        let text = format!("must be a text of 1 to {TEXT_CHARACTERS_MAX} characters");
        errors.add(field, text);
    } else if let Err(fault) = visible(given) {
        errors.add(field, fault);
    }
}
