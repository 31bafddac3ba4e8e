//! `sagabus events`: watches the events of a running server.

mod messages;

use std::io;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::messages::{Message, Messages};
use super::print::{tell, try_line};
use super::{Failure, Output};
use crate::cli::table::plain;
use crate::client::{Client, encoded};

/// Between two tries to reach a server that has gone.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest text of a line, in characters.
const TEXT_MAX: usize = 200;

/// Watch the events of a running server.
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(subcommand)]
    command: Command,
    /// Where the server is
    #[arg(long, global = true, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How to print: a line each for people, or the whole event in JSON on one line
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print events as they are stored; where the server ends, go on when it is there again
    Tail(Tail),
}

#[derive(Debug, Args)]
struct Tail {
    /// Of this type, or of types that fit a pattern such as `sample.*`
    #[arg(long = "type", value_name = "PATTERN")]
    event_type: Option<String>,
    /// Of those, the ones that pass this expression of CESQL, such as `source = 'bench-3'`
    #[arg(long, value_name = "CESQL")]
    filter: Option<String>,
    /// About this subject, such as a sample or a saga
    #[arg(long)]
    subject: Option<String>,
    /// Of this piece of work
    #[arg(long)]
    correlation_id: Option<String>,
    /// Begin at this position of the log [default: its end]
    #[arg(long)]
    from: Option<u64>,
    /// End after so many
    #[arg(long)]
    count: Option<u64>,
}

impl Tail {
    /// Where the server tells of them, from `from` on.
    fn path(&self, from: Option<u64>) -> String {
        let from = from.map(|it| it.to_string());
        let all = [
            ("type", self.event_type.as_ref()),
            ("filter", self.filter.as_ref()),
            ("subject", self.subject.as_ref()),
            ("correlationId", self.correlation_id.as_ref()),
            ("from", from.as_ref()),
        ];
        let given = all.into_iter().filter_map(|(name, it)| Some((name, it?)));
        let given: Vec<String> = given
            .map(|(name, it)| format!("{name}={}", encoded(it)))
            .collect();
        match given.is_empty() {
            true => "/api/events/stream".to_owned(),
            false => format!("/api/events/stream?{}", given.join("&")),
        }
    }
}

impl Events {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.url)?;
        let Command::Tail(tail) = &self.command;
        super::runtime()?.block_on(self.tail(&client, tail))
    }

    async fn tail(&self, client: &Client, tail: &Tail) -> Result<(), Failure> {
        let mut left = tail.count.unwrap_or(u64::MAX);
        let mut from = tail.from;
        let (mut has_begun, mut is_told) = (false, false);
        while left > 0 {
            let mut messages = Messages::default();
            let mut has_gone = false;
            let path = tail.path(from);
            let streamed = client.stream(&path, |bytes| {
                has_begun = true;
                for Message { position, event } in messages.take(bytes) {
                    from = Some(position + 1);
                    let Some(event) = event else { continue };
                    if let Err(error) = self.print(position, &event) {
                        has_gone = error.kind() == io::ErrorKind::BrokenPipe;
                        return Err(error);
                    }
                    left -= 1;
                    if left == 0 {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                Ok(())
            });
            match streamed.await {
                // Whoever read has had enough.
                _ if has_gone || left == 0 => return Ok(()),
                Err(failure) if !has_begun || failure.code == 2 => return Err(failure),
                Ok(()) | Err(_) if is_told => {}
                Ok(()) | Err(_) => {
                    is_told = true;
                    tell(format_args!("the stream was cut; it is tried again"));
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    fn print(&self, position: u64, event: &Value) -> io::Result<()> {
        if self.output == Output::Json {
            return try_line(format_args!("{event}"));
        }
        let text = |name: &str| event[name].as_str().unwrap_or("-");
        let line = format!(
            "{position:>8}  {}  {:<32} {}  {}",
            text("time"),
            text("type"),
            text("subject"),
            text("source")
        );
        try_line(format_args!("{}", plain(&line, TEXT_MAX)))
    }
}

#[cfg(test)]
mod tests;
