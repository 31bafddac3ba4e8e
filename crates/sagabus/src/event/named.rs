//! What the parts of an event are called in the form that it comes in, so that what is wrong is told in its words. Pure.

use std::borrow::Cow;

use super::attributes::is_own;

/// Most characters that are cited of the name of an entry.
const CITED_MAX: usize = 64;

/// The extension that carries, as JSON, the metadata whose names no CloudEvents attribute may have.
pub(super) const OTHER_METADATA: &str = "sagabusmetadata";

/// The form of an event that is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    /// The project's own envelope, and events that are made by code.
    Envelope,
    /// A CloudEvent.
    CloudEvent {
        /// What stands before the name of an attribute where it comes from: nothing, or such as `ce-`.
        prefix: &'a str,
    },
}

impl Named<'_> {
    /// A CloudEvent in structured mode.
    pub(super) const STRUCTURED: Named<'static> = Named::CloudEvent { prefix: "" };

    /// The name of what is called so in the envelope.
    pub(super) fn of(self, field: &'static str) -> Cow<'static, str> {
        let Self::CloudEvent { prefix } = self else {
            return field.into();
        };
        self::attribute(
            prefix,
            match field {
                // It stands beside the attributes.
                "data" => return field.into(),
                "timestamp" => "time",
                "version" => "schemaversion",
                "correlationId" => "correlationid",
                "causationId" => "causationid",
                "expiresAt" => "expirytime",
                "idempotencyKey" => "idempotencykey",
                other => other,
            },
        )
    }

    /// The name of an attribute of a CloudEvent, or of what seems to be one.
    pub(super) fn attribute(self, name: &str) -> String {
        match self {
            Self::Envelope => name.to_owned(),
            Self::CloudEvent { prefix } => format!("{prefix}{name}"),
        }
    }

    /// What the names of metadata that are no attributes stand in.
    pub(super) fn other_metadata(self) -> Cow<'static, str> {
        match self {
            Self::Envelope => "metadata".into(),
            Self::CloudEvent { prefix } => self::attribute(prefix, OTHER_METADATA),
        }
    }

    /// All metadata, with how many entries it has, as the start of a sentence.
    pub(super) fn all_metadata(self, entries: usize) -> String {
        match self {
            Self::Envelope => format!("`metadata` has {entries} entries"),
            Self::CloudEvent { .. } => format!("the event has {entries} extensions"),
        }
    }

    /// An entry of the metadata, as the subject of a sentence.
    pub(super) fn entry(self, key: &str) -> String {
        let cited: String = key.chars().take(CITED_MAX).collect();
        match self {
            Self::Envelope => "`metadata`".to_owned(),
            Self::CloudEvent { prefix } if is_own(key) => format!("`{prefix}{cited}`"),
            Self::CloudEvent { .. } => format!("`{cited}` in `{}`", self.other_metadata()),
        }
    }
}

fn attribute(prefix: &str, name: &'static str) -> Cow<'static, str> {
    match prefix {
        "" => name.into(),
        prefix => format!("{prefix}{name}").into(),
    }
}
