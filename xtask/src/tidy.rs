//! The house rules that a machine can check, each a pure function over the tree of files.

mod conformance;
mod documents;
mod files;
mod generated;
mod layers;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

use crate::failure::{Failure, Result};
use tree::Tree;

/// One place that breaks a rule. Line 0 means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A rule: all places of the tree that break it.
type Rule = fn(&Tree) -> Vec<Finding>;

/// The rules, in the order in which their findings are printed.
const RULES: [Rule; 16] = [
    files::first_line_says_what_the_file_is_for,
    files::no_mod_rs,
    files::no_large_file,
    files::no_path_of_one_machine,
    layers::crates_import_only_what_their_layer_may,
    layers::architecture_names_the_crates_that_exist,
    words::modules_keep_to_their_words,
    words::only_config_reads_the_environment,
    conformance::rules_of_delivery_are_listed,
    conformance::cases_name_tests_that_exist,
    documents::decisions_are_dated,
    documents::promises_name_tests_that_exist,
    documents::ticked_lines_of_the_plan_say_what_shows_them,
    documents::links_lead_to_files,
    generated::reference_pages_are_listed_once,
    generated::listed_reference_pages_exist,
];

/// Checks the tree under `root`, then the generated pages against the program that writes them.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = tree::load(root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    let programs = generated::build(root);
    findings.extend(generated::differences(&tree, generated::PAGES, |page| {
        generated::write(root, programs.as_ref()?, page)
    }));
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files, nothing to say", tree.files.len());
        return Ok(());
    }
    Err(Failure::Stage {
        name: "tidy",
        repeat: "cargo xtask tidy".to_owned(),
        why: format!("{} findings above", findings.len()),
    })
}

#[cfg(test)]
mod tests;
