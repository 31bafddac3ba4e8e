//! What an engine does not give is refused at the start, by name; nothing is silently less.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use sagabus::bus::SubscriptionBuilder;
use sagabus::filter::Filter;
use sagabus::ledger::{Exhausted, Order, Priority, RetryBudget, Sharing};
use sagabus::transport::{Attribute, Property, Unsupported};
use sagabus::{Bus, Clock, Error, ErrorKind, Start};

use crate::support::{Unsteady, clock, event};

/// A bus whose engine is the embedded one, but says that it lacks this.
fn bus_without(lacks: &'static [Property]) -> Bus {
    let clock = clock();
    let mut engine = Unsteady::new(&clock);
    engine.capabilities.lacks = lacks;
    engine.bus(&clock)
}

fn property(error: &Error) -> Property {
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let unsupported = error.source().unwrap().downcast_ref::<Unsupported>();
    let unsupported = unsupported.unwrap_or_else(|| panic!("{}", error.chain()));
    assert_eq!(unsupported.engine, "embedded");
    assert!(error.chain().contains(unsupported.property.as_str()));
    unsupported.property
}

async fn start(builder: SubscriptionBuilder) -> Result<(), Error> {
    let subscription = builder.handler(|_| async { Ok(()) }).await?;
    subscription.stop(Duration::ZERO).await;
    Ok(())
}

fn plain(bus: &Bus) -> SubscriptionBuilder {
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .dead_letters(false)
}

type Ask = fn(SubscriptionBuilder) -> SubscriptionBuilder;

#[tokio::test(start_paused = true)]
async fn a_subscription_that_asks_for_what_its_engine_lacks_does_not_start_and_the_error_names_it()
{
    let asks: [(&'static [Property], Ask); 10] = [
        (&[Property::PerKey], |it| {
            it.order(Order::PerKey).exhausted(Exhausted::SkipAhead)
        }),
        (&[Property::Strict], |it| {
            it.order(Order::Strict).exhausted(Exhausted::SkipAhead)
        }),
        (&[Property::Priority], |it| it.sharing(Sharing::Strict)),
        (&[Property::Fairness], |it| it.fair_by(Attribute::Source)),
        (&[Property::Expiry], SubscriptionBuilder::keep_expired),
        (&[Property::Filters], |it| {
            it.filter(Filter::sql("source = 'x'").unwrap())
        }),
        (&[Property::DeadLetters], |it| it.dead_letters(true)),
        (&[Property::Pauses], |it| {
            it.dead_letters(true).exhausted(Exhausted::Pause)
        }),
        (&[Property::Budgets], |it| {
            it.retry_budget(RetryBudget::default())
        }),
        (&[Property::Members], |it| it.member("2")),
    ];
    for (lacks, ask) in asks {
        let bus = bus_without(lacks);
        let error = start(ask(plain(&bus))).await.unwrap_err();
        assert_eq!(property(&error), lacks[0]);
        // The same engine serves whoever does not ask, and the whole engine whoever does.
        start(plain(&bus)).await.unwrap();
        start(ask(plain(&bus_without(&[])))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_asks_for_what_the_engine_lacks_is_not_published_as_if_it_did_not() {
    let bus = bus_without(&[
        Property::Delay,
        Property::Priority,
        Property::Expiry,
        Property::Deduplication,
    ]);
    let plain = || event(&bus, "a.b", "1");
    let now = bus.clock().now();
    let later = bus.publish_at(plain(), now, None).await;
    assert_eq!(property(&later.unwrap_err()), Property::Delay);
    for (asking, expected) in [
        (plain().priority(Priority::Urgent), Property::Priority),
        (plain().expires_at(now), Property::Expiry),
        (plain().idempotency_key("k"), Property::Deduplication),
    ] {
        let error = bus.publish_batch(vec![plain(), asking]).await.unwrap_err();
        assert_eq!(property(&error), expected);
    }
    assert_eq!(bus.stats().total_events, 0, "all or none");
    bus.publish(plain()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_refused_where_the_engine_has_none() {
    let bus = bus_without(&[Property::Replay]);
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    let subscription = plain(&bus).handler(|_| async { Ok(()) }).await.unwrap();
    let error = subscription.replay(1, 2).await.unwrap_err();
    assert_eq!(property(&error), Property::Replay);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_requires_what_its_engine_lacks_is_not_built() {
    let clock: Arc<dyn Clock> = clock();
    let mut engine = Unsteady::new(&clock);
    engine.capabilities.lacks = &[Property::Delay];
    let builder = || Bus::builder(Arc::new(engine.clone()), Arc::clone(&clock));
    for required in [Property::Delay, Property::Synced] {
        let error = builder()
            .requires(Property::PerKey)
            .requires(required)
            .build()
            .unwrap_err();
        assert_eq!(property(&error), required);
    }
    builder().requires(Property::PerKey).build().unwrap();
}
