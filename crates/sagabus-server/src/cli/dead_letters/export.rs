//! `sagabus dead-letters export`: writes dead letters as lines of JSON.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Filter;
use crate::cli::Failure;
use crate::client::Client;

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    filter: Filter,
    /// Into this file [default: standard output]
    #[arg(long)]
    file: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(&self, client: &Client) -> Result<(), Failure> {
        let path = self.filter.path("/export", None);
        let Some(file) = &self.file else {
            let mut out = std::io::stdout();
            let mut is_gone = false;
            let outcome = client.stream(&path, |bytes| {
                let written = out.write_all(bytes);
                is_gone = written
                    .as_ref()
                    .is_err_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe);
                written
            });
            let outcome = outcome.await;
            // Nobody reads on: no more is to be fetched.
            return if is_gone { Ok(()) } else { outcome };
        };
        let cannot = |error: std::io::Error| {
            Failure::new(format!("cannot write `{}`: {error}", file.display()))
        };
        let mut out = std::fs::File::create_new(file).map_err(cannot)?;
        client.stream(&path, |bytes| out.write_all(bytes)).await?;
        out.sync_all().map_err(cannot)
    }
}
