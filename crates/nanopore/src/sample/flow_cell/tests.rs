//! What can be done with a flow cell, and what its product allows.

use serde_json::json;

use super::*;

fn rule(attributes: &Value) -> Result<ReuseRule, FieldErrors> {
    ReuseRule::read(attributes.as_object().unwrap())
}

fn life(state: FlowCellState, loads: u32, pores: impl Into<Option<u32>>) -> Life {
    let pores = pores.into();
    Life {
        state,
        loads,
        pores,
    }
}

#[test]
fn the_rule_of_a_product_is_data_and_a_wrong_one_is_named() {
    let read = rule(&json!({"maxLoads": 3, "minPores": 200, "chemistry": "R10.4.1"})).unwrap();
    assert_eq!((read.loads_max, read.pores_min), (Some(3), Some(200)));
    assert!(!read.may_top_up);
    assert_eq!(rule(&json!({})).unwrap(), ReuseRule::default());
    let wrong = json!({"maxLoads": 0, "minPores": "many", "mayTopUp": 1});
    let errors = rule(&wrong).unwrap_err();
    let fields: Vec<_> = errors.0.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "attributes.maxLoads",
            "attributes.minPores",
            "attributes.mayTopUp"
        ]
    );
}

#[test]
fn a_flow_cell_is_loaded_as_often_and_with_as_many_pores_as_its_product_says() {
    use FlowCellState::{Loaded, New, Returned, UsedUp, Washed};
    let strict = rule(&json!({"maxLoads": 2, "minPores": 200})).unwrap();
    let lenient = rule(&json!({"mayTopUp": true})).unwrap();
    for (before, rule, pores, field) in [
        (life(New, 0, None), strict, None, None),
        (life(New, 0, 1_400), strict, Some(200), None),
        (life(Washed, 1, 300), strict, None, None),
        (life(Loaded, 1, 300), strict, None, Some("state")),
        (life(Loaded, 7, 3), lenient, None, None),
        (life(Washed, 2, 300), strict, None, Some("loads")),
        (life(Washed, 1, 199), strict, None, Some("pores")),
        (life(Washed, 1, 900), strict, Some(199), Some("pores")),
        (life(Washed, 1, 199), strict, Some(200), None),
        (life(UsedUp, 1, 300), lenient, None, Some("state")),
        (life(Returned, 0, 300), lenient, None, Some("state")),
    ] {
        let outcome = before.loaded(rule, pores);
        let wrong = outcome.as_ref().err().map(|it| it.0[0].field.as_str());
        assert_eq!(wrong, field, "{before:?} {pores:?}");
        if let Ok(after) = outcome {
            assert_eq!((after.state, after.loads), (Loaded, before.loads + 1));
            assert_eq!(after.pores, pores.or(before.pores));
        }
    }
}

#[test]
fn what_is_on_a_flow_cell_is_washed_off_and_its_end_is_the_end() {
    use FlowCellState::{Loaded, New, Returned, UsedUp, Washed};
    for state in FlowCellState::ALL {
        let before = life(state, 1, 500);
        let washed = before.washed(Some(450));
        assert_eq!(washed.is_ok(), state == Loaded, "{state}");
        if let Ok(after) = washed {
            assert_eq!(after, life(Washed, 1, 450));
        }
        assert_eq!(before.checked(10).is_ok(), !state.is_over(), "{state}");
        for outcome in FlowCellState::ALL {
            let ended = before.ended(outcome);
            let may = matches!(outcome, UsedUp | Returned) && !state.is_over();
            assert_eq!(ended.is_ok(), may, "{state} to {outcome}");
        }
    }
    assert_eq!(life(New, 0, None).checked(7), Ok(life(New, 0, 7)));
}

#[test]
fn the_id_of_a_flow_cell_is_what_a_sequencer_reads() {
    for id in ["FBA12345", "PAO-1_2", "7"] {
        assert_eq!(check_flow_cell_id(id), Ok(()), "{id}");
    }
    let long = "F".repeat(51);
    for id in ["", "fba12345", "FBA 1", "FBÄ1", long.as_str()] {
        assert!(check_flow_cell_id(id).is_err(), "{id}");
    }
}
