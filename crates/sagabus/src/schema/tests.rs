//! Rules of the registry: versions, upcasts, faults, and what cannot be built.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::clock::SystemClock;
use crate::error::ErrorKind;
use crate::event::{Event, EventType, Payload};

/// A payload of `lab.measured` in one version.
macro_rules! measured {
    ($name:ident, $version:literal, { $($field:ident: $kind:ty),* }) => {
        #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        struct $name { $($field: $kind),* }

        impl Payload for $name {
            const TYPE: &'static str = "lab.measured";
            const SOURCE: &'static str = "lab";
            const VERSION: &'static str = $version;
        }
    };
}

measured!(V1, "1.0", { ng: u32 });
measured!(V1_3, "1.3", { ng: u32, by: Option<String> });
measured!(V2, "2.0", { nanograms: u64, by: Option<String> });
measured!(V3, "3.0", { picograms: u64, by: Option<String> });
measured!(V1Broken, "1.4", { ng: u32, place: String });

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Other {}

impl Payload for Other {
    const TYPE: &'static str = "lab.other";
    const SOURCE: &'static str = "lab";
}

fn to_2(old: V1_3) -> V2 {
    V2 {
        nanograms: old.ng.into(),
        by: old.by,
    }
}

fn to_3(old: V2) -> V3 {
    V3 {
        picograms: old.nanograms * 1000,
        by: old.by,
    }
}

fn chain() -> RegistryBuilder {
    // In no order: what counts are the versions.
    Registry::builder()
        .register::<V3>()
        .register::<V1>()
        .register::<V2>()
        .register::<V1_3>()
        .upcast(to_2)
        .upcast(to_3)
}

fn event(version: &'static str, data: &serde_json::Value) -> Event {
    let event_type = EventType::new("lab.measured").unwrap();
    let data = serde_json::to_vec(data).unwrap();
    let mut event = Event::raw(event_type, "lab", data.into(), &SystemClock);
    event.version = version.into();
    event
}

fn known(fault: &SchemaFault) -> Vec<String> {
    let SchemaFault::Unsupported { known, .. } = fault else {
        panic!("{fault:?}");
    };
    known.iter().map(ToString::to_string).collect()
}

#[test]
fn every_older_version_reaches_the_newest_through_all_upcasts() {
    let registry = chain().build().unwrap();
    for (version, data) in [
        ("1.0", json!({"ng": 7})),
        ("1", json!({"ng": 7})),
        ("1.3", json!({"ng": 7})),
        ("2.0", json!({"nanograms": 7})),
        ("3.0", json!({"picograms": 7000})),
        // Minor versions that are not known, between the known ones and beyond; with fields that are not known.
        ("1.2", json!({"ng": 7, "room": 3})),
        ("1.9", json!({"ng": 7, "room": 3})),
        ("3.4.1", json!({"picograms": 7000, "room": 3})),
    ] {
        let event = event(version, &data);
        registry.check(&event).unwrap();
        let newest = V3 {
            picograms: 7000,
            by: None,
        };
        assert_eq!(registry.decode::<V3>(&event).unwrap(), newest, "{version}");
        let (newest, json) = registry.newest(&event).unwrap();
        assert_eq!(newest.unwrap().to_string(), "3.0");
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["picograms"], 7000);
    }
    let middle = event("1.3", &json!({"ng": 7, "by": "ada"}));
    let by = Some("ada".to_owned());
    let wanted = V2 { nanograms: 7, by };
    assert_eq!(registry.decode::<V2>(&middle).unwrap(), wanted);
}

#[test]
fn an_event_older_than_every_known_minor_is_read_by_the_oldest() {
    let registry = Registry::builder().register::<V1_3>().build().unwrap();
    let fits = event("1.0", &json!({"ng": 7}));
    registry.check(&fits).unwrap();
    let wanted = V1_3 { ng: 7, by: None };
    assert_eq!(registry.decode::<V1_3>(&fits).unwrap(), wanted);
    let fault = registry.check(&event("1.0", &json!({}))).unwrap_err();
    assert_eq!(fault.kind(), "decode");
}

#[test]
fn an_unknown_major_is_unsupported_and_the_known_versions_are_named() {
    let registry = chain().build().unwrap();
    for version in [
        "4.0",
        "0.9",
        "",
        "v1",
        "1.x",
        "+1.0",
        "1.0.0.0",
        "99999999999",
    ] {
        let event = event(version, &json!({"ng": 7}));
        for fault in [
            registry.check(&event).unwrap_err(),
            registry.decode::<V3>(&event).unwrap_err(),
            registry.newest(&event).unwrap_err(),
        ] {
            assert_eq!(fault.kind(), "schema_unsupported", "{version}");
            assert_eq!(known(&fault), ["1.0", "1.3", "2.0", "3.0"]);
        }
    }
    let error = crate::Error::from(registry.check(&event("4.1", &json!({}))).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "version `4.1` of `lab.measured` is not supported; known: `1.0`, `1.3`, `2.0`, `3.0`"
    );
}

#[test]
fn a_reader_of_an_old_major_does_not_read_a_newer_one() {
    let registry = chain().build().unwrap();
    let new = event("3.0", &json!({"picograms": 1}));
    let fault = registry.decode::<V2>(&new).unwrap_err();
    assert_eq!(known(&fault), ["1.0", "1.3", "2.0"]);
    // The same without a registry of the type.
    let empty = Registry::default();
    let fault = empty.decode::<V2>(&new).unwrap_err();
    assert_eq!(known(&fault), ["2.0"]);
    let minor = event("2.7", &json!({"nanograms": 1}));
    assert_eq!(empty.decode::<V2>(&minor).unwrap().nanograms, 1);
}

#[test]
fn a_payload_is_checked_by_the_version_that_it_names() {
    let registry = chain().build().unwrap();
    for (version, data, field) in [
        ("1.0", json!({"nanograms": 7}), "`data.ng`"),
        ("2.0", json!({"ng": 7}), "`data.nanograms`"),
        ("3.5", json!({"ng": 7}), "`data.picograms`"),
    ] {
        let event = event(version, &data);
        let fault = registry.check(&event).unwrap_err();
        assert_eq!(fault.kind(), "decode");
        assert!(fault.to_string().contains(field), "{fault}");
        assert_eq!(registry.decode::<V3>(&event).unwrap_err().kind(), "decode");
    }
}

#[test]
fn an_event_of_a_type_that_is_not_registered_is_taken_or_refused_as_told() {
    let event = event("9.9", &json!([1]));
    Registry::default().check(&event).unwrap();
    let closed = Registry::builder()
        .unknown_types(UnknownTypes::Refuse)
        .build()
        .unwrap();
    let fault = closed.check(&event).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "event type `lab.measured` is not registered"
    );
    let mut broken = event;
    broken.data = "{".into();
    let fault = Registry::default().check(&broken).unwrap_err();
    assert_eq!(fault.kind(), "decode");
}

#[test]
fn what_does_not_fit_together_is_refused_when_it_is_built() {
    let version = |text: &str| text.parse::<Version>().unwrap();
    let event_type = "lab.measured";
    let check = |builder: RegistryBuilder, expected: RegistryError| {
        assert_eq!(builder.build().unwrap_err(), expected);
    };
    check(
        chain().register::<V2>(),
        RegistryError::DuplicateVersion {
            event_type,
            version: version("2.0"),
        },
    );
    check(
        chain().upcast(to_3),
        RegistryError::DuplicateUpcast {
            event_type,
            to: version("3.0"),
        },
    );
    check(
        Registry::builder().register::<V1>().register::<V2>(),
        RegistryError::MissingUpcast {
            event_type,
            from: version("1.0"),
            to: version("2.0"),
        },
    );
    // From 1.3, where only 1.0 is known; and over the head of 2.0.
    check(
        Registry::builder()
            .register::<V1>()
            .register::<V2>()
            .upcast(to_2),
        RegistryError::NoStep {
            event_type,
            from: version("1.3"),
            to: version("2.0"),
        },
    );
    check(
        chain().upcast(|_: V1_3| V3 {
            picograms: 0,
            by: None,
        }),
        RegistryError::NoStep {
            event_type,
            from: version("1.3"),
            to: version("3.0"),
        },
    );
    check(
        chain().register::<Other>().upcast(|_: V3| Other {}),
        RegistryError::TypesDiffer {
            from: event_type,
            to: "lab.other",
        },
    );
    let broken = Registry::builder().register::<V1>().register::<V1Broken>();
    let error = broken.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "version `1.4` of `lab.measured` cannot read `1.0`: $.place: is required, but may be left out by the writer"
    );
    let error = Registry::builder()
        .check("lab..measured", |_| Ok(()))
        .build()
        .unwrap_err();
    assert!(matches!(error, RegistryError::Name { .. }), "{error}");
}

#[test]
fn a_registry_tells_its_types_versions_and_schemas() {
    let registry = chain()
        .check("lab.bare", |_| Ok(()))
        .register::<Other>()
        .build()
        .unwrap();
    assert_eq!(registry.types(), ["lab.bare", "lab.measured", "lab.other"]);
    let versions = registry.versions("lab.measured");
    let seen: Vec<(String, bool)> = versions
        .iter()
        .map(|it| (it.version.to_string(), it.is_upcast))
        .collect();
    let expected = [("1.0", false), ("1.3", false), ("2.0", true), ("3.0", true)];
    assert_eq!(seen, expected.map(|(version, is)| (version.to_owned(), is)));
    let schema = versions[1].schema.clone().unwrap();
    assert_eq!(schema["required"], json!(["ng"]));
    assert_eq!(
        schema["properties"]["by"]["type"],
        json!(["string", "null"])
    );
    assert_eq!(registry.versions("lab.bare")[0].schema, None);
    assert_eq!(registry.versions("lab.none"), []);
}
