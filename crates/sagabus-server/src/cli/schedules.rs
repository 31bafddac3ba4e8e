//! `sagabus schedules`: looks after the events that a running server is to publish later.

use crate::cli::print::say;
use clap::{Args, Subcommand};
use sagabus::event::json_fault;
use serde_json::{Value, json};

use super::table::print;
use super::{Failure, Output};
use crate::client::{Client, encoded};

/// Look after the events that a running server is to publish later.
#[derive(Debug, Args)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    command: Command,
    /// Where the server is
    #[arg(long, global = true, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which there are, the next ones first, some at a time
    List {
        /// At most so many (1 – 1000)
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Go on after this one, as the page before said
        #[arg(long)]
        after: Option<String>,
    },
    /// Have an event published later
    Add {
        /// Not before this time, such as `2026-03-01T12:00:00Z`
        #[arg(long)]
        due: String,
        /// To cancel it, or give it another time, by this key
        #[arg(long)]
        cancel_key: Option<String>,
        /// The event: JSON in the envelope form, such as `{"type": "lab.note", "source": "bench-3", "data": {}}`
        event: String,
    },
    /// Have it published at another time
    Move {
        /// Its key
        cancel_key: String,
        /// Not before this time
        #[arg(long)]
        due: String,
    },
    /// Do not publish it
    Cancel {
        /// Its key
        cancel_key: String,
    },
}

impl Schedules {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.url)?;
        super::runtime()?.block_on(async {
            let answer = self.ask(&client).await?;
            self.show(&answer)
        })
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        match &self.command {
            Command::List { limit, after } => {
                let mut path = format!("/api/schedules?limit={limit}");
                if let Some(after) = after {
                    path.push_str("&after=");
                    path.push_str(&encoded(after));
                }
                client.get(&path).await
            }
            Command::Add {
                due,
                cancel_key,
                event,
            } => {
                let event: Value = serde_json::from_str(event).map_err(|error| {
                    Failure::new(format!("the event is not JSON: {}", json_fault(&error)))
                })?;
                let mut path = format!("/api/schedules?due={}", encoded(due));
                if let Some(key) = cancel_key {
                    path.push_str("&cancelKey=");
                    path.push_str(&encoded(key));
                }
                client.post(&path, &event).await
            }
            Command::Move { cancel_key, due } => {
                let path = format!("/api/schedules/{}/move", encoded(cancel_key));
                client.post(&path, &json!({ "due": due })).await
            }
            Command::Cancel { cancel_key } => {
                let path = format!("/api/schedules/{}", encoded(cancel_key));
                client.delete(&path).await
            }
        }
    }

    fn show(&self, answer: &Value) -> Result<(), Failure> {
        if self.output == Output::Json {
            let text = serde_json::to_string_pretty(answer);
            say!("{}", text.map_err(|it| Failure::new(it.to_string()))?);
            return Ok(());
        }
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        match &self.command {
            Command::List { .. } => {
                let listed = answer["schedules"].as_array();
                let rows = listed.into_iter().flatten().map(|it| {
                    let event = &it["event"];
                    [
                        text(&it["due"]),
                        text(&it["cancelKey"]),
                        text(&event["type"]),
                        text(&event["subject"]),
                        text(&event["id"]),
                    ]
                });
                print(
                    ["due", "cancel key", "type", "subject", "id"],
                    rows.collect(),
                );
                say!("{} scheduled", answer["total"]);
                if let Some(next) = answer["next"].as_str() {
                    say!("more with --after {next}");
                }
            }
            Command::Add { .. } => say!(
                "{} is published at {}",
                text(&answer["id"]),
                text(&answer["due"])
            ),
            Command::Move { .. } => say!("published at {}", text(&answer["due"])),
            Command::Cancel { .. } => say!("cancelled"),
        }
        Ok(())
    }
}
