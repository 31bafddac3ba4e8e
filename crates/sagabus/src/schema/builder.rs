//! How a registry is put together, and what is wrong when it cannot be. Pure.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Version;
use super::compatibility::{self, Incompatibility, Mode};
use super::registry::{Check, Entry, Registry, UnknownTypes, Upcast, Versions};
use crate::error::{Error, Result};
use crate::event::{EventType, Payload, check_payload, decode};

/// Makes a [`Registry`].
#[derive(Debug, Default)]
pub struct RegistryBuilder {
    entries: Vec<Registered>,
    links: Vec<Link>,
    unknown_types: UnknownTypes,
}

#[derive(Debug)]
struct Registered {
    event_type: &'static str,
    version: &'static str,
    entry: Entry,
}

struct Link {
    event_type: &'static str,
    to_type: &'static str,
    from: &'static str,
    to: &'static str,
    upcast: Upcast,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("event_type", &self.event_type)
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// Why a registry cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A type or version is not one.
    #[error("schema of `{event_type}`: {reason}")]
    Name {
        /// The type as it was given.
        event_type: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The same version of a type was registered twice.
    #[error("version `{version}` of `{event_type}` is registered twice")]
    DuplicateVersion {
        /// The type.
        event_type: &'static str,
        /// The version.
        version: Version,
    },
    /// There are two upcasts to one version.
    #[error("there are two upcasts of `{event_type}` to version `{to}`")]
    DuplicateUpcast {
        /// The type.
        event_type: &'static str,
        /// Where both lead.
        to: Version,
    },
    /// A major version has none.
    #[error("there is no upcast of `{event_type}` from version `{from}` to `{to}`")]
    MissingUpcast {
        /// The type.
        event_type: &'static str,
        /// The version before.
        from: Version,
        /// The version that cannot be reached.
        to: Version,
    },
    /// An upcast is between two types.
    #[error("an upcast leads from `{from}` to `{to}`, which is another event type")]
    TypesDiffer {
        /// Type of the older payload.
        from: &'static str,
        /// Type of the newer payload.
        to: &'static str,
    },
    /// An upcast does not lead from one registered version to the next.
    #[error(
        "the upcast of `{event_type}` from `{from}` to `{to}` is not from one registered version to the next"
    )]
    NoStep {
        /// The type.
        event_type: &'static str,
        /// Where it begins.
        from: Version,
        /// Where it leads.
        to: Version,
    },
    /// A minor version without an upcast cannot read payloads of the one before.
    #[error("version `{to}` of `{event_type}` cannot read `{from}`: {}: {}", first.path, first.reason)]
    MinorBreaks {
        /// The type.
        event_type: &'static str,
        /// The version before.
        from: Version,
        /// The version that breaks.
        to: Version,
        /// The first thing that does not fit.
        first: Box<Incompatibility>,
    },
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        Self::invalid("schemas do not fit together").with_source(error)
    }
}

impl RegistryBuilder {
    /// Adds `P`'s version of its type: how it is checked, and its JSON Schema.
    #[must_use]
    pub fn register<P: Payload + JsonSchema>(self) -> Self {
        self.add::<P>(Some(json_schema::<P>))
    }

    /// Adds `P`'s version of its type without a JSON Schema.
    #[must_use]
    pub fn payload<P: Payload>(self) -> Self {
        self.add::<P>(None)
    }

    /// Adds version `1.0` of a type by its check alone.
    #[must_use]
    pub fn check(mut self, event_type: &'static str, check: Check) -> Self {
        self.entries.push(Registered {
            event_type,
            version: "1.0",
            entry: Entry {
                source: None,
                check,
                schema: None,
                upcast: None,
            },
        });
        self
    }

    fn add<P: Payload>(mut self, schema: Option<fn() -> Value>) -> Self {
        self.entries.push(Registered {
            event_type: P::TYPE,
            version: P::VERSION,
            entry: Entry {
                source: Some(P::SOURCE),
                check: check_payload::<P>,
                schema,
                upcast: None,
            },
        });
        self
    }

    /// Adds the way from one version to the next one of the same type.
    #[must_use]
    pub fn upcast<Old: Payload, New: Payload>(mut self, upcast: fn(Old) -> New) -> Self {
        let upcast = move |data: &[u8]| {
            let new = upcast(decode::<Old>(data)?);
            serde_json::to_vec(&new).map_err(|error| {
                Error::invalid(format!(
                    "upcast payload of `{}` cannot be written as JSON",
                    New::TYPE
                ))
                .with_source(error)
            })
        };
        self.links.push(Link {
            event_type: Old::TYPE,
            to_type: New::TYPE,
            from: Old::VERSION,
            to: New::VERSION,
            upcast: Arc::new(upcast),
        });
        self
    }

    /// What to do with events of types that are not registered; they are accepted unless said otherwise.
    #[must_use]
    pub fn unknown_types(mut self, unknown_types: UnknownTypes) -> Self {
        self.unknown_types = unknown_types;
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// What does not fit together: a version or an upcast that is there twice, an upcast that is missing between two
    /// majors, or a minor version that cannot read the one before.
    pub fn build(self) -> Result<Registry, RegistryError> {
        let mut types: HashMap<&'static str, Versions> = HashMap::new();
        for Registered {
            event_type,
            version,
            entry,
        } in self.entries
        {
            EventType::new(event_type).map_err(|error| name(event_type, &error))?;
            let version = version_of(event_type, version)?;
            let versions = types.entry(event_type).or_default();
            if versions.insert(version, entry).is_some() {
                return Err(RegistryError::DuplicateVersion {
                    event_type,
                    version,
                });
            }
        }
        for link in self.links {
            connect(&mut types, link)?;
        }
        for (event_type, versions) in &types {
            check_steps(event_type, versions)?;
        }
        Ok(Registry {
            types,
            unknown_types: self.unknown_types,
        })
    }
}

/// JSON Schema (draft 07, which AsyncAPI takes as it is) of `P`, in one piece.
fn json_schema<P: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|it| it.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<P>()
        .to_value()
}

fn version_of(event_type: &'static str, version: &str) -> Result<Version, RegistryError> {
    version.parse().map_err(|error| name(event_type, &error))
}

fn name(event_type: &'static str, error: &Error) -> RegistryError {
    RegistryError::Name {
        event_type,
        reason: error.chain(),
    }
}

fn connect(types: &mut HashMap<&'static str, Versions>, link: Link) -> Result<(), RegistryError> {
    let event_type = link.event_type;
    if link.to_type != event_type {
        return Err(RegistryError::TypesDiffer {
            from: event_type,
            to: link.to_type,
        });
    }
    let from = version_of(event_type, link.from)?;
    let to = version_of(event_type, link.to)?;
    let versions = types.entry(event_type).or_default();
    let before = versions
        .range(..to)
        .next_back()
        .map(|(version, _)| *version);
    match versions.get_mut(&to) {
        Some(_) if before != Some(from) => Err(RegistryError::NoStep {
            event_type,
            from,
            to,
        }),
        Some(entry) if entry.upcast.is_some() => {
            Err(RegistryError::DuplicateUpcast { event_type, to })
        }
        Some(entry) => {
            entry.upcast = Some(link.upcast);
            Ok(())
        }
        None => Err(RegistryError::NoStep {
            event_type,
            from,
            to,
        }),
    }
}

/// Each version can be reached from the one before.
fn check_steps(event_type: &'static str, versions: &Versions) -> Result<(), RegistryError> {
    for ((from, old), (to, new)) in versions.iter().zip(versions.iter().skip(1)) {
        if new.upcast.is_some() {
            continue;
        }
        let (from, to) = (*from, *to);
        if from.major != to.major {
            return Err(RegistryError::MissingUpcast {
                event_type,
                from,
                to,
            });
        }
        let (Some(old), Some(new)) = (old.schema, new.schema) else {
            continue;
        };
        let found = compatibility::check(&old(), &new(), Mode::Backward);
        if let Some(first) = found.into_iter().next() {
            return Err(RegistryError::MinorBreaks {
                event_type,
                from,
                to,
                first: Box::new(first),
            });
        }
    }
    Ok(())
}
