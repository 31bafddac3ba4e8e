//! `sagabus dead-letters`: looks after the dead letters of a running server.

mod export;
mod import;
mod show;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use sagabus::event::json_fault;
use sagabus::transport::DeadLetterId;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use self::export::Export;
use self::import::Import;
use super::author::Author;
use super::{Failure, Output};
use crate::cli::print::say;
use crate::client::{Client, encoded};

/// Look after the dead letters of a running server.
#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
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
    /// Show which there are, some at a time
    List(List),
    /// Show one with all its faults and revisions
    Show {
        /// As `list` shows it: SUBSCRIPTION/POSITION
        id: DeadLetterId,
    },
    /// Hand them out again, to their own subscription only
    Retry(Retry),
    /// Give one another payload; what was published stays
    Revise(Revise),
    /// Take them as not wanted, so that what waits behind them goes on
    Skip(GiveUp),
    /// Throw them away
    Discard(GiveUp),
    /// Publish a NEW event with the payload of one, to ALL subscriptions
    Republish {
        /// SUBSCRIPTION/POSITION
        id: DeadLetterId,
    },
    /// Show who retried, revised, skipped, discarded or restored which, when and why, the latest first
    Repairs(Repairs),
    /// Write them as lines of JSON
    Export(Export),
    /// Take written ones back, so that they are dead letters again
    Import(Import),
}

/// Which ones; all that is given must fit.
#[derive(Clone, Debug, Default, Args)]
struct Filter {
    /// Of this subscription
    #[arg(long)]
    subscription: Option<String>,
    /// Type or pattern of the event, such as `sample.*`
    #[arg(long = "type")]
    event_type: Option<String>,
    /// Kind of the latest fault, such as `error`, `panic`, `timeout`
    #[arg(long)]
    kind: Option<String>,
    /// Type of error of the latest fault
    #[arg(long)]
    error_type: Option<String>,
    /// Somewhere in the text of the latest fault
    #[arg(long)]
    error: Option<String>,
    /// Key or subject of the event
    #[arg(long)]
    key: Option<String>,
    /// Given up at this time or later, such as `2026-03-01T12:00:00Z`
    #[arg(long)]
    dead_from: Option<String>,
    /// Given up before this time
    #[arg(long)]
    dead_before: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Go on after this one, as the page before said
    #[arg(long)]
    after: Option<DeadLetterId>,
}

#[derive(Debug, Args)]
struct Chosen {
    /// SUBSCRIPTION/POSITION, as `list` shows it
    ids: Vec<DeadLetterId>,
    #[command(flatten)]
    filter: Filter,
    /// All there are
    #[arg(long)]
    all: bool,
    /// Say how many, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Retry {
    #[command(flatten)]
    chosen: Chosen,
    /// At most so many a second (1 – 1000) [default: all at once]
    #[arg(long)]
    rate: Option<u32>,
    #[command(flatten)]
    author: Author,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
struct GiveUp {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    author: Author,
    /// Why
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
struct Revise {
    /// SUBSCRIPTION/POSITION
    id: DeadLetterId,
    /// The payload: one JSON value
    #[arg(long)]
    data: String,
    #[command(flatten)]
    author: Author,
    /// Why
    #[arg(long)]
    reason: String,
    /// Hand it out at once
    #[arg(long)]
    retry: bool,
}

#[derive(Debug, Args)]
struct Repairs {
    /// Of this subscription
    subscription: String,
    /// Of the event at this position
    #[arg(long)]
    position: Option<u64>,
    /// At most so many (1 – 1000)
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Made before the one with this number, as the page before said
    #[arg(long)]
    before: Option<u64>,
}

impl Repairs {
    fn path(&self) -> String {
        let name = encoded(&self.subscription);
        let mut path = format!("/api/subscriptions/{name}/repairs?limit={}", self.limit);
        for (field, number) in [("position", self.position), ("before", self.before)] {
            if let Some(number) = number {
                let _written = write!(path, "&{field}={number}");
            }
        }
        path
    }
}

impl Filter {
    fn fields(&self) -> Map<String, Value> {
        let texts = [
            ("subscription", &self.subscription),
            ("type", &self.event_type),
            ("kind", &self.kind),
            ("errorType", &self.error_type),
            ("error", &self.error),
            ("key", &self.key),
            ("deadFrom", &self.dead_from),
            ("deadBefore", &self.dead_before),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        let limit = self.limit.map(|it| ("limit".to_owned(), json!(it)));
        texts.chain(limit).collect()
    }

    fn path(&self, path: &str, after: Option<&DeadLetterId>) -> String {
        let mut fields = self.fields();
        fields.extend(after.map(|id| ("after".to_owned(), json!(id.to_string()))));
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                format!("{name}={}", encoded(&text))
            })
            .collect();
        format!("/api/dead-letters{path}?{}", pairs.join("&"))
    }
}

impl Chosen {
    /// Bodies of the orders that mean these.
    fn orders(&self) -> Result<Vec<Map<String, Value>>, Failure> {
        let fields = self.filter.fields();
        let ways = [!self.ids.is_empty(), !fields.is_empty(), self.all];
        if ways.into_iter().filter(|it| *it).count() != 1 {
            return Err(Failure {
                text:
                    "say which: by SUBSCRIPTION/POSITION, by filters such as --key, or with --all"
                        .to_owned(),
                code: 2,
            });
        }
        let mut by_name: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for id in &self.ids {
            by_name
                .entry(&id.subscription)
                .or_default()
                .push(id.position);
        }
        let mut orders: Vec<Value> = by_name
            .into_iter()
            .map(|(name, positions)| json!({ "subscription": name, "positions": positions }))
            .collect();
        if orders.is_empty() {
            orders.push(json!({ "query": fields }));
        }
        Ok(orders
            .into_iter()
            .filter_map(|mut order| {
                let order = order.as_object_mut()?;
                order.insert("dryRun".to_owned(), json!(self.dry_run));
                Some(std::mem::take(order))
            })
            .collect())
    }
}

/// A revision as it is sent, its payload byte for byte.
#[derive(Debug, Serialize)]
struct RevisionBody<'a> {
    subscription: &'a str,
    position: u64,
    data: &'a RawValue,
    author: String,
    reason: &'a str,
    retry: bool,
}

impl Revise {
    fn body(&self) -> Result<RevisionBody<'_>, Failure> {
        let data = serde_json::from_str(&self.data).map_err(|error| Failure {
            text: format!("`--data` is not JSON: {}", json_fault(&error)),
            code: 2,
        })?;
        Ok(RevisionBody {
            subscription: &self.id.subscription,
            position: self.id.position,
            data,
            author: self.author.name()?,
            reason: &self.reason,
            retry: self.retry,
        })
    }
}

impl DeadLetters {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.url)?;
        super::runtime()?.block_on(self.ask(&client))
    }

    async fn ask(&self, client: &Client) -> Result<(), Failure> {
        match &self.command {
            Command::List(list) => {
                let path = list.filter.path("", list.after.as_ref());
                self.show(&client.get(&path).await?, show::list)
            }
            Command::Show { id } => {
                let name = encoded(&id.subscription);
                let path = format!("/api/dead-letters/{name}/{}", id.position);
                self.show(&client.get(&path).await?, show::one)
            }
            Command::Retry(retry) => {
                let order = json!({
                    "ratePerSecond": retry.rate, "author": retry.author.name()?, "reason": retry.reason,
                });
                self.order(client, "redrive", &retry.chosen, &order).await
            }
            Command::Skip(skip) => {
                let order = json!({ "author": skip.author.name()?, "reason": skip.reason });
                self.order(client, "skip", &skip.chosen, &order).await
            }
            Command::Discard(discard) => {
                let order = json!({ "author": discard.author.name()?, "reason": discard.reason });
                self.order(client, "discard", &discard.chosen, &order).await
            }
            Command::Revise(revise) => {
                let body = revise.body()?;
                let answer = client.post("/api/dead-letters/revise", &body).await?;
                self.show(&answer, |answer| {
                    say!("revision {} of {}", answer["revision"], revise.id);
                })
            }
            Command::Republish { id } => {
                let body = json!({ "subscription": id.subscription, "position": id.position });
                let answer = client.post("/api/dead-letters/republish", &body).await?;
                self.show(&answer, |answer| {
                    say!(
                        "published as new event {} at position {}; {id} is still a dead letter",
                        show::text(&answer["id"]),
                        answer["position"]
                    );
                })
            }
            Command::Repairs(repairs) => {
                self.show(&client.get(&repairs.path()).await?, show::repairs)
            }
            Command::Export(export) => export.run(client).await,
            Command::Import(import) => self.show(&import.run(client).await?, |answer| {
                say!(
                    "{} restored, {} left as they are",
                    answer["restored"],
                    answer["left"]
                );
            }),
        }
    }

    /// Gives an order for each subscription that is meant.
    async fn order(
        &self,
        client: &Client,
        what: &str,
        chosen: &Chosen,
        rest: &Value,
    ) -> Result<(), Failure> {
        for mut body in chosen.orders()? {
            body.extend(rest.as_object().cloned().unwrap_or_default());
            let path = format!("/api/dead-letters/{what}");
            let answer = client.post(&path, &Value::Object(body)).await?;
            self.show(&answer, |answer| show::done(answer, chosen.dry_run))?;
        }
        Ok(())
    }

    fn show(&self, answer: &Value, print: impl Fn(&Value)) -> Result<(), Failure> {
        match self.output {
            Output::Text => print(answer),
            Output::Json => say!(
                "{}",
                serde_json::to_string_pretty(answer).map_err(|it| Failure::new(it.to_string()))?
            ),
        }
        Ok(())
    }
}
