//! CESQL 1.0, the CloudEvents SQL expression language: what an expression is.

mod evaluate;
mod functions;
mod lexer;
mod like;
mod parser;
mod print;
mod value;

use self::functions::Function;
use self::like::Like;
use super::view::Name;

pub(super) use evaluate::Meter;
pub use evaluate::{COST_MAX, Class, EvaluationError, Fault, Scope};
pub use parser::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, ParseError};
pub use value::{Kind, Value};

/// A CESQL expression, read once and evaluated often.
///
/// Two expressions are equal when they print alike, so blanks, brackets that change nothing and the case of keywords
/// do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    root: Expr,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`ParseError`], with the place.
    pub fn new(text: &str) -> Result<Self, ParseError> {
        let root = parser::parse(text)?;
        // The print has blanks that the text may lack; what is stored is the print, and it is read again.
        let bytes = root.to_string().len();
        if bytes > EXPRESSION_BYTES_MAX {
            return Err(ParseError::TooLong { bytes });
        }
        Ok(Self { root })
    }

    /// The expression `TRUE`.
    pub(super) fn always() -> Self {
        let root = Expr::Literal(Value::Boolean(true));
        Self { root }
    }

    /// Evaluates it: always a value, with the first error where there was one.
    ///
    /// Evaluation stops at an error (the fail-fast mode of the standard): an operator whose operand has an error has the
    /// zero value of its type.
    pub fn evaluate<'a>(&'a self, scope: &'a dyn Scope) -> (Value<'a>, Option<EvaluationError>) {
        self.evaluate_within(scope, &mut Meter::default())
    }

    /// Evaluates it at the expense of `meter`.
    pub(super) fn evaluate_within<'a>(
        &'a self,
        scope: &'a dyn Scope,
        meter: &mut Meter,
    ) -> (Value<'a>, Option<EvaluationError>) {
        match self.root.evaluate(scope, meter) {
            Ok(value) => (value, None),
            Err(failure) => (failure.value, Some(failure.error)),
        }
    }

    /// The type of its value where that does not depend on the event.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.root.kind()
    }

    /// The first function that it calls and that does not exist, or not with so many arguments.
    #[must_use]
    pub fn unknown_function(&self) -> Option<&str> {
        self.root.find(&mut |expr| match expr {
            Expr::Call {
                name,
                function: None,
                ..
            } => Some(&**name),
            _ => None,
        })
    }

    /// Whether it looks into the payload.
    #[must_use]
    pub fn reads_data(&self) -> bool {
        self.root
            .find(&mut |expr| matches!(expr, Expr::Data(_) | Expr::ExistsData(_)).then_some(()))
            .is_some()
    }
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Literal(Value<'static>),
    Attribute(Name),
    Exists(Name),
    Data(Pointer),
    ExistsData(Pointer),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Like {
        of: Box<Expr>,
        negated: bool,
        pattern: Like,
    },
    In {
        of: Box<Expr>,
        negated: bool,
        set: Vec<Expr>,
    },
    /// Operators of one level, applied from left to right. A list and not a tree, so that a long one is not deep.
    Chain {
        first: Box<Expr>,
        rest: Vec<(Operator, Expr)>,
    },
    Call {
        name: Box<str>,
        /// `None`: no such function with so many arguments.
        function: Option<Function>,
        arguments: Vec<Expr>,
    },
}

impl Expr {
    /// The type of its value where that does not depend on the event; attributes of an event are text.
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Literal(value) => Some(value.kind()),
            Self::Attribute(_) => Some(Kind::Text),
            Self::Data(_) => None,
            Self::Exists(_)
            | Self::ExistsData(_)
            | Self::Not(_)
            | Self::Like { .. }
            | Self::In { .. } => Some(Kind::Boolean),
            Self::Negate(_) => Some(Kind::Integer),
            Self::Chain { rest, .. } => rest.first().map(|(operator, _)| operator.level().kind()),
            Self::Call { function, .. } => Some(function.map_or(Kind::Boolean, Function::kind)),
        }
    }

    /// What an error leaves of it; boolean where only the event could tell.
    fn zero(&self) -> Value<'static> {
        match self {
            Self::Attribute(_) => Kind::Boolean.zero(),
            _ => self.kind().unwrap_or(Kind::Boolean).zero(),
        }
    }

    /// What `pick` picks first, from the outside to the inside.
    fn find<'e, T>(&'e self, pick: &mut impl FnMut(&'e Self) -> Option<T>) -> Option<T> {
        if let Some(found) = pick(self) {
            return Some(found);
        }
        match self {
            Self::Not(of) | Self::Negate(of) | Self::Like { of, .. } => of.find(pick),
            Self::In { of, set, .. } => {
                let found = of.find(pick);
                found.or_else(|| set.iter().find_map(|it| it.find(pick)))
            }
            Self::Chain { first, rest } => {
                let found = first.find(pick);
                found.or_else(|| rest.iter().find_map(|(_, it)| it.find(pick)))
            }
            Self::Call { arguments, .. } => arguments.iter().find_map(|it| it.find(pick)),
            Self::Literal(_)
            | Self::Attribute(_)
            | Self::Exists(_)
            | Self::Data(_)
            | Self::ExistsData(_) => None,
        }
    }
}

/// How tightly an operator binds, the loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Logic,
    Comparison,
    Sum,
    Product,
}

impl Level {
    fn tighter(self) -> Option<Self> {
        match self {
            Self::Logic => Some(Self::Comparison),
            Self::Comparison => Some(Self::Sum),
            Self::Sum => Some(Self::Product),
            Self::Product => None,
        }
    }

    /// The type of what operators of this level yield.
    fn kind(self) -> Kind {
        match self {
            Self::Logic | Self::Comparison => Kind::Boolean,
            Self::Sum | Self::Product => Kind::Integer,
        }
    }
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    And,
    Or,
    Xor,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

impl Operator {
    fn find(text: &str) -> Option<Self> {
        Some(match text {
            "AND" => Self::And,
            "OR" => Self::Or,
            "XOR" => Self::Xor,
            "=" => Self::Equal,
            "!=" | "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "+" => Self::Plus,
            "-" => Self::Minus,
            "*" => Self::Times,
            "/" => Self::Divide,
            "%" => Self::Remainder,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    fn level(self) -> Level {
        match self {
            Self::And | Self::Or | Self::Xor => Level::Logic,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual => Level::Comparison,
            Self::Plus | Self::Minus => Level::Sum,
            Self::Times | Self::Divide | Self::Remainder => Level::Product,
        }
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer(Box<str>);

impl Pointer {
    /// Empty for the whole payload, or names that each begin with `/`, in which `~` is only part of `~0` and `~1`.
    fn new(text: &str) -> Option<Self> {
        let starts_well = text.is_empty() || text.starts_with('/');
        let escapes = text.split('~').skip(1);
        let escaped_well = escapes
            .map(|it| it.chars().next())
            .all(|it| matches!(it, Some('0' | '1')));
        (starts_well && escaped_well).then(|| Self(text.into()))
    }
}

#[cfg(test)]
mod tests;
