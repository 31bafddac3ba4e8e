//! Each rule with a planted violation beside what is allowed.

use std::fs;
use std::path::PathBuf;

use super::generated::{Page, Program};
use super::tree::{File, Tree};
use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| File {
        path: (*path).to_owned(),
        bytes: text.len(),
        text: Some((*text).to_owned()),
    });
    Tree {
        files: files.collect(),
    }
}

/// Each expected finding is `path:line` (or `path` for the whole file) and a word of its text.
#[track_caller]
fn check(rule: impl Fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let found: Vec<String> = rule(&tree(files)).iter().map(Finding::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (finding, (place, word)) in found.iter().zip(expected) {
        assert!(finding.starts_with(&format!("{place}: ")), "{finding}");
        assert!(finding.contains(word), "{finding}");
    }
}

#[test]
fn a_file_without_a_first_sentence_is_found() {
    let rule = files::first_line_says_what_the_file_is_for;
    let found = [
        ("a.rs:1", "first line"),
        ("b.rs:1", ""),
        ("c.rs:1", ""),
        ("d.rs:1", ""),
    ];
    let files = [
        ("a.rs", "fn main() {}\n"),
        ("b.rs", "//! no capital and no stop\n"),
        ("c.rs", ""),
        ("d.rs", "//! Word.\n"),
        ("e.rs", "//! What it is for.\n"),
        ("f.rs", "//! `name`: what it is for.\n"),
        ("g.md", "text\n"),
    ];
    check(rule, &files, &found);
}

#[test]
fn mod_rs_is_found() {
    let files = [
        ("a/mod.rs", ""),
        ("mod.rs", ""),
        ("a/cmod.rs", ""),
        ("a.rs", ""),
    ];
    check(
        files::no_mod_rs,
        &files,
        &[("a/mod.rs", "beside"), ("mod.rs", "")],
    );
}

#[test]
fn a_large_file_is_found() {
    let large = "x".repeat(1024 * 1024 + 1);
    let limit = "x".repeat(1024 * 1024);
    let files = [("large", large.as_str()), ("limit", limit.as_str())];
    check(files::no_large_file, &files, &[("large", "1048577")]);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let (one, two) = (
        concat!("see /wo", "rk/x\n"),
        concat!("a\nb /ro", "ot/.cargo\n"),
    );
    let files = [
        ("a.md", one),
        ("b.toml", two),
        ("c.md", "work/ and root/ are words\n"),
    ];
    let found = [("a.md:1", "one machine"), ("b.toml:2", "one machine")];
    check(files::no_path_of_one_machine, &files, &found);
}

#[test]
fn a_crate_that_is_in_no_layer_is_found() {
    let files = [("crates/new/Cargo.toml", "[package]\nname = \"new\"\n")];
    let found = [("crates/new/Cargo.toml", "say what it may import")];
    check(
        layers::crates_import_only_what_their_layer_may,
        &files,
        &found,
    );
}

#[test]
fn an_import_against_the_layers_is_found_in_every_spelling() {
    let audit = "[package]\nname = \"audit-service\"\n[dependencies]\nsagabus.workspace = true\n\
        ai-service.workspace = true\nother = { package = \"ai-service\", path = \"../ai-service\" }\n\
        [dev-dependencies]\nai-service = { path = \"../ai-service\" }\n\
        [target.'cfg(unix)'.dependencies.ai-service]\npath = \"../ai-service\"\n\
        [features]\nai-service = []\n";
    let files = [
        (
            "crates/ai-service/Cargo.toml",
            "[package]\nname = \"ai-service\"\n",
        ),
        ("crates/audit-service/Cargo.toml", audit),
        (
            "crates/sagabus/Cargo.toml",
            "[package]\nname = \"sagabus\"\n[dependencies]\naxum = \"0.8\"\n[dev-dependencies]\nsagabus = { path = \".\" }\n",
        ),
    ];
    let found = [
        (
            "crates/audit-service/Cargo.toml:5",
            "may not import `ai-service`",
        ),
        ("crates/audit-service/Cargo.toml:6", ""),
        ("crates/audit-service/Cargo.toml:8", ""),
        ("crates/audit-service/Cargo.toml:9", ""),
        ("crates/sagabus/Cargo.toml:4", "may not import `axum`"),
    ];
    check(
        layers::crates_import_only_what_their_layer_may,
        &files,
        &found,
    );
}

#[test]
fn the_architecture_names_exactly_the_crates_that_exist() {
    let manifest = (
        "crates/sagabus/Cargo.toml",
        "[package]\nname = \"sagabus\"\n",
    );
    let xtask = ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n");
    let good = "# A\n## Crates\n| crate | what |\n|---|---|\n| `sagabus` | x |\n| `xtask` | y |\n";
    let bad = "# A\n## Crates\n| crate | what |\n|---|---|\n| `sagabus`, `gone` | x |\n## B\n`sagabus-redis`\n";
    let rule = layers::architecture_names_the_crates_that_exist;
    check(rule, &[manifest, xtask, ("ARCHITECTURE.md", good)], &[]);
    let found = [
        ("ARCHITECTURE.md:5", "`gone`"),
        ("ARCHITECTURE.md:7", "`sagabus-redis`"),
        ("ARCHITECTURE.md", "no row for `xtask`"),
    ];
    check(rule, &[manifest, xtask, ("ARCHITECTURE.md", bad)], &found);
    check(rule, &[manifest], &[("ARCHITECTURE.md", "missing")]);
}

#[test]
fn a_word_of_another_layer_is_found_in_code_and_not_in_comments() {
    let files = [
        (
            "crates/sagabus/src/bus.rs",
            "//! Knows no axum.\nuse axum::Router; // here\nlet axums = 1;\n",
        ),
        (
            "crates/sagabus/src/sqlite.rs",
            "use rusqlite::Connection;\n",
        ),
        (
            "crates/sagabus/src/engines/embedded/index/schema.rs",
            "use rusqlite::Connection;\n",
        ),
        (
            "crates/sagabus/src/engines/embedded/log.rs",
            "use rusqlite::Connection;\n",
        ),
        ("crates/sagabus-server/src/http.rs", "use axum::Router;\n"),
    ];
    let found = [
        ("crates/sagabus/src/bus.rs:2", "`axum`"),
        ("crates/sagabus/src/engines/embedded/log.rs:1", "`rusqlite`"),
    ];
    check(words::modules_keep_to_their_words, &files, &found);
}

#[test]
fn a_pure_module_is_refused_async_clock_and_files() {
    let impure =
        "async fn f() {}\nlet a = Instant::now();\nuse std::fs::File;\nfn f(c: &dyn Clock) {}\n";
    let files = [
        (
            "crates/sagabus/src/pattern.rs",
            "/// Not async.\nuse std::time::Duration;\n",
        ),
        ("crates/sagabus/src/patterns.rs", impure),
        ("crates/sagabus/src/ledger/fold.rs", impure),
        ("crates/sagabus/src/ledger/tests.rs", impure),
    ];
    let path = "crates/sagabus/src/ledger/fold.rs";
    let places: Vec<String> = (1..=4).map(|line| format!("{path}:{line}")).collect();
    let found: Vec<(&str, &str)> = places
        .iter()
        .map(|place| (place.as_str(), "pure"))
        .collect();
    check(words::modules_keep_to_their_words, &files, &found);
}

#[test]
fn a_second_reader_of_the_environment_is_found() {
    let read = "let a = std::env::var(\"A\");\nlet b = std::env::vars();\nlet c = env!(\"C\");\n";
    let files = [
        ("crates/sagabus-server/src/config.rs", read),
        ("crates/sagabus-server/src/main.rs", read),
        ("crates/sagabus-server/tests/it/main.rs", read),
    ];
    let found = [
        ("crates/sagabus-server/src/main.rs:1", "`env::var`"),
        ("crates/sagabus-server/src/main.rs:2", "`env::vars`"),
    ];
    check(words::only_config_reads_the_environment, &files, &found);
}

#[test]
fn a_rule_of_delivery_that_the_list_forgets_is_found() {
    let folder = "crates/sagabus/src/conformance";
    let list = "macro_rules! x {\n  ($to:ident) => {\n    basics {\n      B01 MUST is_kept,\n      \
        B02 MUST is_lost,\n      B03 MUST is_other,\n    }\n    retry {\n      R01 CAP is_kept_too,\n    }\n";
    let basics = "/// B01 MUST: it is.\n/// More of it.\npub async fn is_kept(c: &dyn Cluster) {}\n\
        /// B03 SHOULD: it is.\n#[cfg(x)]\npub async fn is_other(c: &dyn Cluster) {}\n\
        /// It is.\npub async fn has_no_case(c: &dyn Cluster) {}\n\
        /// B04 MUST: it is.\npub async fn is_forgotten(c: &dyn Cluster) {}\n\
        /// Not a rule.\nasync fn part_of_one() {}\n";
    let retry = "/// R01 CAP: it is.\npub async fn is_kept_too(c: &dyn Cluster) {}\n";
    let paths = ["list.rs", "rules/basics.rs", "rules/retry.rs"].map(|it| format!("{folder}/{it}"));
    let files: Vec<(&str, &str)> = paths
        .iter()
        .map(String::as_str)
        .zip([list, basics, retry])
        .collect();
    let places = [(1, 6), (1, 8), (1, 10), (0, 5)];
    let places = places.map(|(file, line): (usize, usize)| format!("{}:{line}", paths[file]));
    let words = [
        "`is_other`",
        "has no case",
        "`is_forgotten`",
        "no rule `is_lost`",
    ];
    let found: Vec<(&str, &str)> = places.iter().map(String::as_str).zip(words).collect();
    check(conformance::rules_of_delivery_are_listed, &files, &found);
}

#[test]
fn a_case_that_names_no_test_is_found() {
    let cases = "pub const ELSEWHERE: &[(&str, &str, &str)] = &[\n    (\n        \"F01\",\n        \"what it_is about\",\n        \"it_is_kept\",\n    ),\n    (\n        \"X05\",\n        \"word\",\n        \"it_is_lost\",\n    ),\n];\n";
    let files = [
        ("crates/sagabus/src/conformance/cases.rs", cases),
        ("a/tests.rs", "#[test]\nfn it_is_kept() {}\n"),
    ];
    let found = [(
        "crates/sagabus/src/conformance/cases.rs:10",
        "no test `it_is_lost`",
    )];
    check(conformance::cases_name_tests_that_exist, &files, &found);
}

#[test]
fn a_decision_without_a_date_is_found() {
    let files = [
        ("docs/decisions/2026-01-31-own-log.md", ""),
        ("docs/decisions/own-log.md", ""),
        ("docs/decisions/2026-13-01-own-log.md", ""),
        ("docs/decisions/2026-01-31-Own Log.md", ""),
        ("docs/decisions/2026-01-31.md", ""),
        ("docs/glossary.md", ""),
    ];
    let found: Vec<(&str, &str)> = files[1..5]
        .iter()
        .map(|(path, _)| (*path, "slug"))
        .collect();
    check(documents::decisions_are_dated, &files, &found);
}

#[test]
fn a_promise_without_a_test_is_found() {
    let table = "| row | promise | test |\n|---|---|---|\n| 1 | x | `it::bus::kept` |\n\
        | 2 | `kept` | `lost` |\n| 3 | y | |\n| 4 | z | `kept`, `also_kept` |\n| 5 | z | `not_a_test` |\n";
    let traps =
        "| 1 | does not apply: there is no wire |\n| 2 | does not apply: |\n| 3 | `a_rule` |\n";
    let files = [
        ("docs/promises.md", table),
        ("docs/traps.md", traps),
        (
            "a/tests.rs",
            "#[test]\nfn kept() {}\nfn not_a_test() {}\n    #[tokio::test(start_paused = true)]\n    #[cfg(unix)]\n    async fn also_kept<T>() {}\n",
        ),
        (
            "crates/sagabus/src/conformance/rules/x.rs",
            "pub async fn a_rule(cluster: &dyn Cluster) {}\n",
        ),
    ];
    let found = [
        ("docs/promises.md:4", "no test `lost`"),
        ("docs/promises.md:5", "names no test"),
        ("docs/promises.md:7", "no test `not_a_test`"),
        ("docs/traps.md:2", "names no test"),
    ];
    check(documents::promises_name_tests_that_exist, &files, &found);
}

#[test]
fn a_ticked_line_without_a_proof_is_found() {
    let plan = "- [ ] a\n- [x] b\n- [x] c, shown by `cargo run -- demo`\n  - [x] d, shown by `is_lost`\n- [x] e, shown by `is_kept`\n";
    let files = [("docs/plan.md", plan), ("a.rs", "fn is_kept() {}\n")];
    let found = [
        ("docs/plan.md:2", "shown by"),
        ("docs/plan.md:4", "`is_lost`"),
    ];
    check(
        documents::ticked_lines_of_the_plan_say_what_shows_them,
        &files,
        &found,
    );
}

#[test]
fn a_link_to_nowhere_is_found() {
    let text =
        "[a](../README.md) [b](gone.md)\n[c](https://example.org) [d](#here) [e](decisions)\n";
    let files = [
        ("README.md", "[docs](docs/a.md#part)\n"),
        ("docs/a.md", text),
        ("docs/decisions/x.md", ""),
    ];
    check(
        documents::links_lead_to_files,
        &files,
        &[("docs/a.md:1", "gone.md")],
    );
}

#[test]
fn a_generated_page_is_compared_with_what_the_program_writes() {
    let pages = [Page {
        path: "docs/reference/a.md",
        program: Program::Reference("a"),
    }];
    let files = [("docs/reference/a.md", "one\ntwo\n")];
    let writes = |text: &'static str| {
        move |tree: &Tree| generated::differences(tree, &pages, |_| Ok(text.to_owned()))
    };
    check(writes("one\ntwo\n"), &files, &[]);
    check(
        writes("one\n2\n"),
        &files,
        &[("docs/reference/a.md:2", "reference a")],
    );
    check(
        writes("one\ntwo\nthree\n"),
        &files,
        &[("docs/reference/a.md:3", "")],
    );
    let fails = |tree: &Tree| generated::differences(tree, &pages, |_| Err("broken".to_owned()));
    check(fails, &files, &[("docs/reference/a.md", "broken")]);
}

#[test]
fn the_list_of_generated_pages_is_complete() {
    let pages = [Page {
        path: "docs/reference/a.md",
        program: Program::Reference("a"),
    }];
    let files = [
        ("docs/reference/b.md", "<!-- generated: do not edit -->\n"),
        ("docs/reference/c.md", "Written by hand.\n"),
    ];
    let unlisted = |tree: &Tree| generated::unlisted(tree, &pages);
    check(
        unlisted,
        &files,
        &[("docs/reference/b.md", "must stand once")],
    );
    let missing = |tree: &Tree| generated::missing(tree, &pages);
    check(missing, &files, &[("docs/reference/a.md", "reference a")]);
}

/// A folder of its own under the build's, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("xtask-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_tree_without_version_control_is_walked() {
    let folder = Folder::new("walk");
    folder.write("src/b.rs", b"//! B.\n");
    folder.write("a.bin", &[0xff, 0xfe]);
    folder.write("target/debug/c.rs", b"");
    let tree = tree::load(&folder.0).unwrap();
    let found: Vec<(&str, Option<&str>)> = tree
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_deref()))
        .collect();
    assert_eq!(found, [("a.bin", None), ("src/b.rs", Some("//! B.\n"))]);
}

#[test]
fn the_whole_check_fails_on_one_bad_file() {
    let folder = Folder::new("whole");
    folder.write("ARCHITECTURE.md", b"# A\n");
    // The generated pages are missing there, and nothing else is wrong.
    let pages = generated::PAGES.len();
    let text = run(&folder.0).unwrap_err().to_string();
    assert!(text.contains(&format!("{pages} findings")), "{text}");
    folder.write("mod.rs", b"//! A module under a forbidden name.\n");
    let text = run(&folder.0).unwrap_err().to_string();
    assert!(text.contains(&format!("{} findings", pages + 1)), "{text}");
}
