//! The store of one process of a run: it ends at an append, or tells when one is done.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::family::Family;
use crate::engines::embedded::Embedded;
use crate::error::{Error, Result};
use crate::saga_store::{SagaBatch, SagaStore, StoredSaga};

/// Where in an append the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before anything is stored.
    Before,
    /// When all is stored, and before anybody hears of it.
    After,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

#[derive(Debug)]
pub(super) struct CutStore {
    engine: Arc<Embedded>,
    family: Family,
    cut: Option<(usize, Moment)>,
    cancel_after: Option<usize>,
    appends: AtomicUsize,
    crashed: CancellationToken,
    cancels: CancellationToken,
}

impl CutStore {
    pub(super) fn new(
        engine: Arc<Embedded>,
        family: Family,
        cut: Option<(usize, Moment)>,
        cancel_after: Option<usize>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            family,
            cut,
            cancel_after,
            appends: AtomicUsize::new(0),
            crashed: CancellationToken::new(),
            cancels: CancellationToken::new(),
        })
    }

    pub(super) fn appends(&self) -> usize {
        self.appends.load(Ordering::Relaxed)
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.crashed.is_cancelled()
    }

    pub(super) async fn crashed(&self) {
        self.crashed.cancelled().await;
    }

    /// Ends when it is time to cancel.
    pub(super) async fn cancels(&self) {
        self.cancels.cancelled().await;
    }

    fn crash(&self) -> Result<()> {
        self.crashed.cancel();
        Err(Error::closed("the process has ended"))
    }
}

#[async_trait]
impl SagaStore for CutStore {
    async fn append(&self, batches: Vec<SagaBatch>) -> Result<()> {
        // Others get their turn between a decision and its durability.
        tokio::task::yield_now().await;
        if self.has_crashed() {
            return self.crash();
        }
        let number = self.appends.fetch_add(1, Ordering::Relaxed);
        if self.cut == Some((number, Moment::Before)) {
            return self.crash();
        }
        for batch in &batches {
            self.family.note(batch);
        }
        self.engine.append(batches).await?;
        if self.cut == Some((number, Moment::After)) {
            return self.crash();
        }
        if self.cancel_after == Some(number) {
            self.cancels.cancel();
        }
        Ok(())
    }

    async fn load(&self) -> Result<Vec<StoredSaga>> {
        self.engine.load().await
    }

    fn epoch(&self) -> u64 {
        self.engine.epoch()
    }
}
