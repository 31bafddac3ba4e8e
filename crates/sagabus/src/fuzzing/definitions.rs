//! Definitions of sagas, as JSON and as YAML.

use super::refused;
use crate::saga::Definition;
use crate::saga::definition::{DEFINITION_BYTES_MAX, InvalidDefinition};

/// The input is read as both.
pub(super) fn definitions(bytes: &[u8]) {
    let json = checked(Definition::from_json(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let yaml = checked(Definition::from_yaml(text));
    if let (Some(json), Some(yaml)) = (json, yaml) {
        assert_eq!(json.name(), yaml.name());
        assert_eq!(json.steps().len(), yaml.steps().len());
    }
}

/// What is taken has one canonical form, which is read as the same definition with the same hash.
fn checked(read: Result<Definition, InvalidDefinition>) -> Option<Definition> {
    match read {
        Ok(definition) => {
            let canonical = definition.to_json();
            assert!(canonical.len() <= DEFINITION_BYTES_MAX);
            let again = Definition::from_json(&canonical).expect("what is written is taken");
            assert_eq!(again, definition);
            assert_eq!(again.hash(), definition.hash());
            assert_eq!(again.steps(), definition.steps());
            assert_eq!(again.to_json(), canonical);
            Some(definition)
        }
        Err(error) => {
            refused(&error.into());
            None
        }
    }
}
