//! JSON from outside that every reader understands alike: no name twice in an object, no deep nesting. Pure.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::words::json_fault;

/// Deepest nesting of arrays and objects; common parsers end at 100 or more.
pub(crate) const DEPTH_MAX: usize = 64;

/// Checks JSON from outside that is kept as it came.
///
/// # Errors
/// `Invalid`, naming the field, when it is not JSON, is nested too deep, has a name twice in one object, or has a number or text that
/// no reader can hold.
pub(crate) fn check(field: &str, data: &[u8]) -> Result<()> {
    look_at(data)
        .map_err(|error| Error::invalid(format!("`{field}` is not taken: {}", json_fault(&error))))
}

/// Reads JSON from outside as payloads of events are read: the body of a request, for one.
///
/// # Errors
/// When it is not JSON, is nested deeper than 64, has a name twice in one object, has a number or text that no reader can
/// hold, or is no `T`; [`json_fault`] says it in plain words.
pub fn read_json<T: DeserializeOwned>(json: &[u8]) -> std::result::Result<T, serde_json::Error> {
    look_at(json)?;
    serde_json::from_slice(json)
}

fn look_at(json: &[u8]) -> std::result::Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    Value { depth: 0 }.deserialize(&mut parser)?;
    parser.end()
}

/// Checks the nesting alone, of a payload that may be made by code and read by nobody before it is stored.
///
/// # Errors
/// `Invalid`, naming the field and the limit.
pub(crate) fn check_depth(field: &str, data: &[u8]) -> Result<()> {
    // Nearly all payloads have fewer brackets than that, and to count them many at a time costs next to nothing: the
    // count of as many bytes as that fits into a byte.
    let opens = |so_far: u8, it: &u8| so_far + u8::from((*it == b'[') | (*it == b'{'));
    let counts = data.chunks(usize::from(u8::MAX));
    let brackets: usize = counts.map(|it| usize::from(it.iter().fold(0, opens))).sum();
    if brackets <= DEPTH_MAX {
        return Ok(());
    }
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in data {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => depth += 1,
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Error::invalid(format!(
                "`{field}` is nested deeper than {DEPTH_MAX}"
            )));
        }
    }
    Ok(())
}

/// Whether a value that was made by code or read without a bound is nested too deep.
pub(crate) fn is_too_deep(value: &serde_json::Value) -> bool {
    fn is_deeper(value: &serde_json::Value, depth_max: usize) -> bool {
        let left = depth_max.checked_sub(1);
        let is_over = |it: &serde_json::Value| left.is_none_or(|left| is_deeper(it, left));
        match value {
            serde_json::Value::Array(items) => left.is_none() || items.iter().any(is_over),
            serde_json::Value::Object(fields) => left.is_none() || fields.values().any(is_over),
            _ => false,
        }
    }
    is_deeper(value, DEPTH_MAX)
}

/// Any value, at this depth.
#[derive(Clone, Copy)]
struct Value {
    depth: usize,
}

impl Value {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = entries.next_key::<String>()? {
            if names.contains(&name) {
                let name = name.escape_debug();
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            names.insert(name);
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A struct that is written as an object: by itself it would be read from a list of its fields as well.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Object)
    }
}

/// The entries of an object in which no name stands twice.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Entries<V>(pub(super) BTreeMap<String, V>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Entries<V> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Entries<V>, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, V>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            all.insert(name, value);
        }
        Ok(Entries(all))
    }
}

#[cfg(test)]
mod tests;
