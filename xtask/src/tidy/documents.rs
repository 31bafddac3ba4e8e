//! Rules for the documents: names of decision notes, promises with their tests, a plan with its proofs, links.

use std::collections::BTreeSet;

use super::Finding;
use super::layers::backticked;
use super::tree::{Tree, has_extension};

/// Pages whose tables say, row by row, which tests show what.
const PROMISES: [&str; 3] = ["docs/promises.md", "docs/traps.md", "docs/bad-input.md"];
/// What the last cell of a row begins with that has no test, and the reason.
const NO_TEST: &str = "does not apply: ";
/// Rules of delivery are tests of every engine, by a macro.
const RULES: &str = "crates/sagabus/src/conformance/rules/";
const PLAN: &str = "docs/plan.md";

/// `docs/decisions/2026-01-31-some-words.md`, so that they sort by time.
pub(crate) fn decisions_are_dated(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter_map(|file| Some((file, file.path.strip_prefix("docs/decisions/")?)))
        .filter(|(_, name)| !is_dated(name))
        .map(|(file, _)| Finding::new(&file.path, 0, "is named `<yyyy-mm-dd>-<slug>.md`"))
        .collect()
}

fn is_dated(name: &str) -> bool {
    let Some((date, slug)) = name
        .strip_suffix(".md")
        .and_then(|stem| stem.split_at_checked("yyyy-mm-dd".len()))
    else {
        return false;
    };
    let parts: Vec<&str> = date.split('-').collect();
    let number = |text: &str, width: usize, most: u32| {
        text.len() == width && text.parse().is_ok_and(|it: u32| (1..=most).contains(&it))
    };
    let date_fits = matches!(parts.as_slice(), [year, month, day]
        if number(year, 4, 9999) && number(month, 2, 12) && number(day, 2, 31));
    let slug_fits = slug.strip_prefix('-').is_some_and(|slug| {
        !slug.is_empty()
            && slug
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    });
    date_fits && slug_fits
}

/// Each row of the tables of promises names, in its last cell, tests that exist, or says why there is none.
pub(crate) fn promises_name_tests_that_exist(tree: &Tree) -> Vec<Finding> {
    let tests = tests(tree);
    let mut findings = Vec::new();
    let pages = PROMISES
        .iter()
        .filter_map(|page| Some((*page, tree.text(page)?)));
    for (page, line, cell) in pages.flat_map(|(page, text)| {
        let cells = rows(text).into_iter();
        cells.map(move |(line, row)| (page, line, row.last().copied().unwrap_or_default()))
    }) {
        if cell
            .strip_prefix(NO_TEST)
            .is_some_and(|why| !why.is_empty())
        {
            continue;
        }
        let named = backticked(cell);
        if named.is_empty() {
            findings.push(Finding::new(page, line, "the row names no test"));
        }
        let lost = named
            .into_iter()
            .filter(|it| !tests.contains(last_name(it)));
        findings.extend(
            lost.map(|test| Finding::new(page, line, format!("there is no test `{test}`"))),
        );
    }
    findings
}

/// A ticked line of the plan ends in the command or the test that shows it; a test must exist.
pub(crate) fn ticked_lines_of_the_plan_say_what_shows_them(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(PLAN) else {
        return Vec::new();
    };
    // A name may stand for a group of tests, which is named as what it is about.
    let functions = functions(tree);
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(ticked) = line.trim_start().strip_prefix("- [x]") else {
            continue;
        };
        let shown = ticked
            .rsplit_once("shown by")
            .map(|(_, after)| backticked(after));
        match shown {
            None => {
                let text = "a ticked line ends in: shown by `test or command`";
                findings.push(Finding::new(PLAN, index + 1, text));
            }
            Some(names) => {
                let lost = names.into_iter().filter(|name| {
                    let a_test = name.contains('_') && name.bytes().all(is_path_of_names);
                    a_test && !functions.contains(last_name(name))
                });
                findings.extend(lost.map(|name| {
                    Finding::new(PLAN, index + 1, format!("there is no test `{name}`"))
                }));
            }
        }
    }
    findings
}

/// A relative link in a document leads to a file of the tree.
pub(crate) fn links_lead_to_files(tree: &Tree) -> Vec<Finding> {
    let exist: BTreeSet<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| has_extension(path, "md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (index, line) in text.lines().enumerate() {
            for target in line
                .split("](")
                .skip(1)
                .filter_map(|it| it.split(')').next())
            {
                let file = target.split('#').next().unwrap_or(target);
                if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                    continue;
                }
                let full = resolved(folder, file);
                let inside = format!("{full}/");
                let found = exist.contains(full.as_str())
                    || exist.iter().any(|path| path.starts_with(&inside));
                if !found {
                    let text = format!("links to `{target}`, which is not there");
                    findings.push(Finding::new(path, index + 1, text));
                }
            }
        }
    }
    findings
}

/// `file` as seen from `folder`, without `.` and `..`.
fn resolved(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Line and cells of each row of the text's tables, without heads and rules.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule =
        |line: &&str| line.starts_with("|-") || line.starts_with("|:") || line.starts_with("| -");
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_head = lines.get(index + 1).is_some_and(is_rule);
        if line.starts_with('|') && !is_head && !is_rule(line) {
            let cells = line.trim().trim_matches('|').split('|').map(str::trim);
            rows.push((index + 1, cells.collect()));
        }
    }
    rows
}

/// The names of all tests: functions under an attribute that makes one of them, and rules of delivery.
fn tests(tree: &Tree) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    for (path, text) in tree.rust() {
        let mut is_test = false;
        for line in text.lines() {
            let attribute = line.trim_start();
            is_test |= attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test");
            if let Some(name) = function(line) {
                if is_test || path.starts_with(RULES) {
                    tests.insert(name);
                }
                is_test = false;
            }
        }
    }
    tests
}

/// The names of all functions in Rust files.
pub(crate) fn functions(tree: &Tree) -> BTreeSet<&str> {
    let lines = tree.rust().flat_map(|(_, text)| text.lines());
    lines.filter_map(function).collect()
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let starts = before.is_empty() || before.ends_with(' ');
    let (name, _) = after.split_once(['(', '<'])?;
    starts.then_some(name.trim())
}

/// `name` of `module::name`.
fn last_name(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn is_path_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}
