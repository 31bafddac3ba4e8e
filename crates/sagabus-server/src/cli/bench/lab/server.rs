//! A server in a process of its own, and how much memory that and its children need.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failed;
use crate::cli::Failure;

/// Between two looks at the processes.
const EVERY: Duration = Duration::from_millis(20);
/// What the program says before its address.
const SERVING: &str = "serving on ";

/// A server that ends with whoever measures.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// It may say more, and is not to be cut off at that.
    _out: BufReader<ChildStdout>,
    pub(super) url: String,
}

/// The most memory that was seen, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Footprint {
    pub(super) server_bytes: u64,
    /// Of one child.
    pub(super) child_bytes: u64,
    /// Children at one time.
    pub(super) children: usize,
}

/// Looks at the processes until it is stopped.
#[derive(Debug)]
pub(super) struct Watch {
    stop: CancellationToken,
    task: JoinHandle<Footprint>,
    server: u32,
}

impl Server {
    pub(super) fn start(data: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let out = child.stdout.take().map(BufReader::new);
        let mut out = out.ok_or_else(|| failed("the server has no output"))?;
        let mut said = String::new();
        let read = out.read_line(&mut said);
        let url = said
            .strip_prefix(SERVING)
            .and_then(|it| it.split(' ').next());
        let server = Self {
            child,
            _out: out,
            url: url.unwrap_or_default().to_owned(),
        };
        match read {
            Ok(_) if !server.url.is_empty() => Ok(server),
            Ok(_) => Err(failed(format!("the server does not start: {said}"))),
            Err(error) => Err(failed(error)),
        }
    }

    /// Looks at its memory from now on.
    pub(super) fn watch(&self) -> Watch {
        let (server, stop) = (self.child.id(), CancellationToken::new());
        // It is waited for when it is stopped.
        let task = TaskTracker::new().spawn(watch(server, stop.clone()));
        Watch { stop, task, server }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dead already, where it ended by itself.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Watch {
    pub(super) async fn stop(self) -> Result<Footprint, Failure> {
        self.stop.cancel();
        let mut seen = self.task.await.map_err(failed)?;
        let server_bytes = peak_bytes(self.server);
        seen.server_bytes = server_bytes.ok_or_else(|| failed("the server is gone"))?;
        Ok(seen)
    }
}

async fn watch(server: u32, stop: CancellationToken) -> Footprint {
    let mut seen = Footprint::default();
    while stop
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        let children = children(server);
        seen.children = seen.children.max(children.len());
        // One that has ended since is not counted.
        let largest = children.into_iter().filter_map(peak_bytes).max();
        seen.child_bytes = seen.child_bytes.max(largest.unwrap_or(0));
    }
    seen
}

/// The children of all threads of a process.
fn children(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists = threads.filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok());
    let numbers = lists.flat_map(|it| {
        let numbers = it.split_whitespace().map(str::parse);
        numbers.flatten().collect::<Vec<u32>>()
    });
    numbers.collect()
}

/// The most memory that a process has had.
fn peak_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
