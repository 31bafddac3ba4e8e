//! From a call to the bus and back: both ways side by side, a shadow that is compared, and one of them leads.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sagabus::migration::{Comparison, Dual, Phase, Role, Way};
use sagabus::testing::TestBus;
use sagabus::{Bus, Delivery, Event, HandlerError, Payload, Result, Start};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Payload)]
#[event(name = "sample.created", source = "desk", subject = id)]
struct Created {
    id: String,
}

/// What the new handler does to a sample, in words. It forgets that urgent ones have a red label.
fn label(sample: &Created) -> String {
    format!("white label for {}", sample.id)
}

/// The new handler, for events that the bus leads, and its shadow, for those that the old way leads.
async fn register(bus: Bus, comparison: Comparison) -> Result<()> {
    bus.subscription("label")
        .start(Start::Earliest)
        .led_by_bus()?
        .on(|sample: Created, _: Delivery| async move {
            println!("bus:  {}", label(&sample));
            Ok::<(), HandlerError>(())
        })
        .await?;
    bus.subscription("label shadow")
        .pattern("sample.created")
        .start(Start::Earliest)
        .shadow(&comparison, |delivery| async move {
            Ok(label(&delivery.payload()?))
        })
        .await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let comparison = Comparison::default();
    let compared = comparison.clone();
    let world = TestBus::start(move |bus| register(bus, compared.clone())).await?;
    let bus = world.bus().clone();

    // The old way is a call. It is told whether the event has its effect here.
    let noted = comparison.clone();
    let dual = Dual::new(
        bus.clone(),
        "sample.** = old_leads".parse()?,
        move |event, role| {
            let noted = noted.clone();
            async move {
                let sample: Created = event.payload()?;
                let color = if sample.id.starts_with('U') {
                    "red"
                } else {
                    "white"
                };
                let done = format!("{color} label for {}", sample.id);
                if role == Role::Leads {
                    println!("call: {done}");
                    noted.note(Way::Old, &event.id, Ok(done));
                }
                Ok(())
            }
        },
    );

    for (id, phase) in [
        ("S-1", Phase::OldLeads),
        ("U-2", Phase::OldLeads),
        ("S-3", Phase::BusLeads),
        ("U-4", Phase::OldLeads), // the way back
    ] {
        dual.switch("sample.**", phase)?;
        let created = Created { id: id.to_owned() };
        dual.publish(Event::new(&created, bus.clock().as_ref())?)
            .await?;
        world.idle().await?;
    }
    let tally = comparison.tally();
    println!("{} the same, {} different", tally.same, tally.different);
    for mismatch in comparison.mismatches() {
        println!("old {:?}, new {:?}", mismatch.old, mismatch.bus);
    }
    let counts = dual.counts();
    println!("{:?}", counts.get("sample.created"));
    Ok(())
}
