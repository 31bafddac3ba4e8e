//! Where something of a definition stands: its path, and its line and column in the text that the definition came from.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::Budget;
use serde_saphyr::{Location, Spanned};

use super::{DEFINITION_BYTES_MAX, DefinitionError};
use crate::error::Error;

/// Deepest nesting of a text that is read: what the reader of JSON takes as well. Data may be nested less deep, which is
/// checked where it is known where it begins.
const DEPTH_MAX: usize = 128;
/// Stack on which YAML is read, or read again to find something in it: unoptimized, what is nested 126 deep takes nearly 4 MiB, and a
/// thread of a server has 2.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Where something of a definition stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The way to it, such as `steps[1].dependencies[0]`; `.` is the whole definition.
    pub path: String,
    /// Where it stands in the text. None: there was no text, or nothing like it stands there.
    pub position: Option<Position>,
}

/// Line and column of a text, both from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Place {
    pub(super) fn of(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            position: None,
        }
    }

    /// The field of the step at `index`.
    pub(super) fn in_step(index: usize, field: &str) -> Self {
        Self::of(format!("steps[{index}].{field}"))
    }

    /// The same place with its position in `text`, the JSON or YAML of the definition: the name of the field, or the entry
    /// of the list. What is not written there has the position of the nearest that holds it.
    #[must_use]
    pub fn found_in(mut self, text: &str) -> Self {
        // What is larger than any definition is not read to say where in it something is.
        if text.len() <= DEFINITION_BYTES_MAX {
            self.position = with_room(|| find(&self.path, text)).flatten();
        }
        self
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A definition that is refused: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidDefinition {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub fault: DefinitionError,
}

impl InvalidDefinition {
    /// With the position in the text that the definition was read from.
    pub(super) fn found_in(mut self, text: &str) -> Self {
        if self.place.position.is_none() {
            self.place = self.place.found_in(text);
        }
        self
    }

    /// The same of the definition of a child, as that of the parent has it whose step at `step` is the child.
    pub(in crate::saga) fn in_child_of(mut self, step: usize) -> Self {
        let whole = |path: &str| match path {
            "." => format!("steps[{step}].child.definition"),
            path => format!("steps[{step}].child.definition.{path}"),
        };
        self.place.path = whole(&self.place.path);
        if let DefinitionError::Unreadable { path, .. } = &mut self.fault {
            *path = whole(path);
        }
        self
    }

    /// What is wrong, and the way to it where a step of that name need not be one of the definition itself.
    #[must_use]
    pub fn told(&self) -> String {
        let (fault, path) = (&self.fault, &self.place.path);
        let has_path = matches!(fault, DefinitionError::Unreadable { .. });
        match path.contains(".child.definition") && !has_path {
            true => format!("{fault}, at `{path}`"),
            false => fault.to_string(),
        }
    }
}

impl fmt::Display for InvalidDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.place.position {
            write!(f, "{position}: ")?;
        }
        f.write_str(&self.told())
    }
}

impl std::error::Error for InvalidDefinition {}

impl From<InvalidDefinition> for Error {
    fn from(error: InvalidDefinition) -> Self {
        Self::invalid(error.to_string())
    }
}

impl DefinitionError {
    pub(super) fn at(self, place: Place) -> InvalidDefinition {
        InvalidDefinition { place, fault: self }
    }
}

impl Position {
    /// That of the first character of `bytes` that is no text, which begins at `at`.
    pub(super) fn of_no_text(bytes: &[u8], at: usize) -> Self {
        let text = bytes.get(..at).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        let column = lines.clone().next_back().map_or(0, <[u8]>::len);
        Self::of_byte(bytes, (lines.count(), column.saturating_add(1)))
    }

    /// That of a byte of `text`, by its line and how many of that line end with it, as the reader of JSON counts.
    pub(super) fn of_byte(text: &[u8], (line, bytes): (usize, usize)) -> Self {
        let count = |count: usize| u64::try_from(count.max(1)).unwrap_or(u64::MAX);
        let mut lines = text.split(|byte| *byte == b'\n');
        let own = lines.nth(line.saturating_sub(1)).unwrap_or_default();
        let before = own.get(..bytes).unwrap_or(own);
        Self {
            line: count(line),
            column: count(String::from_utf8_lossy(before).chars().count()),
        }
    }

    pub(super) fn of(location: Location) -> Option<Self> {
        (location.line() > 0).then(|| Self {
            line: location.line(),
            column: location.column(),
        })
    }
}

/// Does it on a stack of its own, which holds what is nested as deep as [`options`] allows. None: there is no such stack.
pub(super) fn with_room<T: Send>(read: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let read = thread.spawn_scoped(scope, read).ok()?;
        read.join().ok()
    })
}

/// How YAML is read: as its version 1.2 has it, where `5` is no text and `yes` is one; and as deep as JSON.
pub(super) fn options() -> serde_saphyr::Options {
    let mut budget = Budget::default();
    budget.max_depth = DEPTH_MAX;
    serde_saphyr::options! {
        budget: Some(budget),
        strict_booleans: true,
        no_schema: true,
        // Others read `010` as 8, or as 10.
        leading_zero_numbers_as_strings: true,
    }
}

/// The position of `path` in `text`. JSON is YAML, so one reader finds both.
fn find(path: &str, text: &str) -> Option<Position> {
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options()).ok()?;
    let mut position = Position::of(root.referenced);
    let mut node = &root.value;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        let found = match node {
            Node::Leaf => None,
            Node::List(entries) => {
                let index = part.parse::<usize>().ok();
                let entry = index.and_then(|index| entries.get(index));
                entry.map(|entry| (entry.referenced, &entry.value))
            }
            Node::Fields(fields) => {
                let mut fields = fields.iter();
                let field = fields.find(|(name, _)| name.value == part);
                field.map(|(name, value)| (name.referenced, &value.value))
            }
        };
        let Some((location, next)) = found else {
            break;
        };
        position = Position::of(location);
        node = next;
    }
    position
}

/// The form of any JSON or YAML, with positions and without values.
enum Node {
    Leaf,
    List(Vec<Spanned<Node>>),
    Fields(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Node::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Node::Fields(fields))
    }
}
