//! Typed events, a function as a subscription, and an event that follows from another.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::{Bus, Data, Delivery, Emit, Event, HandlerError, Payload, SystemClock, subscriber};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "order.placed", source = "shop", subject = number)]
struct Placed {
    number: u32,
    #[event(attr)]
    country: String,
}

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "parcel.sent", source = "warehouse", subject = number)]
struct Sent {
    number: u32,
}

/// Sends what was ordered; that it did is the next event.
#[subscriber(name = "warehouse", start = "earliest", order = "per_key")]
async fn send(order: Placed) -> Result<Emit, HandlerError> {
    println!(
        "warehouse: order {} goes to {}",
        order.number, order.country
    );
    Ok(Emit::of(&Sent {
        number: order.number,
    }))
}

/// Tells the customer.
#[subscriber(name = "mail", start = "earliest")]
async fn tell(
    sent: Sent,
    delivery: Delivery,
    Data(told): Data<UnboundedSender<u32>>,
) -> Result<(), HandlerError> {
    let is_caused = delivery.event.causation_id.is_some();
    println!(
        "mail: order {} is on its way, caused by an event: {is_caused}",
        sent.number
    );
    told.send(sent.number).map_err(HandlerError::permanent)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> sagabus::Result<()> {
    let clock = Arc::new(SystemClock);
    let engine = Embedded::in_memory(clock.clone())?; // Embedded::open keeps everything in a directory
    let bus = Bus::builder(Arc::new(engine), clock.clone()).build()?;
    let (tx, mut told) = tokio::sync::mpsc::unbounded_channel();
    send::register(&bus).await?;
    tell::register(&bus, tx).await?;

    let order = Placed {
        number: 7,
        country: "NO".to_owned(),
    };
    let receipt = bus.publish(Event::new(&order, clock.as_ref())?).await?;
    println!("published, duplicate: {}", receipt.duplicate);
    told.recv().await;
    bus.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
