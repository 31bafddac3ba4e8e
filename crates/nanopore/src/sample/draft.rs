//! Reads the fields of an input one by one and collects everything that is wrong with them.

use serde_json::{Map, Value};

use super::field::FieldErrors;
use super::rule::{self, Text};

/// An input while it is read.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    fields: &'a Map<String, Value>,
    /// What it is a draft of, for people.
    what: &'static str,
    asked: Vec<&'static str>,
    errors: FieldErrors,
}

impl<'a> Draft<'a> {
    pub(super) fn new(fields: &'a Map<String, Value>) -> Self {
        Self::of(fields, "a sample")
    }

    pub(super) fn of(fields: &'a Map<String, Value>, what: &'static str) -> Self {
        Self {
            fields,
            what,
            asked: Vec::new(),
            errors: FieldErrors::default(),
        }
    }

    pub(super) fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.errors.add(field, message);
    }

    /// Ends the reading: a field that was never asked for does not exist.
    pub(super) fn finish(mut self) -> Result<(), FieldErrors> {
        for field in self.fields.keys() {
            if !self.asked.contains(&field.as_str()) {
                let text = format!("is not a field of {}", self.what);
                self.errors.add(field.as_str(), text);
            }
        }
        if self.errors.0.is_empty() {
            Ok(())
        } else {
            Err(self.errors)
        }
    }

    /// The value of `field`; `null` is no value.
    fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        self.asked.push(field);
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A text as it was written; its rule checks it and never changes it.
    pub(super) fn text(&mut self, field: &'static str, rule: Text) -> Option<String> {
        let text = self.any_text(field)?;
        match rule.check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(message) => {
                self.wrong(field, message);
                None
            }
        }
    }

    /// An e-mail address, without the spaces around it and in lower case.
    pub(super) fn email(&mut self, field: &'static str) -> Option<String> {
        let text = self.any_text(field)?.trim();
        match rule::email(text) {
            Ok(()) => Some(text.to_lowercase()),
            Err(message) => {
                self.wrong(field, message);
                None
            }
        }
    }

    /// One word of a closed list.
    pub(super) fn word<T>(
        &mut self,
        field: &'static str,
        from_word: fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<T> {
        let text = self.any_text(field)?;
        let found = from_word(text);
        if found.is_none() {
            self.wrong(
                field,
                format!(
                    "is `{}`, not one of {}",
                    text.escape_debug(),
                    words.join(", ")
                ),
            );
        }
        found
    }

    /// A number in a range.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        range: (f64, f64),
        unit: &str,
    ) -> Option<f64> {
        let value = self.value(field)?;
        let Some(number) = value.as_f64() else {
            self.wrong(field, "must be a number");
            return None;
        };
        match rule::range(number, range, unit) {
            Ok(()) => Some(number),
            Err(message) => {
                self.wrong(field, message);
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn count(&mut self, field: &'static str, min: u32, max: u32) -> Option<u32> {
        let value = self.value(field)?;
        let count = value
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| (min..=max).contains(count));
        if count.is_none() {
            self.wrong(field, format!("must be a whole number, {min} to {max}"));
        }
        count
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, field: &'static str) -> Option<bool> {
        let flag = self.value(field)?.as_bool();
        if flag.is_none() {
            self.wrong(field, "must be `true` or `false`");
        }
        flag
    }

    /// An object, as it was sent.
    pub(super) fn object(&mut self, field: &'static str) -> Option<&'a Map<String, Value>> {
        let object = self.value(field)?.as_object();
        if object.is_none() {
            self.wrong(field, "must be an object");
        }
        object
    }

    /// Says that `field` is missing, unless it was given (and perhaps refused already).
    pub(super) fn require(&mut self, field: &'static str) {
        if self.fields.get(field).is_none_or(Value::is_null) {
            self.wrong(field, "is required");
        }
    }

    fn any_text(&mut self, field: &'static str) -> Option<&'a str> {
        let value = self.value(field)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(field, "must be a text");
        }
        text
    }
}
