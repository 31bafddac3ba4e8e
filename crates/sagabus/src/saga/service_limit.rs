//! How much of a service sagas use: so many attempts at one time and in a second.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Most limits of one process: each has a line of its own for those that wait.
const LIMITS_MAX: usize = 1_000;
/// Most attempts in a second that can be a limit: so many times are kept.
const PER_SECOND_MAX: u32 = 10_000;

/// How many attempts of a service, or of one action of it, are in flight at one time and begin in one second, over all sagas of
/// this process. Steps and compensations count alike.
///
/// As text it is `SERVICE=AT_ONCE@PER_SECOND` or `SERVICE/ACTION=…`, where one of the two numbers may be left out: `ai=4`,
/// `ai/read_form=@10`, `store=8@100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLimit {
    /// The service.
    pub service: String,
    /// Of this action alone, one that does something or takes it back; what the limit of the service says does not count for it
    /// then.
    pub action: Option<String>,
    /// How many at one time.
    pub at_once: Option<NonZeroU32>,
    /// How many begin within a second, any second.
    pub per_second: Option<NonZeroU32>,
}

impl ServiceLimit {
    /// What all limits must be.
    pub(super) fn check(limits: &[Self]) -> Result<()> {
        if limits.len() > LIMITS_MAX {
            return Err(refused(&format!("has more than {LIMITS_MAX} limits")));
        }
        for (at, limit) in limits.iter().enumerate() {
            let names = std::iter::once(&limit.service).chain(&limit.action);
            let is_name = |name: &String| {
                let mut bytes = name.bytes();
                !name.is_empty()
                    && bytes.all(|it| it.is_ascii_alphanumeric() || b"_-.".contains(&it))
            };
            if !names.into_iter().all(is_name) {
                let shown = limit.to_string();
                return Err(refused(&format!(
                    "has `{}`, whose service and action must be letters, digits, `_`, `-`, `.`",
                    shown.escape_debug()
                )));
            }
            if limit.at_once.is_none() && limit.per_second.is_none() {
                return Err(refused(&format!("has `{limit}`, which limits nothing")));
            }
            if limit.per_second.is_some_and(|it| it.get() > PER_SECOND_MAX) {
                return Err(refused(&format!(
                    "has `{limit}`, more than {PER_SECOND_MAX} in a second"
                )));
            }
            let of = |other: &Self| other.service == limit.service && other.action == limit.action;
            if limits.iter().position(of) != Some(at) {
                return Err(refused(&format!("has two limits of `{}`", Place(limit))));
            }
        }
        Ok(())
    }
}

fn refused(text: &str) -> Error {
    Error::invalid(format!("saga setting `service_limits` {text}"))
}

/// Of what it is a limit.
struct Place<'a>(&'a ServiceLimit);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.service)?;
        match &self.0.action {
            Some(action) => write!(f, "/{action}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ServiceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", Place(self))?;
        if let Some(at_once) = self.at_once {
            write!(f, "{at_once}")?;
        }
        match self.per_second {
            Some(per_second) => write!(f, "@{per_second}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ServiceLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unreadable = || {
            let text = text.escape_debug();
            Error::invalid(format!(
                "limit of a service is `{text}`, and must be such as `ai=4`, `ai/read_form=@10` or `ai=4@10`"
            ))
        };
        let (place, numbers) = text.trim().split_once('=').ok_or_else(unreadable)?;
        let (service, action) = match place.split_once('/') {
            Some((service, action)) => (service, Some(action)),
            None => (place, None),
        };
        let (at_once, per_second) = match numbers.split_once('@') {
            Some((at_once, per_second)) => (at_once, Some(per_second)),
            None => (numbers, None),
        };
        let number = |text: &str| text.parse().map(Some).map_err(|_| unreadable());
        let limit = Self {
            service: service.to_owned(),
            action: action.map(str::to_owned),
            at_once: match (at_once, per_second) {
                ("", Some(_)) => None,
                _ => number(at_once)?,
            },
            per_second: per_second.map_or(Ok(None), number)?,
        };
        Self::check(std::slice::from_ref(&limit))?;
        Ok(limit)
    }
}
