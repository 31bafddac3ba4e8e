//! `sagabus dead-letters import`: has lines of an export taken back, some at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use clap::Args;
use sagabus::transport::PAGE_BYTES_MAX;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::author::Author;
use crate::client::{Client, encoded};

/// Bytes of lines after which they are sent: the server answers in time, and is asked seldom.
const PART_BYTES: usize = 1024 * 1024;
/// Longest line: with what comes before it in a part, it is as much as the server takes. A dead letter with the most and
/// largest revisions is shorter.
const LINE_BYTES_MAX: usize = PAGE_BYTES_MAX - PART_BYTES;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// From this file [default: standard input]
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    author: Author,
    /// Why
    #[arg(long)]
    reason: String,
}

impl Import {
    /// Says how many letters were taken back, and how many were left as they are.
    pub(super) async fn run(&self, client: &Client) -> Result<Value, Failure> {
        let cannot = |error: std::io::Error| {
            let name = self.file.as_ref().map_or_else(
                || "standard input".to_owned(),
                |it| format!("`{}`", it.display()),
            );
            Failure::new(format!("cannot read {name}: {error}"))
        };
        let author = self.author.name()?;
        let mut lines: Box<dyn BufRead> = match &self.file {
            Some(file) => Box::new(BufReader::new(File::open(file).map_err(cannot)?)),
            None => Box::new(BufReader::new(std::io::stdin())),
        };
        let (mut restored, mut left, mut first) = (0, 0, 1);
        loop {
            let part = Part::read(lines.as_mut()).map_err(cannot)?;
            // That there is none is told, too: what is wrong with the rest is said.
            if part.count > 0 || first == 1 {
                let path = format!(
                    "/api/dead-letters/import?author={}&reason={}&firstLine={first}",
                    encoded(&author),
                    encoded(&self.reason)
                );
                let answer = client.post_lines(&path, part.lines).await?;
                let told = |field| answer.get(field).and_then(Value::as_u64).unwrap_or(0);
                restored += told("restored");
                left += told("left");
                first += part.count;
            }
            match part.end {
                End::Full => {}
                End::OfFile => return Ok(json!({ "restored": restored, "left": left })),
                End::TooLong => {
                    return Err(Failure {
                        text: format!(
                            "line {first} is not taken back, those before it are: it has more than {LINE_BYTES_MAX} bytes"
                        ),
                        code: 2,
                    });
                }
            }
        }
    }
}

/// Some lines, which are sent together.
struct Part {
    lines: Vec<u8>,
    count: u64,
    end: End,
}

/// Why a part has no more lines.
enum End {
    Full,
    OfFile,
    /// The next one has too many bytes.
    TooLong,
}

impl Part {
    fn read(from: &mut dyn BufRead) -> std::io::Result<Self> {
        let mut part = Self {
            lines: Vec::new(),
            count: 0,
            end: End::Full,
        };
        while part.lines.len() < PART_BYTES {
            let before = part.lines.len();
            let mut line = from.take(LINE_BYTES_MAX as u64 + 1);
            let bytes = line.read_until(b'\n', &mut part.lines)?;
            if bytes == 0 {
                part.end = End::OfFile;
                break;
            }
            if bytes > LINE_BYTES_MAX {
                part.lines.truncate(before);
                part.end = End::TooLong;
                break;
            }
            part.count += 1;
        }
        Ok(part)
    }
}
