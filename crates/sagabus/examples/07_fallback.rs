//! A call of before that runs where the bus does not take an event, with a record that it did.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sagabus::migration::{Fallback, TABLE, Took};
use sagabus::sqlite::Database;
use sagabus::testing::TestBus;
use sagabus::{Event, Payload, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "sample.created", source = "desk", subject = id)]
struct Created {
    id: String,
}

async fn publish(fallback: &Fallback, event: Event) -> Result<()> {
    let took = fallback
        .publish(event, |event| async move {
            let sample: Created = event.payload()?;
            println!("call: label for {}", sample.id);
            Ok(())
        })
        .await?;
    match took {
        Took::Bus(_) => println!("the bus took it"),
        Took::Call(cause) => println!("the call took it, the bus: {}", cause.as_str()),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let file = std::env::temp_dir().join(format!("sagabus-example-{}.db", std::process::id()));
    let database = Database::open(&file, &[TABLE]).await?;
    let mut world = TestBus::start(|_| async { Ok(()) }).await?;

    let fallback = Fallback::new(world.bus().clone(), database.clone());
    for (id, is_down) in [("S-1", false), ("S-2", true)] {
        if is_down {
            world.power().turn_off();
        }
        let created = Created { id: id.to_owned() };
        let event = Event::new(&created, world.bus().clock().as_ref())?;
        publish(&fallback, event.clone()).await?;
        if is_down {
            publish(&fallback, event).await?; // a repeat calls nobody
        }
    }

    world.crash_and_restart().await?;
    let fallback = Fallback::new(world.bus().clone(), database.clone());
    println!("settled: {}", fallback.settle().await?);
    for record in fallback.records(0).await? {
        let verdict = record.verdict.map_or("not known", |it| it.as_str());
        println!("{} {}: {verdict}", record.event_type, record.state.as_str());
    }
    world
        .assert_published(&["sample.created S-1", "migration.fallback_ran"])
        .await;
    world.bus().shutdown(Duration::ZERO).await;
    database.close().await?;
    for end in ["", "-wal", "-shm"] {
        // The last two are gone when the database was closed in order.
        let _removed = std::fs::remove_file(format!("{}{end}", file.display()));
    }
    Ok(())
}
