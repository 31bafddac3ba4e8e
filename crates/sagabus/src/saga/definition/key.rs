//! Which sagas must not run at the same time: a key made of the input, and what happens where it is held.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NAME_BYTES_MAX;
use super::each::is_pointer;
use crate::text::is_hidden;

/// Most sagas of one key that run at one time.
pub const HOLDERS_MAX: u32 = 1_000;

/// So many sagas with one key run at one time. All sagas with the same text as their key share it, whatever their definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyKey {
    /// Text with `{pointer}` where something of the input stands: a JSON pointer such as `/sample/id`, or the name of a field.
    pub key: String,
    /// How many, at most [`HOLDERS_MAX`].
    pub limit: u32,
    /// What becomes of one more.
    pub on_conflict: OnConflict,
}

/// What becomes of a saga whose key is held by as many as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It waits until one of them is over.
    #[default]
    Queue,
    /// It is refused.
    Reject,
    /// The one that was there first is taken for it, and keeps its idempotency key.
    Attach,
    /// Those that were there first are cancelled, and it waits until they are over.
    CancelExisting,
}

/// A piece of the text.
enum Piece<'a> {
    Text(&'a str),
    Pointer(&'a str),
}

impl ConcurrencyKey {
    /// One at a time with this key; others wait.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            limit: 1,
            on_conflict: OnConflict::default(),
        }
    }

    /// What keeps it from being rendered for any input, or its limit from being one: the field, and what that must be.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        const KEY: &str = "concurrencyKey.key";
        let (bytes, limit) = (self.key.len(), self.limit);
        if !(1..=NAME_BYTES_MAX).contains(&bytes) {
            let must = format!("must have 1 to {NAME_BYTES_MAX} bytes, not {bytes}");
            return Some((KEY, must));
        }
        if self.key.chars().any(is_hidden) {
            let must = "must have no character that is not to be seen";
            return Some((KEY, must.to_owned()));
        }
        let pointers = pieces(&self.key).unwrap_or_default().into_iter();
        let pointers = pointers.filter_map(|it| match it {
            Piece::Text(_) => None,
            Piece::Pointer(pointer) => Some(pointer),
        });
        let pointers: Vec<&str> = pointers.collect();
        if pointers.is_empty() {
            let must = "must name fields of the input in braces, such as `{sampleId}`";
            return Some((KEY, must.to_owned()));
        }
        if let Some(pointer) = pointers.into_iter().find(|it| leads_nowhere(it)) {
            let must = format!(
                "must name a field of the input, such as `{{sampleId}}`, or a JSON pointer, such as `{{/sample/id}}`, and not `{{{pointer}}}`"
            );
            return Some((KEY, must));
        }
        if !(1..=HOLDERS_MAX).contains(&limit) {
            let must = format!("must be 1 to {HOLDERS_MAX} sagas, and is {limit}");
            return Some(("concurrencyKey.limit", must));
        }
        None
    }

    /// The key of a saga with this input; in words why it has none.
    pub(crate) fn render(&self, input: &[u8]) -> Result<String, String> {
        let input: Value = serde_json::from_slice(input).map_err(|error| error.to_string())?;
        let mut key = String::new();
        for piece in pieces(&self.key).unwrap_or_default() {
            let pointer = match piece {
                Piece::Text(text) => {
                    key.push_str(text);
                    continue;
                }
                Piece::Pointer(pointer) => pointer,
            };
            let value = match pointer.starts_with('/') {
                true => input.pointer(pointer),
                false => input.get(pointer),
            };
            match value {
                Some(Value::String(text)) if !text.is_empty() => key.push_str(text),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                    key.push_str(&value.to_string());
                }
                _ => return Err(format!("the input has no text or number at `{pointer}`")),
            }
        }
        if key.len() > NAME_BYTES_MAX {
            let bytes = key.len();
            return Err(format!(
                "it would have {bytes} bytes, more than {NAME_BYTES_MAX}"
            ));
        }
        if key.chars().any(is_hidden) {
            return Err("it would have a character that is not to be seen".to_owned());
        }
        Ok(key)
    }
}

/// Whether it is no JSON pointer though it looks like one, or has white space around it, which no name of a field has. A field
/// with a `/` in its name is found by a pointer, such as `/a~1b`.
fn leads_nowhere(pointer: &str) -> bool {
    pointer.trim() != pointer || pointer.contains('/') && !is_pointer(pointer)
}

/// The text cut at its braces; none where one is not closed, or has nothing in it.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, behind) = after.split_once('}')?;
        if pointer.is_empty() || pointer.contains('{') || before.contains('}') {
            return None;
        }
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Pointer(pointer));
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    (!rest.contains('}')).then_some(pieces)
}
