//! Which services a process serves.

use std::collections::BTreeSet;

use super::*;

#[test]
fn whoever_names_none_is_served_all_and_whoever_names_some_these_once() {
    assert_eq!(Served::only(&[]), Served::all());
    assert!(Served::all().is_all());
    let two = Served::only(&[Service::Audit, Service::Sample, Service::Audit]);
    assert_eq!(two.to_string(), "sample and audit");
    assert_eq!(two.left_out().collect::<Vec<_>>(), [Service::Ai]);
    assert_eq!(
        two.refusal().to_string(),
        "not served here: this process serves only sample and audit"
    );
}

#[test]
fn each_service_has_names_and_routes_of_its_own() {
    let names: BTreeSet<&str> = Service::ALL.iter().map(|it| it.name()).collect();
    assert_eq!(names.len(), Service::ALL.len());
    let mut routes = BTreeSet::new();
    for service in Service::ALL {
        let operations = service.operations();
        assert!(!operations.is_empty(), "{service:?}");
        for it in operations {
            let route = format!("{} {}", it.method(), it.path());
            assert!(routes.insert(route.clone()), "twice: {route}");
        }
    }
}

#[test]
fn a_saga_is_done_where_all_services_of_its_steps_are() {
    let of = |yaml| Definition::from_yaml(yaml).unwrap();
    let (form, decision) = (
        of(nanopore::sagas::SAMPLE_PROCESSING),
        of(nanopore::sagas::QC_DECISION),
    );
    for (only, does_form, does_decision) in [
        (&[][..], true, true),
        (&[Service::Sample], false, true),
        (&[Service::Ai], false, false),
        (&[Service::Sample, Service::Ai], false, true),
        (&[Service::Ai, Service::Audit], false, false),
    ] {
        let served = Served::only(only);
        let does = (served.does(&form), served.does(&decision));
        assert_eq!(does, (does_form, does_decision), "{only:?}");
    }
}

#[test]
fn limits_of_a_service_that_is_not_here_limit_nothing_and_those_of_none_are_still_seen() {
    let limits: Vec<ServiceLimit> = ["ai-service=4", "sample-service=2", "ai=1"]
        .iter()
        .map(|it| it.parse().unwrap())
        .collect();
    let here = Served::only(&[Service::Sample]).limits_of(&limits);
    let here: Vec<&str> = here.iter().map(|it| it.service.as_str()).collect();
    assert_eq!(here, ["sample-service", "ai"]);
}
