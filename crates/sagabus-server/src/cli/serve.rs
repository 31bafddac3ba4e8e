//! `sagabus serve`: the whole system over HTTP until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sagabus::ErrorKind;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::assemble::{Plan, System};
use crate::cli::print::say;
use crate::config::Config;
use crate::http;
use crate::services::{Served, Service};

/// How long running work may take when the program stops.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How often the log's condition is looked at.
const CONDITION_CHECK: Duration = Duration::from_millis(500);
/// Exit code after a failed write (`EX_TEMPFAIL`): whoever supervises the process should start it again.
const EXIT_RESTART: u8 = 75;

/// Serve the bus, the sagas and the services over HTTP.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where everything is kept
    #[arg(long, default_value = "sagabus-data")]
    data_dir: PathBuf,
    /// Address to listen on; only addresses of this machine
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Serve this service only, with its routes, its database and what it hears of events; may be given more than once. The
    /// bus is always there, and sagas wait at steps of services that are not
    #[arg(long, value_enum, value_name = "SERVICE")]
    only: Vec<Service>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::from_environment()?;
        super::runtime()?.block_on(async {
            let listener = http::bind(self.listen).await?;
            let signals = Signals::catch()?;
            let plan = Plan {
                data_dir: self.data_dir.clone(),
                config,
                served: Served::only(&self.only),
                fail_at: None,
            };
            let system = System::open(plan).await?;
            let served = system.services.served();
            let only = match served.is_all() {
                true => String::new(),
                false => format!("; only {served}"),
            };
            say!(
                "serving on http://{} with data in {} ({}){only}",
                http::address(&listener)?,
                crate::assemble::shown(&self.data_dir),
                system.bus.capabilities().durability.as_str()
            );
            run(listener, system, signals).await
        })
    }
}

/// The signals that ask the program to end. From here on they do not end it at once: whoever reads that it serves may
/// send one the next moment.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn catch() -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::new(format!("cannot wait for signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }
}

/// Serves until a signal, or until the log has stopped itself.
pub(super) async fn run(
    listener: TcpListener,
    system: Arc<System>,
    signals: Signals,
) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let serving = http::serve(listener, Arc::clone(&system), stop.clone());
    tokio::pin!(serving);
    let told = tokio::select! {
        () = &mut serving => return Ok(()),
        told = until_stopped(&system, signals) => told,
    };
    stop.cancel();
    // Requests that hang, such as an upload that does not go on, are not waited for without end.
    let _in_time = tokio::time::timeout(STOP_DEADLINE, &mut serving).await;
    let stopped = system.shutdown(STOP_DEADLINE).await;
    if stopped.unfinished_sagas > 0 || stopped.cut_handlers > 0 {
        say!(
            "stopped; {} sagas and {} deliveries go on at the next start",
            stopped.unfinished_sagas,
            stopped.cut_handlers
        );
    }
    told
}

/// `Ok` on SIGTERM or SIGINT; a failure when the log has stopped itself.
async fn until_stopped(system: &System, mut signals: Signals) -> Result<(), Failure> {
    let stopped_itself = async {
        loop {
            tokio::time::sleep(CONDITION_CHECK).await;
            if let Err(error) = system.bus.condition()
                && error.kind() == ErrorKind::Closed
            {
                return error;
            }
        }
    };
    tokio::select! {
        _ = signals.terminate.recv() => Ok(()),
        _ = signals.interrupt.recv() => Ok(()),
        error = stopped_itself => Err(Failure {
            text: error.chain(),
            code: EXIT_RESTART,
        }),
    }
}
