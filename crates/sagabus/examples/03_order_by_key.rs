//! Events of one key one after the other, through failures; other keys do not wait.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sagabus::testing::TestBus;
use sagabus::{Delivery, HandlerError, Payload, subscriber};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "sample.moved", source = "lab", subject = sample)]
struct Moved {
    sample: String,
    shelf: u32,
}

#[subscriber(name = "map", start = "earliest", order = "per_key", retries = 1)]
async fn note(moved: Moved, delivery: Delivery) -> Result<(), HandlerError> {
    if moved.sample == "A" && moved.shelf == 1 && delivery.attempt == 1 {
        return Err(HandlerError::transient("map is locked"));
    }
    println!("{} is on shelf {}", moved.sample, moved.shelf);
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> sagabus::Result<()> {
    let bus = TestBus::start(|bus| async move { note::register(&bus).await.map(drop) }).await?;
    for (sample, shelf) in [("A", 1), ("B", 1), ("A", 2), ("B", 2)] {
        let sample = sample.to_owned();
        bus.publish(&Moved { sample, shelf }).await?;
    }
    bus.idle().await
}
