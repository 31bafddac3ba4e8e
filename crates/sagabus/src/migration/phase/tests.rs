//! Tests of phases and routes.

use super::*;
use crate::clock::SystemClock;

fn event(event_type: &str) -> Event {
    let event_type = EventType::new(event_type).unwrap();
    Event::raw(event_type, "test", "{}".into(), &SystemClock)
}

fn check(phases: &str, event_type: &str, expected: Phase) {
    let phases: Phases = phases.parse().unwrap();
    let found = phases.of(&EventType::new(event_type).unwrap());
    assert_eq!(found, expected, "{phases} of {event_type}");
}

#[test]
fn the_first_pattern_that_fits_says_the_phase_and_without_one_nothing_has_moved() {
    let text = "sample.created = bus_only, sample.** = bus_leads , ai.* = old_leads";
    check(text, "sample.created", Phase::BusOnly);
    check(text, "sample.stored", Phase::BusLeads);
    check(text, "ai.read", Phase::OldLeads);
    check(text, "audit.written", Phase::OldOnly);
    check("", "sample.created", Phase::OldOnly);
}

#[test]
fn phases_are_written_as_they_are_read_and_a_change_of_one_leaves_the_others() {
    let text = "sample.created = bus_only, sample.** = bus_leads";
    let mut phases: Phases = text.parse().unwrap();
    assert_eq!(phases.to_string(), text);
    phases.set("sample.**", Phase::OldOnly).unwrap();
    phases.set("sample.stored", Phase::OldLeads).unwrap();
    let changed = "sample.stored = old_leads, sample.created = bus_only, sample.** = old_only";
    assert_eq!(phases.to_string(), changed);
}

#[test]
fn what_is_no_table_of_phases_is_refused() {
    for text in [
        "sample.*",
        "sample.* = new",
        "Sample! = old_only",
        "a.b = old_only, a.b = bus_only",
    ] {
        let error = text.parse::<Phases>().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{text}");
    }
}

#[test]
fn the_leader_of_an_event_is_decided_once_whatever_the_phase_is_later() {
    let all = [
        Phase::OldOnly,
        Phase::OldLeads,
        Phase::BusLeads,
        Phase::BusOnly,
    ];
    for first in all {
        for later in all {
            let mut phases = Phases::default();
            phases.set("**", first).unwrap();
            let mut event = event("a.b");
            let route = phases.route(&mut event);
            assert_eq!(route.leader, first.leader());
            assert_eq!(
                route.is_followed,
                matches!(first, Phase::OldLeads | Phase::BusLeads)
            );
            phases.set("**", later).unwrap();
            let again = phases.route(&mut event);
            assert_eq!(again.leader, route.leader, "{first:?} then {later:?}");
            assert_eq!(again.is_followed, later.uses(route.leader.other()));
            assert_eq!(Way::leading(&event), Some(route.leader));
        }
    }
}
