//! `sagabus saga`: checks definitions of sagas, and looks after the sagas of a running server.

mod check;
mod definition;
mod show;
mod start;
mod verb;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::verb::Verb;
use super::{Failure, Output};
use crate::cli::print::{say, tell};
use crate::client::{Client, encoded};

/// Where the server says how its sagas are.
const HEALTH: &str = "health";

/// Check definitions of sagas; look after the sagas of a running server.
#[derive(Debug, Args)]
pub(crate) struct Saga {
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
    /// Say what is wrong with a definition and where; needs no server; exit code 2 when it is refused
    Check(check::Check),
    /// Show the sagas that are not over, and those that ended not long ago: the one that was started last first
    List(List),
    /// Show one: its steps, attempts, errors, what was taken back, and why it waits
    Show(Show),
    /// Say whether all is well with them, and what is not; exit code 1 where something is not
    Health,
    /// Start one, and print its id
    Start(start::Start),
    #[command(flatten)]
    Verb(Verb),
}

#[derive(Debug, Args)]
struct List {
    /// In this status, such as `executing` or `compensation_stuck`; may be given more than once
    #[arg(long)]
    status: Vec<String>,
    /// With this name of their definition
    #[arg(long)]
    name: Option<String>,
    /// With this attribute, `name=value`; may be given more than once
    #[arg(long)]
    attribute: Vec<String>,
    /// Only those that are over with effects left, or with work that is not done
    #[arg(long)]
    inconsistent: bool,
    /// Started then or later, such as `2026-03-01T12:00:00Z`
    #[arg(long)]
    from: Option<String>,
    /// Started before
    #[arg(long)]
    before: Option<String>,
    /// Behind this place, which the page before has named
    #[arg(long)]
    after: Option<String>,
    /// At most so many (1 – 1000)
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
struct Show {
    /// Id of the saga
    id: String,
    /// Its input and the outputs of its steps as well; they may hold personal data
    #[arg(long)]
    outputs: bool,
}

impl List {
    fn path(&self) -> String {
        let mut path = format!("/api/sagas?limit={}", self.limit);
        if self.inconsistent {
            path.push_str("&inconsistent=true");
        }
        let once = [
            ("name", &self.name),
            ("from", &self.from),
            ("before", &self.before),
            ("after", &self.after),
        ];
        let once = once
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let status = self.status.iter().map(|it| ("status", it));
        let attributes = self.attribute.iter().map(|it| ("attribute", it));
        for (name, value) in once.chain(status).chain(attributes) {
            for part in ["&", name, "=", &encoded(value)] {
                path.push_str(part);
            }
        }
        path
    }
}

impl Saga {
    pub(super) fn run(self) -> Result<(), Failure> {
        if let Command::Check(check) = &self.command {
            return check.run(self.output);
        }
        let client = Client::new(&self.url)?;
        super::runtime()?.block_on(self.ask(&client))
    }

    async fn ask(&self, client: &Client) -> Result<(), Failure> {
        match &self.command {
            Command::Check(check) => check.run(self.output),
            Command::List(list) => self.show(&client.get(&list.path()).await?, show::list),
            // The place of no saga.
            Command::Show(Show { id, .. }) if id == HEALTH => self.health(client).await,
            Command::Health => self.health(client).await,
            Command::Show(Show { id, outputs }) => {
                let include = if *outputs { "?include=outputs" } else { "" };
                let path = format!("/api/sagas/{}{include}", encoded(id));
                self.show(&client.get(&path).await?, show::one)
            }
            Command::Start(start) => {
                let answer = client.post("/api/sagas", &start.body()?).await?;
                if let Some(note) = show::earlier(&answer) {
                    tell(format_args!("{note}"));
                }
                self.show(&answer, |answer| say!("{}", show::text(&answer["sagaId"])))
            }
            Command::Verb(verb) => {
                let (route, (id, body)) = verb.order()?;
                let path = format!("/api/sagas/{}/{route}", encoded(id));
                self.show(&client.post(&path, &body).await?, show::one)
            }
        }
    }

    async fn health(&self, client: &Client) -> Result<(), Failure> {
        let health = client.health(&format!("/api/sagas/{HEALTH}")).await?;
        self.show(&health, show::health)?;
        match health.get("healthy").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            Some(false) | None => Err(Failure::new("not all is well with the sagas")),
        }
    }

    fn show(&self, answer: &Value, print: impl Fn(&Value)) -> Result<(), Failure> {
        match self.output {
            Output::Text => print(answer),
            Output::Json => print_json(answer)?,
        }
        Ok(())
    }
}

fn print_json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    say!("{}", text.map_err(|it| Failure::new(it.to_string()))?);
    Ok(())
}
