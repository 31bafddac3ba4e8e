//! What came is where it went: the check that stands behind every test of the bus sees what is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sagabus::conformance::Cluster;
use sagabus::conformance::embedded::EmbeddedCluster;
use sagabus::engines::embedded::simulation::DeliveryBug;
use sagabus::testing::TestBus;
use sagabus::{Bus, Start};

use crate::support::{event, idle, memory_bus};

/// Handles one event.
async fn handle_one(bus: &Bus) {
    let started = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .handler(|_| async { Ok(()) });
    started.await.unwrap();
    bus.publish(event(bus, "a.b", "1")).await.unwrap();
    idle(bus).await;
    assert_eq!(bus.stats().subscriptions.first().unwrap().attempts, 1);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Each way in which a test comes to its end, and whether it complains.
fn complaints() -> Vec<(&'static str, bool)> {
    let complains = |act: &dyn Fn()| catch_unwind(AssertUnwindSafe(act)).is_err();
    let dropped = || {
        runtime().block_on(async {
            let bus = memory_bus();
            handle_one(&bus).await;
        });
    };
    let shut_down = || {
        runtime().block_on(async {
            let bus = memory_bus();
            handle_one(&bus).await;
            // Only the engine's own check is left.
            let bus = std::mem::ManuallyDrop::new(bus);
            bus.shutdown(Duration::from_secs(1)).await;
        });
    };
    let of_users = || {
        runtime().block_on(async {
            let bus = TestBus::start(|_| async { Ok(()) }).await.unwrap();
            handle_one(bus.bus()).await;
        });
    };
    let of_rules = || {
        runtime().block_on(async {
            let cluster = EmbeddedCluster::in_paused_memory();
            let transport = cluster.transport().await;
            let bus = Bus::builder(transport, cluster.clock()).build().unwrap();
            handle_one(&bus).await;
        });
    };
    vec![
        ("a bus that is dropped", complains(&dropped)),
        ("a bus that is shut down", complains(&shut_down)),
        ("the test bus of users", complains(&of_users)),
        ("the cluster of the rules", complains(&of_rules)),
    ]
}

#[test]
fn a_delivery_that_is_not_counted_ends_the_test_however_it_ends() {
    assert!(complaints().iter().all(|(_, complains)| !complains));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    DeliveryBug::plant(Some(DeliveryBug::AckNotCounted));
    let found = complaints();
    DeliveryBug::plant(None);
    std::panic::set_hook(hook);
    assert!(found.iter().all(|(_, complains)| *complains), "{found:?}");
}
