//! The yardstick: a group-commit loop with nothing in it but a write and a sync.
//!
//! Like the log it writes into files of zeros and goes on to a new one when a file is full; the next one is written in
//! the background. Otherwise it knows no records, checks nothing and keeps nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// A record and who waits for it.
type Request = (Vec<u8>, oneshot::Sender<()>);

/// A thread that takes what is waiting, writes it with one call, syncs once, answers all.
#[derive(Debug)]
pub(super) struct Bare {
    sender: Option<mpsc::Sender<Request>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Bare {
    pub(super) fn start(dir: &Path, file_bytes: u64) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let (files, next_file) = mpsc::sync_channel(0);
        let first = zeros(&dir.join("bare-0"), file_bytes)?;
        let dir = dir.to_owned();
        let prepare =
            std::thread::Builder::new().spawn(move || prepare(&dir, file_bytes, &files))?;
        let commit = std::thread::Builder::new()
            .spawn(move || commit(first, file_bytes, &receiver, &next_file))?;
        Ok(Self {
            sender: Some(sender),
            threads: vec![commit, prepare],
        })
    }

    /// A handle for one publisher.
    pub(super) fn sender(&self) -> Option<mpsc::Sender<Request>> {
        self.sender.clone()
    }

    pub(super) fn stop(mut self) -> io::Result<()> {
        self.sender = None;
        for thread in self.threads.drain(..) {
            if let Ok(result) = thread.join() {
                result?;
            }
        }
        Ok(())
    }
}

fn zeros(path: &PathBuf, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let zeros = vec![0; 64 * 1024];
    for at in (0..bytes).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn prepare(dir: &Path, bytes: u64, files: &mpsc::SyncSender<File>) -> io::Result<()> {
    for number in 1.. {
        let file = zeros(&dir.join(format!("bare-{number}")), bytes)?;
        if files.send(file).is_err() {
            break;
        }
    }
    Ok(())
}

fn commit(
    mut file: File,
    file_bytes: u64,
    receiver: &mpsc::Receiver<Request>,
    next_file: &mpsc::Receiver<File>,
) -> io::Result<()> {
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
        if offset + buffer.len() as u64 > file_bytes {
            file = next_file.recv().map_err(io::Error::other)?;
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
