//! Everybody is answered, whoever of them still listens.

use tokio::sync::oneshot::Receiver;

use super::*;

type Listener = Receiver<Result<Answer>>;

/// As many as asked for, with the positions 1, 2, ….
fn waiting(many: u64) -> (Waiting, Vec<Listener>) {
    (1..=many)
        .map(|first| {
            let (reply, listener) = oneshot::channel();
            let placed = Placed {
                first,
                duplicates: Vec::new(),
            };
            ((reply, Answer::new(placed, Vec::new())), listener)
        })
        .unzip()
}

/// The position that a listener was told, if it was told one by now.
fn told(listener: &mut Listener) -> Option<u64> {
    Some(listener.try_recv().ok()?.unwrap().open().first)
}

#[test]
fn a_few_are_answered_at_once() {
    let crowd = Crowd::default();
    let (mut few, mut listeners) = waiting(3);
    crowd.answer(&mut few);
    assert!(!crowd.is_waiting());
    for (listener, position) in listeners.iter_mut().zip(1..) {
        assert_eq!(told(listener), Some(position));
    }
}

#[test]
fn the_first_of_many_answers_the_others() {
    let crowd = Crowd::default();
    let (mut many, mut listeners) = waiting(10);
    crowd.answer(&mut many);
    assert!(crowd.is_waiting());
    assert_eq!(listeners.get_mut(5).and_then(told), None);
    for (listener, position) in listeners.iter_mut().zip(1..) {
        assert_eq!(told(listener), Some(position));
    }
    assert!(!crowd.is_waiting());
}

#[test]
fn a_first_that_stopped_waiting_before_or_after_its_answer_leaves_nobody_unanswered() {
    let crowd = Crowd::default();
    let (mut many, mut listeners) = waiting(10);
    drop(listeners.remove(0));
    crowd.answer(&mut many);
    assert_eq!(listeners.first_mut().and_then(told), Some(2));

    let (mut many, mut listeners) = waiting(10);
    crowd.answer(&mut many);
    drop(listeners.remove(0));
    assert_eq!(listeners.first_mut().and_then(told), Some(2));
}

#[test]
fn a_first_that_is_never_run_holds_nobody_up() {
    let crowd = Crowd::default();
    let (mut many, mut listeners) = waiting(10);
    crowd.answer(&mut many);
    crowd.disperse();
    assert_eq!(listeners.last_mut().and_then(told), Some(10));

    let (mut later, mut late) = waiting(10);
    let (mut many, mut listeners) = waiting(10);
    crowd.answer(&mut many);
    crowd.answer(&mut later);
    assert_eq!(listeners.last_mut().and_then(told), Some(10));
    drop(crowd);
    assert_eq!(late.last_mut().and_then(told), Some(10));
}
