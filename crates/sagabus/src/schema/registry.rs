//! The versions of each event type that are known, and what becomes of an event by its version. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::Version;
use super::builder::RegistryBuilder;
use crate::error::{Error, Result};
use crate::event::{Event, Payload, decode};

/// Checks the payload of one version of one type of event; see [`crate::event::check_payload`].
pub type Check = fn(&[u8]) -> Result<()>;

/// Turns the payload of the version before into one of this version.
pub(super) type Upcast = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// What to do with an event of a type that is not registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownTypes {
    /// Its payload may be any JSON.
    #[default]
    Accept,
    /// It is not published.
    Refuse,
}

/// Every event type that is known, with its versions. Made by [`Registry::builder`].
#[derive(Debug, Default)]
pub struct Registry {
    pub(super) types: HashMap<&'static str, Versions>,
    pub(super) unknown_types: UnknownTypes,
}

/// The versions of one type, oldest first; at least one.
pub(super) type Versions = BTreeMap<Version, Entry>;

/// One version of one type.
pub(super) struct Entry {
    pub(super) source: Option<&'static str>,
    pub(super) check: Check,
    pub(super) schema: Option<fn() -> Value>,
    /// Payload of the version before to payload of this version; without it they are the same.
    pub(super) upcast: Option<Upcast>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("source", &self.source)
            .field("has_schema", &self.schema.is_some())
            .field("has_upcast", &self.upcast.is_some())
            .finish_non_exhaustive()
    }
}

/// One version of one type, for those who handle all alike.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionInfo {
    /// The version.
    pub version: Version,
    /// The service that publishes it, where it is known.
    pub source: Option<&'static str>,
    /// JSON Schema (draft 07) of the payload; `None` for a version that was registered by a check alone.
    pub schema: Option<Value>,
    /// Whether events of the version before are turned into this one by an upcast.
    pub is_upcast: bool,
}

/// Why an event cannot be read, or may not be published.
#[derive(Debug)]
#[non_exhaustive]
pub enum SchemaFault {
    /// The type is not registered, and such types are refused.
    UnknownType {
        /// The event's type.
        event_type: String,
    },
    /// No registered version has the event's major, or none of them can become the version that is wanted.
    Unsupported {
        /// The event's type.
        event_type: String,
        /// The event's version.
        version: String,
        /// Versions that could be read.
        known: Vec<Version>,
    },
    /// The version is known, but the payload does not fit it.
    Decode(Error),
}

impl SchemaFault {
    /// The kind of a dead letter that has this fault: `schema_unsupported` or `decode`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownType { .. } | Self::Unsupported { .. } => "schema_unsupported",
            Self::Decode(_) => "decode",
        }
    }
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType { event_type } => {
                write!(f, "event type `{event_type}` is not registered")
            }
            Self::Unsupported {
                event_type,
                version,
                known,
            } => {
                let version = version.escape_debug();
                let known: Vec<String> = known.iter().map(|it| format!("`{it}`")).collect();
                let known = known.join(", ");
                write!(
                    f,
                    "version `{version}` of `{event_type}` is not supported; known: {known}"
                )
            }
            Self::Decode(error) => f.write_str(&error.chain()),
        }
    }
}

impl std::error::Error for SchemaFault {}

impl From<SchemaFault> for Error {
    fn from(fault: SchemaFault) -> Self {
        match fault {
            SchemaFault::Decode(error) => error,
            fault => Self::invalid(fault.to_string()),
        }
    }
}

impl Registry {
    /// Begins a registry.
    #[must_use]
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// The registered types, in the order of the alphabet.
    #[must_use]
    pub fn types(&self) -> Vec<&'static str> {
        let mut types: Vec<&'static str> = self.types.keys().copied().collect();
        types.sort_unstable();
        types
    }

    /// The versions of a type, oldest first; none for a type that is not registered.
    #[must_use]
    pub fn versions(&self, event_type: &str) -> Vec<VersionInfo> {
        let versions = self.types.get(event_type).into_iter().flatten();
        versions
            .map(|(version, entry)| VersionInfo {
                version: *version,
                source: entry.source,
                schema: entry.schema.map(|schema| schema()),
                is_upcast: entry.upcast.is_some(),
            })
            .collect()
    }

    /// Whether an event may be published: its payload fits the version that it names. An unknown minor version is
    /// checked by the nearest one that is known and not newer, or else by the oldest of its major; fields that are not
    /// known are left alone.
    ///
    /// # Errors
    /// The fault, naming type, version and field.
    pub fn check(&self, event: &Event) -> Result<(), SchemaFault> {
        let Some(versions) = self.types.get(event.event_type.as_str()) else {
            return match self.unknown_types {
                UnknownTypes::Accept => serde_json::from_slice::<IgnoredAny>(&event.data)
                    .map(drop)
                    .map_err(|error| {
                        SchemaFault::Decode(Error::invalid("`data` is not JSON").with_source(error))
                    }),
                UnknownTypes::Refuse => Err(SchemaFault::UnknownType {
                    event_type: event.event_type.to_string(),
                }),
            };
        };
        let version = resolve(versions, event)?;
        let Some(entry) = versions.get(&version) else {
            return Err(unsupported(event, versions.keys()));
        };
        (entry.check)(&event.data).map_err(SchemaFault::Decode)
    }

    /// The payload as `P`: an older version goes through the upcasts up to `P`'s version, and another minor of `P`'s
    /// major is read as it is. For a type that is not registered, `P`'s own version is the one that is known.
    ///
    /// # Errors
    /// `Unsupported` when the event's major is not known or newer than `P`'s; `Decode` when the payload does not fit.
    pub fn decode<P: Payload>(&self, event: &Event) -> Result<P, SchemaFault> {
        if event.event_type.as_str() != P::TYPE {
            return event.payload().map_err(SchemaFault::Decode);
        }
        let wanted: Version = P::VERSION.parse().map_err(SchemaFault::Decode)?;
        let data = match self.types.get(P::TYPE) {
            Some(versions) => upcast(versions, event, wanted)?,
            None => match event.version.parse::<Version>() {
                Ok(version) if version.major == wanted.major => Cow::Borrowed(&event.data[..]),
                _ => return Err(unsupported(event, [&wanted])),
            },
        };
        decode(&data).map_err(SchemaFault::Decode)
    }

    /// The payload as JSON of the newest version, and that version; as it is for a type that is not registered.
    ///
    /// # Errors
    /// As [`Registry::decode`].
    pub fn newest<'a>(
        &self,
        event: &'a Event,
    ) -> Result<(Option<Version>, Cow<'a, [u8]>), SchemaFault> {
        let versions = self.types.get(event.event_type.as_str());
        match versions.and_then(|it| Some((it, *it.last_key_value()?.0))) {
            Some((versions, newest)) => Ok((Some(newest), upcast(versions, event, newest)?)),
            None => Ok((None, Cow::Borrowed(&event.data[..]))),
        }
    }
}

/// The known version by which an event is read.
fn resolve(versions: &Versions, event: &Event) -> Result<Version, SchemaFault> {
    let unsupported = || unsupported(event, versions.keys());
    let version: Version = event.version.parse().map_err(|_| unsupported())?;
    let first = Version {
        major: version.major,
        minor: 0,
    };
    let last = Version {
        major: version.major,
        minor: u32::MAX,
    };
    let not_newer = versions.range(first..=version).next_back();
    not_newer
        .or_else(|| versions.range(version..=last).next())
        .map(|(known, _)| *known)
        .ok_or_else(unsupported)
}

/// The payload of an event as JSON of the version that is wanted.
fn upcast<'a>(
    versions: &Versions,
    event: &'a Event,
    wanted: Version,
) -> Result<Cow<'a, [u8]>, SchemaFault> {
    let from = resolve(versions, event)?;
    let mut data = Cow::Borrowed(&event.data[..]);
    if from.major > wanted.major || (wanted.major > from.major && !versions.contains_key(&wanted)) {
        let readable = versions.keys().filter(|it| it.major <= wanted.major);
        return Err(unsupported(event, readable));
    }
    if from >= wanted {
        return Ok(data);
    }
    // `from` itself is what the event has; each newer one up to the wanted one is a step.
    for (version, entry) in versions.range(from..=wanted) {
        if *version > from
            && let Some(upcast) = &entry.upcast
        {
            data = Cow::Owned(upcast(&data).map_err(SchemaFault::Decode)?);
        }
    }
    Ok(data)
}

fn unsupported<'a>(event: &Event, known: impl IntoIterator<Item = &'a Version>) -> SchemaFault {
    SchemaFault::Unsupported {
        event_type: event.event_type.to_string(),
        version: event.version.to_string(),
        known: known.into_iter().copied().collect(),
    }
}
