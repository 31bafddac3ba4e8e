//! Patterns against a plain reading of their rules.

use super::{refused, texts};
use crate::event::EventType;
use crate::pattern::{Pattern, PatternSet};

/// Most texts of one input.
const TEXTS_MAX: usize = 24;

/// The input's texts are patterns or event types, whatever they can be.
pub(super) fn patterns(bytes: &[u8]) {
    let mut patterns = Vec::new();
    let mut types = Vec::new();
    for text in texts(bytes).take(TEXTS_MAX) {
        match Pattern::new(text) {
            Ok(pattern) => {
                assert!(is_pattern(text), "{text:?} was taken");
                assert_eq!(pattern.as_str(), text);
                patterns.push(pattern);
            }
            Err(error) => {
                assert!(!is_pattern(text), "{text:?} was refused");
                refused(&error);
            }
        }
        match EventType::new(text) {
            Ok(event_type) => {
                assert!(is_type(text), "{text:?} was taken");
                types.push(event_type);
            }
            Err(error) => {
                assert!(!is_type(text), "{text:?} was refused");
                refused(&error);
            }
        }
    }
    let mut set = PatternSet::default();
    for (id, pattern) in patterns.iter().enumerate() {
        set.insert(pattern, id);
    }
    for event_type in &types {
        let name = event_type.as_str();
        let mut expected = Vec::new();
        for (id, pattern) in patterns.iter().enumerate() {
            let fits = fits(pattern.as_str(), name);
            assert_eq!(pattern.matches(event_type), fits, "{pattern} {name}");
            if fits {
                expected.push(id);
            }
        }
        let mut found = Vec::new();
        set.matches(event_type, |id| found.push(*id));
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
    }
    for (id, pattern) in patterns.iter().enumerate() {
        assert!(set.remove(pattern, &id));
    }
    assert!(set.is_empty());
}

fn is_word(word: &str) -> bool {
    let is_taken = |it: char| matches!(it, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-');
    !word.is_empty() && word.chars().all(is_taken)
}

fn is_short(text: &str) -> bool {
    text.len() <= 255 && text.matches('.').count() < 16
}

fn is_type(text: &str) -> bool {
    is_short(text) && text.split('.').all(is_word)
}

fn is_pattern(text: &str) -> bool {
    let (head, last) = text.rsplit_once('.').unwrap_or(("*", text));
    let is_last = is_word(last) || matches!(last, "*" | "**" | ">");
    is_short(text) && is_last && head.split('.').all(|it| is_word(it) || it == "*")
}

/// The rule, word by word.
fn fits(pattern: &str, name: &str) -> bool {
    if matches!(pattern, "*" | "**" | ">") {
        return true;
    }
    let (mut wanted, mut given) = (pattern.split('.'), name.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) | (Some("**" | ">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}
