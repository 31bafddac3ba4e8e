//! The filter dialects of the CloudEvents Subscriptions API, read from JSON, written as JSON, and evaluated.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use super::closure::Closure;
use super::json::Json;
use super::sql::{Expression, Kind, Meter, ParseError, Scope, Value};
use super::view::{Name, View};
use super::{Filter, Outcome};

/// Deepest nesting of filters in filters.
pub const FILTER_DEPTH_MAX: usize = 16;
/// Most filters and attribute comparisons in one filter: each event pays for all of them.
pub const FILTER_PARTS_MAX: usize = 256;

/// Longest filter, in bytes, as given and as printed: sixteen of the longest expressions. It is stored with its
/// subscription.
pub const FILTER_BYTES_MAX: usize = 64 * 1024;

/// Why a filter is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct FilterError {
    /// Which part of the filter, such as `filter.all[1].prefix.subject`.
    pub field: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a part of a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Something else must stand here.
    #[error("is {found}, not {expected}")]
    Not {
        /// What must stand here.
        expected: &'static str,
        /// What stands here.
        found: &'static str,
    },
    /// A filter is an object with one dialect.
    #[error("has {count} dialects; a filter has one")]
    Dialects {
        /// How many it has.
        count: usize,
    },
    /// No such dialect.
    #[error("is no dialect; those are `exact`, `prefix`, `suffix`, `all`, `any`, `not` and `sql`")]
    UnknownDialect,
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// The name stands twice in the object.
    #[error("is there twice")]
    Twice,
    /// Filters nested deeper than [`FILTER_DEPTH_MAX`].
    #[error("is nested deeper than {FILTER_DEPTH_MAX}")]
    TooDeep,
    /// More parts than [`FILTER_PARTS_MAX`].
    #[error("has more than {FILTER_PARTS_MAX} parts")]
    TooMany,
    /// It, or its print, is longer than [`FILTER_BYTES_MAX`].
    #[error("has {bytes} bytes, more than {FILTER_BYTES_MAX}")]
    TooLong {
        /// The length.
        bytes: usize,
    },
    /// The text is no expression.
    #[error("is no CESQL expression: {0}")]
    Sql(ParseError),
    /// The expression has a value that can never be `TRUE`.
    #[error("has {kind} as its value; a filter's expression is boolean")]
    NotBoolean {
        /// The type of its value.
        kind: Kind,
    },
    /// The expression calls a function that does not exist, or not with so many arguments.
    #[error("calls `{name}`, which does not exist with so many arguments")]
    UnknownFunction {
        /// The function's name.
        name: String,
    },
}

/// A filter, or a part of one.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// All attributes compare; sorted by name.
    Attributes(How, BTreeMap<Name, Box<str>>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Sql(Arc<Expression>),
    Closure(Closure),
}

/// How an attribute is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Exact,
    Prefix,
    Suffix,
}

impl How {
    fn dialect(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Suffix => "suffix",
        }
    }

    fn holds(self, value: &str, wanted: &str) -> bool {
        match self {
            Self::Exact => value == wanted,
            Self::Prefix => value.starts_with(wanted),
            Self::Suffix => value.ends_with(wanted),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Exact => "is",
            Self::Prefix => "begins with",
            Self::Suffix => "ends with",
        }
    }
}

impl Node {
    /// Reads an expression as a filter: besides being one, it must be able to be true.
    pub(super) fn sql(text: &str) -> Result<Self, Reason> {
        let expression = Expression::new(text).map_err(Reason::Sql)?;
        if let Some(name) = expression.unknown_function() {
            let name = name.to_owned();
            return Err(Reason::UnknownFunction { name });
        }
        match expression.kind() {
            None | Some(Kind::Boolean) => Ok(Self::Sql(Arc::new(expression))),
            Some(kind) => Err(Reason::NotBoolean { kind }),
        }
    }

    /// What every event passes.
    pub(super) fn everything() -> Self {
        Self::Sql(Arc::new(Expression::always()))
    }

    /// Checks the limits of the whole.
    pub(super) fn check(&self) -> Result<(), Reason> {
        if self.depth() > FILTER_DEPTH_MAX {
            return Err(Reason::TooDeep);
        }
        if self.parts() > FILTER_PARTS_MAX {
            return Err(Reason::TooMany);
        }
        // What has a closure in it is not stored, and has no text.
        let bytes = serde_json::to_string(self).map_or(0, |text| text.len());
        if bytes > FILTER_BYTES_MAX {
            return Err(Reason::TooLong { bytes });
        }
        Ok(())
    }

    fn depth(&self) -> usize {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                1 + nodes.iter().map(Self::depth).max().unwrap_or(0)
            }
            Self::Not(node) => 1 + node.depth(),
            Self::Attributes(..) | Self::Sql(_) | Self::Closure(_) => 1,
        }
    }

    fn parts(&self) -> usize {
        match self {
            Self::All(nodes) | Self::Any(nodes) => 1 + nodes.iter().map(Self::parts).sum::<usize>(),
            Self::Not(node) => 1 + node.parts(),
            Self::Attributes(_, pairs) => 1 + pairs.len(),
            Self::Sql(_) | Self::Closure(_) => 1,
        }
    }

    pub(super) fn reads_data(&self) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::reads_data),
            Self::Not(node) => node.reads_data(),
            Self::Sql(expression) => expression.reads_data(),
            Self::Attributes(..) | Self::Closure(_) => false,
        }
    }

    /// Evaluates it. An error decides nothing: `any` passes where another part passes, `all` skips where another part
    /// skips, and else the whole has the error. So the order of parts does not matter.
    pub(super) fn evaluate(&self, view: &View<'_>, meter: &mut Meter) -> Outcome {
        match self {
            Self::Attributes(how, pairs) => {
                for (name, wanted) in pairs {
                    if meter.charge(name.cost() + wanted.len()).is_err() {
                        return Outcome::Error(super::sql::Fault::TooCostly.to_string());
                    }
                    let value = view.text(name);
                    if !value.is_some_and(|value| how.holds(&value, wanted)) {
                        return Outcome::Skip;
                    }
                }
                Outcome::Pass
            }
            Self::All(nodes) => decide(nodes, &Outcome::Skip, Outcome::Pass, view, meter),
            Self::Any(nodes) => decide(nodes, &Outcome::Pass, Outcome::Skip, view, meter),
            Self::Not(node) => match node.evaluate(view, meter) {
                Outcome::Pass => Outcome::Skip,
                Outcome::Skip => Outcome::Pass,
                error @ Outcome::Error(_) => error,
            },
            Self::Sql(expression) => {
                let scope: &dyn Scope = view;
                match expression.evaluate_within(scope, meter) {
                    (_, Some(error)) => {
                        Outcome::Error(crate::text::visible(error.to_string().into()).into_owned())
                    }
                    (Value::Boolean(true), None) => Outcome::Pass,
                    (Value::Boolean(false), None) => Outcome::Skip,
                    (value, None) => {
                        Outcome::Error(format!("the value of `{expression}` is {}", value.kind()))
                    }
                }
            }
            Self::Closure(closure) => closure.call(view.event()),
        }
    }
}

/// The outcome of several parts: `decisive` where one has that, else the first error, else `otherwise`.
fn decide(
    nodes: &[Node],
    decisive: &Outcome,
    otherwise: Outcome,
    view: &View<'_>,
    meter: &mut Meter,
) -> Outcome {
    let mut outcome = otherwise;
    for node in nodes {
        let part = node.evaluate(view, meter);
        if part == *decisive {
            return part;
        }
        if matches!(part, Outcome::Error(_)) && !matches!(outcome, Outcome::Error(_)) {
            outcome = part;
        }
    }
    outcome
}

/// Reads a filter, or the list of filters of a subscription, which must all pass.
pub(super) fn read(json: Json) -> Result<Node, FilterError> {
    let field = "filter".to_owned();
    let node = match json {
        Json::List(list) if list.is_empty() => Node::everything(),
        Json::List(list) => Node::All(nodes(list, &field, 1)?),
        json => node(json, &field, 1)?,
    };
    node.check()
        .map_err(|reason| FilterError { field, reason })?;
    Ok(node)
}

fn node(json: Json, field: &str, depth: usize) -> Result<Node, FilterError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(wrong(field, Reason::TooDeep));
    }
    let mut object = object(json, field)?;
    let count = object.len();
    let (Some((dialect, value)), 1) = (object.pop(), count) else {
        return Err(wrong(field, Reason::Dialects { count }));
    };
    let field = format!("{field}.{dialect}");
    Ok(match dialect.as_str() {
        "exact" => Node::Attributes(How::Exact, pairs(value, &field)?),
        "prefix" => Node::Attributes(How::Prefix, pairs(value, &field)?),
        "suffix" => Node::Attributes(How::Suffix, pairs(value, &field)?),
        "all" => Node::All(some(value, &field, depth)?),
        "any" => Node::Any(some(value, &field, depth)?),
        "not" => Node::Not(Box::new(node(value, &field, depth + 1)?)),
        "sql" => {
            let text = text(value, &field)?;
            Node::sql(&text).map_err(|reason| wrong(&field, reason))?
        }
        _ => return Err(wrong(&field, Reason::UnknownDialect)),
    })
}

/// One or more filters.
fn some(json: Json, field: &str, depth: usize) -> Result<Vec<Node>, FilterError> {
    match json {
        Json::List(list) if list.is_empty() => Err(wrong(field, Reason::Empty)),
        Json::List(list) => nodes(list, field, depth + 1),
        json => Err(not("a list of filters", &json, field)),
    }
}

fn nodes(list: Vec<Json>, field: &str, depth: usize) -> Result<Vec<Node>, FilterError> {
    if list.len() > FILTER_PARTS_MAX {
        return Err(wrong(field, Reason::TooMany));
    }
    let items = list.into_iter().enumerate();
    items
        .map(|(index, json)| node(json, &format!("{field}[{index}]"), depth))
        .collect()
}

fn pairs(json: Json, field: &str) -> Result<BTreeMap<Name, Box<str>>, FilterError> {
    let object = object(json, field)?;
    if object.is_empty() {
        return Err(wrong(field, Reason::Empty));
    }
    let mut pairs = BTreeMap::new();
    for (name, json) in object {
        if name.is_empty() {
            return Err(wrong(&format!("{field}.\"\""), Reason::Empty));
        }
        let field = format!("{field}.{name}");
        let text = text(json, &field)?;
        if text.is_empty() {
            return Err(wrong(&field, Reason::Empty));
        }
        pairs.insert(Name::new(&name), text.into());
    }
    Ok(pairs)
}

fn object(json: Json, field: &str) -> Result<Vec<(String, Json)>, FilterError> {
    let Json::Object(object) = json else {
        return Err(not("an object", &json, field));
    };
    let mut names = std::collections::HashSet::new();
    for (name, _) in &object {
        if !names.insert(name) {
            return Err(wrong(&format!("{field}.{name}"), Reason::Twice));
        }
    }
    Ok(object)
}

fn text(json: Json, field: &str) -> Result<String, FilterError> {
    match json {
        Json::Text(text) => Ok(text),
        json => Err(not("text", &json, field)),
    }
}

fn not(expected: &'static str, json: &Json, field: &str) -> FilterError {
    let found = json.name();
    wrong(field, Reason::Not { expected, found })
}

fn wrong(field: &str, reason: Reason) -> FilterError {
    // A name from outside may hold anything; the field is shown to people.
    let field = field.escape_debug().to_string();
    FilterError { field, reason }
}

impl Serialize for Filter {
    /// Writes the dialects' JSON.
    ///
    /// # Errors
    /// When there is a closure in the filter.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.node().serialize(serializer)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Attributes(how, pairs) => {
                let pairs: BTreeMap<&str, &str> = pairs
                    .iter()
                    .map(|(name, text)| (name.as_str(), &**text))
                    .collect();
                map.serialize_entry(how.dialect(), &pairs)?;
            }
            Self::All(nodes) => map.serialize_entry("all", nodes)?,
            Self::Any(nodes) => map.serialize_entry("any", nodes)?,
            Self::Not(node) => map.serialize_entry("not", node)?,
            Self::Sql(expression) => map.serialize_entry("sql", &expression.to_string())?,
            Self::Closure(closure) => {
                return Err(S::Error::custom(format_args!(
                    "filter has the closure `{}`, which has no text",
                    closure.name()
                )));
            }
        }
        map.end()
    }
}

impl fmt::Display for Node {
    /// One line for an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attributes(how, pairs) => {
                for (index, (name, text)) in pairs.iter().enumerate() {
                    let and = if index > 0 { " and " } else { "" };
                    let name = name.as_str().escape_debug();
                    write!(f, "{and}{name} {} {text:?}", how.describe())?;
                }
                Ok(())
            }
            Self::All(nodes) => joined(f, nodes, " and "),
            Self::Any(nodes) => joined(f, nodes, " or "),
            Self::Not(node) => write!(f, "not ({node})"),
            Self::Sql(expression) => write!(f, "{expression}"),
            Self::Closure(closure) => write!(f, "closure `{}` (opaque)", closure.name()),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], word: &str) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        let word = if index > 0 { word } else { "" };
        write!(f, "{word}({node})")?;
    }
    Ok(())
}
