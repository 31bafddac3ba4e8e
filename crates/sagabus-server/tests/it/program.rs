//! Starts the program, and ends it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use sagabus::{Clock, SystemClock};
use tempfile::TempDir;

use crate::client::Request;

/// Most time that anything may take here.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The program with some arguments.
pub(crate) fn sagabus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagabus"));
    command.args(arguments);
    // Who uses the shell, for orders that do not say who gives them.
    command.env("USER", "tester");
    command
}

/// A form of the project's own.
pub(crate) fn form(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../ai-service/tests/fixtures")
        .join(name)
}

/// The bytes of a form of the project's own.
pub(crate) fn form_bytes(name: &str) -> Vec<u8> {
    std::fs::read(form(name)).unwrap()
}

/// What a program that ran to its end said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    finish(&mut sagabus(arguments))
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Asks until there is an answer, which must be in time.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    until_or_told(what, || ask().ok_or_else(String::new))
}

/// As [`until`], and says what `ask` said last where there is no answer in time.
pub(crate) fn until_or_told<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = SystemClock.elapsed();
    loop {
        let told = match ask() {
            Ok(answer) => return answer,
            Err(told) => told,
        };
        assert!(
            SystemClock.elapsed().saturating_sub(began) < LIMIT,
            "not in time: {what} {told}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory for data, with a place for the log beside it.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub(crate) fn data_text(&self) -> String {
        self.data().to_str().unwrap().to_owned()
    }

    /// Leaves everything where it is, for a person to look at.
    pub(crate) fn keep(self) -> PathBuf {
        self.0.keep()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A program that serves.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    err: PathBuf,
    /// What it said up to the line with its address.
    pub(crate) said: String,
    pub(crate) address: String,
}

impl Server {
    /// `serve` over the data of `place`.
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    pub(crate) fn start_with(place: &Place, arguments: &[&str]) -> Self {
        let data = place.data_text();
        let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
        all.extend_from_slice(arguments);
        Self::spawn(place, &mut sagabus(&all))
    }

    /// Starts a command that will say on which address it serves.
    pub(crate) fn spawn(place: &Place, command: &mut Command) -> Self {
        let err = place.file("stderr");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&err)
            .unwrap();
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        // What is started here is waited for when the server is dropped, whatever goes wrong before.
        let mut server = Self {
            child: command.spawn().unwrap(),
            out: None,
            err,
            said: String::new(),
            address: String::new(),
        };
        let mut out = BufReader::new(server.child.stdout.take().unwrap());
        while server.address.is_empty() {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                let err = std::fs::read_to_string(&server.err).unwrap();
                panic!("does not serve: {}{err}", server.said);
            }
            server.said.push_str(&line);
            let Some(rest) = line.strip_prefix("serving on http://") else {
                continue;
            };
            let is_of_address = |it: &char| it.is_ascii_digit() || ".:".contains(*it);
            server.address = rest.chars().take_while(is_of_address).collect();
        }
        server.out = Some(out);
        server
    }

    /// Hands over what it says after the line with its address, up to its last line that is a hint.
    pub(crate) fn hints(&mut self) -> String {
        let mut hints = String::new();
        while !hints.contains("FORM.pdf") {
            let out = self.out.as_mut().unwrap();
            assert!(out.read_line(&mut hints).unwrap() > 0, "{hints}");
        }
        hints
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(&self.address, method, path)
    }

    pub(crate) fn get(&self, path: &str) -> crate::client::Answer {
        self.request("GET", path).send()
    }

    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> crate::client::Answer {
        self.request("POST", path).json(body).send()
    }

    /// Ends it at once, whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(self) -> Ran {
        signal(self.child.id(), "TERM");
        self.wait()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> Ran {
        let status: ExitStatus = until("the end of the program", || self.child.try_wait().unwrap());
        let mut rest = String::new();
        let out = self.out.as_mut().unwrap();
        out.read_to_string(&mut rest).unwrap();
        Ran {
            code: status.code(),
            out: rest,
            err: std::fs::read_to_string(&self.err).unwrap(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already at best.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends a signal to a process that was started here. The shell has this in itself; a bare machine has no program for it.
pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {id}")])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Whether a tool is there; where it is not, says what is skipped.
pub(crate) fn has_tool(tool: &str, what: &str) -> bool {
    let there = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success());
    if !there {
        println!("skipped: {what}: this machine has no `{tool}`");
    }
    there
}
