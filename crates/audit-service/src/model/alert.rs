//! Rules that tell somebody of an entry.

use nanopore::events::audit::AlertSeverity;
use nanopore::sample::FieldErrors;
use sagabus::Timestamp;
use sagabus::event::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Act;
use super::declared::{Declared, Order, text};

/// Most people that are told.
const RECIPIENTS_MAX: usize = 50;
/// Longest time without telling again: a year.
const COOLDOWN_MINUTES_MAX: u32 = 525_600;
/// What a condition can look at, beside what is in `details`.
const FIELDS: [&str; 13] = [
    "service",
    "action",
    "resource",
    "resourceId",
    "userId",
    "userEmail",
    "outcome",
    "severity",
    "category",
    "reason",
    "ipAddress",
    "sessionId",
    "durationMs",
];
/// What begins a field in the details.
const DETAILS: &str = "details.";

/// A rule that tells somebody of an entry.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alert {
    /// Its name among alerts.
    pub id: String,
    /// What it is called for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which entries.
    #[serde(deserialize_with = "object")]
    pub condition: Condition,
    /// How urgent it is.
    pub severity: AlertSeverity,
    /// Only entries of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Whether it tells anybody now.
    #[serde(default = "yes")]
    pub is_active: bool,
    /// Who is told.
    pub recipients: Vec<String>,
    /// Minutes after it told of an entry in which it tells of no other.
    #[serde(default = "an_hour")]
    pub cooldown_minutes: u32,
    /// Who wants it so.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// What an entry must be like.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// A field of the entry, or `details.` and names with dots between.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// How a field is compared. A field that is not there fits none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// It is the value.
    Equals,
    /// It is another.
    NotEquals,
    /// The text has the value in it.
    Contains,
    /// The number is greater.
    GreaterThan,
    /// The number is less.
    LessThan,
    /// It is one of the list.
    In,
    /// It is none of the list.
    NotIn,
}

/// That an alert told of an entry.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "ToldAlert")]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Which alert.
    pub alert_id: String,
    /// Of which entry.
    pub audit_id: String,
    /// The entry's place in the trail.
    pub sequence: u64,
    /// When.
    pub triggered_at: Timestamp,
    /// Whom.
    pub recipients: Vec<String>,
}

fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Condition, D::Error> {
    Object::deserialize(from).map(|Object(condition)| condition)
}

fn yes() -> bool {
    true
}

fn an_hour() -> u32 {
    60
}

impl Declared for Alert {
    const RESOURCE: &'static str = "alert";
    const ACTIONS: [&'static str; 2] = ["audit.alert_set", "audit.alert_lifted"];

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
        text(errors, "description", self.description.as_deref());
        text(errors, "service", self.service.as_deref());
        if !(1..=RECIPIENTS_MAX).contains(&self.recipients.len()) {
            errors.add("recipients", format!("must be 1 to {RECIPIENTS_MAX}"));
        }
        for (index, recipient) in self.recipients.iter().enumerate() {
            text(errors, &format!("recipients[{index}]"), Some(recipient));
        }
        if self.cooldown_minutes > COOLDOWN_MINUTES_MAX {
            let text = format!("must be a whole number, 0 to {COOLDOWN_MINUTES_MAX}");
            errors.add("cooldownMinutes", text);
        }
        self.condition.check(errors);
    }
}

impl Condition {
    fn check(&self, errors: &mut FieldErrors) {
        let field = self.field.as_str();
        let in_details = field
            .strip_prefix(DETAILS)
            .is_some_and(|it| it.split('.').all(|name| !name.is_empty()));
        if !FIELDS.contains(&field) && !in_details {
            let fields = FIELDS.map(|it| format!("`{it}`")).join(", ");
            let text = format!("must be one of {fields}, or `details.` and a name");
            errors.add("condition.field", text);
        }
        // Nothing is ever equal to what an entry has not.
        let is_plain = |it: &Value| it.is_string() || it.is_number() || it.is_boolean();
        let (fits, wanted) = match self.operator {
            Operator::Equals | Operator::NotEquals => {
                (is_plain(&self.value), "a text, number, `true` or `false`")
            }
            Operator::Contains => (self.value.is_string(), "a text"),
            Operator::GreaterThan | Operator::LessThan => (self.value.is_number(), "a number"),
            Operator::In | Operator::NotIn => {
                let list = self.value.as_array();
                let fits = list.is_some_and(|it| !it.is_empty() && it.iter().all(is_plain));
                (fits, "a list of texts, numbers, `true` or `false`")
            }
        };
        if !fits {
            errors.add(
                "condition.value",
                format!("must be {wanted} for this operator"),
            );
        }
    }

    /// Whether a value fits.
    fn fits(&self, found: &Value) -> bool {
        let is = |value: &Value| match (found.as_f64(), value.as_f64()) {
            (Some(found), Some(value)) => found.total_cmp(&value).is_eq(),
            _ => found == value,
        };
        let numbers = found.as_f64().zip(self.value.as_f64());
        let list = || self.value.as_array().is_some_and(|all| all.iter().any(is));
        match self.operator {
            Operator::Equals => is(&self.value),
            Operator::NotEquals => !is(&self.value),
            Operator::Contains => {
                let texts = found.as_str().zip(self.value.as_str());
                texts.is_some_and(|(found, value)| found.contains(value))
            }
            Operator::GreaterThan => numbers.is_some_and(|(found, value)| found > value),
            Operator::LessThan => numbers.is_some_and(|(found, value)| found < value),
            Operator::In => list(),
            Operator::NotIn => !list(),
        }
    }
}

impl Alert {
    /// Whether it tells of this act.
    #[must_use]
    pub fn is_of(&self, act: &Act) -> bool {
        let is_service = self.service.as_ref().is_none_or(|it| *it == act.service);
        self.is_active
            && is_service
            && field(act, &self.condition.field).is_some_and(|found| self.condition.fits(&found))
    }
}

/// The value of a field of an act.
fn field(act: &Act, name: &str) -> Option<Value> {
    let text = |it: &Option<String>| it.clone().map(Value::String);
    let word = |it: Result<Value, serde_json::Error>| it.ok();
    match name {
        "service" => Some(act.service.clone().into()),
        "action" => Some(act.action.clone().into()),
        "resource" => Some(act.resource.clone().into()),
        "resourceId" => text(&act.resource_id),
        "userId" => text(&act.actor_id),
        "userEmail" => text(&act.actor_email),
        "outcome" => word(serde_json::to_value(act.outcome)),
        "severity" => word(serde_json::to_value(act.severity)),
        "category" => word(serde_json::to_value(act.category)),
        "reason" => text(&act.more.reason),
        "ipAddress" => text(&act.more.ip_address),
        "sessionId" => text(&act.more.session_id),
        "durationMs" => act.more.duration_ms.map(Into::into),
        _ => {
            let details: Value = serde_json::from_slice(&act.details).ok()?;
            let mut names = name.strip_prefix(DETAILS)?.split('.');
            let found = names.try_fold(&details, |it, name| it.get(name));
            found.filter(|it| !it.is_null()).cloned()
        }
    }
}

#[cfg(test)]
mod tests;
