//! Reference pages that the program writes itself: the page in the tree must be what it writes today.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Finding;
use super::tree::Tree;

/// A page and what writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) program: Program,
}

/// What writes a page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// `sagabus reference` with this name.
    Reference(&'static str),
    /// A program of the library, which runs tests to write the page.
    Library(&'static str),
}

/// One row per generated page, such as `docs/reference/settings.md` of `settings`.
pub(crate) const PAGES: &[Page] = &[
    Page {
        path: "docs/reference/settings.md",
        program: Program::Reference("settings"),
    },
    Page {
        path: "docs/reference/asyncapi.json",
        program: Program::Reference("asyncapi"),
    },
    Page {
        path: "docs/reference/openapi.json",
        program: Program::Reference("openapi"),
    },
    Page {
        path: "docs/reference/capabilities.md",
        program: Program::Library("capabilities"),
    },
];

/// The line that a generated page starts with, so that nobody edits it by hand.
const MARK: &str = "<!-- generated:";

/// A page that says it is generated is in the list.
pub(crate) fn reference_pages_are_listed_once(tree: &Tree) -> Vec<Finding> {
    unlisted(tree, PAGES)
}

/// A page of the list is in the tree.
pub(crate) fn listed_reference_pages_exist(tree: &Tree) -> Vec<Finding> {
    missing(tree, PAGES)
}

pub(super) fn unlisted(tree: &Tree, pages: &[Page]) -> Vec<Finding> {
    tree.texts()
        .filter(|(path, text)| path.starts_with("docs/reference/") && text.starts_with(MARK))
        .filter(|(path, _)| pages.iter().filter(|page| page.path == *path).count() != 1)
        .map(|(path, _)| {
            let text = "is generated, so it must stand once in xtask/src/tidy/generated.rs";
            Finding::new(path, 0, text)
        })
        .collect()
}

pub(super) fn missing(tree: &Tree, pages: &[Page]) -> Vec<Finding> {
    pages
        .iter()
        .filter(|page| tree.text(page.path).is_none())
        .map(|page| {
            Finding::new(
                page.path,
                0,
                format!("is missing; write it with `{}`", line(page)),
            )
        })
        .collect()
}

/// Pages that are not what `write` gives.
pub(crate) fn differences(
    tree: &Tree,
    pages: &[Page],
    write: impl Fn(&Page) -> Result<String, String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in pages {
        let Some(text) = tree.text(page.path) else {
            continue;
        };
        match write(page) {
            Ok(today) if today == text => {}
            Ok(today) => {
                let pairs = text.lines().zip(today.lines());
                let same = pairs.take_while(|(old, new)| old == new).count();
                let text = format!("is not what `{}` writes; write it again", line(page));
                findings.push(Finding::new(page.path, same + 1, text));
            }
            Err(why) => {
                let text = format!("`{}` failed: {why}", line(page));
                findings.push(Finding::new(page.path, 0, text));
            }
        }
    }
    findings
}

/// Builds the programs, with all that the tests need too: those come after this among all checks, and find it built. Says where
/// the programs are.
pub(crate) fn build(root: &Path) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command.args([
        "test",
        "--quiet",
        "--workspace",
        "--all-features",
        "--no-run",
    ]);
    printed(command.current_dir(root))?;
    // They are built beside this one.
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().ok_or("this program is in no folder")?;
    Ok(folder.to_owned())
}

/// Runs the program, which is in this folder, and takes what it prints.
pub(crate) fn write(root: &Path, programs: &Path, page: &Page) -> Result<String, String> {
    let mut command = match page.program {
        Program::Reference(name) => {
            let mut command = Command::new(programs.join("sagabus"));
            command.args(["reference", name]);
            command
        }
        Program::Library(name) => Command::new(programs.join(name)),
    };
    printed(command.current_dir(root))
}

/// What a program prints that ends well.
fn printed(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(text.trim().to_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// What a person types to write the page.
fn line(page: &Page) -> String {
    match page.program {
        Program::Reference(name) => {
            format!("cargo run --quiet -p sagabus-server -- reference {name}")
        }
        Program::Library(name) => {
            format!("cargo run --quiet -p sagabus --all-features --bin {name}")
        }
    }
}
