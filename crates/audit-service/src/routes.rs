//! The HTTP face of the audit service, to be mounted under a prefix such as `/api/audit`.

mod declared;
mod events;
mod fields;
mod proofs;
mod reports;

use http_api::{Answer, Api, Kind, Operation, of};
use schemars::JsonSchema;

use self::declared::{All, Emptied, History};
use self::events::Entries;
use self::proofs::{Checkpoint, Key};
use crate::model::{Alert, ConsistencyProof, Declared, Entry, Hold, InclusionProof, Order};
use crate::model::{Export, Made, Policy, Schedule, Statistics, Verification, Wanted};
use crate::service::AuditService;

type Routes = Api<AuditService>;

/// The routes of the trail. Failures are problem details (RFC 9457).
///
/// `GET /verify` checks the trail; `POST /verify` also publishes what it found. `GET /checkpoint` shows the newest signed
/// state; `POST /checkpoint` signs what came since.
#[must_use]
pub fn api() -> Api<AuditService> {
    let trail = proofs(entries(Api::new("trail")));
    let laid_down = laid_down::<Policy>(
        trail,
        "/retention/policies",
        ["listPolicies", "setPolicy", "liftPolicy"],
        "how long entries keep their content",
    );
    let laid_down = laid_down
        .post(
            "/retention/apply",
            declared::apply,
            Operation::new("applyRetention", "Empties what is old enough now")
                .takes(Kind::Of(of::<Order>))
                .answers(json::<Emptied>(200, "What was emptied")),
        )
        .get(
            "/alerts/history",
            declared::history,
            Operation::new("listAlertHistory", "Of what alerts told, the latest first")
                .shows("audit")
                .answers(json::<History>(200, "At most 1,000")),
        );
    let laid_down = self::laid_down::<Hold>(
        laid_down,
        "/holds",
        ["listHolds", "setHold", "liftHold"],
        "what must keep its content whatever a policy says",
    );
    let laid_down = self::laid_down::<Alert>(
        laid_down,
        "/alerts",
        ["listAlerts", "setAlert", "liftAlert"],
        "of what somebody is told",
    );
    reports(self::laid_down::<Schedule>(
        laid_down,
        "/report-schedules",
        [
            "listReportSchedules",
            "setReportSchedule",
            "liftReportSchedule",
        ],
        "when reports are made",
    ))
}

/// A file in one of the formats of reports.
fn file(says: &'static str) -> Answer {
    Answer::json(200, Kind::Json, says)
        .or("text/csv; charset=utf-8", Kind::AnyText)
        .or("application/pdf", Kind::Bytes)
}

fn reports(api: Routes) -> Routes {
    api.get(
        "/reports",
        reports::list,
        Operation::new("listReports", "The reports that were made")
            .shows("audit")
            .answers(json::<reports::All>(200, "All of them")),
    )
    .post(
        "/reports",
        reports::make,
        Operation::new("makeReport", "Makes a report now")
            .takes(Kind::Of(of::<Wanted>))
            .answers(json::<Made>(201, "The report")),
    )
    .get(
        "/reports/{id}",
        reports::download,
        Operation::new("downloadReport", "The file of a report")
            .shows("audit")
            .answers(file("The file")),
    )
    .post(
        "/export",
        reports::export,
        Operation::new(
            "exportEntries",
            "Takes entries out of the trail, with a digest",
        )
        .takes(Kind::Of(of::<Export>))
        .answers(file("The entries")),
    )
}

fn json<T: JsonSchema>(status: u16, says: &'static str) -> Answer {
    Answer::json(status, Kind::Of(of::<T>), says)
}

fn entries(api: Routes) -> Routes {
    api.get(
        "/events",
        events::list,
        Operation::new("listEntries", "The entries that fit, the newest first")
            .shows("audit")
            .asked(Kind::Object(&fields::FILTER))
            .answers(json::<Entries>(200, "A page")),
    )
    .post(
        "/events",
        events::report,
        Operation::new(
            "reportAct",
            "Makes an entry of an act that no event tells of",
        )
        .header("x-correlation-id", "The piece of work that it belongs to")
        .takes(Kind::Object(&fields::ACT))
        .answers(json::<Entry>(201, "The entry")),
    )
    .get(
        "/events/{sequence}",
        events::read,
        Operation::new("readEntry", "One entry")
            .shows("audit")
            .place(
                "sequence",
                Kind::Number(0, u64::MAX),
                "Its place in the trail, from 1",
            )
            .answers(json::<Entry>(200, "The entry")),
    )
    .get(
        "/stats",
        events::statistics,
        Operation::new("countEntries", "How many entries of what")
            .shows("audit")
            .asked(Kind::Object(&fields::STATISTICS))
            .answers(json::<Statistics>(200, "The counts")),
    )
    .get(
        "/verify",
        events::verify,
        Operation::new("verifyTrail", "Checks all of the trail")
            .shows("audit")
            .answers(json::<Verification>(200, "What was found")),
    )
    .post(
        "/verify",
        events::verify_and_tell,
        Operation::new(
            "verifyTrailAndTell",
            "Checks all of the trail, and publishes what was found",
        )
        .answers(json::<Verification>(200, "What was found")),
    )
}

fn proofs(api: Routes) -> Routes {
    api.get(
        "/key",
        proofs::key,
        Operation::new("readKey", "The key that the trail is verified with")
            .shows_no_data()
            .answers(json::<Key>(200, "The public key")),
    )
    .get(
        "/checkpoint",
        proofs::checkpoint,
        Operation::new("readCheckpoint", "The newest signed state")
            .shows_no_data()
            .refuses(&[404])
            .answers(json::<Checkpoint>(200, "The state")),
    )
    .post(
        "/checkpoint",
        proofs::sign,
        Operation::new("signCheckpoint", "Signs what came since")
            .answers(json::<Checkpoint>(200, "The state")),
    )
    .get(
        "/proofs/inclusion",
        proofs::inclusion,
        Operation::new("proveInclusion", "Proves that an entry is in the trail")
            .shows("audit")
            .asked(Kind::Object(&fields::INCLUSION))
            .refuses(&[404])
            .answers(json::<InclusionProof>(200, "The proof")),
    )
    .get(
        "/proofs/consistency",
        proofs::consistency,
        Operation::new(
            "proveConsistency",
            "Proves that a state is the beginning of a later one",
        )
        .shows("audit")
        .asked(Kind::Object(&fields::CONSISTENCY))
        .refuses(&[404])
        .answers(json::<ConsistencyProof>(200, "The proof")),
    )
    .get(
        "/bundle",
        proofs::bundle,
        Operation::new(
            "downloadBundle",
            "The whole trail, to be verified elsewhere",
        )
        .shows("audit")
        .answers(Answer::nothing(200, "A line of JSON each").or("application/jsonl", Kind::Bytes)),
    )
}

/// What can be laid down and ended again.
fn laid_down<D: Declared>(
    api: Routes,
    path: &str,
    [list, set, lift]: [&'static str; 3],
    says: &'static str,
) -> Routes {
    api.get(
        path,
        declared::list::<D>,
        Operation::new(list, says)
            .shows("audit")
            .answers(json::<All<D>>(200, "All of them")),
    )
    .post(
        path,
        declared::set::<D>,
        Operation::new(set, says)
            .refuses(&[409])
            .takes(Kind::Of(of::<D>))
            .answers(json::<D>(201, "As it holds now")),
    )
    .post(
        &format!("{path}/{{id}}/lift"),
        declared::lift::<D>,
        Operation::new(lift, says)
            .takes(Kind::Of(of::<Order>))
            .answers(Answer::nothing(204, "It holds no more")),
    )
}
