//! The first record of a saga, as tests that need no orchestrator make it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ledger::Priority;
use crate::saga::Definition;
use crate::saga::record::Fact;

/// What a first record says that some test wants so; all else is none.
pub(in crate::saga) struct First {
    pub(in crate::saga) definition: Bytes,
    pub(in crate::saga) hash: [u8; 32],
    pub(in crate::saga) input: &'static [u8],
    pub(in crate::saga) idempotency_key: Option<&'static str>,
    pub(in crate::saga) attributes: Option<BTreeMap<String, String>>,
    pub(in crate::saga) priority: Option<Priority>,
    pub(in crate::saga) concurrency_key: Option<&'static str>,
    pub(in crate::saga) trace: Option<&'static str>,
}

impl First {
    /// Of a saga with this definition and an empty input.
    pub(in crate::saga) fn of(definition: &Definition) -> Self {
        Self::pinned(definition.to_json(), definition.hash().0)
    }

    /// The same, whether such a definition would be taken or not.
    pub(in crate::saga) fn pinned(definition: Bytes, hash: [u8; 32]) -> Self {
        Self {
            definition,
            hash,
            input: b"{}",
            idempotency_key: None,
            attributes: None,
            priority: None,
            concurrency_key: None,
            trace: None,
        }
    }

    pub(in crate::saga) fn fact(self) -> Fact {
        Fact::Created {
            definition: self.definition,
            hash: self.hash,
            input: Bytes::from_static(self.input),
            correlation_id: "c".to_owned(),
            idempotency_key: self.idempotency_key.map(str::to_owned),
            causation_id: None,
            parent: None,
            attributes: self.attributes,
            priority: self.priority,
            concurrency_key: self.concurrency_key.map(str::to_owned),
            trace: self.trace.map(str::to_owned),
        }
    }
}
