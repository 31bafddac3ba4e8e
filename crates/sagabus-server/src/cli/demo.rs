//! `sagabus demo`: one form on its way through the whole system, every event and step shown.

mod timeline;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ai_service::AiService;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sagabus::saga::{SagaId, SagaStatus};

use super::{Failure, extract, serve};
use crate::assemble::{Plan, System, shown};
use crate::cli::print::say;
use crate::config::Config;
use crate::http;
use crate::intake::{self, Form, Taken};
use crate::services::Served;

/// The form that is submitted when none is given.
const DEMO_FORM: &[u8] = include_bytes!("../../assets/demo-form.pdf");
/// How long the events of a saga that has ended may take to reach everybody.
const QUIET_LIMIT: Duration = Duration::from_secs(30);
/// How often the progress is looked at.
const PROGRESS_CHECK: Duration = Duration::from_millis(20);
/// How long running work may take when the program stops.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Carry a submission form through the whole system.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// A submission form; a bundled one unless given
    file: Option<PathBuf>,
    /// End afterwards instead of serving
    #[arg(long)]
    exit: bool,
    /// Where everything is kept; a fresh folder, removed at the end, unless given
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Let this step of the saga fail, to see what is taken back: validate_sample, process_pdf, update_sample_status or
    /// create_audit_log
    #[arg(long, value_name = "STEP")]
    fail_at: Option<String>,
    /// Address to serve on afterwards; only addresses of this machine
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::from_environment()?;
        let (file_name, bytes) = match &self.file {
            None => ("demo-form.pdf".to_owned(), DEMO_FORM.to_vec()),
            Some(path) => {
                let name = path.file_name().map_or_else(
                    || "form.pdf".to_owned(),
                    |name| name.to_string_lossy().into_owned(),
                );
                (name, extract::read(path)?)
            }
        };
        let fresh = match &self.data_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|error| {
                Failure::new(format!(
                    "cannot make a folder for the data: {error}; give one with --data-dir"
                ))
            })?),
        };
        let data_dir = match (&self.data_dir, &fresh) {
            (Some(given), _) => given.clone(),
            (None, Some(fresh)) => fresh.path().to_owned(),
            (None, None) => PathBuf::from("."),
        };
        let runtime = super::runtime()?;
        runtime.block_on(self.play(config, data_dir, file_name, bytes))
    }

    async fn play(
        self,
        config: Config,
        data_dir: PathBuf,
        file_name: String,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        // First of all, so that a taken address is told before anything is done.
        let listener = match self.exit {
            true => None,
            false => Some(http::bind(self.listen).await?),
        };
        let plan = Plan {
            data_dir: data_dir.clone(),
            config,
            served: Served::all(),
            fail_at: self.fail_at.clone(),
        };
        let system = System::open(plan).await?;
        say!(
            "sagabus {}: data in {} ({})",
            env!("CARGO_PKG_VERSION"),
            shown(&data_dir),
            system.bus.capabilities().durability.as_str()
        );
        finish_earlier(&system).await?;
        say!("submitting {file_name} ({} bytes)", bytes.len());
        let file_id = intake::keep(&system, bytes.into()).await?;
        let form = Form {
            file_name,
            file_id,
            submitter_name: None,
            submitter_email: None,
            user_id: Some("demo".to_owned()),
            idempotency_key: None,
        };
        let taken = intake::submit(&system, form).await?;
        let saga = watch(&system, &taken).await?;
        system.quiet(QUIET_LIMIT).await;
        timeline::print(&system, &taken, &saga).await?;
        match listener {
            None => {
                system.shutdown(STOP_DEADLINE).await;
                Ok(())
            }
            Some(listener) => {
                let signals = serve::Signals::catch()?;
                print_hints(http::address(&listener)?, &taken);
                serve::run(listener, system, signals).await
            }
        }
    }
}

/// Waits for sagas that an earlier run left unfinished.
async fn finish_earlier(system: &System) -> Result<(), Failure> {
    let earlier: Vec<SagaId> = system
        .sagas
        .active()
        .into_iter()
        .map(|saga| saga.id)
        .collect();
    if earlier.is_empty() {
        return Ok(());
    }
    say!(
        "going on with {} unfinished sagas of an earlier run",
        earlier.len()
    );
    for id in earlier {
        let saga = system.sagas.wait(&id).await?;
        say!("  {} {}: {}", saga.name, saga.id, saga.status);
    }
    Ok(())
}

/// Waits for the saga's end, and shows how far the PDF is read.
async fn watch(system: &System, taken: &Taken) -> Result<SagaStatus, Failure> {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent}%");
    let bar = ProgressBar::new(100).with_message("reading the PDF");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let ended = system.sagas.wait(&taken.saga);
    tokio::pin!(ended);
    let mut told = 0;
    let saga = loop {
        tokio::select! {
            saga = &mut ended => break saga?,
            () = tokio::time::sleep(PROGRESS_CHECK) => {
                let percent = progress(system.services.ai()?, taken).await?;
                bar.set_position(u64::from(percent));
                // Without a terminal there is no bar: a line now and then instead.
                if bar.is_hidden() && percent >= told + 25 {
                    told = percent;
                    say!("reading the PDF: {percent} %");
                }
            }
        }
    };
    bar.finish_and_clear();
    Ok(saga)
}

/// How far the reading of the form is, in percent.
async fn progress(ai: &AiService, taken: &Taken) -> Result<u8, Failure> {
    let job = timeline::job(ai, &taken.submission.id).await?;
    Ok(job.map_or(0, |job| job.progress))
}

fn print_hints(address: SocketAddr, taken: &Taken) {
    let base = format!("http://{address}");
    say!();
    say!("serving on {base}; stop with Ctrl-C. Try:");
    for path in [
        format!("/api/submissions/{}", taken.submission.id),
        "/api/samples".to_owned(),
        format!("/api/events?correlationId={}", taken.correlation_id),
        format!("/api/sagas/{}", taken.saga),
        "/api/audit/verify".to_owned(),
        "/api/dead-letters".to_owned(),
        "/health/ready".to_owned(),
        "/metrics".to_owned(),
    ] {
        say!("  curl -s '{base}{path}'");
    }
    say!("  curl -s -F file=@FORM.pdf {base}/api/submissions");
}
