//! Which events a subscription wants, beyond their types: filters on attributes and payload. Pure.
//!
//! A filter is asked once per subscription and event, before the event is leased. It has three front doors:
//!
//! - [`Filter::sql`]: an expression of [CESQL 1.0], the CloudEvents SQL expression language, with one addition,
//!   `DATA('/json/pointer')`;
//! - [`Filter::from_json`]: the dialects `exact`, `prefix`, `suffix`, `all`, `any`, `not` and `sql` of the
//!   CloudEvents Subscriptions API;
//! - [`Filter::closure`]: code of this process.
//!
//! ```
//! use sagabus::filter::{Filter, Outcome};
//! # use sagabus::{Event, EventType, SystemClock};
//! # fn main() -> sagabus::Result<()> {
//! let filter = Filter::sql("type LIKE 'sample.%' AND DATA('/volume_ul') >= 50")?;
//! let sample = |data: &'static str| -> sagabus::Result<Event> {
//!     Ok(Event::raw(EventType::new("sample.created")?, "lab", data.into(), &SystemClock))
//! };
//! assert_eq!(filter.evaluate(&sample(r#"{"volume_ul":80}"#)?), Outcome::Pass);
//! assert_eq!(filter.evaluate(&sample(r#"{"volume_ul":20}"#)?), Outcome::Skip);
//! // Neither passed nor skipped in silence: the subscription says which errors mean.
//! assert!(matches!(filter.evaluate(&sample("{}")?), Outcome::Error(_)));
//! # Ok(())
//! # }
//! ```
//!
//! # The language
//!
//! Keywords, functions and attribute names may be written in any case of letters. From the tightest to the loosest:
//!
//! | row | written | yields |
//! |---|---|---|
//! | primary | `'text'`, `"text"`, `42`, `TRUE`, `FALSE`, an attribute, `DATA('/pointer')`, `F(x, …)`, `( … )` | its value |
//! | | `EXISTS attribute`, `EXISTS DATA('/pointer')` | boolean |
//! | signed | `NOT x`, `-x`, `+42` | boolean, integer |
//! | tested | `x [NOT] LIKE 'pattern'`, `x [NOT] IN (y, …)` | boolean |
//! | product | `x * y`, `x / y`, `x % y` | integer |
//! | sum | `x + y`, `x - y` | integer |
//! | comparison | `=`, `!=`, `<>`, `<`, `<=`, `>`, `>=` | boolean |
//! | logic | `AND`, `OR`, `XOR` | boolean |
//!
//! Operators of one row go from left to right, `AND`, `OR` and `XOR` too: `a OR b AND c` is `(a OR b) AND c`. `NOT`
//! binds tightest: `NOT a = b` is `(NOT a) = b`. Both are the standard's rules, and brackets say it to readers.
//!
//! - **Types** are boolean, integer (32 bits) and text, and what is not of the type that an operator asks for is cast.
//!   `x = y` compares as the type of `y`, `x IN (…)` as the type of `x`. `<` and its kin compare integers only.
//! - **Attributes** are text. [`Name`] says which there are.
//! - **`DATA`** is text, integer or boolean, as the payload has it; numbers that are no integer of 32 bits are text
//!   (`'0.5'`). Lists and objects are an error; nothing and `null` are a missing value. Not for payloads that are
//!   encrypted: see [`Filter::reads_data`].
//! - **`LIKE`**: `%` is any number of characters, `_` one; `\%` and `\_` are themselves. Its pattern is a text in
//!   quotes. In quotes, a backslash before a quote of that kind makes it part of the text.
//! - **Functions**: `LENGTH(x)`, `CONCAT(x, …)`, `CONCAT_WS(delimiter, x, …)`, `LOWER(x)`, `UPPER(x)`, `TRIM(x)`,
//!   `LEFT(x, n)`, `RIGHT(x, n)`, `SUBSTRING(x, from[, n])`, `ABS(x)`, `INT(x)`, `BOOL(x)`, `STRING(x)`.
//! - **Errors** end the evaluation: an attribute or a value that is missing, a cast that fails, a division by zero, a
//!   result beyond 32 bits. `AND` and `OR` do not look at their right side where the left one decides, so
//!   `EXISTS subject AND subject = 'S-1'` has no error where there is no subject.
//! - **Bounds**: [`EXPRESSION_BYTES_MAX`], [`EXPRESSION_DEPTH_MAX`], [`FILTER_BYTES_MAX`], [`FILTER_PARTS_MAX`],
//!   [`FILTER_DEPTH_MAX`], and for an evaluation [`COST_MAX`]. There are no loops, and no pattern is tried in more than one way.
//!
//! [CESQL 1.0]: https://github.com/cloudevents/spec/blob/main/cesql/spec.md

mod closure;
mod dialect;
mod json;
mod sql;
mod view;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use self::closure::Closure;
use self::dialect::Node;
use self::json::Json;
use self::sql::Meter;
use crate::error::{Error, Result};
use crate::event::Event;

pub use dialect::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_PARTS_MAX, FilterError, Reason};
pub use sql::{
    COST_MAX, Class, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EvaluationError, Expression,
    Fault, Kind, ParseError, Scope, Value,
};
pub use view::{Name, View};

/// A condition on events. Cheap to clone.
///
/// Two filters are equal when they are written alike ([`Filter::text`]); of a closure that is its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter(Arc<Node>);

/// What a filter says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is for the subscription.
    Pass,
    /// It is not.
    Skip,
    /// The filter cannot tell, and why. The subscription's [`OnFilterError`](crate::transport::OnFilterError) says what
    /// becomes of the event.
    Error(String),
}

impl Filter {
    /// The filter that every event passes.
    #[must_use]
    pub fn everything() -> Self {
        Self::from(Node::everything())
    }

    /// A filter from an expression.
    ///
    /// # Errors
    /// `Invalid`, with [`FilterError`] as its source, when it is no expression, can never be true, or calls a function
    /// that does not exist.
    pub fn sql(expression: &str) -> Result<Self> {
        let node = Node::sql(expression).map_err(|reason| {
            let field = "filter".to_owned();
            refused(FilterError { field, reason })
        })?;
        Ok(Self::from(node))
    }

    /// A filter from JSON: one dialect, or a list of them which must all pass (the `filters` of a subscription).
    ///
    /// # Errors
    /// `Invalid`, with [`FilterError`] as its source, which names the field; or with the JSON parser's error.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() > FILTER_BYTES_MAX {
            let (field, bytes) = ("filter".to_owned(), json.len());
            let reason = Reason::TooLong { bytes };
            return Err(refused(FilterError { field, reason }));
        }
        let json: Json = serde_json::from_slice(json)
            .map_err(|error| Error::invalid("`filter` is not taken").with_source(error))?;
        dialect::read(json).map(Self::from).map_err(refused)
    }

    /// A filter that is code. `name` stands for the code wherever the filter is shown or compared: code that decides
    /// otherwise than before needs another name. A panic is an [`Outcome::Error`].
    #[must_use]
    pub fn closure(name: &str, passes: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        Self::from(Node::Closure(Closure::new(name, Arc::new(passes))))
    }

    /// The events that all of `filters` pass.
    ///
    /// # Errors
    /// `Invalid` when there is none, or when together they pass a limit.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Result<Self> {
        Self::checked(Node::All(nodes(filters)?))
    }

    /// The events that at least one of `filters` passes.
    ///
    /// # Errors
    /// `Invalid` when there is none, or when together they pass a limit.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Result<Self> {
        Self::checked(Node::Any(nodes(filters)?))
    }

    /// The events that this filter skips.
    ///
    /// # Errors
    /// `Invalid` when it is nested too deep then.
    pub fn inverted(self) -> Result<Self> {
        Self::checked(Node::Not(Box::new(Arc::unwrap_or_clone(self.0))))
    }

    /// What the filter says of `event`.
    #[must_use]
    pub fn evaluate(&self, event: &Event) -> Outcome {
        self.evaluate_in(&View::new(event))
    }

    /// What the filter says of an event, where other filters are asked about the same one.
    #[must_use]
    pub fn evaluate_in(&self, view: &View<'_>) -> Outcome {
        self.0.evaluate(view, &mut Meter::default())
    }

    /// Whether it looks into payloads; such a filter cannot be had for events whose payload is encrypted. What a
    /// closure looks at is not known, and not counted.
    #[must_use]
    pub fn reads_data(&self) -> bool {
        self.0.reads_data()
    }

    /// One line about the filter, for operators.
    #[must_use]
    pub fn describe(&self) -> String {
        self.0.to_string()
    }

    /// The one text of this filter and of all that are equal to it: JSON in the dialects, without blanks, names sorted,
    /// expressions printed anew. [`Filter::from_json`] makes the same filter of it. `None` when a closure is in it.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    fn node(&self) -> &Node {
        &self.0
    }

    fn checked(node: Node) -> Result<Self> {
        node.check().map_err(|reason| {
            let field = "filter".to_owned();
            refused(FilterError { field, reason })
        })?;
        Ok(Self::from(node))
    }
}

fn nodes(filters: impl IntoIterator<Item = Filter>) -> Result<Vec<Node>> {
    let nodes: Vec<Node> = filters
        .into_iter()
        .map(|filter| Arc::unwrap_or_clone(filter.0))
        .collect();
    if nodes.is_empty() {
        let (field, reason) = ("filter".to_owned(), Reason::Empty);
        return Err(refused(FilterError { field, reason }));
    }
    Ok(nodes)
}

fn refused(error: FilterError) -> Error {
    Error::invalid("filter is not taken").with_source(error)
}

impl From<Node> for Filter {
    fn from(node: Node) -> Self {
        Self(Arc::new(node))
    }
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads what [`Filter::text`] writes.
    fn from_str(text: &str) -> Result<Self> {
        Self::from_json(text.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let node = dialect::read(json).map_err(serde::de::Error::custom)?;
        Ok(Self::from(node))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.0)
    }
}

#[cfg(test)]
mod tests;
