//! A handler of several events at a time, which answers for each.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sagabus::testing::TestBus;
use sagabus::{Delivery, HandlerError, Payload, Start};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "reading.taken", source = "sensor")]
struct Taken {
    celsius: i32,
}

async fn store(deliveries: Vec<Delivery>) -> Vec<Result<(), HandlerError>> {
    let readings = deliveries.iter().map(Delivery::payload::<Taken>);
    let answers: Vec<_> = readings
        .map(|reading| match reading?.celsius {
            -273.. => Ok(()),
            colder => Err(HandlerError::permanent(format!("{colder} °C cannot be"))),
        })
        .collect();
    let stored = answers.iter().filter(|it| it.is_ok()).count();
    println!("stored {stored} of {}", answers.len());
    answers
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> sagabus::Result<()> {
    let bus = TestBus::start(|bus| async move {
        bus.subscription("store")
            .pattern(Taken::TYPE)
            .start(Start::Earliest)
            .handler_of_many(3, Duration::from_secs(1), store)
            .await
            .map(drop)
    })
    .await?;
    for celsius in [20, 21, -300, 22] {
        bus.publish(&Taken { celsius }).await?;
    }
    bus.idle().await?;
    bus.assert_dead_letters(&["store reading.taken rejected"])
        .await;
    Ok(())
}
