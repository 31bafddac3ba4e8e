//! JSON from outside that every reader understands alike: no name twice in an object, no deep nesting. Pure.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of lists and objects that is taken; it is that of payloads of events, which tell what was sent.
const DEPTH_MAX: usize = 64;

/// Reads the body of a request.
///
/// # Errors
/// When it is not JSON, is nested too deep, has a name twice in one object, or is no `T`.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    check(body)?;
    serde_json::from_slice(body)
}

fn check(json: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    Any { depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

/// Any value, at this depth.
#[derive(Clone, Copy)]
struct Any {
    depth: usize,
}

impl Any {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth {
            DEPTH_MAX => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX}"))),
            depth => Ok(Self { depth: depth + 1 }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
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

#[cfg(test)]
mod tests {
    use sagabus::event::json_fault;
    use serde_json::{Map, Value};

    use super::*;

    fn fault(body: &str) -> Option<String> {
        let read = read::<Map<String, Value>>(body.as_bytes());
        read.err().map(|error| json_fault(&error))
    }

    #[test]
    fn a_name_that_stands_twice_is_named_at_any_depth_and_however_it_is_written() {
        for body in [
            r#"{"twin":1,"twin":2}"#,
            r#"{"a":[{"twin":1,"\u0074win":1}]}"#,
        ] {
            let fault = fault(body).unwrap();
            assert!(fault.contains("`twin` is there twice, line 1"), "{fault}");
        }
        assert_eq!(fault(r#"{"a":{"b":1},"b":{"b":1}}"#), None);
    }

    #[test]
    fn nesting_is_taken_to_its_limit_and_no_deeper() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!("{{\"a\":{open}{close}}}")
        };
        assert_eq!(fault(&nested(DEPTH_MAX)), None);
        for depth in [DEPTH_MAX + 1, 128, 100_000] {
            let fault = fault(&nested(depth)).unwrap();
            assert!(fault.contains("nested deeper than 64"), "{fault}");
        }
    }

    #[test]
    fn what_is_no_json_or_something_else_is_told_in_plain_words() {
        for (body, words) in [
            ("{", "ends too early"),
            ("{} x", "more behind its end"),
            ("[]", "is a list, and must be an object"),
            (r#"{"a":1e400}"#, "larger than readers can hold"),
            (r#"{"a":"\ud800"}"#, "half a pair"),
        ] {
            let fault = fault(body).unwrap();
            assert!(fault.contains(words), "{body}: {fault}");
        }
    }
}
