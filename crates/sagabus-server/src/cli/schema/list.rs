//! `sagabus schema list`: the event types with their versions.

use clap::Args;

use super::Failure;
use crate::cli::Output;
use crate::wire;

/// List the event types with their versions.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let registry = super::registry()?;
        if self.output == Output::Json {
            return super::print_json(&wire::event_types(&registry));
        }
        let mut lines = Vec::new();
        for event_type in registry.types() {
            let versions = registry.versions(event_type);
            let names: Vec<String> = versions.iter().map(|it| it.version.to_string()).collect();
            let source = versions.last().and_then(|it| it.source).unwrap_or("-");
            lines.push(format!("{event_type:<32} {:<12} {source}", names.join(" ")));
        }
        super::print(lines.join("\n"))
    }
}
