//! Words that a module must not use, so that its layer stays what it is.

use super::Finding;
use super::tree::Tree;

/// Words that some files must not use.
struct Ban {
    /// Modules (`…/foo` stands for `foo.rs` and all under `foo/`) or folders (with a closing `/`).
    under: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const BANS: [Ban; 4] = [
    Ban {
        under: &["crates/sagabus/src/"],
        except: &[],
        words: &[
            "axum",
            "hyper",
            "reqwest",
            "http::",
            "redis",
            "rdkafka",
            "kafka",
            "postgres",
            "tokio_postgres",
            "sqlx",
            "nanopore",
        ],
        why: "the library knows no edge, no foreign server and no domain",
    },
    Ban {
        under: &["crates/sagabus/src/"],
        except: &[
            "crates/sagabus/src/sqlite",
            "crates/sagabus/src/engines/embedded/index",
        ],
        words: &["rusqlite"],
        why: "SQLite is used by `sqlite` and by the index only",
    },
    Ban {
        under: &[
            "crates/sagabus/src/pattern",
            "crates/sagabus/src/filter",
            "crates/sagabus/src/retry",
            "crates/sagabus/src/ledger",
            "crates/sagabus/src/bus/settle",
            "crates/sagabus/src/saga/machine",
            "crates/sagabus/src/schema",
        ],
        except: &[],
        words: &[
            "async",
            "await",
            "tokio",
            "Instant",
            "SystemTime",
            "Clock",
            "std::fs",
            "std::net",
            "std::thread",
            "std::process",
        ],
        why: "this module is pure: no async, clock, chance or I/O",
    },
    Ban {
        under: &["crates/nanopore/src/"],
        except: &[],
        words: &["axum", "rusqlite", "tokio", "async", "std::fs", "std::net"],
        why: "the domain's words and rules are pure",
    },
];

/// The ways to read the environment; split, so that this file does not break its own rule.
const ENVIRONMENT: [&str; 4] = [
    concat!("env::", "var"),
    concat!("env::", "vars"),
    concat!("env::", "var_os"),
    concat!("env::", "vars_os"),
];

/// The one file that reads the environment.
const CONFIG: &str = "crates/sagabus-server/src/config.rs";

/// Library and domain modules use no word of another layer. Comments and tests may.
pub(crate) fn modules_keep_to_their_words(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| !is_test(path)) {
        for ban in BANS.iter().filter(|ban| ban.covers(path)) {
            for (line, word) in uses(text, ban.words) {
                let text = format!("uses `{word}`: {}", ban.why);
                findings.push(Finding::new(path, line, text));
            }
        }
    }
    findings
}

/// Settings come from one door.
pub(crate) fn only_config_reads_the_environment(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        if path == CONFIG || is_test(path) {
            continue;
        }
        for (line, word) in uses(text, &ENVIRONMENT) {
            let text = format!("uses `{word}`: only {CONFIG} reads the environment");
            findings.push(Finding::new(path, line, text));
        }
    }
    findings
}

impl Ban {
    fn covers(&self, path: &str) -> bool {
        let within = |modules: &[&str]| modules.iter().any(|module| is_within(path, module));
        within(self.under) && !within(self.except)
    }
}

fn is_within(path: &str, module: &str) -> bool {
    let Some(rest) = path.strip_prefix(module) else {
        return false;
    };
    module.ends_with('/') || rest == ".rs" || rest.starts_with('/')
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// Line and word of each use in code; a word counts as a whole only, and comments do not count.
fn uses<'a>(text: &str, words: &[&'a str]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = without_comment(line);
        let used = words.iter().filter(|word| has_word(code, word));
        found.extend(used.map(|&word| (index + 1, word)));
    }
    found
}

/// The line up to `//`, unless that stands in an address such as `https://`.
fn without_comment(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .find(|(at, _)| !line.get(..*at).is_some_and(|before| before.ends_with(':')));
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|it| it.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|it| it.chars().next());
        !before.is_some_and(is_name) && (word.ends_with(':') || !after.is_some_and(is_name))
    })
}

fn is_name(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}
