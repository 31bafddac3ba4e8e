//! Definitions of sagas from any text: JSON and YAML get one verdict, none panics, and cycles are those that another library sees.

#![expect(
    clippy::indexing_slicing,
    reason = "nodes are numbers below their count, and fields of an object are made"
)]

use std::collections::BTreeSet;

use petgraph::Graph;
use petgraph::algo::is_cyclic_directed;
use proptest::prelude::*;
use sagabus::saga::Definition;
use serde_json::{Value, json};

/// Words of definitions, so that what is made of them comes far.
const WORDS: [&str; 16] = [
    "name",
    "steps",
    "id",
    "service",
    "action",
    "compensationAction",
    "timeout",
    "retryAttempts",
    "dependencies",
    "data",
    "pivot",
    "compensation",
    "deadline",
    "serial",
    "a",
    "30s",
];

/// Any JSON of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(&WORDS[..]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..100_000).prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "[ -~]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A definition whose steps have some of the fields, each perhaps with something else in it.
fn nearly_a_definition() -> impl Strategy<Value = Value> {
    let step = (0..4_u8, any::<[bool; 6]>(), any_json()).prop_map(|(id, has, other)| {
        let mut step = json!({ "id": format!("s{id}"), "service": "a", "action": "b" });
        let fields = [
            ("timeout", json!("30s")),
            ("retryAttempts", json!(2)),
            ("compensationAction", json!("c")),
            ("dependencies", json!(["s0"])),
            ("pivot", json!(true)),
        ];
        for ((field, value), has) in fields.into_iter().zip(has) {
            if has {
                step[field] = value;
            }
        }
        if has.last() == Some(&true) {
            step["data"] = other;
        }
        step
    });
    (prop::collection::vec(step, 0..4), any::<bool>(), any_json()).prop_map(
        |(steps, is_odd, other)| {
            let mut definition = json!({ "name": "made", "steps": steps });
            if is_odd {
                definition["deadline"] = other;
            }
            definition
        },
    )
}

/// The verdict of both readers, which is one; what is taken is taken again as it is written.
fn verdict(value: &Value) -> bool {
    let text = value.to_string();
    let (json, yaml) = (
        Definition::from_json(text.as_bytes()),
        Definition::from_yaml(&text),
    );
    assert_eq!(json.is_ok(), yaml.is_ok(), "{text}: {json:?} and {yaml:?}");
    let (Ok(json), Ok(yaml)) = (json, yaml) else {
        return false;
    };
    assert_eq!(json.hash(), yaml.hash(), "{text}");
    let again = Definition::from_json(&json.to_json()).unwrap();
    assert_eq!(again.hash(), json.hash(), "{text}");
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_has_one_verdict_as_json_and_as_yaml(value in any_json()) {
        verdict(&value);
    }

    #[test]
    fn what_is_nearly_a_definition_has_one_verdict_as_json_and_as_yaml(value in nearly_a_definition()) {
        verdict(&value);
    }

    #[test]
    fn no_text_makes_the_readers_of_definitions_panic(text in "\\PC{0,200}") {
        let _json = Definition::from_json(text.as_bytes());
        let _yaml = Definition::from_yaml(&text);
    }

    #[test]
    fn a_definition_is_refused_exactly_if_another_library_sees_a_cycle(
        count in 1_usize..9,
        edges in prop::collection::btree_set((0_usize..9, 0_usize..9), 0..14),
    ) {
        let edges: BTreeSet<_> = edges.into_iter().filter(|(from, to)| *from < count && *to < count).collect();
        let mut graph = Graph::<(), ()>::new();
        let nodes: Vec<_> = (0..count).map(|_| graph.add_node(())).collect();
        for (from, to) in &edges {
            graph.add_edge(nodes[*from], nodes[*to], ());
        }
        let steps: Vec<Value> = (0..count).map(|step| {
            let needs = edges.iter().filter(|(_, to)| *to == step);
            let needs: Vec<String> = needs.map(|(from, _)| format!("s{from}")).collect();
            json!({ "id": format!("s{step}"), "service": "a", "action": "b", "dependencies": needs })
        }).collect();
        let definition = json!({ "name": "graph", "steps": steps });
        prop_assert_eq!(verdict(&definition), !is_cyclic_directed(&graph), "{}", definition);
    }
}
