//! What one definition changes of another, step by step.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Definition, form};

/// What a new definition changes of an old one. Sagas that were started with the old one keep it; what is changed here
/// holds for those that are started from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Fields of the definition itself that differ, such as `name`, in the order of the alphabet.
    pub fields: Vec<String>,
    /// Steps that differ: those of the new definition in its order, then those that are gone.
    pub steps: Vec<Changed>,
}

/// How a step differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The old definition has no such step.
    Added {
        /// The step.
        step: String,
    },
    /// The new definition has no such step.
    Removed {
        /// The step.
        step: String,
    },
    /// Both have it, and not as the same.
    Fields {
        /// The step.
        step: String,
        /// The fields that differ, such as `timeout`, in the order of the alphabet.
        fields: Vec<String>,
    },
}

impl Changes {
    /// Whether nothing differs but perhaps the order of the steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.steps.is_empty()
    }
}

/// Fields of a definition and of its steps by id, as they are written.
#[derive(Default)]
struct Written {
    fields: Map<String, Value>,
    steps: Vec<(String, Map<String, Value>)>,
}

impl Written {
    fn of(definition: &Definition) -> Self {
        // Both are in the form that is written today, however they were stored.
        let json = form::canonical(definition.name(), definition.steps(), definition.options());
        let value = json
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let Some(Value::Object(mut fields)) = value else {
            return Self::default();
        };
        let Some(Value::Array(steps)) = fields.remove("steps") else {
            return Self::default();
        };
        let ids = definition.steps().iter().map(|step| step.id.clone());
        let steps = ids.zip(steps).filter_map(|(id, step)| match step {
            Value::Object(step) => Some((id, step)),
            _ => None,
        });
        Self {
            steps: steps.collect(),
            fields,
        }
    }
}

pub(super) fn between(old: &Definition, new: &Definition) -> Changes {
    let (old, new) = (Written::of(old), Written::of(new));
    let mut gone: BTreeMap<&str, &Map<String, Value>> = old
        .steps
        .iter()
        .map(|(id, step)| (id.as_str(), step))
        .collect();
    let mut steps = Vec::new();
    for (id, step) in &new.steps {
        let step_id = id.clone();
        match gone.remove(id.as_str()) {
            None => steps.push(Changed::Added { step: step_id }),
            Some(before) if before == step => {}
            Some(before) => steps.push(Changed::Fields {
                step: step_id,
                fields: differing(before, step),
            }),
        }
    }
    let removed = old.steps.iter().map(|(id, _)| id);
    let removed = removed.filter(|id| gone.contains_key(id.as_str())).cloned();
    steps.extend(removed.map(|step| Changed::Removed { step }));
    Changes {
        fields: differing(&old.fields, &new.fields),
        steps,
    }
}

fn differing(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let mut fields: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    fields.sort();
    fields.dedup();
    fields.retain(|field| old.get(field) != new.get(field));
    fields
}
