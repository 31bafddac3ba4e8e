//! One stream: reads on in the log when its reader has taken what was read before, and holds nothing more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use sagabus::event::envelope;
use sagabus::{Bus, Event, Result};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::{Chosen, Streams};

/// Events read from the log at once: at most 4 MiB for each stream.
const READ_AT_ONCE: usize = 16;
/// Reads without an event to show, after which the reader is told how far they are.
const READS_MAX: usize = 256;
/// Silence after which a sign of life is sent: proxies and browsers give up on what is silent for longer.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Milliseconds after which a browser connects again.
const CONNECT_AGAIN_MS: u32 = 1_000;

/// What a reader is sent, one message after the other.
#[derive(Debug)]
pub(super) struct Reader {
    bus: Bus,
    chosen: Chosen,
    /// What was read and not looked at yet.
    read: VecDeque<(u64, Arc<Event>)>,
    /// Where to read on.
    next: u64,
    is_at_end: bool,
    has_begun: bool,
    end: watch::Receiver<u64>,
    stop: CancellationToken,
    _turn: OwnedSemaphorePermit,
}

impl Reader {
    /// One that begins at `first`.
    pub(super) fn new(
        bus: Bus,
        chosen: Chosen,
        first: u64,
        streams: &Streams,
        turn: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            bus,
            chosen,
            read: VecDeque::new(),
            next: first,
            is_at_end: false,
            has_begun: false,
            end: streams.end.subscribe(),
            stop: streams.stop.clone(),
            _turn: turn,
        }
    }

    /// The next message, or a sign of life. None: the stream is over, since the program ends or the log cannot be read.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if !self.has_begun {
            self.has_begun = true;
            let place = place(self.next);
            return Some(format!("retry: {CONNECT_AGAIN_MS}\n{place}").into());
        }
        for _ in 0..READS_MAX {
            if self.stop.is_cancelled() {
                return None;
            }
            if let Some(message) = self.next_read() {
                return Some(message);
            }
            if !self.is_at_end {
                self.read_on().await?;
                continue;
            }
            let next = self.next;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                moved = self.end.wait_for(|end| *end > next) => moved.map(drop).ok()?,
                () = tokio::time::sleep(HEARTBEAT) => break,
            }
            self.is_at_end = false;
        }
        // So that it need not go through the same again when it connects again.
        Some(format!(":\n{}", place(self.next)).into())
    }

    /// The next of what was read that is to be shown.
    fn next_read(&mut self) -> Option<Bytes> {
        while let Some((position, event)) = self.read.pop_front() {
            if !self.chosen.fits(&event) {
                continue;
            }
            match message(position, &event) {
                Ok(message) => return Some(message),
                Err(error) => {
                    tracing::warn!(
                        position,
                        error = error.chain(),
                        "an event cannot be shown as it is"
                    );
                }
            }
        }
        None
    }

    /// Reads on in the log.
    async fn read_on(&mut self) -> Option<()> {
        let page = self.bus.read(self.next, READ_AT_ONCE).await;
        let page = page.inspect_err(|error| {
            tracing::error!(error = error.chain(), "a stream of events ends");
        });
        let page = page.ok()?;
        self.read = page.events.into();
        self.next = page.next;
        self.is_at_end = page.is_last;
        Some(())
    }
}

/// That everything before a position was seen.
fn place(next: u64) -> String {
    format!("id: {}\n\n", next.saturating_sub(1))
}

/// An event as a message. A payload may have lines, which is no matter to JSON.
fn message(position: u64, event: &Event) -> Result<Bytes> {
    let json = envelope::to_cloud_event(event)?;
    let mut message = format!("id: {position}\n").into_bytes();
    for line in json.split(|it| matches!(it, b'\n' | b'\r')) {
        message.extend_from_slice(b"data: ");
        message.extend_from_slice(line);
        message.push(b'\n');
    }
    message.push(b'\n');
    Ok(message.into())
}
