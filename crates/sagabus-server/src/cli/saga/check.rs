//! `sagabus saga check`: what is wrong with a definition, what it needs, and what it changes of an older one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use sagabus::saga::Definition;
use sagabus::saga::definition::{Changed, Changes, Place, Wait};
use serde_json::{Value, json};

use super::definition::{DefinitionFile, at};
use super::print_json;
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Say what is wrong with a definition and where.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The definition: JSON where the file's name ends so, otherwise YAML
    file: PathBuf,
    /// Say what it changes of this older one, for sagas in flight
    #[arg(long, value_name = "OLD")]
    against: Option<PathBuf>,
}

/// Handlers by their names, each with the steps that it is for.
type Needed = BTreeMap<String, Vec<String>>;

impl Check {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let file = DefinitionFile::read(&self.file)?;
        let definition = match &file.definition {
            Ok(definition) => definition,
            Err(error) => {
                tell(output, &file, (&error.place, "error", &error.told()))?;
                return Err(Failure {
                    text: format!("`{}` is refused", file.name),
                    code: 2,
                });
            }
        };
        let old = match &self.against {
            Some(old) => Some(DefinitionFile::read(old)?.valid()?),
            None => None,
        };
        let warnings = definition.warnings().into_iter();
        let warnings = warnings.map(|it| (it.place.found_in(&file.text), it.kind.to_string()));
        let warnings: Vec<(Place, String)> = warnings.collect();
        if output == Output::Json {
            let warnings = warnings
                .iter()
                .map(|(place, text)| found(place, "warning", text));
            return print_json(&json!({
                "file": file.name,
                "name": definition.name(),
                "hash": definition.hash().to_string(),
                "steps": definition.steps().len(),
                "findings": warnings.collect::<Vec<_>>(),
                "handlers": needed(definition),
                "against": old.map(|old| of_changes(&old, definition)),
            }));
        }
        for (place, text) in &warnings {
            tell(output, &file, (place, "warning", text))?;
        }
        say!(
            "`{}` is good: saga `{}` with {} steps, hash {}",
            file.name,
            definition.name(),
            definition.steps().len(),
            definition.hash()
        );
        say!("it needs these handlers:");
        for (handler, steps) in needed(definition) {
            say!("  {handler} for {}", steps.join(", "));
        }
        if let Some(old) = old {
            say_changes(&old, definition);
        }
        Ok(())
    }
}

fn found(place: &Place, severity: &str, text: &str) -> Value {
    json!({
        "severity": severity,
        "path": place.path,
        "line": place.position.map(|it| it.line),
        "column": place.position.map(|it| it.column),
        "text": text,
    })
}

/// Tells of one finding.
fn tell(
    output: Output,
    file: &DefinitionFile,
    (place, severity, text): (&Place, &str, &str),
) -> Result<(), Failure> {
    if output == Output::Json {
        let findings = [found(place, severity, text)];
        return print_json(&json!({ "file": file.name, "findings": findings }));
    }
    let at = at(&file.name, place.position);
    match severity {
        "error" => say!("{at}: {text}"),
        severity => say!("{at}: {severity}: {text}"),
    }
    Ok(())
}

/// What must be registered before a saga can start: `service/action` with the steps.
fn needed(definition: &Definition) -> Needed {
    let mut needed = Needed::new();
    for step in definition.steps() {
        let name = |action: &str| {
            let of = step.version.map(|version| format!(" of version {version}"));
            let of = of.unwrap_or_default();
            match step.service.as_str() {
                "" => format!("{action}{of}"),
                service => format!("{service}/{action}{of}"),
            }
        };
        match &step.wait {
            None => needed
                .entry(name(&step.action))
                .or_default()
                .push(format!("step `{}`", step.id)),
            Some(Wait::Child(child)) => {
                for (handler, steps) in self::needed(&child.definition) {
                    let of = steps.into_iter().map(|it| format!("{it} in `{}`", step.id));
                    needed.entry(handler).or_default().extend(of);
                }
            }
            // What waits has no handler.
            Some(Wait::Signal { .. } | Wait::Approval { .. } | Wait::Timer(_)) => {}
        }
        if let Some(action) = &step.compensation_action {
            needed
                .entry(name(action))
                .or_default()
                .push(format!("compensation of `{}`", step.id));
        }
    }
    needed
}

/// Handlers that only sagas in flight still need.
fn still_needed(old: &Definition, new: &Definition) -> Vec<String> {
    let new: BTreeSet<String> = needed(new).into_keys().collect();
    let old = needed(old).into_keys();
    old.filter(|handler| !new.contains(handler)).collect()
}

/// Steps of the old definition that are not the same in the new one: a saga that has started one of them cannot be moved.
fn changed_steps(changes: &Changes) -> Vec<&str> {
    let steps = changes.steps.iter().filter_map(|it| match it {
        Changed::Added { .. } => None,
        Changed::Removed { step } | Changed::Fields { step, .. } => Some(step.as_str()),
    });
    steps.collect()
}

fn of_changes(old: &Definition, new: &Definition) -> Value {
    let changes = new.changes_from(old);
    let steps = changes.steps.iter().map(|it| match it {
        Changed::Added { step } => json!({ "step": step, "change": "added" }),
        Changed::Removed { step } => json!({ "step": step, "change": "removed" }),
        Changed::Fields { step, fields } => {
            json!({ "step": step, "change": "changed", "fields": fields })
        }
    });
    json!({
        "hash": old.hash().to_string(),
        "fields": changes.fields,
        "steps": steps.collect::<Vec<_>>(),
        "stillNeeded": still_needed(old, new),
        "changedSteps": changed_steps(&changes),
    })
}

fn say_changes(old: &Definition, new: &Definition) {
    let changes = new.changes_from(old);
    if changes.is_empty() {
        say!("nothing changes against the older one");
        return;
    }
    say!("against the older one, with hash {}:", old.hash());
    if !changes.fields.is_empty() {
        say!("  of the saga itself: {}", changes.fields.join(", "));
    }
    for change in &changes.steps {
        match change {
            Changed::Added { step } => say!("  step `{step}` is new"),
            Changed::Removed { step } => say!("  step `{step}` is gone"),
            Changed::Fields { step, fields } => say!("  step `{step}`: {}", fields.join(", ")),
        }
    }
    say!("sagas in flight keep the older one to their end; only new ones follow this one");
    let still = still_needed(old, new);
    if !still.is_empty() {
        say!(
            "until they have ended, keep these handlers: {}",
            still.join(", ")
        );
    }
    let changed = changed_steps(&changes);
    if !changed.is_empty() {
        say!(
            "a saga that has started one of these has done what this one does not say: {}",
            changed.join(", ")
        );
    }
}
