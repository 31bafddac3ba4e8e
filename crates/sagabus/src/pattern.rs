//! Which event types a subscription wants.

mod trie;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::event::{EventType, TOKENS_MAX, TYPE_BYTES_MAX, is_token};

pub use trie::PatternSet;

/// A pattern over event types.
///
/// | written | matches |
/// |---|---|
/// | `sample.created` | that type only |
/// | `sample.*`, `*.failed` | `*` stands for exactly one word |
/// | `sample.**`, `sample.>` | one or more words at the end |
/// | `*`, `**`, `>` | everything: alone, `*` is not one word but all |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Word {
    Is(Box<str>),
    Any,
    Rest,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `Invalid` when it is empty, has more than 255 bytes or 16 words, a word with other characters, or `**` before the end.
    pub fn new(text: &str) -> Result<Self> {
        Self::of_field("pattern", text)
    }

    /// Reads a pattern that stands in a field of this name.
    ///
    /// # Errors
    /// As [`Pattern::new`], naming the field.
    pub fn of_field(field: &str, text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let text = text.escape_debug();
            Error::invalid(format!("`{field}` is `{text}`, and {why}"))
        };
        if text.len() > TYPE_BYTES_MAX {
            return Err(Error::invalid(format!(
                "`{field}` has {} bytes, more than {TYPE_BYTES_MAX}",
                text.len()
            )));
        }
        if text == "*" {
            return Ok(Self {
                text: text.into(),
                words: vec![Word::Rest],
            });
        }
        let mut words = Vec::new();
        for token in text.split('.') {
            if words.last() == Some(&Word::Rest) {
                return Err(wrong("has words after `**`"));
            }
            words.push(match token {
                "*" => Word::Any,
                "**" | ">" => Word::Rest,
                token if is_token(token) => Word::Is(token.into()),
                _ => {
                    return Err(wrong(
                        "must be words of letters, digits, `_`, `-`, or `*`, `**`, joined by dots",
                    ));
                }
            });
        }
        if words.len() > TOKENS_MAX {
            return Err(wrong("has more than 16 words"));
        }
        Ok(Self {
            text: text.into(),
            words,
        })
    }

    /// Whether the pattern wants events of this type.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        let mut tokens = event_type.as_str().split('.');
        for word in &self.words {
            let Some(token) = tokens.next() else {
                return false;
            };
            match word {
                Word::Rest => return true,
                Word::Any => {}
                Word::Is(name) if **name == *token => {}
                Word::Is(_) => return false,
            }
        }
        tokens.next().is_none()
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests;
