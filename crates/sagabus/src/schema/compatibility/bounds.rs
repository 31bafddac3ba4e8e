//! Words of a reader that bound a value without a look inside it, beside those of the writer. Pure.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::accept::{Number, range_of, same};
use super::branch::is_note;
use super::reader::{Found, Pair};
use super::reason::Reason;

/// The reader's bound must not be tighter than the writer's. `looser` is how a looser bound compares to a tighter one.
pub(super) fn bound(
    pair: Pair<'_>,
    keyword: &'static str,
    looser: Ordering,
    written: Option<&Value>,
) -> Option<(String, Reason)> {
    let taken = pair.taken.get(keyword)?;
    let is_within = match (written.and_then(Number::of), Number::of(taken)) {
        (Some(written), Some(taken)) => written.compare(taken).is_some_and(|it| it != looser),
        // A length is never below zero.
        (None, Some(taken)) if looser == Ordering::Less && keyword != "minimum" => taken
            .compare(Number::Whole(0))
            .is_some_and(|it| it != Ordering::Greater),
        _ => false,
    };
    let reason = Reason::BoundTightened {
        keyword,
        taken: taken.clone(),
        written: written.cloned(),
    };
    (!is_within).then(|| (pair.path.to_owned(), reason))
}

/// A lower or upper bound of numbers: its keyword, its value, and whether the value itself is out.
#[derive(Clone)]
struct Limit {
    keyword: &'static str,
    value: Value,
    is_exclusive: bool,
}

/// The tightest limit of one side.
fn limit(map: &Map<String, Value>, kind: &str, is_lower: bool) -> Option<Limit> {
    let (plain, exclusive) = if is_lower {
        ("minimum", "exclusiveMinimum")
    } else {
        ("maximum", "exclusiveMaximum")
    };
    let of = |keyword: &'static str, is_exclusive| {
        let value = map.get(keyword).filter(|it| it.is_number())?.clone();
        Some(Limit {
            keyword,
            value,
            is_exclusive,
        })
    };
    // The width of an integer counts for integers alone.
    let width = map.get("format").and_then(Value::as_str).and_then(range_of);
    let width = width
        .filter(|_| kind == "integer")
        .map(|(least, most)| Limit {
            keyword: "format",
            value: if is_lower { least } else { most },
            is_exclusive: false,
        });
    let all = [of(plain, false), of(exclusive, true), width];
    all.into_iter().flatten().reduce(|one, other| {
        if is_within(&one, &other, is_lower) {
            one
        } else {
            other
        }
    })
}

/// Whether all that `one` leaves is left by `other` too.
fn is_within(one: &Limit, other: &Limit, is_lower: bool) -> bool {
    let (Some(a), Some(b)) = (Number::of(&one.value), Number::of(&other.value)) else {
        return false;
    };
    match a.compare(b) {
        Some(Ordering::Equal) => one.is_exclusive || !other.is_exclusive,
        Some(order) => (order == Ordering::Greater) == is_lower,
        None => false,
    }
}

pub(super) fn numbers(pair: Pair<'_>) -> Found {
    let Pair {
        kind,
        written,
        taken,
        path,
        ..
    } = pair;
    let mut found = Found::new();
    for is_lower in [true, false] {
        let Some(wanted) = limit(taken, kind, is_lower) else {
            continue;
        };
        let given = limit(written, kind, is_lower);
        if !given
            .as_ref()
            .is_some_and(|it| is_within(it, &wanted, is_lower))
        {
            let reason = Reason::BoundTightened {
                keyword: wanted.keyword,
                taken: wanted.value,
                written: given.map(|it| it.value),
            };
            found.push((path.to_owned(), reason));
        }
    }
    if let Some(step) = taken.get("multipleOf") {
        let given = written.get("multipleOf");
        let one = json!(1);
        let given_step = if kind == "integer" {
            given.or(Some(&one))
        } else {
            given
        };
        let is_multiple = given_step.is_some_and(|given| {
            same(given, step)
                || matches!((Number::of(given), Number::of(step)), (Some(Number::Whole(a)), Some(Number::Whole(b))) if b != 0 && a % b == 0)
        });
        if !is_multiple {
            let reason = Reason::BoundTightened {
                keyword: "multipleOf",
                taken: step.clone(),
                written: given.cloned(),
            };
            found.push((path.to_owned(), reason));
        }
    }
    found
}

pub(super) fn strings(pair: Pair<'_>) -> Found {
    let Pair {
        written,
        taken,
        path,
        ..
    } = pair;
    let mut found = Found::new();
    for (keyword, looser) in [
        ("minLength", Ordering::Less),
        ("maxLength", Ordering::Greater),
    ] {
        found.extend(bound(pair, keyword, looser, written.get(keyword)));
    }
    for keyword in ["pattern", "format"] {
        if let Some(wanted) = taken.get(keyword)
            && written.get(keyword) != Some(wanted)
        {
            let taken = wanted.clone();
            found.push((path.to_owned(), Reason::PatternChanged { keyword, taken }));
        }
    }
    found
}

/// Words of the reader that are not understood fit only where the writer has them in the same form.
pub(super) fn incomparable(pair: Pair<'_>) -> Found {
    let Pair {
        kind,
        written,
        taken,
        path,
        ..
    } = pair;
    let is_same = |words: &[&str]| words.iter().all(|it| written.get(*it) == taken.get(*it));
    let mut found = Found::new();
    for keyword in taken.keys() {
        let fits = match keyword.as_str() {
            "type" | "$ref" | "allOf" | "anyOf" | "oneOf" => true,
            // Up to draft 04 these were switches.
            "exclusiveMinimum" | "exclusiveMaximum" => {
                taken.get(keyword).is_some_and(Value::is_number)
            }
            "minimum"
            | "maximum"
            | "multipleOf"
            | "minLength"
            | "maxLength"
            | "pattern"
            | "format"
            | "minItems"
            | "maxItems"
            | "uniqueItems"
            | "items"
            | "prefixItems"
            | "additionalItems"
            | "required"
            | "properties"
            | "additionalProperties"
            | "minProperties"
            | "maxProperties" => true,
            "contains" | "minContains" | "maxContains" => {
                kind != "array" || is_same(&["contains", "minContains", "maxContains"])
            }
            "unevaluatedItems" => kind != "array",
            "propertyNames" | "dependentRequired" | "dependencies" | "dependentSchemas" => {
                kind != "object" || is_same(&[keyword])
            }
            // Which fields fall under a pattern is not known.
            "patternProperties" | "unevaluatedProperties" => kind != "object",
            "if" | "then" | "else" => is_same(&["if", "then", "else"]),
            "not" => is_same(&["not"]),
            note => is_note(note),
        };
        if !fits {
            let keyword = keyword.clone();
            found.push((path.to_owned(), Reason::NotComparable { keyword }));
        }
    }
    found
}
