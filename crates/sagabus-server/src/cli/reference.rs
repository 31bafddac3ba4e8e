//! `sagabus reference`: pages of the reference, generated from the code so that they cannot be wrong.

use clap::{Args, ValueEnum};

use super::Failure;
use crate::cli::print::say;
use crate::config::VARIABLES;
use crate::services::Served;
use crate::{assemble, http, wire};

/// Print a page of the reference.
#[derive(Debug, Args)]
pub(crate) struct Reference {
    /// Which page
    page: Page,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Page {
    /// The environment variables
    Settings,
    /// The event types, as an AsyncAPI document
    Asyncapi,
    /// The HTTP interface, as an OpenAPI document
    Openapi,
}

impl Reference {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.page {
            Page::Settings => say!("{}", settings().trim_end()),
            Page::Asyncapi => {
                let registry = assemble::schemas().build().map_err(sagabus::Error::from)?;
                say!("{:#}", wire::asyncapi(&registry));
            }
            Page::Openapi => say!("{:#}", http::openapi::document(&Served::all())),
        }
        Ok(())
    }
}

fn settings() -> String {
    let mut page = String::from(
        "<!-- generated: cargo run -p sagabus-server -- reference settings -->\n# Settings\n\n\
         Read from the environment at the start. A variable under `EVENT_BUS_`, `SAGA_`, `AUDIT_`, `AI_` or `SAMPLE_` that is not listed here\n\
         stops the start, with a suggestion; so does a value outside its limits.\n\n\
         | variable | default | meaning |\n|---|---|---|\n",
    );
    page.extend(VARIABLES.iter().map(|variable| {
        format!(
            "| `{}` | {} | {} |\n",
            variable.name,
            Some(variable.default)
                .filter(|it| !it.is_empty())
                .unwrap_or("none"),
            variable.meaning
        )
    }));
    page
}
