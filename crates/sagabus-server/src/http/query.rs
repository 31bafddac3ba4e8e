//! What the address of a request asks for: each parameter is known, is there once, and is what it must be.

use std::fmt;

use axum::extract::{FromRequestParts, MatchedPath, Query, Request};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use nanopore::sample::FieldErrors;
use sagabus::{Error, Result};
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::cloud_events::is_percent_encoded;
use super::reply::Failure;

/// The routes that take parameters; at all others each is refused.
const ASKED: [(Method, &str); 25] = [
    (Method::GET, "/api/audit/events"),
    (Method::GET, "/api/audit/stats"),
    (Method::GET, "/api/catalogue/{kind}"),
    (Method::GET, "/api/dead-letters"),
    (Method::GET, "/api/dead-letters/export"),
    (Method::POST, "/api/dead-letters/import"),
    (Method::GET, "/api/events"),
    (Method::GET, "/api/events/{position}"),
    (Method::GET, "/api/jobs"),
    (Method::GET, "/api/jobs/sample/{sampleId}"),
    (Method::GET, "/api/projects"),
    (Method::GET, "/api/queue"),
    (Method::GET, "/api/sagas"),
    (Method::GET, "/api/sagas/{id}"),
    (Method::GET, "/api/samples"),
    (Method::GET, "/api/samples/assignee/{assignee}"),
    (Method::GET, "/api/samples/export"),
    (Method::GET, "/api/samples/priority/{priority}"),
    (Method::GET, "/api/samples/search"),
    (Method::GET, "/api/samples/status/{status}"),
    (Method::GET, "/api/schedules"),
    (Method::POST, "/api/schedules"),
    (Method::GET, "/api/submissions"),
    (Method::POST, "/api/submissions/import"),
    (Method::GET, "/api/subscriptions/{name}/repairs"),
];

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

/// Refuses addresses that are no text, and parameters where there are none.
pub(super) async fn addressed(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => Failure::from(error).into_response(),
    }
}

fn check(request: &Request) -> Result<()> {
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
    let method = match *request.method() {
        Method::HEAD => &Method::GET,
        ref method => method,
    };
    let is_asked = |(of, path): &(Method, &str)| of == method && *path == route.as_str();
    if ASKED.iter().any(is_asked) {
        return Ok(());
    }
    match pairs(uri)?.first() {
        None => Ok(()),
        Some((name, _)) => {
            let name = name.escape_debug();
            let text = format!("parameter `{name}` is not known; there are none here");
            Err(Error::invalid(text))
        }
    }
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
        let (name, known) = (name.escape_debug(), listed(known));
        Self(format!(
            "parameter `{name}` is not known; there are {known}"
        ))
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
        let is_whole = self.value.bytes().all(|it| it.is_ascii_digit());
        let number = self.value.parse().ok().filter(|_| is_whole);
        number
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

/// The number of a parameter that is at least 1.
pub(super) fn from_one(name: &str, given: &str, most: usize) -> Result<usize> {
    let number = given.parse::<usize>().ok();
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
