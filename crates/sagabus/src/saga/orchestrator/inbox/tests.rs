//! An inbox whose reader ends while others write.

use std::sync::Barrier;
use std::thread;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{self, Receiver};

use super::{Inbox, Input, Result};

/// As often as it takes, where the two meet in a gap of some nanoseconds.
const ROUNDS: usize = 20_000;

#[test]
fn whoever_asks_while_the_reader_ends_is_told_that_no_answer_comes() {
    let (inbox, start) = (Inbox::default(), Barrier::new(2));
    let ask = || -> Receiver<Result<()>> {
        let (reply, answer) = oneshot::channel();
        inbox.ask(Input::Begin, reply).unwrap();
        answer
    };
    for round in 0..ROUNDS {
        let mut answer = thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                inbox.close();
            });
            start.wait();
            ask()
        });
        let told = answer.try_recv();
        assert!(matches!(told, Err(TryRecvError::Closed)), "round {round}");
        assert!(inbox.is_empty() && inbox.is_closed());
        let (reply, _answer) = oneshot::channel();
        assert!(inbox.reopen(Input::Begin, reply).unwrap());
        inbox.take();
    }
}
