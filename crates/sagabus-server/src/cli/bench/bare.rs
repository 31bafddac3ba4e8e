//! The yardstick: a group-commit loop with nothing in it but a write and a sync.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Bytes of the file, zeroed before the clock starts; written from the start again when it is full.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A record and who waits for it.
type Request = (Vec<u8>, oneshot::Sender<()>);

/// A thread that takes what is waiting, writes it with one call, syncs once, answers all.
#[derive(Debug)]
pub(super) struct Bare {
    sender: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Bare {
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let zeros = vec![0; 1024 * 1024];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().spawn(move || commit(&file, &receiver))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    /// A handle for one publisher.
    pub(super) fn sender(&self) -> Option<mpsc::Sender<Request>> {
        self.sender.clone()
    }

    pub(super) fn stop(mut self) -> io::Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Ok(()),
        }
    }
}

fn commit(file: &File, receiver: &mpsc::Receiver<Request>) -> io::Result<()> {
    let mut offset = 0;
    let mut buffer = Vec::new();
    let mut waiting = Vec::new();
    while let Ok(first) = receiver.recv() {
        buffer.clear();
        let mut next = Some(first);
        while let Some((record, reply)) = next {
            buffer.extend_from_slice(&record);
            waiting.push(reply);
            next = receiver.try_recv().ok();
        }
        if offset + buffer.len() as u64 > FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(&buffer, offset)?;
        file.sync_data()?;
        offset += buffer.len() as u64;
        for reply in waiting.drain(..) {
            let _received = reply.send(());
        }
    }
    Ok(())
}
