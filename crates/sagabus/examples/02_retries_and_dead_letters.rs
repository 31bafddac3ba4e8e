//! Errors that say what is to be done about them, dead letters, and their redrive.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sagabus::testing::TestBus;
use sagabus::{Data, Delivery, Disposition, Payload, subscriber};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "form.uploaded", source = "desk", subject = file)]
struct Uploaded {
    file: String,
}

#[derive(Debug, thiserror::Error, Disposition)]
enum ReadError {
    #[error("reader is busy")]
    #[disposition(retry_after = "wait")]
    Busy { wait: Duration },
    #[error("`{file}` is no form")]
    #[disposition(reject)]
    NoForm { file: String },
    #[error("reader is down")]
    #[disposition(retry)]
    Down,
}

#[subscriber(name = "reader", start = "earliest", retries = 2)]
async fn read(
    form: Uploaded,
    delivery: Delivery,
    Data(is_up): Data<Arc<AtomicBool>>,
) -> Result<(), ReadError> {
    println!("{}: attempt {}", form.file, delivery.attempt);
    match form.file.as_str() {
        "cat.png" => Err(ReadError::NoForm { file: form.file }),
        "a.pdf" if delivery.attempt == 1 => Err(ReadError::Busy {
            wait: Duration::from_mins(10),
        }),
        "b.pdf" if !is_up.load(Ordering::SeqCst) => Err(ReadError::Down),
        _ => Ok(()),
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> sagabus::Result<()> {
    let is_up = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&is_up);
    let bus = TestBus::start(move |bus| {
        let state = Arc::clone(&state);
        async move { read::register(&bus, state).await.map(drop) }
    })
    .await?;
    for file in ["cat.png", "a.pdf", "b.pdf"] {
        let file = file.to_owned();
        bus.publish(&Uploaded { file }).await?;
        bus.idle().await?;
    }
    for letter in bus.dead_letters().await? {
        let fault = letter.faults.last().map(|it| it.error.as_str());
        println!(
            "dead letter of {}: {}",
            letter.subscription,
            fault.unwrap_or_default()
        );
    }

    is_up.store(true, Ordering::SeqCst);
    let last = bus.dead_letters().await?.pop().map(|it| it.position);
    let redriven = bus
        .bus()
        .ledgers()
        .redrive("reader", last.as_slice())
        .await?;
    bus.idle().await?;
    println!(
        "redriven: {redriven}, left: {}",
        bus.dead_letters().await?.len()
    );
    Ok(())
}
