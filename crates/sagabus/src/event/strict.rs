//! JSON from outside that every reader understands alike: no name twice in an object, no deep nesting. Pure.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// Deepest nesting of arrays and objects; common parsers end at 100 or more.
const DEPTH_MAX: usize = 64;

/// Checks a payload from outside.
///
/// # Errors
/// `Invalid` when it is not JSON, is nested too deep, or has a name twice in one object.
pub(super) fn check(data: &[u8]) -> Result<()> {
    let mut parser = serde_json::Deserializer::from_slice(data);
    Value { depth: 0 }
        .deserialize(&mut parser)
        .and_then(|()| parser.end())
        .map_err(|error| Error::invalid("`data` is not taken").with_source(error))
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
