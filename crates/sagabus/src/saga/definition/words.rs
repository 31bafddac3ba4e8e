//! What the readers of JSON and YAML say is wrong, in words for whoever wrote the definition. Pure.

/// How readers begin what they say, and how it is said here; the rest of the line, if it is wanted, follows.
const PLAIN: [(&str, &str); 33] = [
    ("EOF while parsing", "it ends too early"),
    ("unexpected end of input", "it ends too early"),
    ("trailing characters", "there is more behind its end"),
    ("trailing comma", "a comma stands before an end"),
    ("expected value", "a value is missing"),
    (
        "expected ident",
        "a word is none of `true`, `false` and `null`",
    ),
    ("expected `:`", "a `:` is missing"),
    ("expected `,` or `}`", "a `,` or a `}` is missing"),
    ("expected `,` or `]`", "a `,` or a `]` is missing"),
    ("key must be a string", "a name of a field is not in quotes"),
    (
        "control character",
        "a text has a control character that is not written as `\\u…`",
    ),
    (
        "invalid escape",
        "a text has a `\\` before what does not go with it",
    ),
    ("lone leading surrogate", "a text has half a pair of `\\u…`"),
    (
        "unexpected end of hex escape",
        "a text has half a pair of `\\u…`",
    ),
    ("invalid unicode code point", "a text is not UTF-8"),
    ("input is not valid UTF-8", "it is not UTF-8"),
    (
        "number out of range",
        "a number is larger than readers can hold",
    ),
    (
        "non-finite float",
        "a number is larger than readers can hold",
    ),
    ("invalid number", "a number is not written as one"),
    (
        "recursion limit exceeded",
        "it is nested deeper than any definition",
    ),
    (
        "budget breached: Depth",
        "it is nested deeper than any definition",
    ),
    (
        "budget breached",
        "it is larger or more entangled than any definition",
    ),
    (
        "alias replay",
        "its names stand for more than any definition has",
    ),
    (
        "alias expansion",
        "its names stand for more than any definition has",
    ),
    (
        "alias references unknown anchor",
        "a name that begins with `*` is not given before with `&`",
    ),
    ("multiple YAML documents", "there is more than one document"),
    (
        "cannot deserialize null into string",
        "is nothing, and must be a text",
    ),
    (
        "cannot deserialize tagged scalar into string",
        "has a tag, and must be a text",
    ),
    (
        "externally tagged enum expected",
        "must be one of its words",
    ),
    (
        "unexpected value for unit enum variant",
        "must be one of its words, and no more",
    ),
    ("YAML merge", "`<<` is not taken"),
    ("expected sequence start", "must be a list"),
    ("expected mapping start", "must be an object"),
];

/// Whether the reader says that there are too many lists and objects inside each other.
pub(super) fn is_too_deep(reason: &str) -> bool {
    ["recursion limit exceeded", "budget breached: Depth"]
        .iter()
        .any(|start| reason.starts_with(start))
}

/// The same in plain words. Of what YAML itself is there is too much to say: that is left as its reader has it.
pub(super) fn plain(reason: &str) -> String {
    if let Some((field, known)) = after(reason, "unknown field ").and_then(of_expected) {
        return format!("unknown field {field}: there are {}", listed(known));
    }
    if let Some((word, known)) = after(reason, "unknown variant ").and_then(of_expected) {
        return format!("is {word}, and must be one of {}", listed(known));
    }
    let wrong = after(reason, "invalid type: ").or_else(|| after(reason, "invalid value: "));
    if let Some((given, wanted)) = wrong.and_then(|it| it.rsplit_once(", expected ")) {
        return format!(
            "is {}, and must be {}",
            self::given(given),
            self::wanted(wanted)
        );
    }
    if let Some(field) = after(reason, "duplicate field ") {
        return format!("field {field} is there twice");
    }
    if let Some(rest) = after(reason, "duplicate mapping key: ") {
        let field = rest.rsplit_once(", set ").map_or(rest, |(field, _)| field);
        return format!("field `{field}` is there twice");
    }
    let known = PLAIN.iter().find(|(start, _)| reason.starts_with(start));
    match known {
        Some((_, plain)) => (*plain).to_owned(),
        None => match after(reason, "invalid ").map(wanted) {
            Some(wanted) if reason != format!("invalid {wanted}") => format!("must be {wanted}"),
            _ => reason.to_owned(),
        },
    }
}

fn after<'a>(reason: &'a str, start: &str) -> Option<&'a str> {
    reason.strip_prefix(start)
}

/// What was met, and what is known there.
fn of_expected(rest: &str) -> Option<(&str, &str)> {
    let (met, known) = rest.rsplit_once(", expected ")?;
    Some((met, known.strip_prefix("one of ").unwrap_or(known)))
}

/// Names with commas between, each in backticks.
fn listed(known: &str) -> String {
    let known = known.replace(" or ", ", ");
    let names = known.split(", ").map(|it| it.trim_matches('`'));
    let names: Vec<String> = names.map(|it| format!("`{it}`")).collect();
    names.join(", ")
}

fn given(given: &str) -> String {
    let value = |start: &str| given.strip_prefix(start).map(str::trim);
    match given {
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        "null" | "unit value" | "Option value" => "nothing".to_owned(),
        _ => match (value("string"), value("boolean")) {
            (Some(text), _) => format!("the text {text}"),
            (_, Some(boolean)) => boolean.to_owned(),
            _ => match value("integer").or_else(|| value("floating point")) {
                Some(number) => format!("the number {number}"),
                None => given.to_owned(),
            },
        },
    }
}

fn wanted(wanted: &str) -> String {
    let plain = match wanted {
        "u32" | "unsigned integer" => "a whole number from 0 to 4294967295",
        "a nonzero u32" | "nonzero u32" => "a whole number from 1 to 4294967295",
        "a string" | "string" => "a text",
        "a sequence" => "a list",
        "a boolean" | "boolean" => "`true` or `false`",
        "string or map" => "one of its words",
        other => other,
    };
    plain.to_owned()
}

#[cfg(test)]
mod tests;
