//! Rules for any file: its first line, its name, its size, and no path of one machine.

use super::Finding;
use super::tree::Tree;

/// Largest tracked file: fixtures are small, anything else is made or fetched.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Starts of paths that exist on one machine only; split, so that this file does not break its own rule.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/tm", "p/target"),
    concat!("/ro", "ot/"),
];

/// Every Rust file starts with one sentence about itself.
pub(crate) fn first_line_says_what_the_file_is_for(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(_, text)| !text.lines().next().is_some_and(is_module_sentence))
        .map(|(path, _)| {
            let text = "the first line must be `//! One sentence: what this file is for.`";
            Finding::new(path, 1, text)
        })
        .collect()
}

fn is_module_sentence(line: &str) -> bool {
    let Some(sentence) = line.strip_prefix("//! ") else {
        return false;
    };
    let starts_well =
        sentence.starts_with(|it: char| it.is_uppercase() || it.is_numeric() || it == '`');
    starts_well && sentence.ends_with(['.', '!', '?']) && sentence.split_whitespace().count() > 1
}

/// A module with parts is `foo.rs` beside `foo/`.
pub(crate) fn no_mod_rs(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter(|file| file.path.rsplit('/').next() == Some("mod.rs"))
        .map(|file| {
            Finding::new(
                &file.path,
                0,
                "is named `foo.rs` beside `foo/`, not `mod.rs`",
            )
        })
        .collect()
}

/// No file is larger than a megabyte.
pub(crate) fn no_large_file(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter(|file| file.bytes > FILE_BYTES_MAX)
        .map(|file| {
            let text = format!("has {} bytes, more than {FILE_BYTES_MAX}", file.bytes);
            Finding::new(&file.path, 0, text)
        })
        .collect()
}

/// No text names a folder that only one machine has.
pub(crate) fn no_path_of_one_machine(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            if let Some(found) = MACHINE_PATHS.iter().find(|start| line.contains(**start)) {
                let text = format!("names `{found}`, a path of one machine");
                findings.push(Finding::new(path, index + 1, text));
            }
        }
    }
    findings
}
