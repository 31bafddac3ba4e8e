//! One SQLite file, one thread that writes it, one that reads it, and a bounded queue of transactions before each.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::load::{Load, Meter};
use crate::error::{Error, ErrorKind, Result};

/// Transactions that may wait: more callers wait in line for a place.
const QUEUE_MAX: usize = 64;
/// How long a transaction waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One transaction; breaks when the file failed under it.
type Job = Box<dyn FnOnce(&mut Connection) -> ControlFlow<()> + Send>;

/// A SQLite database with threads of its own: one for calls that may write, one for those that only read.
///
/// Each call is one transaction; the file is synced before a call that may write returns (WAL, `synchronous=FULL`).
/// After a failed read or write of the file a thread takes no more work: what the disk holds is then unknown.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: Lane,
    reader: Lane,
    /// Of the writer.
    meter: Arc<Meter>,
}

/// A thread with a connection, and the queue before it.
struct Lane {
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    thread: tokio::sync::Mutex<Option<Thread>>,
}

struct Thread {
    handle: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Lane {
    /// Starts the thread of this name, which opens the file by `open`.
    async fn start(
        name: String,
        path: &Path,
        meter: Arc<Meter>,
        open: impl FnOnce(&Path) -> Result<Connection> + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let (opened, is_open) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let path = path.to_owned();
        let handle = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                match open(&path) {
                    Ok(connection) => {
                        if opened.send(Ok(())).is_ok() {
                            serve(connection, receiver, &path, &meter);
                        }
                    }
                    Err(error) => {
                        let path = path.display();
                        let error = Error::new(error.kind(), format!("cannot open `{path}`"))
                            .with_source(error);
                        // Nobody waits any more: there is nobody to tell.
                        drop(opened.send(Err(error)));
                    }
                }
                drop(end);
            })
            .map_err(|error| {
                Error::new(ErrorKind::Transient, "thread of the database cannot start")
                    .with_source(error)
            })?;
        is_open
            .await
            .map_err(|_| Error::closed("thread of the database ended"))??;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            thread: tokio::sync::Mutex::new(Some(Thread { handle, ended })),
        })
    }

    /// Has a transaction done, and waits for its outcome; `after` runs on the thread once it is committed.
    async fn call<T, E, F>(
        &self,
        behavior: TransactionBehavior,
        work: F,
        after: impl FnOnce() + Send + 'static,
    ) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let sender = lock(&self.sender).clone();
        let Some(sender) = sender else {
            return Err(closed().into());
        };
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let (outcome, file) = transact(connection, behavior, work);
            if outcome.is_ok() {
                after();
            }
            // The caller may have gone; the transaction stands.
            drop(reply.send(outcome));
            file
        });
        sender.send(job).await.map_err(|_| closed())?;
        drop(sender);
        answer.await.map_err(|_| E::from(closed()))?
    }

    /// Carries out what is queued, closes the file and ends the thread.
    async fn close(&self) -> Result<()> {
        lock(&self.sender).take();
        let Some(thread) = self.thread.lock().await.take() else {
            return Ok(());
        };
        let _gone = thread.ended.await;
        // The thread dropped its end as its last act: this does not wait.
        thread
            .handle
            .join()
            .map_err(|_| Error::closed("thread of the database panicked"))
    }
}

impl Database {
    /// Opens or creates the file and brings its tables to the last of `migrations`.
    ///
    /// The number of migrations done is the file's `user_version`; never change one that was released, add another.
    ///
    /// # Errors
    /// `Conflict` when the file was made by a newer program. `Corrupt`, `Full`, `Closed` as the file system says.
    ///
    /// # Cancel safety
    /// Safe: the migrations that began are finished or rolled back, and the file is closed.
    pub async fn open(
        path: impl Into<PathBuf>,
        migrations: &'static [&'static str],
    ) -> Result<Self> {
        let path = path.into();
        let name = path.file_stem().map_or_else(
            || "database".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        let meter = Arc::new(Meter::default());
        let reading = format!("{name}-read");
        let writer = Lane::start(name, &path, Arc::clone(&meter), move |path| {
            prepare(path, migrations)
        });
        let writer = writer.await?;
        let reader = Lane::start(reading, &path, Arc::default(), prepare_to_read);
        let reader = reader.await?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                writer,
                reader,
                meter,
            }),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// What it does, and did since it was opened, with calls that may write.
    #[must_use]
    pub fn load(&self) -> Load {
        let sender = lock(&self.shared.writer.sender);
        let waiting = sender
            .as_ref()
            .map_or(0, |it| it.max_capacity() - it.capacity());
        self.shared.meter.read(waiting as u64)
    }

    /// Runs `work` in a transaction: commits and syncs when it returns `Ok`, rolls back when it returns `Err`.
    ///
    /// # Errors
    /// What `work` returns. `Closed` after [`Database::close`], after a failed write, or when `work` panics.
    ///
    /// # Cancel safety
    /// Once the future was polled past the queue the transaction is carried out whether or not somebody waits for it.
    pub async fn call<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.call_then(work, || {}).await
    }

    /// As [`Database::call`]; `after` runs on the thread once the transaction is committed.
    pub(super) async fn call_then<T, E, F>(
        &self,
        work: F,
        after: impl FnOnce() + Send + 'static,
    ) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let writer = &self.shared.writer;
        writer
            .call(TransactionBehavior::Immediate, work, after)
            .await
    }

    /// Runs `work` in a transaction that can only read: it sees what was committed when it began, and neither waits for calls
    /// that write nor holds them up.
    ///
    /// # Errors
    /// As [`Database::call`]; also what SQLite says of a statement that writes.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let reader = &self.shared.reader;
        reader
            .call(TransactionBehavior::Deferred, work, || {})
            .await
    }

    /// Carries out what is queued, closes the file and ends the threads. A second call returns at once.
    ///
    /// # Errors
    /// `Closed` when a thread panicked.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the threads to end by themselves.
    pub async fn close(&self) -> Result<()> {
        // The last connection tidies up the file, which one that only reads cannot.
        self.shared.reader.close().await?;
        self.shared.writer.close().await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

fn closed() -> Error {
    Error::closed("database is closed")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One transaction, and whether the file can be trusted after it.
fn transact<T, E, F>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: F,
) -> (Result<T, E>, ControlFlow<()>)
where
    F: FnOnce(&Transaction<'_>) -> Result<T, E>,
    E: From<Error>,
{
    let refused = |error: rusqlite::Error| {
        let error = Error::from(error);
        let file = match error.kind() {
            ErrorKind::Closed | ErrorKind::Corrupt => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        (Err(E::from(error)), file)
    };
    let tx = match connection.transaction_with_behavior(behavior) {
        Ok(tx) => tx,
        Err(error) => return refused(error),
    };
    let value = match work(&tx) {
        Ok(value) => value,
        // Dropping the transaction rolls it back.
        Err(error) => return (Err(error), ControlFlow::Continue(())),
    };
    match tx.commit() {
        Ok(()) => (Ok(value), ControlFlow::Continue(())),
        Err(error) => refused(error),
    }
}

/// Takes jobs until the last handle is gone or the file fails.
fn serve(mut connection: Connection, mut jobs: mpsc::Receiver<Job>, path: &Path, meter: &Meter) {
    while let Some(job) = jobs.blocking_recv() {
        let work = || meter.time(|| job(&mut connection));
        match std::panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => {
                tracing::error!(path = %path.display(), "database file failed; it takes no more work");
                break;
            }
            Err(_) => {
                tracing::error!(path = %path.display(), "a transaction panicked and was rolled back");
            }
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(path = %path.display(), %error, "database was not closed cleanly");
    }
}

fn prepare(path: &Path, migrations: &[&str]) -> Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("database cannot use a write-ahead log here, only `{mode}`"),
        ));
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

/// A connection to a file that is open for writing by another of this process.
fn prepare_to_read(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > migrations.len() {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "database has schema version {version}, newer than {} of this program",
                migrations.len()
            ),
        ));
    }
    for migration in migrations.iter().skip(done) {
        tx.execute_batch(migration)?;
    }
    let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    tx.pragma_update(None, "user_version", newest)?;
    tx.commit()?;
    Ok(())
}
