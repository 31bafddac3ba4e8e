//! The guide's examples: each filter, asked about the event that the page shows, says what the page says.

use super::super::*;
use crate::clock::SystemClock;
use crate::event::envelope;

const GUIDE: &str = include_str!("../../../../../docs/guides/filters.md");

/// What stands in the page's fences of a language.
fn fences(language: &str) -> Vec<&'static str> {
    GUIDE
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|fence| fence.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

#[test]
fn the_filters_of_the_guide_say_what_the_guide_says() {
    let event = fences("json")[0];
    let event = envelope::from_json(event.as_bytes(), &SystemClock).unwrap();
    let mut examples = 0;
    for line in GUIDE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [filter, says, ..] = cells.as_slice() else {
            panic!("{line}");
        };
        let text = filter.trim_matches('`');
        let filter = match text.strip_prefix(['{', '[']) {
            Some(_) => Filter::from_json(text.as_bytes()),
            None => Filter::sql(text),
        };
        let found = match filter.map(|it| it.evaluate(&event)) {
            Ok(Outcome::Pass) => "passes",
            Ok(Outcome::Skip) => "skips",
            Ok(Outcome::Error(_)) => "error",
            Err(_) => "refused",
        };
        assert_eq!(found, *says, "{line}");
        examples += 1;
    }
    assert!(examples >= 25, "{examples} examples found");
}

#[test]
fn the_json_of_the_guide_is_a_filter() {
    let filters = &fences("json")[1..];
    assert!(!filters.is_empty());
    for filter in filters {
        let filter = Filter::from_json(filter.as_bytes())
            .unwrap_or_else(|error| panic!("{filter}: {error}"));
        assert!(filter.text().is_some());
    }
}
