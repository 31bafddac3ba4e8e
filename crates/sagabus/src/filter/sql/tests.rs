//! The language: the standard's test cases, our additions to it, and what must hold for any text.

mod any;
mod language;
mod tck;

use std::collections::BTreeMap;

use super::*;

/// Attributes with types, which an event of this bus does not have: its attributes are text.
#[derive(Default)]
struct Table(BTreeMap<&'static str, Value<'static>>);

impl Scope for Table {
    fn attribute(&self, name: &Name) -> Option<Value<'_>> {
        self.0.get(name.as_str()).cloned()
    }

    fn data(&self, _: &str) -> Result<Value<'_>, Fault> {
        Err(Fault::NotJson)
    }
}

/// An event that has what the standard requires, with these attributes instead or as well.
fn table(attributes: &[(&'static str, Value<'static>)]) -> Table {
    let mut table = BTreeMap::from([
        ("id", "an-id".into()),
        ("source", "/a/source".into()),
        ("type", "a.type".into()),
        ("specversion", "1.0".into()),
    ]);
    table.extend(attributes.iter().cloned());
    Table(table)
}
