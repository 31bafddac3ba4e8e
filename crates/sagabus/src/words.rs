//! What the readers of JSON and YAML say is wrong, in words for whoever wrote it. Pure.

/// How readers begin what they say, and how it is said here; the rest of the line, if it is wanted, follows.
const PLAIN: [(&str, &str); 37] = [
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
        "it is nested deeper than is taken",
    ),
    (
        "budget breached: Depth",
        "it is nested deeper than is taken",
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
    (
        "recursive references",
        "a name that begins with `*` stands inside of what it names",
    ),
    ("unsupported tag", "`!` is not taken"),
    ("invalid !!binary", "`!` is not taken"),
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
    ("expected string scalar", "must be a text"),
    ("expected sequence start", "must be a list"),
    ("expected mapping start", "must be an object"),
];

/// The same of what is no YAML.
const NO_YAML: [(&str, &str); 29] = [
    (
        "while scanning a plain scalar",
        "a tab stands where only spaces may",
    ),
    ("tab", "a tab stands where only spaces may"),
    (
        "a block scalar content cannot start with a tab",
        "a tab stands where only spaces may",
    ),
    (
        "while scanning an anchor or alias",
        "a `&` or `*` has no name behind it; a text that begins with one is written in quotes",
    ),
    (
        "misplaced bracket",
        "a bracket is closed that was not opened",
    ),
    (
        "mismatched bracket",
        "a bracket is closed by one of another kind",
    ),
    ("unclosed bracket", "a bracket is not closed"),
    ("unclosed quote", "a quote is not closed"),
    ("while parsing a flow mapping", "a `,` or a `}` is missing"),
    ("while parsing a flow sequence", "a `,` or a `]` is missing"),
    (
        "while parsing a block mapping",
        "a name of a field is missing, or does not stand below the others",
    ),
    (
        "while parsing a block collection",
        "a `-` is missing, or does not stand below the others",
    ),
    ("while parsing a node", "a value is missing"),
    ("unexpected EOF", "it ends too early"),
    ("unexpected eof", "it ends too early"),
    ("simple key", "a `:` is missing behind the name of a field"),
    (
        "mapping values are not allowed",
        "a `:` stands in a text, which is then written in quotes, or a line is not below the others",
    ),
    (
        "mapping keys are not allowed",
        "a line is not below the others",
    ),
    (
        "block sequence entries are not allowed",
        "a line is not below the others",
    ),
    ("\"-\" is only valid", "a `-` stands inside brackets"),
    ("'-' must be followed", "a `-` has no space behind it"),
    ("invalid indentation", "a line is not below the others"),
    ("wrongly indented line", "a line is not below the others"),
    (
        "unexpected character",
        "a character stands where it cannot; a text that begins with one such is written in quotes",
    ),
    ("comment", "a `#` stands where it cannot"),
    (
        "unknown escape character",
        "a text has a `\\` before what does not go with it",
    ),
    (
        "while parsing a quoted scalar",
        "a text has a `\\` before what does not go with it",
    ),
    (
        "while scanning a tag",
        "`!` is not taken; a text that begins with it is written in quotes",
    ),
    (
        "the handle",
        "`!` is not taken; a text that begins with it is written in quotes",
    ),
];

/// What is no YAML at all, in plain words: those of its reader are not for whoever wrote it.
pub(crate) fn no_yaml(reason: &str) -> String {
    if is_too_deep(reason) {
        return plain(reason);
    }
    let known = NO_YAML.iter().find(|(start, _)| reason.starts_with(start));
    let why = known.map_or("it is not written as one", |(_, plain)| plain);
    format!("it is no YAML: {why}")
}

/// Whether the reader says that there are too many lists and objects inside each other.
pub(crate) fn is_too_deep(reason: &str) -> bool {
    ["recursion limit exceeded", "budget breached: Depth"]
        .iter()
        .any(|start| reason.starts_with(start))
}

/// What is wrong with JSON from outside, in plain words and with its line and column: what its reader says of it is not for
/// whoever wrote it.
#[must_use]
pub fn json_fault(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match (json_reason(error), line) {
        (reason, 0) => reason,
        (reason, line) => format!("{reason}, line {line}, column {column}"),
    }
}

/// The same without its place.
pub(crate) fn json_reason(error: &serde_json::Error) -> String {
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    plain(reason.strip_suffix(&place).unwrap_or(&reason))
}

/// The same in plain words.
pub(crate) fn plain(reason: &str) -> String {
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
    let bare =
        after(reason, "The string value [").and_then(|it| it.strip_suffix("] must be quoted"));
    if let Some(bare) = bare {
        return format!("is {bare}, and must be a text, which is written in quotes here");
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
        "u8" => "a whole number from 0 to 255",
        "u32" | "unsigned integer" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 to 18446744073709551615",
        "a nonzero u32" | "nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero u64" | "nonzero u64" => "a whole number from 1 to 18446744073709551615",
        "a string" | "string" | "a borrowed string" | "str" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        "any valid JSON value" => "a value",
        "f64" | "f32" => "a number",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") || other == "variant identifier" => "one of its words",
        "a boolean" | "boolean" => "`true` or `false`",
        "string or map" => "one of its words",
        other => other,
    };
    plain.to_owned()
}

#[cfg(test)]
mod tests;
