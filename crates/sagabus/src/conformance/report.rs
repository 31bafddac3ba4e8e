//! Which rules an engine shows, as a page for readers.

use super::cases::{ELSEWHERE, LATER, NARROWER};
use super::{Cluster, Rule, all};

/// Opens an engine under test, in the runtime of the thread that calls it.
pub type Open = fn() -> Box<dyn Cluster>;

/// An engine of the report.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Its name, as the page shows it.
    pub name: &'static str,
    /// A fresh one.
    pub open: Open,
}

/// Rules that run at a time: most of them wait.
const THREADS: usize = 8;

/// Runs all rules on all engines and writes the page. Must not be called within a runtime.
#[must_use]
pub fn page(engines: &[Engine], command: &str) -> String {
    let rules = all();
    let mut columns = Vec::new();
    for engine in engines {
        let mut shown = Vec::new();
        for some in rules.chunks(THREADS) {
            std::thread::scope(|scope| {
                let running: Vec<_> = some
                    .iter()
                    .map(|rule| scope.spawn(|| shows(engine.open, rule)))
                    .collect();
                // A thread that panicked is a rule that does not hold.
                shown.extend(running.into_iter().map(|it| it.join().is_ok()));
            });
        }
        columns.push(shown);
    }
    write(&rules, engines, &columns, command)
}

fn shows(open: Open, rule: &Rule) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let cluster = open();
        (rule.run)(cluster.as_ref()).await;
    });
}

fn write(rules: &[Rule], engines: &[Engine], columns: &[Vec<bool>], command: &str) -> String {
    let mut page = format!(
        "<!-- generated: {command} -->\n# What the engines show\n\n\
         Each row is a rule of delivery: its case in the contract, how much it is asked of an engine, what one gets, and for each\n\
         engine whether it did so in the run that wrote this page. The rules are in `crates/sagabus/src/conformance/rules`.\n"
    );
    let mut group = "";
    for (number, rule) in rules.iter().enumerate() {
        if rule.group != group {
            group = rule.group;
            let names: Vec<&str> = engines.iter().map(|it| it.name).collect();
            let lines = "---|".repeat(engines.len());
            let head = format!(
                "\n## {}\n\n| case | level | rule | {} |\n|---|---|---|{lines}\n",
                group.replace('_', " "),
                names.join(" | ")
            );
            page.push_str(&head);
        }
        let words: Vec<&str> = columns
            .iter()
            .map(|it| if it[number] { "yes" } else { "**no**" })
            .collect();
        let row = format!(
            "| {} | {} | {} | {} |\n",
            rule.id,
            rule.level.as_str(),
            rule.name.replace('_', " "),
            words.join(" | ")
        );
        page.push_str(&row);
    }
    page.push_str(
        "\n## Shown by tests of their own\n\nCases that need more than an engine, such as processes that are killed or a database, for the engines of this crate:\n\n| case | what | test |\n|---|---|---|\n",
    );
    page.extend(
        ELSEWHERE
            .iter()
            .map(|(id, what, test)| format!("| {id} | {what} | `{test}` |\n")),
    );
    for (title, cases) in [
        (
            "Shown in part\n\nWhat the rules show of these cases",
            NARROWER,
        ),
        (
            "Not shown yet\n\nCases of the contract without a rule",
            LATER,
        ),
    ] {
        page.extend(["\n## ", title, ":\n\n| case | what |\n|---|---|\n"]);
        page.extend(
            cases
                .iter()
                .map(|(id, what)| format!("| {id} | {what} |\n")),
        );
    }
    page
}

#[cfg(test)]
mod tests;
