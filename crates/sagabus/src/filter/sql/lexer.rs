//! Cuts an expression into tokens.

use super::parser::ParseError;

/// A token and where it starts, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) at: usize,
    pub(super) sort: Sort<'t>,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sort<'t> {
    /// Letters, digits and `_`, not digits alone: a keyword, an attribute or a function.
    Word(&'t str),
    /// Digits.
    Digits(&'t str),
    /// What stands between quotes, with escaped quotes as they are meant.
    Text(String),
    /// One of `( ) , * / % + - = != <> >= <= > <`.
    Symbol(&'static str),
}

/// Longer symbols first, so that `<=` is not read as `<` and `=`.
const SYMBOLS: [&str; 15] = [
    "!=", "<>", ">=", "<=", "(", ")", ",", "*", "/", "%", "+", "-", "=", ">", "<",
];

/// The tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        let (sort, after) = if matches!(first, '\'' | '"') {
            quoted(rest, first).ok_or(ParseError::Unclosed { at })?
        } else if is_word(first) {
            let end = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let sort = if word.bytes().all(|it| it.is_ascii_digit()) {
                Sort::Digits(word)
            } else {
                Sort::Word(word)
            };
            (sort, after)
        } else {
            SYMBOLS
                .iter()
                .find_map(|symbol| Some((Sort::Symbol(symbol), rest.strip_prefix(symbol)?)))
                .ok_or(ParseError::Character { at, found: first })?
        };
        tokens.push(Token { at, sort });
        rest = after;
    }
}

fn is_word(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '_'
}

/// The text between two `quote`s, and what follows. A backslash takes the next character with it: before a quote of
/// this kind it goes, elsewhere both stay, as the patterns of `LIKE` need them.
fn quoted(text: &str, quote: char) -> Option<(Sort<'_>, &str)> {
    let mut inner = String::new();
    let mut chars = text.chars();
    chars.next();
    loop {
        match chars.next()? {
            '\\' => {
                let next = chars.next()?;
                if next != quote {
                    inner.push('\\');
                }
                inner.push(next);
            }
            it if it == quote => return Some((Sort::Text(inner), chars.as_str())),
            it => inner.push(it),
        }
    }
}
