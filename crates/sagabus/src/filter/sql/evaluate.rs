//! Evaluates an expression: every step costs, and the sum is bounded.

use std::borrow::Cow;

use super::value::{Kind, Value};
use super::{Expr, Operator};
use crate::filter::view::Name;

/// Most that one evaluation of a filter may cost. A part of an expression costs one, and so does each byte of text that
/// is compared, searched or made: a million are a few milliseconds, a thousand times what a useful filter needs.
pub const COST_MAX: u32 = 1_000_000;

/// Longest part of an expression that an error quotes, in characters.
const PART_CHARS_MAX: usize = 60;

/// What an expression is evaluated on.
pub trait Scope {
    /// The attribute of that name, where the event has it.
    fn attribute(&self, name: &Name) -> Option<Value<'_>>;

    /// The value that a JSON pointer leads to in the payload.
    ///
    /// # Errors
    /// [`Fault`] where there is none, or none that an expression can hold.
    fn data(&self, pointer: &str) -> Result<Value<'_>, Fault>;
}

/// What can go wrong in an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The event has no such attribute.
    #[error("the event has no such attribute")]
    MissingAttribute,
    /// The payload has nothing, or `null`, at that place.
    #[error("the payload has no value there")]
    MissingData,
    /// No function has this name and number of arguments.
    #[error("there is no such function with so many arguments")]
    MissingFunction,
    /// A value does not have the form of the type that is asked for.
    #[error("a value cannot be read as {to}")]
    Cast {
        /// The type asked for.
        to: Kind,
    },
    /// `/` or `%` by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// The result has no room in 32 bits.
    #[error("the result is not within 32 bits")]
    Overflow,
    /// A number of characters below zero.
    #[error("a number of characters is negative")]
    NegativeLength,
    /// A place before the start or after the end of the text.
    #[error("the place is outside of the text")]
    OutOfRange,
    /// The payload is not JSON.
    #[error("the payload is not JSON")]
    NotJson,
    /// The place in the payload holds a list or an object.
    #[error("the payload has a list or an object there")]
    NotScalar,
    /// The place in the payload holds a number too large to be compared digit by digit.
    #[error("the payload has a number there that is too large to be compared exactly")]
    NotExact,
    /// The evaluation would cost more than [`COST_MAX`].
    #[error("the evaluation costs more than {COST_MAX}")]
    TooCostly,
}

/// The classes of errors that CESQL 1.0 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// *MathError*
    Math,
    /// *CastError*
    Cast,
    /// *MissingAttributeError*
    MissingAttribute,
    /// *MissingFunctionError*
    MissingFunction,
    /// *FunctionEvaluationError*
    FunctionEvaluation,
    /// *GenericError*
    Generic,
}

impl Fault {
    /// The class of the standard that it belongs to.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::MissingAttribute | Self::MissingData => Class::MissingAttribute,
            Self::MissingFunction => Class::MissingFunction,
            Self::Cast { .. } => Class::Cast,
            Self::DivisionByZero | Self::Overflow => Class::Math,
            Self::NegativeLength
            | Self::OutOfRange
            | Self::NotJson
            | Self::NotScalar
            | Self::NotExact => Class::FunctionEvaluation,
            Self::TooCostly => Class::Generic,
        }
    }
}

/// An error of an evaluation. It quotes the expression and no value of the event, which may be confidential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}: `{part}`")]
pub struct EvaluationError {
    /// What went wrong.
    pub fault: Fault,
    /// The part of the expression that it went wrong in, cut short where it is long.
    pub part: String,
}

/// What an evaluation may still cost.
#[derive(Debug)]
pub(in crate::filter) struct Meter {
    left: u32,
}

impl Default for Meter {
    fn default() -> Self {
        Self { left: COST_MAX }
    }
}

impl Meter {
    /// Takes `cost` off what is left.
    pub(in crate::filter) fn charge(&mut self, cost: usize) -> Result<(), Fault> {
        let left = u32::try_from(cost)
            .ok()
            .and_then(|cost| self.left.checked_sub(cost));
        // What could not be paid leaves nothing: an evaluation ends at its first large bill.
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Fault::TooCostly)
    }

    /// What was spent.
    #[cfg(test)]
    pub(in crate::filter) fn spent(&self) -> u32 {
        COST_MAX - self.left
    }
}

/// An evaluation that met an error, with the value that it has all the same.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) value: Value<'a>,
    pub(super) error: EvaluationError,
}

/// Why a step ends: by a fault of its own, or because an operand has one.
pub(super) enum Stop<'a> {
    Own {
        fault: Fault,
        /// `None`: the zero value of the part's type.
        value: Option<Value<'a>>,
    },
    Operand(EvaluationError),
}

impl<'a> Stop<'a> {
    pub(super) fn own(fault: Fault, value: Value<'a>) -> Self {
        let value = Some(value);
        Self::Own { fault, value }
    }
}

impl From<Fault> for Stop<'_> {
    fn from(fault: Fault) -> Self {
        Self::Own { fault, value: None }
    }
}

impl From<Failure<'_>> for Stop<'_> {
    fn from(failure: Failure<'_>) -> Self {
        Self::Operand(failure.error)
    }
}

impl Expr {
    /// Its value, or the first error with the value that it leaves.
    pub(super) fn evaluate<'a>(
        &'a self,
        scope: &'a dyn Scope,
        meter: &mut Meter,
    ) -> Result<Value<'a>, Failure<'a>> {
        self.step(scope, meter).map_err(|stop| match stop {
            Stop::Own { fault, value } => Failure {
                value: value.unwrap_or_else(|| self.zero()),
                error: EvaluationError {
                    fault,
                    part: self.short(),
                },
            },
            Stop::Operand(error) => Failure {
                value: self.zero(),
                error,
            },
        })
    }

    fn step<'a>(&'a self, scope: &'a dyn Scope, meter: &mut Meter) -> Result<Value<'a>, Stop<'a>> {
        meter.charge(1)?;
        Ok(match self {
            Self::Literal(value) => borrowed(value),
            Self::Attribute(name) => {
                meter.charge(name.cost())?;
                scope.attribute(name).ok_or(Fault::MissingAttribute)?
            }
            Self::Exists(name) => {
                meter.charge(name.cost())?;
                scope.attribute(name).is_some().into()
            }
            Self::Data(pointer) => {
                meter.charge(pointer.0.len())?;
                scope.data(&pointer.0)?
            }
            Self::ExistsData(pointer) => {
                meter.charge(pointer.0.len())?;
                match scope.data(&pointer.0) {
                    Ok(_) | Err(Fault::NotScalar | Fault::NotExact) => true.into(),
                    Err(Fault::MissingData) => false.into(),
                    Err(fault) => return Err(fault.into()),
                }
            }
            Self::Not(of) => (!of.evaluate(scope, meter)?.boolean()?).into(),
            Self::Negate(of) => {
                let it = of.evaluate(scope, meter)?.integer()?;
                it.checked_neg().ok_or(Fault::Overflow)?.into()
            }
            Self::Like {
                of,
                negated,
                pattern,
            } => {
                let text = of.evaluate(scope, meter)?.text();
                (pattern.matches(&text, meter)? != *negated).into()
            }
            Self::In { of, negated, set } => {
                let wanted = of.evaluate(scope, meter)?;
                let mut found = false;
                for part in set {
                    let value = part.evaluate(scope, meter)?;
                    meter.charge(wanted.bytes().min(value.bytes()))?;
                    if value.cast(wanted.kind())? == wanted {
                        found = true;
                        break;
                    }
                }
                (found != *negated).into()
            }
            Self::Chain { first, rest } => {
                let mut left = first.evaluate(scope, meter)?;
                for (operator, operand) in rest {
                    left = match (operator, operator.decided(&left)?) {
                        (_, Some(decided)) => decided.into(),
                        (operator, None) => {
                            let right = operand.evaluate(scope, meter)?;
                            meter.charge(left.bytes().min(right.bytes()))?;
                            operator.apply(left, &right)?
                        }
                    };
                }
                left
            }
            Self::Call { function: None, .. } => return Err(Fault::MissingFunction.into()),
            Self::Call {
                function: Some(function),
                arguments,
                ..
            } => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(argument.evaluate(scope, meter)?);
                }
                function.call(values, meter)?
            }
        })
    }

    /// Its text, for an error.
    fn short(&self) -> String {
        let text = self.to_string();
        match text.char_indices().nth(PART_CHARS_MAX) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }
}

fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Boolean(it) => Value::Boolean(*it),
        Value::Integer(it) => Value::Integer(*it),
        Value::Text(it) => Value::Text(Cow::Borrowed(it)),
    }
}

impl Operator {
    /// What the left operand of `AND` and `OR` decides alone; the right one is not evaluated then.
    fn decided(self, left: &Value<'_>) -> Result<Option<bool>, Fault> {
        Ok(match self {
            Self::And => (!left.boolean()?).then_some(false),
            Self::Or => left.boolean()?.then_some(true),
            _ => None,
        })
    }

    fn apply(self, left: Value<'_>, right: &Value<'_>) -> Result<Value<'static>, Fault> {
        let integers = || Ok((left.integer()?, right.integer()?));
        Ok(match self {
            Self::And | Self::Or => right.boolean()?.into(),
            Self::Xor => (left.boolean()? != right.boolean()?).into(),
            // The right operand says which types are compared.
            Self::Equal => (left.cast(right.kind())? == *right).into(),
            Self::NotEqual => (left.cast(right.kind())? != *right).into(),
            Self::Less => integers().map(|(left, right)| left < right)?.into(),
            Self::LessOrEqual => integers().map(|(left, right)| left <= right)?.into(),
            Self::Greater => integers().map(|(left, right)| left > right)?.into(),
            Self::GreaterOrEqual => integers().map(|(left, right)| left >= right)?.into(),
            Self::Plus => sum(integers()?, i32::checked_add)?.into(),
            Self::Minus => sum(integers()?, i32::checked_sub)?.into(),
            Self::Times => sum(integers()?, i32::checked_mul)?.into(),
            Self::Divide | Self::Remainder => {
                let (left, right) = integers()?;
                if right == 0 {
                    return Err(Fault::DivisionByZero);
                }
                if self == Self::Remainder {
                    left.wrapping_rem(right).into()
                } else {
                    sum((left, right), i32::checked_div)?.into()
                }
            }
        })
    }
}

fn sum(
    (left, right): (i32, i32),
    operate: impl FnOnce(i32, i32) -> Option<i32>,
) -> Result<i32, Fault> {
    operate(left, right).ok_or(Fault::Overflow)
}
