//! What is left of a saga that an operator ends: its error, and the effects that nobody takes back.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::operator::by;
use crate::saga::events::SagaFailed;
use crate::saga::{Action, Definition};

/// The error of a saga that an operator ends, and of the event that tells of it.
async fn error_of_one_ended(definition: &Definition, script: (&str, Act), end: Action) -> String {
    let bed = Bed::new();
    bed.world.script(script.0, &[script.1]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    let id = sagas.start(definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = sagas.operate(&id, end.clone(), by()).await.unwrap();
    assert!(status.status.is_final(), "{end:?}: {}", status.status);
    // What the operator said stands beside it.
    assert_eq!(status.operated.last().unwrap().by, by());
    let told = bed.disk.events().pop().unwrap();
    let told: SagaFailed = serde_json::from_slice(&told.data).unwrap();
    assert_eq!(told.reason.as_deref(), Some("so it is"));
    let error = status.error.unwrap();
    assert_eq!(told.error, error);
    // After a restart it is the same.
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(
        sagas.status(&id).unwrap().error.as_deref(),
        Some(error.as_str())
    );
    super::invariants::check(&bed.disk);
    error
}

#[tokio::test(start_paused = true)]
async fn what_failed_stays_the_error_of_a_saga_that_an_operator_ends() {
    let failed = "step `b` failed: b is refused";
    let behind = define(vec![step("a").pivot(), step("b").after("a")]);
    for (definition, end) in [
        (chain(&["a", "b"]), Action::Abandon),
        (chain(&["a", "b"]), Action::Terminate),
        (behind.clone(), Action::Abandon),
        (behind, Action::Terminate),
    ] {
        let error = error_of_one_ended(&definition, ("b", Act::Reject), end).await;
        assert_eq!(error, failed);
    }
    // Nothing has failed: the only reason is that of the operator.
    let error = error_of_one_ended(&chain(&["a"]), ("a", Act::Hang), Action::Terminate).await;
    assert_eq!(error, "so it is");
}
