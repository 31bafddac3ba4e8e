//! The rules for alerts that come with the program.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::program::{Place, Server};

/// What PromQL calls its own in the rules.
const WORDS: &[&str] = &[
    "and",
    "by",
    "changes",
    "histogram_quantile",
    "le",
    "rate",
    "sum",
    "up",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ops/prometheus")
}

/// Names of the metrics that an expression reads, without what stands in braces, brackets and quotes.
fn names(expression: &str) -> BTreeSet<String> {
    let (mut names, mut name, mut depth) = (BTreeSet::new(), String::new(), 0);
    for char in expression.chars().chain([' ']) {
        match char {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            'a'..='z' | '_' | '0'..='9' if depth == 0 => {
                name.push(char);
                continue;
            }
            _ => {}
        }
        let found = std::mem::take(&mut name);
        if found.starts_with(|it: char| it.is_ascii_lowercase()) && !WORDS.contains(&&*found) {
            names.insert(found);
        }
    }
    names
}

#[test]
fn every_metric_that_an_alert_reads_is_told_by_the_program() {
    let rules = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let read: BTreeSet<String> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .flat_map(names)
        .collect();
    assert!(read.len() > 15, "{read:?}");
    let place = Place::new();
    let server = Server::start(&place);
    // What is counted by type and by route is there from the first one on.
    let event = json!({"type": "lab.noted", "source": "test", "data": {}});
    server.post("/api/events", &event).expect(201);
    let metrics = server.get("/metrics").text();
    for name in &read {
        let mut lines = metrics.lines();
        let is_it = |line: &str| {
            let rest = line.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(lines.any(is_it), "`{name}` is told by nobody:\n{metrics}");
    }
    let page = folder().join("../../docs/reference/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    for line in metrics.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap();
            let total = if kind == "counter" { "_total" } else { "" };
            let entry = format!("`{name}{total}");
            assert!(
                page.contains(&entry),
                "docs/reference/metrics.md lacks {entry}`"
            );
        }
    }
    server.terminate();
}

#[test]
fn promtool_takes_the_rules_and_each_alert_fires_when_it_should_and_not_before() {
    let own = folder().join("../../target/tools/usr/bin/promtool");
    let programs = [PathBuf::from("promtool"), own];
    let answers = |it: &&PathBuf| Command::new(it).arg("--version").output().is_ok();
    let Some(promtool) = programs.iter().find(answers) else {
        println!("skipped: the rules for alerts are not tried: there is no `promtool`");
        return;
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let mut command = Command::new(promtool);
        let output = command.args(arguments).current_dir(folder()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{wrong}");
    }
    let rules = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(folder().join("alerts_test.yml")).unwrap();
    for line in rules.lines().filter(|line| line.contains("- alert: ")) {
        let (_, name) = line.split_once(": ").unwrap();
        let case = format!("alertname: {name}}}");
        assert!(tests.contains(&case), "no case in which `{name}` is silent");
    }
}
