//! What the address of a request asks for: each parameter is known, is there once, and is what it must be.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_api::Failure;
use http_api::Operation;
use nanopore::query::not_known;
use nanopore::sample::FieldErrors;
use sagabus::event::whole_number;
use sagabus::{Error, Pattern, Result};
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::cloud_events::is_percent_encoded;

/// The parameters that each route takes, by method and path; at all others each is refused.
#[derive(Debug)]
pub(super) struct Known(HashMap<String, Vec<(&'static str, Vec<String>)>>);

impl Known {
    /// Those of these operations.
    pub(super) fn of(operations: &[Operation]) -> Self {
        let mut known: HashMap<String, Vec<_>> = HashMap::new();
        for it in operations {
            let methods = known.entry(it.path().to_owned()).or_default();
            methods.push((it.method(), it.parameters()));
        }
        Self(known)
    }

    /// Those of a route; none where it does not answer the method, which is what is told then.
    fn at(&self, method: &Method, path: &str) -> Option<&[String]> {
        let method = match *method {
            Method::HEAD => Method::GET.as_str(),
            ref method => method.as_str(),
        };
        let mut methods = self.0.get(path).into_iter().flatten();
        let (_, names) = methods.find(|(of, _)| *of == method)?;
        Some(names)
    }
}

/// Parameters of a route.
pub(super) trait Parameters: DeserializeOwned {
    /// The largest `limit`.
    const LIMIT_MAX: usize = usize::MAX;
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: Parameters> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let pairs = pairs(&parts.uri)?;
        FieldErrors::check_once(&pairs, &[]).map_err(Error::from)?;
        let given = pairs.iter().map(|(name, value)| {
            let limit_max = T::LIMIT_MAX;
            let value = Given {
                name,
                value,
                limit_max,
            };
            (name.as_str(), value)
        });
        let given = MapDeserializer::<_, Wrong>::new(given);
        let asked = serde_path_to_error::deserialize(given).map_err(|error| {
            let name = error.path().to_string();
            let Wrong(wrong) = error.into_inner();
            let value = pairs.iter().find(|(it, _)| *it == name);
            Error::invalid(match value {
                Some((_, value)) if !wrong.starts_with('`') => {
                    format!("`{name}` is `{}`: {wrong}", value.escape_debug())
                }
                _ => wrong,
            })
        });
        Ok(Self(asked?))
    }
}

/// All parameters as they came.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>> {
    let pairs = Query::try_from_uri(uri);
    let Query(pairs) = pairs.map_err(|_| Error::invalid("the query cannot be read"))?;
    Ok(pairs)
}

/// Refuses addresses that are no text, and parameters that are not known.
pub(super) async fn addressed(
    State(known): State<Arc<Known>>,
    request: Request,
    next: Next,
) -> Response {
    match check(&known, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => Failure::from(error).into_response(),
    }
}

fn check(known: &Known, request: &Request) -> Result<()> {
    let uri = request.uri();
    for (what, text) in [("path", uri.path()), ("query", uri.query().unwrap_or(""))] {
        if !is_percent_encoded(text) {
            let text = format!("the {what} is not percent-encoded UTF-8");
            return Err(Error::invalid(text));
        }
    }
    let Some(route) = request.extensions().get::<MatchedPath>() else {
        return Ok(());
    };
    let Some(known) = known.at(request.method(), route.as_str()) else {
        return Ok(());
    };
    let pairs = pairs(uri)?;
    // A list may be written with this behind its name.
    let mut names = pairs.iter().map(|(name, _)| name.trim_end_matches("[]"));
    match names.find(|name| !known.iter().any(|it| it == name)) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(Error::invalid(unknown(name, &known)))
        }
    }
}

/// What is said of a parameter that there is not.
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    format!("parameter `{}` {}", name.escape_debug(), not_known(known))
}

/// What is wrong with a parameter, in plain words.
#[derive(Debug)]
struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(wrong: T) -> Self {
        Self(wrong.to_string())
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self(format!("must be one of {}", listed(known)))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self(unknown(name, known))
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("parameter `{name}` is missing"))
    }
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
    names.join(", ")
}

/// The value of a parameter.
#[derive(Clone, Copy)]
struct Given<'a> {
    name: &'a str,
    value: &'a str,
    limit_max: usize,
}

impl Given<'_> {
    fn number(self) -> Result<u64, Wrong> {
        let (least, most) = match self.name {
            "limit" => (1, u64::try_from(self.limit_max).unwrap_or(u64::MAX)),
            _ => (0, u64::MAX),
        };
        whole_number(self.value)
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| out_of_range(self.name, self.value, least, most))
            .map_err(Wrong)
    }
}

/// What is wrong with a number.
fn out_of_range(name: &str, given: &str, least: u64, most: u64) -> String {
    let is_number = !given.is_empty() && given.bytes().all(|it| it.is_ascii_digit());
    let given = match is_number {
        true => given.to_owned(),
        false => format!("`{}`", given.escape_debug()),
    };
    format!("`{name}` is {given}, and must be a whole number, {least} to {most}")
}

/// The number in a part of the path or a parameter.
pub(super) fn number(name: &str, given: &str) -> Result<u64> {
    let number = Given {
        name,
        value: given,
        limit_max: usize::MAX,
    };
    number.number().map_err(|wrong| Error::invalid(wrong.0))
}

/// The pattern that the parameter `type` is.
pub(super) fn pattern(given: Option<&str>) -> Result<Option<Pattern>> {
    given.map(|it| Pattern::of_field("type", it)).transpose()
}

/// The number of a parameter that is at least 1.
pub(super) fn from_one(name: &str, given: &str, most: usize) -> Result<usize> {
    let number = whole_number(given).and_then(|it| usize::try_from(it).ok());
    number.filter(|it| (1..=most).contains(it)).ok_or_else(|| {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        Error::invalid(out_of_range(name, given, 1, most))
    })
}

impl<'de> IntoDeserializer<'de, Wrong> for Given<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Given<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.value)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let number = self.number()?;
        let read: Result<V::Value, Wrong> = visitor.visit_u64(number);
        // Only what cannot be zero refuses a number.
        read.map_err(|_| Wrong(out_of_range(self.name, self.value, 1, u64::MAX)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let word = IntoDeserializer::<Wrong>::into_deserializer(self.value);
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
