//! The life of flow cells: loaded, washed, loaded again, ended, by the rules of their products.

use nanopore::events::flowcell::{FlowCellLoaded, FlowCellRetired};
use serde_json::{Value, json};

use super::fixture::{Answer, Fixture};

async fn act(fixture: &Fixture, id: &str, what: &str, body: Value) -> Answer {
    let path = format!("/flow-cells/{id}/{what}");
    fixture.call("POST", &path, body).await
}

async fn done(fixture: &Fixture, id: &str, what: &str, body: Value) -> Value {
    let answer = act(fixture, id, what, body).await;
    assert_eq!(answer.status.as_u16(), 200, "{what}: {}", answer.json);
    answer.json
}

async fn register(fixture: &Fixture, id: &str, product: &str) -> Answer {
    let body = json!({"id": id, "product": product, "pores": 1_400});
    fixture.call("POST", "/flow-cells", body).await
}

fn wrong(answer: &Answer) -> (u16, &str) {
    let field = answer.json["errors"][0]["field"].as_str();
    (answer.status.as_u16(), field.unwrap_or_default())
}

#[tokio::test]
async fn a_flow_cell_is_loaded_washed_loaded_again_and_used_up_and_it_is_known_what_was_on_it() {
    let fixture = Fixture::new().await;
    let samples = [
        fixture.sample().await,
        fixture.sample().await,
        fixture.sample().await,
    ];
    let made = register(&fixture, "FBA12345", "FLO-MIN114").await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    assert_eq!(
        (&made.json["state"], &made.json["loads"]),
        (&json!("new"), &json!(0))
    );

    let first = json!({"sampleIds": &samples[..2], "instrument": "GridION", "position": "X3", "volume": 75.5, "notes": "pool 1"});
    let cell = done(&fixture, "FBA12345", "load", first).await;
    assert_eq!(
        (&cell["state"], &cell["position"], &cell["pores"]),
        (&json!("loaded"), &json!("X3"), &json!(1_400))
    );
    let again = act(
        &fixture,
        "FBA12345",
        "load",
        json!({"sampleIds": &samples[2..]}),
    )
    .await;
    assert_eq!(wrong(&again), (409, "state"), "{}", again.json);
    done(&fixture, "FBA12345", "wash", json!({"pores": 900})).await;
    let cell = done(&fixture, "FBA12345", "check", json!({"pores": 880})).await;
    assert_eq!(
        (&cell["state"], &cell["pores"]),
        (&json!("washed"), &json!(880))
    );
    done(
        &fixture,
        "FBA12345",
        "load",
        json!({"sampleIds": &samples[2..]}),
    )
    .await;
    let ended = json!({"outcome": "used_up", "reason": "40 pores left"});
    let cell = done(&fixture, "FBA12345", "retire", ended.clone()).await;
    assert_eq!(
        (&cell["state"], &cell["loads"], &cell["version"]),
        (&json!("used_up"), &json!(2), &json!(6))
    );
    for (what, body) in [
        ("load", json!({"sampleIds": &samples[..1]})),
        ("wash", json!({})),
        ("check", json!({"pores": 1})),
        ("retire", ended),
    ] {
        assert_eq!(
            wrong(&act(&fixture, "FBA12345", what, body).await),
            (409, "state"),
            "{what}"
        );
    }

    let cell = fixture
        .call("GET", "/flow-cells/FBA12345", Value::Null)
        .await
        .json;
    let history = cell["history"].as_array().unwrap();
    let acts: Vec<_> = history
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        acts,
        [
            "registered",
            "loaded",
            "washed",
            "checked",
            "loaded",
            "used_up"
        ]
    );
    let on = |index: usize| {
        let mut ids: Vec<String> =
            serde_json::from_value(history[index]["sampleIds"].clone()).unwrap();
        ids.sort_unstable();
        (history[index]["loadNumber"].as_u64().unwrap(), ids)
    };
    let mut pool = samples[..2].to_vec();
    pool.sort_unstable();
    assert_eq!(on(1), (1, pool));
    assert_eq!(on(4), (2, samples[2..].to_vec()));
    assert_eq!(
        (&history[1]["volume"], &history[1]["notes"]),
        (&json!(75.5), &json!("pool 1"))
    );
    let of = fixture
        .call(
            "GET",
            &format!("/samples/{}/flow-cells", samples[2]),
            Value::Null,
        )
        .await;
    assert_eq!(of.json[0]["id"], "FBA12345");
    let listed = fixture
        .call(
            "GET",
            "/flow-cells?state=used_up&product=FLO-MIN114",
            Value::Null,
        )
        .await;
    assert_eq!(listed.json["total"], 1);
    let listed = fixture
        .call("GET", "/flow-cells?state=new", Value::Null)
        .await;
    assert_eq!(listed.json["total"], 0);

    let events = fixture.events().await;
    let loaded: Vec<FlowCellLoaded> = events
        .iter()
        .filter(|it| it.event_type.as_str() == "flowcell.loaded")
        .map(|it| it.payload().unwrap())
        .collect();
    let numbers: Vec<_> = loaded.iter().map(|it| it.load_number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(loaded[0].sample_ids, samples[..2]);
    let retired: FlowCellRetired = events.last().unwrap().payload().unwrap();
    assert_eq!(
        (retired.reason.as_str(), retired.loads),
        ("40 pores left", 2)
    );
}

#[tokio::test]
async fn how_often_a_product_is_used_is_data_that_changes_while_the_service_runs() {
    let fixture = Fixture::new().await;
    let sample = fixture.sample().await;
    let load = || json!({"sampleIds": [&sample]});
    // Flongles are used once.
    register(&fixture, "FLG1", "FLO-FLG114").await;
    done(&fixture, "FLG1", "load", load()).await;
    done(&fixture, "FLG1", "wash", json!({})).await;
    let refused = act(&fixture, "FLG1", "load", load()).await;
    assert_eq!(wrong(&refused), (409, "loads"), "{}", refused.json);

    let path = "/catalogue/flow_cell/FLO-FLG114";
    let rule = json!({"attributes": {"maxLoads": 3, "minPores": 50}});
    assert_eq!(fixture.call("PUT", path, rule).await.status.as_u16(), 200);
    let few = json!({"sampleIds": [&sample], "pores": 49});
    assert_eq!(
        wrong(&act(&fixture, "FLG1", "load", few).await),
        (409, "pores")
    );
    done(&fixture, "FLG1", "load", load()).await;
    for attributes in [
        json!({"maxLoads": 0}),
        json!({"minPores": "few"}),
        json!({"mayTopUp": 1}),
    ] {
        let answer = fixture
            .call("PUT", path, json!({"attributes": attributes}))
            .await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.json);
    }
}

#[tokio::test]
async fn what_cannot_be_on_a_flow_cell_is_refused_by_its_place() {
    let fixture = Fixture::new().await;
    let sample = fixture.sample().await;
    let held = fixture.sample().await;
    let hold = format!("/samples/{held}/hold");
    fixture
        .call("POST", &hold, json!({"reason": "no account"}))
        .await;
    register(&fixture, "FBA1", "FLO-MIN114").await;
    let before = fixture.events().await.len();
    for (body, field) in [
        (json!({}), "sampleIds"),
        (json!({"sampleIds": []}), "sampleIds"),
        (json!({"sampleIds": [1]}), "sampleIds"),
        (json!({"sampleIds": [&sample, "none"]}), "sampleIds[1]"),
        (json!({"sampleIds": [&sample, &sample]}), "sampleIds[1]"),
        (json!({"sampleIds": [&held]}), "sampleIds[0]"),
        (
            json!({"sampleIds": [&sample], "instrument": "Abacus"}),
            "instrument",
        ),
        (json!({"sampleIds": [&sample], "pores": 12_001}), "pores"),
        (json!({"sampleIds": [&sample], "volume": 0}), "volume"),
        (json!({"sampleIds": [&sample], "volume": "much"}), "volume"),
        (json!({"sampleIds": [&sample], "colour": "red"}), "colour"),
    ] {
        let answer = act(&fixture, "FBA1", "load", body.clone()).await;
        assert_eq!(wrong(&answer), (400, field), "{body}: {}", answer.json);
    }
    for (body, field) in [
        (json!({"id": "fba1", "product": "FLO-MIN114"}), "id"),
        (json!({"id": "FBA2", "product": "FLO-NONE"}), "product"),
        (json!({"id": "FBA2"}), "product"),
        (
            json!({"id": "FBA2", "product": "FLO-MIN114", "pores": -1}),
            "pores",
        ),
    ] {
        let answer = fixture.call("POST", "/flow-cells", body.clone()).await;
        assert_eq!(wrong(&answer), (400, field), "{body}: {}", answer.json);
    }
    let twice = register(&fixture, "FBA1", "FLO-MIN114").await;
    assert_eq!(wrong(&twice), (409, "id"));
    for (what, body, code) in [
        ("wash", json!({}), 409),
        ("retire", json!({"outcome": "new", "reason": "r"}), 400),
        ("retire", json!({"outcome": "returned"}), 400),
        ("retire", json!({"outcome": "returned", "reason": " "}), 400),
        ("check", json!({}), 400),
        ("boil", json!({}), 404),
    ] {
        let answer = act(&fixture, "FBA1", what, body).await;
        assert_eq!(answer.status.as_u16(), code, "{what}: {}", answer.json);
    }
    let unknown = act(&fixture, "FBA9", "check", json!({"pores": 1})).await;
    assert_eq!(unknown.status.as_u16(), 404);
    assert_eq!(fixture.events().await.len(), before);
}
