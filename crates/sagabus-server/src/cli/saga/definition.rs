//! The definition of a saga in a file.

use std::io::Read;
use std::path::Path;

use sagabus::saga::Definition;
use sagabus::saga::definition::{DEFINITION_BYTES_MAX, InvalidDefinition};

use crate::cli::Failure;

/// A file with the definition that it holds, or why it holds none.
#[derive(Debug)]
pub(super) struct DefinitionFile {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) definition: Result<Definition, InvalidDefinition>,
}

impl DefinitionFile {
    /// Reads JSON where the file is named so, otherwise YAML.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let wrong = |text: String| Failure { text, code: 2 };
        let cannot = |error: std::io::Error| wrong(format!("cannot read `{name}`: {error}"));
        let bytes_max = u64::try_from(DEFINITION_BYTES_MAX).unwrap_or(u64::MAX);
        let file = std::fs::File::open(path).map_err(cannot)?;
        let mut bytes = Vec::new();
        // One more than it may have, which the definition then refuses.
        let mut file = file.take(bytes_max.saturating_add(1));
        file.read_to_end(&mut bytes).map_err(cannot)?;
        let is_json = path.extension().is_some_and(|it| it == "json");
        let definition = match std::str::from_utf8(&bytes) {
            Ok(text) if !is_json => Definition::from_yaml(text),
            // What is no text is refused as JSON for just that.
            Ok(_) | Err(_) => Definition::from_json(&bytes),
        };
        Ok(Self {
            name,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            definition,
        })
    }

    /// The definition, or a failure that says where in the file it is wrong.
    pub(super) fn valid(self) -> Result<Definition, Failure> {
        let name = self.name;
        self.definition.map_err(|error| Failure {
            text: format!("{}: {}", at(&name, error.place.position), error.told()),
            code: 2,
        })
    }
}

/// `FILE:LINE:COL`, as editors and terminals read it.
pub(super) fn at(file: &str, position: Option<sagabus::saga::definition::Position>) -> String {
    match position {
        Some(position) => format!("{file}:{}:{}", position.line, position.column),
        None => file.to_owned(),
    }
}
