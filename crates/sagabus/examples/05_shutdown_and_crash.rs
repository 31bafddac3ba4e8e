//! A shutdown lets handlers end until its deadline; what a crash cuts comes again.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sagabus::testing::TestBus;
use sagabus::{Delivery, HandlerError, Payload, subscriber};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "job.placed", source = "desk")]
struct Placed {
    name: String,
}

#[subscriber(name = "worker", start = "earliest")]
async fn work(job: Placed, delivery: Delivery) -> Result<(), HandlerError> {
    println!("{}: began, attempt {}", job.name, delivery.attempt);
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("{}: ended", job.name);
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> sagabus::Result<()> {
    let mut bus = TestBus::start(|bus| async move { work::register(&bus).await.map(drop) }).await?;
    for (name, ends_well) in [("first", true), ("second", false)] {
        let name = name.to_owned();
        bus.publish(&Placed { name }).await?;
        bus.advance(Duration::from_secs(1)).await;
        if ends_well {
            bus.restart(Duration::from_mins(1)).await?;
            println!("shut down, started again");
        } else {
            bus.crash_and_restart().await?;
            println!("crashed, started again");
        }
    }
    bus.idle().await
}
