//! Filters: what is taken prints as the same filter, decides the same, and `LIKE` fits what trying everything fits.

use bytes::Bytes;

use super::{Still, readable, refused, texts};
use crate::error::Error;
use crate::event::{Event, EventType};
use crate::filter::{Expression, FILTER_BYTES_MAX, Filter, Outcome, View};

/// Longest text and pattern that are tried in every way.
const LIKE_CHARACTERS_MAX: usize = 24;

/// An expression, and the input's first two texts as what `LIKE` compares.
pub(super) fn cesql(bytes: &[u8]) {
    let mut all = texts(bytes);
    let Some(text) = all.next() else {
        return;
    };
    match Expression::new(text) {
        Ok(expression) => {
            let printed = expression.to_string();
            let again = Expression::new(&printed);
            assert_eq!(again.as_ref(), Ok(&expression), "{printed}");
            for event in events() {
                let view = View::new(&event);
                let (value, error) = expression.evaluate(&view);
                assert_eq!((value, error), expression.evaluate(&view), "{printed}");
            }
        }
        Err(error) => refused(&Error::invalid("`filter` is not taken").with_source(error)),
    }
    match Filter::sql(text) {
        Ok(filter) => comes_back(filter),
        Err(error) => refused(&error),
    }
    if let Some(pattern) = all.next() {
        like(text, pattern);
    }
}

/// A filter in the dialects.
pub(super) fn filters(bytes: &[u8]) {
    match Filter::from_json(bytes) {
        Ok(filter) => comes_back(filter),
        Err(error) => refused(&error),
    }
}

fn comes_back(filter: Filter) {
    let text = filter.text().expect("it has no closure");
    assert!(text.len() <= FILTER_BYTES_MAX);
    let again: Filter = text.parse().expect("what is written is taken");
    assert_eq!(again, filter);
    assert_eq!(again.text().as_ref(), Some(&text));
    let outcomes = events().map(|event| filter.evaluate(&event));
    for (event, outcome) in events().iter().zip(&outcomes) {
        assert_eq!(again.evaluate(event), *outcome, "{text}");
        if let Outcome::Error(why) = outcome {
            readable(why);
        }
    }
    // Of a filter that is as deep as may be there is no inverse.
    let Ok(inverse) = filter.inverted() else {
        return;
    };
    for (event, outcome) in events().iter().zip(outcomes) {
        match (outcome, inverse.evaluate(event)) {
            (Outcome::Pass, Outcome::Skip) | (Outcome::Skip, Outcome::Pass) => {}
            (Outcome::Error(one), Outcome::Error(other)) if one == other => {}
            (one, other) => panic!("{text}: {one:?} and inverted {other:?}"),
        }
    }
}

/// A plain event, a full one, and one whose payload is no object.
fn events() -> [Event; 3] {
    let event = |name: &str, data: &'static str| {
        let name = EventType::new(name).expect("a type");
        Event::raw(name, "lab", Bytes::from_static(data.as_bytes()), &Still)
    };
    let mut full = event(
        "sample.created",
        r#"{"a":{"b":[1,true,"x",null]},"n":-2147483648,"f":0.5,"t":"5","a/b":"~"}"#,
    );
    full.subject = Some("S-1 µ%_".to_owned());
    full.correlation_id = Some("42".to_owned());
    full.metadata.insert("n".to_owned(), "3".to_owned());
    full.metadata
        .insert("trace-Parent".to_owned(), "true".to_owned());
    [event("a", "{}"), full, event("b.c", "[[[0]]]")]
}

fn like(text: &str, pattern: &str) {
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    let is_short = text.len() <= LIKE_CHARACTERS_MAX && pattern.len() <= LIKE_CHARACTERS_MAX;
    // Quotes and backslashes have rules of their own in a literal, which the print is tested with.
    if !is_short || pattern.iter().any(|it| matches!(it, '\'' | '\\')) {
        return;
    }
    let pattern_text: String = pattern.iter().collect();
    let expression = Expression::new(&format!("subject LIKE '{pattern_text}'"));
    let expression = expression.expect("a pattern without quotes is one");
    let mut event = Event::raw(
        EventType::new("a").expect("a type"),
        "lab",
        Bytes::from_static(b"0"),
        &Still,
    );
    event.subject = Some(text.iter().collect());
    let view = View::new(&event);
    let (value, error) = expression.evaluate(&view);
    assert_eq!(error, None);
    assert_eq!(value, fits(&text, &pattern).into(), "{expression}");
}

/// Every way at once: which beginnings of the pattern fit which beginnings of the text.
fn fits(text: &[char], pattern: &[char]) -> bool {
    let mut row: Vec<bool> = std::iter::once(true)
        .chain(text.iter().map(|_| false))
        .collect();
    for wanted in pattern {
        let mut next = vec![*wanted == '%' && row.first() == Some(&true)];
        for (given, pair) in text.iter().zip(row.windows(2)) {
            let (diagonal, above) = (pair.first() == Some(&true), pair.last() == Some(&true));
            let left = next.last() == Some(&true);
            next.push(match wanted {
                '%' => above || left,
                '_' => diagonal,
                it => diagonal && it == given,
            });
        }
        row = next;
    }
    row.last() == Some(&true)
}
