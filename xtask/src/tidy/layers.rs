//! The layer table: which crate may import which, and that the architecture page names them all.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::Tree;

/// What one crate may import.
struct Layer {
    name: &'static str,
    /// Crates of this workspace.
    may_import: &'static [&'static str],
    /// Foreign crates that would pull its layer down.
    never: &'static [&'static str],
}

const SERVICE: &[&str] = &["sagabus", "nanopore", "http-api"];
const CLIENTS: &[&str] = &["redis", "rdkafka", "tokio-postgres", "sqlx"];

/// One row per crate of the workspace. A new row, or a wider one, is a change of the architecture.
const LAYERS: [Layer; 9] = [
    Layer {
        name: "sagabus-macros",
        may_import: &[],
        never: &["tokio", "rusqlite"],
    },
    Layer {
        name: "sagabus",
        may_import: &["sagabus-macros"],
        never: &[
            "axum",
            "hyper",
            "reqwest",
            "clap",
            "pdf-extract",
            "redis",
            "rdkafka",
            "tokio-postgres",
            "sqlx",
        ],
    },
    Layer {
        name: "http-api",
        may_import: &["sagabus", "nanopore"],
        never: CLIENTS,
    },
    Layer {
        name: "nanopore",
        may_import: &["sagabus"],
        never: &[
            "axum",
            "hyper",
            "reqwest",
            "rusqlite",
            "tokio",
            "clap",
            "pdf-extract",
        ],
    },
    Layer {
        name: "sample-service",
        may_import: SERVICE,
        never: CLIENTS,
    },
    Layer {
        name: "ai-service",
        may_import: SERVICE,
        never: CLIENTS,
    },
    Layer {
        name: "audit-service",
        may_import: SERVICE,
        never: CLIENTS,
    },
    Layer {
        name: "sagabus-server",
        may_import: &[
            "sagabus",
            "nanopore",
            "http-api",
            "sample-service",
            "ai-service",
            "audit-service",
        ],
        never: &[],
    },
    Layer {
        name: "xtask",
        may_import: &[],
        never: &[],
    },
];

/// A crate's manifest: its name and what it depends on, tests' needs included.
struct Manifest<'a> {
    path: &'a str,
    name: &'a str,
    dependencies: Vec<(usize, &'a str)>,
}

/// Every crate is in the table and imports nothing that its row leaves out.
pub(crate) fn crates_import_only_what_their_layer_may(tree: &Tree) -> Vec<Finding> {
    let manifests = manifests(tree);
    let ours: BTreeSet<&str> = manifests.iter().map(|it| it.name).collect();
    let table: BTreeMap<&str, &Layer> = LAYERS.iter().map(|it| (it.name, it)).collect();
    let mut findings = Vec::new();
    for manifest in &manifests {
        let Some(layer) = table.get(manifest.name) else {
            let text = format!(
                "`{}` is not in the layer table of xtask/src/tidy/layers.rs: say what it may import",
                manifest.name
            );
            findings.push(Finding::new(manifest.path, 0, text));
            continue;
        };
        for &(line, name) in &manifest.dependencies {
            let own = ours.contains(name) && name != manifest.name;
            let refused = own && !layer.may_import.contains(&name) || layer.never.contains(&name);
            if refused {
                let text = format!("`{}` may not import `{name}`", manifest.name);
                findings.push(Finding::new(manifest.path, line, text));
            }
        }
    }
    findings
}

/// The first column of the table under `## Crates` is the list of crates, and no other crate is spoken of.
pub(crate) fn architecture_names_the_crates_that_exist(tree: &Tree) -> Vec<Finding> {
    const PAGE: &str = "ARCHITECTURE.md";
    let Some(page) = tree.text(PAGE) else {
        return vec![Finding::new(PAGE, 0, "is missing")];
    };
    let exist: BTreeSet<&str> = manifests(tree).iter().map(|it| it.name).collect();
    let mut findings = Vec::new();
    let mut named = BTreeSet::new();
    let mut in_crates = false;
    for (index, line) in page.lines().enumerate() {
        if line.starts_with('#') {
            in_crates = line.trim_start_matches('#').trim() == "Crates";
        }
        let first_cell = line.strip_prefix('|').and_then(|row| row.split('|').next());
        let in_table = first_cell.filter(|_| in_crates).map(backticked);
        named.extend(in_table.iter().flatten().copied());
        let gone = backticked(line).into_iter().filter(|&word| {
            let a_crate = word.starts_with("sagabus-") || word.ends_with("-service");
            let listed = in_table.as_ref().is_some_and(|row| row.contains(&word));
            (a_crate || listed) && !exist.contains(word)
        });
        for word in gone {
            let text = format!("names the crate `{word}`, which does not exist");
            findings.push(Finding::new(PAGE, index + 1, text));
        }
    }
    for name in exist.difference(&named) {
        let text = format!("the table under `## Crates` has no row for `{name}`");
        findings.push(Finding::new(PAGE, 0, text));
    }
    findings
}

fn manifests(tree: &Tree) -> Vec<Manifest<'_>> {
    tree.texts()
        .filter(|(path, _)| {
            let parts: Vec<&str> = path.split('/').collect();
            matches!(
                parts.as_slice(),
                ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"]
            )
        })
        .filter_map(|(path, text)| manifest(path, text))
        .collect()
}

/// Reads what the rules need of a manifest: `name`, and the names in all tables of dependencies.
fn manifest<'a>(path: &'a str, text: &'a str) -> Option<Manifest<'a>> {
    let mut section = "";
    let mut name = None;
    let mut dependencies = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            if let Some((table, dependency)) = section.rsplit_once('.')
                && is_dependencies(table)
            {
                dependencies.push((index + 1, dependency.trim_matches('"')));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if section == "package" && key == "name" {
            name = Some(value.trim_matches('"'));
        } else if is_dependencies(section) {
            let short = key.split('.').next().unwrap_or(key).trim_matches('"');
            dependencies.push((index + 1, renamed(value).unwrap_or(short)));
        } else if key == "package"
            && section
                .rsplit_once('.')
                .is_some_and(|(table, _)| is_dependencies(table))
        {
            dependencies.push((index + 1, value.trim_matches('"')));
        }
    }
    Some(Manifest {
        path,
        name: name?,
        dependencies,
    })
}

fn is_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or(section);
    matches!(
        last,
        "dependencies" | "dev-dependencies" | "build-dependencies"
    )
}

/// The real name in `{ package = "name", … }`.
fn renamed(value: &str) -> Option<&str> {
    let (_, after) = value.split_once("package")?;
    after.trim_start().strip_prefix('=')?.split('"').nth(1)
}

/// The words between backticks.
pub(crate) fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
