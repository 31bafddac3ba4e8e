//! Which parts of its input the events of a saga carry.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::each::is_pointer;

/// Most parts of the input that events carry: each event has all of them.
pub const EVENT_INPUT_PARTS_MAX: usize = 16;
/// Most bytes of those parts with their names, as JSON (4 KiB): a saga of ten steps has more than twenty events.
pub const EVENT_INPUT_BYTES_MAX: usize = 4 * 1024;

/// Parts of the input by their JSON pointers.
pub type InputParts = BTreeMap<String, Value>;

/// Whether these are JSON pointers to parts of something, not too many and none twice.
pub(super) fn is_valid(pointers: &[String]) -> bool {
    let each: BTreeSet<&String> = pointers.iter().collect();
    let is_part = |pointer: &&String| !pointer.is_empty() && is_pointer(pointer);
    pointers.len() <= EVENT_INPUT_PARTS_MAX
        && each.len() == pointers.len()
        && pointers.iter().all(|pointer| is_part(&pointer))
}

/// A copy of the parts of `input` that are there; in words why there is none.
pub(super) fn parts(pointers: &[String], input: &[u8]) -> Result<InputParts, String> {
    if pointers.is_empty() {
        return Ok(InputParts::new());
    }
    let input: Value = serde_json::from_slice(input).map_err(|error| error.to_string())?;
    let parts = pointers.iter().filter_map(|pointer| {
        let part = input.pointer(pointer)?;
        Some((pointer.clone(), part.clone()))
    });
    let parts: InputParts = parts.collect();
    let bytes = serde_json::to_vec(&parts).map_or(usize::MAX, |json| json.len());
    match bytes <= EVENT_INPUT_BYTES_MAX {
        true => Ok(parts),
        false => Err(format!(
            "the parts of the input that its events carry have {bytes} bytes, more than {EVENT_INPUT_BYTES_MAX}"
        )),
    }
}
