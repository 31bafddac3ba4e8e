//! One inbox between threads: nothing is lost, and nobody waits for what never comes, whatever the order.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::future::block_on;
use shuttle::thread;

use super::*;
use crate::sync::any_order::{in_every_order, in_random_orders};

/// Reads as a worker does: until it has seen `upto` and nothing more waits. Answers whoever asks. Returns how many it saw.
async fn read(inbox: &Inbox, upto: usize) -> usize {
    let mut seen = 0;
    while seen < upto || !inbox.is_empty() {
        match inbox.next().await {
            Arrival::Message(message) => {
                seen += 1;
                if let Some(reply) = message.reply {
                    let _gone = reply.send(Ok(()));
                }
            }
            Arrival::Closing => {}
            Arrival::Killed => break,
        }
    }
    inbox.close();
    seen
}

/// Asks and waits for what becomes of it. Whether it was answered.
fn ask(inbox: &Inbox) -> bool {
    let (reply, answer) = oneshot::channel();
    inbox.ask(Input::Begin, reply).unwrap();
    block_on(answer).is_ok()
}

#[test]
fn a_question_that_meets_the_end_of_its_reader_is_answered_or_dropped_in_every_order() {
    let orders = in_every_order(|| {
        let inbox = Arc::new(Inbox::default());
        let reader = Arc::clone(&inbox);
        let reader = thread::spawn(move || block_on(read(&reader, 0)));
        let is_answered = ask(&inbox);
        assert_eq!(reader.join().unwrap(), usize::from(is_answered));
    });
    println!("{orders} orders");
    assert!(orders > 10);
}

#[test]
fn whatever_is_put_in_before_the_end_is_read_in_any_order_of_threads() {
    in_random_orders(5_000, || {
        let inbox = Arc::new(Inbox::default());
        let writers = (0..2).map(|_| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.push(Input::Begin))
        });
        let askers = (0..2).map(|_| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || assert!(ask(&inbox)))
        });
        let all: Vec<_> = writers.chain(askers).collect();
        assert_eq!(block_on(read(&inbox, 4)), 4);
        all.into_iter().for_each(|it| it.join().unwrap());
    });
}

#[test]
fn a_reader_that_gives_up_waiting_and_waits_again_misses_nothing_in_every_order() {
    let orders = in_every_order(|| {
        let inbox = Arc::new(Inbox::default());
        let writer = Arc::clone(&inbox);
        let writer = thread::spawn(move || {
            writer.push(Input::Begin);
            writer.push(Input::Recovered);
        });
        let mut seen = 0;
        // As a worker whose timer is over while it waits.
        for _ in 0..2 {
            let next = pin!(inbox.next());
            let mut context = Context::from_waker(Waker::noop());
            seen += usize::from(next.poll(&mut context).is_ready());
        }
        while seen < 2 {
            assert!(matches!(block_on(inbox.next()), Arrival::Message(_)));
            seen += 1;
        }
        writer.join().unwrap();
        assert!(inbox.is_empty());
    });
    println!("{orders} orders");
    assert!(orders > 10);
}

#[test]
fn whoever_opens_a_closed_inbox_starts_one_reader_for_all_in_any_order_of_threads() {
    in_random_orders(5_000, || {
        let inbox = Arc::new(Inbox::default());
        inbox.close();
        let open = |inbox: Arc<Inbox>| {
            thread::spawn(move || {
                let (reply, answer) = oneshot::channel();
                let needs_reader = inbox.reopen(Input::Begin, reply).unwrap();
                if needs_reader {
                    assert!(block_on(read(&inbox, 1)) >= 1);
                }
                // Asked again where the reader ended in between, as operators do.
                (needs_reader, block_on(answer).is_ok())
            })
        };
        let both = [(); 2].map(|()| open(Arc::clone(&inbox)));
        let both = both.map(|it| it.join().unwrap());
        assert!(both.iter().any(|(needs_reader, _)| *needs_reader));
        assert!(both.iter().any(|(_, is_answered)| *is_answered));
        assert!(inbox.is_closed() && inbox.is_empty());
    });
}

#[test]
fn the_end_of_the_orchestrator_is_seen_once_after_what_came_before_in_every_order() {
    let orders = in_every_order(|| {
        let inbox = Arc::new(Inbox::default());
        inbox.push(Input::Begin);
        let closer = Arc::clone(&inbox);
        let closer = thread::spawn(move || closer.close_soon());
        assert!(matches!(block_on(inbox.next()), Arrival::Message(_)));
        assert!(matches!(block_on(inbox.next()), Arrival::Closing));
        closer.join().unwrap();
        let next = pin!(inbox.next());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(next.poll(&mut context), Poll::Pending));
    });
    assert!(orders > 1);
}
