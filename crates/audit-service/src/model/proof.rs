//! Proofs as they are shown.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::merkle::{Hash, hex};
use crate::note::State;

/// A hash, shown in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub Hash);

/// A state of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Tree {
    /// How many entries it is of.
    pub size: u64,
    /// Its root.
    pub root: Hex,
}

/// Proves that an entry is in the trail.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct InclusionProof {
    /// Which entry.
    pub sequence: u64,
    /// Its leaf.
    pub leaf: Hex,
    /// What the leaf is hashed with on the way to the root (RFC 9162, 2.1.3).
    pub hashes: Vec<Hex>,
    /// The tree that it is proven to be in.
    pub tree: Tree,
}

/// Proves that a state of the trail is the beginning of a later one.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ConsistencyProof {
    /// The earlier state.
    pub from: Tree,
    /// The later state.
    pub to: Tree,
    /// The hashes that prove it (RFC 9162, 2.1.4).
    pub hashes: Vec<Hex>,
}

impl From<Hash> for Hex {
    fn from(hash: Hash) -> Self {
        Self(hash)
    }
}

impl JsonSchema for Hex {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Hash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl From<State> for Tree {
    fn from(state: State) -> Self {
        Self {
            size: state.size,
            root: state.root.into(),
        }
    }
}
