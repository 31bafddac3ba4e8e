//! One life of the process: engine, bus, sagas, and the service that is elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::engines::embedded::simulation::SimDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{self, Handlers};
use sagabus::saga_store::SagaStore;
use sagabus::{Bus, Clock, Sagas};

use super::FAR;
use super::notes::Notes;
use super::store::{Cut, Watched, check_asked};

/// One life of the process.
pub(super) struct Life {
    pub(super) bus: Bus,
    pub(super) sagas: Sagas,
}

/// What a life is begun with.
pub(super) struct Birth<'a> {
    pub(super) disk: &'a SimDisk,
    pub(super) notes: &'a Arc<Mutex<Notes>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: saga::Settings,
    /// What is done in this process.
    pub(super) here: Handlers,
    /// What the service elsewhere does, if there is one.
    pub(super) far: Option<Handlers>,
    /// The append at which the process ends.
    pub(super) cut: Option<Cut>,
}

impl Birth<'_> {
    pub(super) async fn open(self) -> sagabus::Result<Life> {
        let clock = self.clock;
        let settings = Settings {
            segment_bytes: 65_536,
            retention_bytes: u64::MAX,
            ..Settings::default()
        };
        let disk = Arc::new(self.disk.clone());
        let engine = Arc::new(Embedded::on(disk, &settings, Arc::clone(&clock))?);
        let bus = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock)).build()?;
        check_asked(&engine, &bus).await?;
        let store = Watched {
            engine,
            notes: Arc::clone(self.notes),
            cut: self.cut,
        };
        let sagas = Sagas::builder(Arc::new(store) as Arc<dyn SagaStore>, clock)
            .settings(self.settings)
            .handlers(self.here.elsewhere(FAR))
            .open()
            .await?;
        if let Some(far) = self.far {
            drop(sagas.take_replies(&bus).await?);
            drop(far.serve(&bus, FAR).await?);
        }
        Ok(Life { bus, sagas })
    }
}

impl Life {
    /// Ends in good order. Where a runtime is dropped instead, its tasks go in an order of their own, and so does what they still write.
    pub(super) async fn close(self) {
        self.sagas.shutdown(Duration::ZERO).await;
        self.bus.shutdown(Duration::ZERO).await;
    }
}
