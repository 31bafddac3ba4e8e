//! Many submissions of many samples at once into a server of its own: what is lost, how long looks wait meanwhile, how much memory.

mod form;
mod looks;
mod server;
mod whole;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sagabus::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::looks::{Looks, Waits};
use self::server::{Footprint, Server};
use self::whole::Whole;
use super::{Folder, failed, rounded};
use crate::cli::print::say;
use crate::cli::{Failure, Output};
use crate::client::Client;

/// Longest time for all of it.
const PATIENCE: Duration = Duration::from_mins(30);
/// Between two questions whether all submissions have ended.
const PAUSE: Duration = Duration::from_millis(200);
/// Stands between the parts of a form that is sent.
const BOUNDARY: &str = "between-the-parts-of-a-form";

/// How many submissions, and samples on each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) submissions: usize,
    pub(super) samples: usize,
}

/// What was measured.
#[derive(Debug)]
struct Measured {
    taken: Duration,
    done: Duration,
    waits: Waits,
    footprint: Footprint,
    whole: Whole,
}

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    order: Order,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let server = Server::start(&folder.fresh("lab")?)?;
    let measured = runtime.block_on(measure(&server, order))?;
    print(order, &measured, output);
    measured.whole.check()
}

async fn measure(server: &Server, order: Order) -> Result<Measured, Failure> {
    let client = Arc::new(Client::new(&server.url)?);
    let sample = json!({
        "sampleName": "there before", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    let before = client.post("/api/samples", &sample).await?;
    let path = format!("/api/samples/{}", text(&before, "id")?);
    let watch = server.watch();
    let looks = Looks::start(Arc::clone(&client), path);
    let began = SystemClock.elapsed();
    submit(&client, order).await?;
    let taken = SystemClock.elapsed().saturating_sub(began);
    tokio::time::timeout(PATIENCE, ended(&client, order.submissions))
        .await
        .map_err(|_| failed("the submissions do not end"))??;
    let done = SystemClock.elapsed().saturating_sub(began);
    let waits = looks.stop().await?;
    let whole = Whole::look(&client, order).await?;
    let footprint = watch.stop().await?;
    Ok(Measured {
        taken,
        done,
        waits,
        footprint,
        whole,
    })
}

/// Hands in all forms at once.
async fn submit(client: &Arc<Client>, order: Order) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for number in 0..order.submissions {
        let client = Arc::clone(client);
        let names: Vec<String> = (0..order.samples).map(|row| name(number, row)).collect();
        let file = form::quote(number, &names);
        tasks.spawn(async move {
            let body = multipart(&format!("quote-{number}.pdf"), &file);
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            client.post_as("/api/submissions", &kind, body).await
        });
    }
    while let Some(taken) = tasks.join_next().await {
        taken.map_err(failed)??;
    }
    Ok(())
}

/// The name of the sample in this row of that submission.
fn name(submission: usize, row: usize) -> String {
    format!("lab-{submission:04}-{row:03}")
}

fn multipart(name: &str, file: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         content-type: application/pdf\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Waits until every submission was accepted; one that was refused is a failure.
async fn ended(client: &Client, submissions: usize) -> Result<(), Failure> {
    loop {
        let rejected = client.get("/api/submissions?status=rejected&limit=1");
        let rejected = rejected.await?;
        if total(&rejected)? > 0 {
            return Err(failed(format!("a submission was refused: {rejected}")));
        }
        let accepted = client.get("/api/submissions?status=accepted&limit=1");
        if total(&accepted.await?)? >= submissions as u64 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn total(page: &Value) -> Result<u64, Failure> {
    let total = page.get("total").and_then(Value::as_u64);
    total.ok_or_else(|| failed(format!("no total: {page}")))
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str, Failure> {
    let text = value.get(field).and_then(Value::as_str);
    text.ok_or_else(|| failed(format!("no `{field}`: {value}")))
}

fn print(order: Order, measured: &Measured, output: Output) {
    let Measured {
        taken,
        done,
        waits,
        footprint,
        whole,
    } = measured;
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "submissions": order.submissions,
                "samples": whole.samples,
                "lost": whole.lost,
                "doubled": whole.doubled,
                "without_their_events": whole.without_events,
                "without_entry": whole.without_entry,
                "entries": whole.entries,
                "trail_is_whole": whole.trail_is_whole,
                "taken_seconds": rounded(taken.as_secs_f64()),
                "done_seconds": rounded(done.as_secs_f64()),
                "looks": waits.count,
                "look_p50_ms": rounded(ms(waits.p50)),
                "look_p99_ms": rounded(ms(waits.p99)),
                "look_max_ms": rounded(ms(waits.max)),
                "server_peak_bytes": footprint.server_bytes,
                "child_peak_bytes": footprint.child_bytes,
                "children_at_once": footprint.children,
            })
        ),
        Output::Text => {
            let mebibytes = |bytes: u64| bytes / (1024 * 1024);
            say!(
                "{} submissions of {} samples: taken in {:.1} s, done in {:.1} s",
                order.submissions,
                order.samples,
                taken.as_secs_f64(),
                done.as_secs_f64()
            );
            say!(
                "{} samples: {} lost, {} doubled, {} without their events; {} events without an entry in the trail of {}, which {}",
                whole.samples,
                whole.lost,
                whole.doubled,
                whole.without_events,
                whole.without_entry,
                whole.entries,
                if whole.trail_is_whole {
                    "is whole"
                } else {
                    "IS NOT WHOLE"
                }
            );
            say!(
                "{} looks at a sample meanwhile: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
                waits.count,
                ms(waits.p50),
                ms(waits.p99),
                ms(waits.max)
            );
            say!(
                "memory at most: server {} MiB; {} children at once, the largest {} MiB",
                mebibytes(footprint.server_bytes),
                footprint.children,
                mebibytes(footprint.child_bytes)
            );
        }
    }
}
