//! Reads an expression: one function per row of the grammar.

use super::functions::Function;
use super::lexer::{Sort, Token, tokens};
use super::like::Like;
use super::value::Value;
use super::{Expr, Level, Operator, Pointer};
use crate::filter::view::Name;

/// Longest expression, in bytes, as read and as printed: what a person still reads; a longer list of cases belongs into several filters.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Deepest nesting of brackets, calls, sets and signs: far above what is written by hand, far below what a stack bears.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

/// Why a text is no expression. Places are counted in bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It, or its print, is longer than [`EXPRESSION_BYTES_MAX`].
    #[error("expression has {bytes} bytes, more than {EXPRESSION_BYTES_MAX}")]
    TooLong {
        /// The length.
        bytes: usize,
    },
    /// It is nested deeper than [`EXPRESSION_DEPTH_MAX`].
    #[error("expression is nested deeper than {EXPRESSION_DEPTH_MAX} at byte {at}")]
    TooDeep {
        /// Where.
        at: usize,
    },
    /// A character that no token has.
    #[error("`{}` at byte {at} is no part of an expression", found.escape_debug())]
    Character {
        /// Where.
        at: usize,
        /// Which.
        found: char,
    },
    /// A quote is opened and not closed.
    #[error("the quote at byte {at} is not closed")]
    Unclosed {
        /// Where.
        at: usize,
    },
    /// A number that has no room in 32 bits.
    #[error("the number at byte {at} is not within 32 bits")]
    Number {
        /// Where.
        at: usize,
    },
    /// Something else should stand here.
    #[error("at byte {at} {expected} is expected")]
    Expected {
        /// Where.
        at: usize,
        /// What.
        expected: &'static str,
    },
}

/// Reads the whole of `text`.
pub(super) fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ParseError::TooLong { bytes: text.len() });
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        rest: &tokens,
        end: text.len(),
        tests_of_tests: 0,
    };
    let expr = parser.expression(0)?;
    if !parser.rest.is_empty() {
        return Err(parser.expected("an operator or the end"));
    }
    Ok(expr)
}

struct Parser<'p, 't> {
    rest: &'p [Token<'t>],
    end: usize,
    tests_of_tests: usize,
}

impl Parser<'_, '_> {
    /// `expression ::= logic`
    fn expression(&mut self, depth: usize) -> Result<Expr, ParseError> {
        self.chain(Level::Logic, self.deeper(depth)?)
    }

    /// Operands of one level of operators, from left to right.
    fn chain(&mut self, level: Level, depth: usize) -> Result<Expr, ParseError> {
        let first = self.operand(level, depth)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(level) {
            rest.push((operator, self.operand(level, depth)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let first = Box::new(first);
        Ok(Expr::Chain { first, rest })
    }

    fn operand(&mut self, level: Level, depth: usize) -> Result<Expr, ParseError> {
        match level.tighter() {
            Some(tighter) => self.chain(tighter, depth),
            None => self.tested(depth),
        }
    }

    /// `tested ::= signed ( NOT? LIKE text | NOT? IN set )*`
    fn tested(&mut self, depth: usize) -> Result<Expr, ParseError> {
        let mut of = self.signed(depth)?;
        let mut tested = false;
        loop {
            let negated = matches!(self.rest, [not, it, ..]
                if is(not, "NOT") && (is(it, "LIKE") || is(it, "IN")));
            if negated {
                self.skip();
            }
            let boxed = if self.keyword("LIKE") {
                let pattern = Like::new(&self.text("a pattern in quotes")?);
                Expr::Like {
                    of: Box::new(of),
                    negated,
                    pattern,
                }
            } else if self.keyword("IN") {
                self.symbol("(")?;
                let set = self.list(depth)?;
                if set.is_empty() {
                    return Err(self.expected("a set of one or more expressions"));
                }
                Expr::In {
                    of: Box::new(of),
                    negated,
                    set,
                }
            } else {
                return Ok(of);
            };
            // Tests of tests wrap one another without brackets; all of them count against one depth.
            if tested {
                self.tests_of_tests = self.deeper(self.tests_of_tests)?;
            }
            tested = true;
            of = boxed;
        }
    }

    /// `signed ::= NOT signed | '-' signed | '+' digits | primary`
    fn signed(&mut self, depth: usize) -> Result<Expr, ParseError> {
        if self.keyword("NOT") {
            let of = self.signed(self.deeper(depth)?)?;
            return Ok(Expr::Not(Box::new(of)));
        }
        if self.is_symbol("-") {
            self.skip();
            if let Some((at, digits)) = self.digits() {
                return number(at, &format!("-{digits}"));
            }
            let of = self.signed(self.deeper(depth)?)?;
            // Signs of a literal are its own, so that `- -1`, `--1` and `1` are one expression.
            if let Expr::Literal(Value::Integer(it)) = of
                && let Some(it) = it.checked_neg()
            {
                return Ok(Expr::Literal(Value::Integer(it)));
            }
            return Ok(Expr::Negate(Box::new(of)));
        }
        if self.is_symbol("+") {
            self.skip();
            let Some((at, digits)) = self.digits() else {
                return Err(self.expected("a number"));
            };
            return number(at, digits);
        }
        self.primary(depth)
    }

    /// `primary ::= literal | EXISTS name | EXISTS data | data | call | name | '(' expression ')'`
    fn primary(&mut self, depth: usize) -> Result<Expr, ParseError> {
        if self.is_symbol("(") {
            self.skip();
            let inner = self.expression(depth)?;
            self.symbol(")")?;
            return Ok(inner);
        }
        if let Some((at, digits)) = self.digits() {
            return number(at, digits);
        }
        if let Some(Token {
            sort: Sort::Text(text),
            ..
        }) = self.rest.first()
        {
            let literal = Expr::Literal(Value::from(text.clone()));
            self.skip();
            return Ok(literal);
        }
        if self.keyword("TRUE") {
            return Ok(Expr::Literal(Value::Boolean(true)));
        }
        if self.keyword("FALSE") {
            return Ok(Expr::Literal(Value::Boolean(false)));
        }
        if self.keyword("EXISTS") {
            if self.is_call() {
                return self.data().map(Expr::ExistsData);
            }
            return self.name().map(Expr::Exists);
        }
        if self.is_call() {
            return self.call(depth);
        }
        self.name().map(Expr::Attribute)
    }

    /// `call ::= function '(' ( expression ( ',' expression )* )? ')'`
    fn call(&mut self, depth: usize) -> Result<Expr, ParseError> {
        if matches!(self.rest.first(), Some(it) if is(it, "DATA")) {
            return self.data().map(Expr::Data);
        }
        let first = self.rest.first().filter(|it| !is_keyword(it));
        let name = match first.map(|it| &it.sort) {
            Some(Sort::Word(word)) if is_function(word) => word.to_ascii_uppercase(),
            _ => return Err(self.expected("a function's name of letters and `_`")),
        };
        self.skip();
        self.symbol("(")?;
        let arguments = self.list(depth)?;
        Ok(Expr::Call {
            function: Function::find(&name, arguments.len()),
            name: name.into(),
            arguments,
        })
    }

    /// `data ::= DATA '(' text ')'`
    fn data(&mut self) -> Result<Pointer, ParseError> {
        if !self.keyword("DATA") {
            return Err(self.expected("an attribute's name or `DATA('/pointer')`"));
        }
        self.symbol("(")?;
        let before = self.rest;
        let pointer = Pointer::new(&self.text("a JSON pointer in quotes")?);
        let Some(pointer) = pointer else {
            self.rest = before;
            return Err(self.expected("a JSON pointer such as '/sample/id'"));
        };
        self.symbol(")")?;
        Ok(pointer)
    }

    /// Expressions between commas, up to and with the closing bracket.
    fn list(&mut self, depth: usize) -> Result<Vec<Expr>, ParseError> {
        let mut list = Vec::new();
        if self.is_symbol(")") {
            self.skip();
            return Ok(list);
        }
        loop {
            list.push(self.expression(depth)?);
            if self.is_symbol(",") {
                self.skip();
            } else {
                self.symbol(")")?;
                return Ok(list);
            }
        }
    }

    /// An attribute's name; keywords are none.
    fn name(&mut self) -> Result<Name, ParseError> {
        match self.rest.first() {
            Some(
                token @ Token {
                    sort: Sort::Word(word),
                    ..
                },
            ) if !word.contains('_') && !is_keyword(token) => {
                let name = Name::new(&word.to_ascii_lowercase());
                self.skip();
                Ok(name)
            }
            _ => Err(self.expected("a value, an attribute or a function")),
        }
    }

    fn operator(&mut self, level: Level) -> Option<Operator> {
        let operator = match &self.rest.first()?.sort {
            Sort::Word(word) => Operator::find(&word.to_ascii_uppercase()),
            Sort::Symbol(symbol) => Operator::find(symbol),
            Sort::Digits(_) | Sort::Text(_) => None,
        };
        let operator = operator.filter(|it| it.level() == level)?;
        self.skip();
        Some(operator)
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.rest.first().is_some_and(|it| is(it, word));
        if found {
            self.skip();
        }
        found
    }

    fn digits(&mut self) -> Option<(usize, &str)> {
        let [
            Token {
                at,
                sort: Sort::Digits(digits),
            },
            rest @ ..,
        ] = self.rest
        else {
            return None;
        };
        self.rest = rest;
        Some((*at, digits))
    }

    fn text(&mut self, expected: &'static str) -> Result<String, ParseError> {
        let [
            Token {
                sort: Sort::Text(text),
                ..
            },
            rest @ ..,
        ] = self.rest
        else {
            return Err(self.expected(expected));
        };
        self.rest = rest;
        Ok(text.clone())
    }

    fn symbol(&mut self, symbol: &'static str) -> Result<(), ParseError> {
        if !self.is_symbol(symbol) {
            return Err(self.expected(match symbol {
                "(" => "`(`",
                _ => "`)`",
            }));
        }
        self.skip();
        Ok(())
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.rest.first(), Some(Token { sort: Sort::Symbol(it), .. }) if *it == symbol)
    }

    /// Whether a word and a bracket come next.
    fn is_call(&self) -> bool {
        matches!(
            self.rest,
            [
                Token {
                    sort: Sort::Word(_),
                    ..
                },
                Token {
                    sort: Sort::Symbol("("),
                    ..
                },
                ..
            ]
        )
    }

    fn skip(&mut self) {
        self.rest = self.rest.split_first().map_or(&[], |(_, rest)| rest);
    }

    fn at(&self) -> usize {
        self.rest.first().map_or(self.end, |it| it.at)
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        let at = self.at();
        ParseError::Expected { at, expected }
    }

    fn deeper(&self, depth: usize) -> Result<usize, ParseError> {
        if depth == EXPRESSION_DEPTH_MAX {
            return Err(ParseError::TooDeep { at: self.at() });
        }
        Ok(depth + 1)
    }
}

fn number(at: usize, digits: &str) -> Result<Expr, ParseError> {
    let number: i32 = digits.parse().map_err(|_| ParseError::Number { at })?;
    Ok(Expr::Literal(Value::Integer(number)))
}

/// Whether a word is one of the language's own, which names neither an attribute nor a function.
fn is_keyword(token: &Token<'_>) -> bool {
    const KEYWORDS: [&str; 9] = [
        "AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE",
    ];
    KEYWORDS.iter().any(|it| is(token, it))
}

/// Whether a token is this word, in any case of letters.
fn is(token: &Token<'_>, word: &str) -> bool {
    matches!(token.sort, Sort::Word(it) if it.eq_ignore_ascii_case(word))
}

fn is_function(word: &str) -> bool {
    word.starts_with(|it: char| it.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|it| it.is_ascii_alphabetic() || it == b'_')
}
