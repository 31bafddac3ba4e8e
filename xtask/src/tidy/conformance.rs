//! The list of the rules of delivery names each rule that is written, with its case and level, and no other.

use super::Finding;
use super::documents::functions as functions_of;
use super::tree::Tree;

const LIST: &str = "crates/sagabus/src/conformance/list.rs";
const RULES: &str = "crates/sagabus/src/conformance/rules/";
const CASES: &str = "crates/sagabus/src/conformance/cases.rs";

/// A rule as a file writes it or as the list names it.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'a> {
    group: &'a str,
    id: &'a str,
    level: &'a str,
    name: &'a str,
}

/// A function of a file of rules.
struct Function<'a> {
    line: usize,
    name: &'a str,
    /// Case and level, where its comment says them.
    case: Option<(&'a str, &'a str)>,
}

/// Every rule has a case and a level, and stands in the list with them; every line of the list is a rule.
pub(crate) fn rules_of_delivery_are_listed(tree: &Tree) -> Vec<Finding> {
    let listed = tree.text(LIST).map_or_else(Vec::new, listed);
    let mut findings = Vec::new();
    let mut written = Vec::new();
    for (path, text) in tree.rust() {
        let group = path
            .strip_prefix(RULES)
            .and_then(|it| it.strip_suffix(".rs"));
        let Some(group) = group else {
            continue;
        };
        for Function { line, name, case } in functions(text) {
            let Some((id, level)) = case else {
                let text = format!("`{name}` has no case and level, such as `/// B01 MUST: …`");
                findings.push(Finding::new(path, line, text));
                continue;
            };
            let rule = Rule {
                group,
                id,
                level,
                name,
            };
            if !listed.iter().any(|(_, it)| *it == rule) {
                let text = format!("`{name}` is not in {LIST} as `{id} {level}` of `{group}`");
                findings.push(Finding::new(path, line, text));
            }
            written.push((group, name));
        }
    }
    for (line, rule) in listed {
        if !written.contains(&(rule.group, rule.name)) {
            let text = format!(
                "no rule `{}` is written in {RULES}{}.rs",
                rule.name, rule.group
            );
            findings.push(Finding::new(LIST, line, text));
        }
    }
    findings
}

/// A test that shows a case which no rule shows exists.
pub(crate) fn cases_name_tests_that_exist(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(CASES) else {
        return Vec::new();
    };
    let functions = functions_of(tree);
    let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let quoted = line.trim().strip_prefix('"');
        let name = quoted.and_then(|it| it.strip_suffix("\","));
        let is_test = |it: &&str| it.contains('_') && it.bytes().all(is_letter);
        if let Some(name) = name.filter(is_test)
            && !functions.contains(name)
        {
            let text = format!("there is no test `{name}`");
            findings.push(Finding::new(CASES, number, text));
        }
    }
    findings
}

/// The rules of the list: `group {`, then lines of `B01 MUST name,`.
fn listed(text: &str) -> Vec<(usize, Rule<'_>)> {
    let mut group = "";
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.trim().trim_end_matches(',').split(' ').collect();
        match words.as_slice() {
            [name, "{"] => group = name,
            [id, level, name] if is_case(id, level) => found.push((
                number,
                Rule {
                    group,
                    id,
                    level,
                    name,
                },
            )),
            _ => {}
        }
    }
    found
}

/// The rules in a file.
fn functions(text: &str) -> Vec<Function<'_>> {
    let mut case = None;
    let mut found = Vec::new();
    let mut is_in_comment = false;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(comment) = line.strip_prefix("/// ") {
            if !is_in_comment {
                case = stated(comment);
            }
            is_in_comment = true;
            continue;
        }
        is_in_comment = false;
        let name = line
            .strip_prefix("pub async fn ")
            .and_then(|it| it.split('(').next());
        if let Some(name) = name {
            let line = number;
            found.push(Function { line, name, case });
        }
        if !line.starts_with('#') {
            case = None;
        }
    }
    found
}

/// `B01 MUST: …` as case and level.
fn stated(comment: &str) -> Option<(&str, &str)> {
    let (case, _) = comment.split_once(": ")?;
    case.split_once(' ')
        .filter(|(id, level)| is_case(id, level))
}

fn is_case(id: &str, level: &str) -> bool {
    let digits = id.strip_prefix(|it: char| it.is_ascii_uppercase());
    digits.is_some_and(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_digit()))
        && matches!(level, "MUST" | "SHOULD" | "CAP")
}
