//! `sagabus subscriptions`: shows the subscriptions of a running server, pauses, resumes and removes them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::table::print;
use super::{Failure, Output};
use crate::cli::print::say;
use crate::client::{Client, encoded};

/// Look after the subscriptions of a running server.
#[derive(Debug, Args)]
pub(crate) struct Subscriptions {
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
    /// Show all, with where their deliveries are
    List,
    /// Hand out nothing until it is resumed; what is at work is finished
    Pause {
        #[command(flatten)]
        order: Order,
        /// End by itself at this time, such as `2026-03-01T12:00:00Z`
        #[arg(long)]
        until: Option<String>,
    },
    /// Go on
    Resume {
        #[command(flatten)]
        order: Order,
    },
    /// Forget one that does not run, its dead letters and all it had not handled
    Remove {
        #[command(flatten)]
        order: Order,
    },
}

#[derive(Debug, Args)]
struct Order {
    /// Name of the subscription
    name: String,
    /// Who does it
    #[arg(long)]
    author: String,
    /// Why
    #[arg(long)]
    reason: String,
}

impl Order {
    async fn give(
        &self,
        client: &Client,
        what: &str,
        until: Option<&String>,
    ) -> Result<Value, Failure> {
        let path = format!("/api/subscriptions/{}/{what}", encoded(&self.name));
        let body = json!({ "author": self.author, "reason": self.reason, "until": until });
        client.post(&path, &body).await
    }
}

impl Subscriptions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.url)?;
        super::runtime()?.block_on(async {
            let answer = match &self.command {
                Command::List => client.get("/api/subscriptions").await?,
                Command::Pause { order, until } => {
                    order.give(&client, "pause", until.as_ref()).await?
                }
                Command::Resume { order } => order.give(&client, "resume", None).await?,
                Command::Remove { order } => order.give(&client, "remove", None).await?,
            };
            self.show(&answer)
        })
    }

    fn show(&self, answer: &Value) -> Result<(), Failure> {
        if self.output == Output::Json {
            let text = serde_json::to_string_pretty(answer);
            say!("{}", text.map_err(|it| Failure::new(it.to_string()))?);
            return Ok(());
        }
        if let Some(name) = answer["removed"].as_str() {
            say!("removed {name}");
            return Ok(());
        }
        let all = answer["subscriptions"].as_array();
        let views = all.map_or(std::slice::from_ref(answer), Vec::as_slice);
        let rows = views.iter().map(|view| {
            let count = |state: &str| {
                let count = view["counts"].get(state);
                count.unwrap_or(&Value::Null).to_string()
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let pause = &view["pause"];
            let state = match pause["reason"].as_str() {
                Some(reason) => format!(
                    "paused since {} by {}: {reason}",
                    text(&pause["since"]),
                    text(&pause["author"])
                ),
                None if view["isStalled"] == true => "waits for its dead letters".to_owned(),
                None => "-".to_owned(),
            };
            [
                text(&view["name"]),
                view["ahead"].to_string(),
                count("ready"),
                count("leased"),
                count("waiting"),
                count("dead"),
                count("acked"),
                state,
            ]
        });
        let heads = [
            "name", "ahead", "ready", "leased", "waiting", "dead", "acked", "pause",
        ];
        print(heads, rows.collect());
        Ok(())
    }
}
