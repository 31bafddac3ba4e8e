//! When a circuit opens, probes and closes.

use super::*;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn it_opens_after_failures_in_a_row_and_only_then() {
    let breaker = Breaker::on("llm").after(3).probe(at(10));
    let mut circuit = Circuit::default();
    circuit.failed(&breaker, at(1));
    circuit.failed(&breaker, at(1));
    circuit.succeeded();
    circuit.failed(&breaker, at(2));
    circuit.failed(&breaker, at(2));
    assert_eq!(circuit.ask(at(2)), Gate::Open);
    circuit.failed(&breaker, at(2));
    assert_eq!(circuit.ask(at(2)), Gate::Closed(Some(at(12))));
}

#[test]
fn one_event_is_tried_after_the_pause_and_decides() {
    let breaker = Breaker::on("llm").after(1).probe(at(10));
    let mut circuit = Circuit::default();
    circuit.failed(&breaker, at(0));
    assert_eq!(circuit.ask(at(9)), Gate::Closed(Some(at(10))));
    assert_eq!(circuit.ask(at(10)), Gate::Probe);
    assert_eq!(circuit.ask(at(10)), Gate::Closed(None));
    circuit.failed(&breaker, at(11));
    assert_eq!(circuit.ask(at(11)), Gate::Closed(Some(at(21))));
    assert_eq!(circuit.ask(at(21)), Gate::Probe);
    circuit.succeeded();
    assert_eq!(circuit.ask(at(21)), Gate::Open);
}

#[test]
fn a_probe_that_found_nothing_is_repeated_at_once() {
    let breaker = Breaker::on("llm").after(1).probe(at(10));
    let mut circuit = Circuit::default();
    circuit.failed(&breaker, at(0));
    assert_eq!(circuit.ask(at(10)), Gate::Probe);
    circuit.not_tried(at(15));
    assert_eq!(circuit.ask(at(15)), Gate::Probe);
}
