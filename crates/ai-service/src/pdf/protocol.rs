//! What the child writes: one JSON object per line, progress first, one answer last.

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::error::PdfError;
use super::sandbox::Confinement;

/// The version of the lines; both sides come from one binary, so that only this one is read.
pub(super) const VERSION: u32 = 1;

/// What is being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The child process starts and takes away its rights.
    Initialising,
    /// Size, header and encryption are looked at.
    Checking,
    /// The structure of the file is read.
    Parsing,
    /// Glyphs and drawings are read, page by page.
    Pages,
    /// The answer is on its way.
    Finalising,
}

/// How far the reading of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// From 0 to 100 over all stages; never goes back.
    pub percent: u8,
}

impl Progress {
    /// The beginning of a stage. The weights follow where the time goes for a usual form.
    pub(super) fn at(stage: Stage) -> Self {
        let percent = match stage {
            Stage::Initialising => 0,
            Stage::Checking => 5,
            Stage::Parsing => 10,
            Stage::Pages => 30,
            Stage::Finalising => 95,
        };
        Self { stage, percent }
    }

    /// Before page `number` of `count`.
    pub(super) fn page(number: u32, count: usize) -> Self {
        let done = usize::try_from(number.saturating_sub(1))
            .unwrap_or(count)
            .min(count);
        let percent = 30 + 65 * done / count.max(1);
        Self {
            stage: Stage::Pages,
            percent: u8::try_from(percent).unwrap_or(95),
        }
    }
}

/// One line of the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) v: u32,
    #[serde(flatten)]
    pub(super) body: Body,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    Progress(Progress),
    Confinement(Confinement),
    Document(Document),
    Error(PdfError),
}

impl Answer {
    /// The line with its line feed.
    pub(super) fn line(body: Body) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(&Self { v: VERSION, body })?;
        line.push(b'\n');
        Ok(line)
    }
}
