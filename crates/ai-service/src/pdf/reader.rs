//! The service's side: one child process per file, with limits on time, number and answer.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use super::document::Document;
use super::error::{PdfError, PdfErrorKind};
use super::parse::check_bytes;
use super::protocol::{Answer, Body, Progress, VERSION};
use super::sandbox::{CPU_SECONDS_MAX, Confinement, MEMORY_BYTES_MAX};

/// Bytes of the child's complaints that are looked at.
const STDERR_BYTES_MAX: u64 = 4096;

/// Limits of the reader.
#[derive(Clone, Copy, Debug)]
pub struct ReaderSettings {
    /// Time that one file may take from the start of its child. Default: 15 s.
    pub wall_time_max: Duration,
    /// Bytes that a child may answer. Default: 32 MiB, some hundred times a usual form.
    pub answer_bytes_max: u64,
    /// Children at a time; more files wait. Default: 2.
    pub children_max: usize,
}

impl Default for ReaderSettings {
    fn default() -> Self {
        Self {
            wall_time_max: Duration::from_secs(15),
            answer_bytes_max: 32 * 1024 * 1024,
            children_max: 2,
        }
    }
}

/// Reads PDFs, each in a child process of its own.
#[derive(Debug)]
pub struct PdfReader {
    program: PathBuf,
    args: Vec<String>,
    settings: ReaderSettings,
    children: Semaphore,
    confinement: std::sync::Mutex<Option<Confinement>>,
}

impl PdfReader {
    /// A reader that starts `program` with `args`, which must call [`worker_main`](super::worker_main).
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self::with_settings(program, args, ReaderSettings::default())
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_settings(program: PathBuf, args: Vec<String>, settings: ReaderSettings) -> Self {
        let children = Semaphore::new(settings.children_max.max(1));
        Self {
            program,
            args,
            settings,
            children,
            confinement: std::sync::Mutex::new(None),
        }
    }

    /// How far the last child could lock itself in; nothing before the first file.
    #[must_use]
    pub fn confinement(&self) -> Option<Confinement> {
        self.confinement.lock().ok().and_then(|last| *last)
    }

    /// Reads one PDF and calls `progress` on the way.
    ///
    /// A file waits for its turn when as many children run as may; the time limit begins with
    /// the child.
    ///
    /// # Errors
    /// [`PdfError`] with the kind that fits: the file is invalid, corrupted, encrypted, too large or
    /// without text; the child failed, or needed more time or memory than it may have.
    ///
    /// # Cancel safety
    /// Dropping the future kills the child; the runtime reaps it. Nothing else is left behind.
    pub async fn read(
        &self,
        bytes: Bytes,
        progress: impl Fn(Progress),
    ) -> Result<Document, PdfError> {
        check_bytes(&bytes)?;
        let _turn = self
            .children
            .acquire()
            .await
            .map_err(|_| worker_failed("reader is closed"))?;
        let mut child = self.start()?;
        let talk = self.talk(&mut child, bytes, progress);
        let outcome = tokio::time::timeout(self.settings.wall_time_max, talk).await;
        // Killing a child that has ended is no error worth telling; `kill` also waits for it.
        let _ = child.kill().await;
        outcome.unwrap_or_else(|_elapsed| {
            let seconds = self.settings.wall_time_max.as_secs_f64();
            let message = format!("reading the PDF took longer than {seconds} s");
            Err(PdfError::new(PdfErrorKind::TimeoutError, message))
        })
    }

    fn start(&self) -> Result<Child, PdfError> {
        Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| worker_failed(&format!("it cannot be started: {error}")))
    }

    async fn talk(
        &self,
        child: &mut Child,
        bytes: Bytes,
        progress: impl Fn(Progress),
    ) -> Result<Document, PdfError> {
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(worker_failed("its pipes are missing"));
        };
        let (_sent, answer, complaints) = tokio::join!(
            send(stdin, &bytes),
            self.receive(stdout, progress),
            complaints(stderr)
        );
        if let Some(answer) = answer? {
            return answer;
        }
        let status = child
            .wait()
            .await
            .map_err(|error| worker_failed(&error.to_string()))?;
        Err(cause_of_death(status, &complaints))
    }

    /// The child's answer; nothing when it ended without one.
    async fn receive(
        &self,
        stdout: ChildStdout,
        progress: impl Fn(Progress),
    ) -> Result<Option<Result<Document, PdfError>>, PdfError> {
        let most = self.settings.answer_bytes_max;
        let mut lines = BufReader::new(stdout.take(most));
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).await;
            read.map_err(|error| worker_failed(&error.to_string()))?;
            if line.last() != Some(&b'\n') {
                if lines.get_ref().limit() == 0 {
                    let message = format!("what the PDF holds takes more than {most} bytes");
                    return Err(PdfError::new(PdfErrorKind::FileTooLarge, message));
                }
                return Ok(None);
            }
            let answer: Answer = serde_json::from_slice(&line)
                .map_err(|error| worker_failed(&format!("its answer is not readable: {error}")))?;
            if answer.v != VERSION {
                return Err(worker_failed(&format!("it speaks version {}", answer.v)));
            }
            match answer.body {
                Body::Progress(step) => progress(step),
                Body::Confinement(confinement) => {
                    if let Ok(mut last) = self.confinement.lock() {
                        *last = Some(confinement);
                    }
                }
                Body::Document(document) => return Ok(Some(Ok(document))),
                Body::Error(error) => return Ok(Some(Err(error))),
            }
        }
    }
}

/// Sends the file. A child that answers early closes its end; its answer is what counts then.
async fn send(mut stdin: ChildStdin, bytes: &[u8]) -> std::io::Result<()> {
    stdin.write_all(bytes).await?;
    stdin.shutdown().await
}

async fn complaints(stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    let mut limited = stderr.take(STDERR_BYTES_MAX);
    // What could not be read is not looked at.
    let _ = limited.read_to_end(&mut text).await;
    // The rest is read away, so that the child never waits for its complaints to be heard.
    let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Why a child ended without an answer, by its signal and its last words.
fn cause_of_death(status: ExitStatus, complaints: &str) -> PdfError {
    use std::os::unix::process::ExitStatusExt;
    let cpu = rustix::process::Signal::XCPU.as_raw();
    if complaints.contains("memory allocation of") {
        let mebibytes = MEMORY_BYTES_MAX / 1024 / 1024;
        let message = format!("reading the PDF needs more than {mebibytes} MB of memory");
        return PdfError::new(PdfErrorKind::MemoryError, message);
    }
    if complaints.contains("overflowed its stack") {
        let message = "the PDF is nested deeper than the parser can follow";
        return PdfError::new(PdfErrorKind::ParserError, message);
    }
    match status.signal() {
        Some(signal) if signal == cpu => {
            let message =
                format!("reading the PDF took more than {CPU_SECONDS_MAX} s of processor time");
            PdfError::new(PdfErrorKind::TimeoutError, message)
        }
        _ => worker_failed(&format!("it ended without an answer ({status})")),
    }
}

fn worker_failed(reason: &str) -> PdfError {
    PdfError::new(
        PdfErrorKind::WorkerFailed,
        format!("the process that reads PDFs failed: {reason}"),
    )
}
