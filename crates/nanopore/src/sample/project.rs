//! A project: what submissions and their samples are for, and whose accounts may pay.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chart_field::ChartField;
use super::draft::Draft;
use super::field::FieldErrors;
use super::rule::{CATALOGUE, NOTES, PERSON};
use crate::events::sample::Change;

/// Where a project stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectStatus {
    /// Submissions may be added.
    #[default]
    Active,
    /// All is done.
    Completed,
    /// It is closed.
    Archived,
}

impl ProjectStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Active, Self::Completed, Self::Archived];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Archived => "archived",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Accounts that may pay, by how they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChartPrefix {
    /// `HTSF-…`
    Htsf,
    /// `NANO-…`
    Nano,
    /// `SEQ-…`
    Seq,
}

impl ChartPrefix {
    const ALL: [Self; 3] = [Self::Htsf, Self::Nano, Self::Seq];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Htsf => "HTSF",
            Self::Nano => "NANO",
            Self::Seq => "SEQ",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

/// What is said of a project; every value has passed its rule.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewProject {
    /// Its name; no other has it.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// Where to reach the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_email: Option<String>,
    /// Where it stands.
    pub status: ProjectStatus,
    /// Which accounts may pay for its samples; any, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_prefix: Option<ChartPrefix>,
}

impl NewProject {
    /// Reads a project from JSON; it is active unless something else is said.
    ///
    /// # Errors
    /// Every field that breaks its rule, is missing, or does not exist.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut draft = Draft::of(fields, "a project");
        draft.require("name");
        let project = Self {
            name: draft.text("name", CATALOGUE).unwrap_or_default(),
            description: draft.text("description", NOTES),
            owner_name: draft.text("ownerName", PERSON),
            owner_email: draft.email("ownerEmail"),
            status: draft
                .word(
                    "status",
                    ProjectStatus::from_word,
                    &ProjectStatus::ALL.map(ProjectStatus::as_str),
                )
                .unwrap_or_default(),
            chart_prefix: draft.word(
                "chartPrefix",
                ChartPrefix::from_word,
                &ChartPrefix::ALL.map(ChartPrefix::as_str),
            ),
        };
        draft.finish()?;
        Ok(project)
    }

    /// The project after `patch`: given fields replace, `null` clears. Also says what changed.
    ///
    /// # Errors
    /// As [`NewProject::read`].
    pub fn patched(
        &self,
        patch: &Map<String, Value>,
    ) -> Result<(Self, BTreeMap<String, Change>), FieldErrors> {
        let before = self.to_map();
        let mut fields = before.clone();
        for (field, value) in patch {
            fields.insert(field.clone(), value.clone());
        }
        let project = Self::read(&fields)?;
        let after = project.to_map();
        let changes = before
            .keys()
            .chain(after.keys())
            .filter(|field| before.get(*field) != after.get(*field))
            .map(|field| {
                let change = Change {
                    old_value: before.get(field).cloned().unwrap_or_default(),
                    new_value: after.get(field).cloned().unwrap_or_default(),
                };
                (field.clone(), change)
            })
            .collect();
        Ok((project, changes))
    }

    /// Whether this account may pay for its samples.
    ///
    /// # Errors
    /// `chartField`.
    pub fn check_account(&self, code: Option<&ChartField>) -> Result<(), FieldErrors> {
        match (self.chart_prefix.map(ChartPrefix::as_str), code) {
            (Some(prefix), Some(code)) if code.as_str().split('-').next() != Some(prefix) => {
                let text =
                    format!("is `{code}`, and the project is paid by accounts of `{prefix}`");
                Err(FieldErrors::one("chartField", text))
            }
            _ => Ok(()),
        }
    }

    fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // A struct of texts is always an object.
            _ => Map::new(),
        }
    }
}
