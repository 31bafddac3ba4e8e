//! The routes of the program itself, each with what is said of it.

use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use http_api::{Answer, Api, Kind, Operation, of};
use schemars::JsonSchema;

use super::fields::{self, sagas as of_sagas};
use super::{
    App, UPLOAD_BYTES_MAX, dead_letters, events, health, metrics, sagas, schedules, schemas, stats,
    stream,
};
use super::{submissions, subscriptions};

/// Media types of events, alone and many.
const CLOUD_EVENT: &str = "application/cloudevents+json";
const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";
/// Media type of a dead letter each line.
const LINES: &str = "application/x-ndjson";

type Routes = Api<App>;

/// Every route but those of the services; that of forms, which is of several, where all of these are here.
pub(super) fn own(takes_forms: bool) -> Routes {
    let own = machine(Api::new("program"))
        .merge(bus(Api::new("events")))
        .merge(schedules(Api::new("schedules")))
        .merge(letters(Api::new("dead letters")))
        .merge(subscriptions(Api::new("subscriptions")))
        .merge(sagas(Api::new("sagas")));
    match takes_forms {
        true => own.merge(forms(Api::new("submissions"))),
        false => own,
    }
}

fn json<T: JsonSchema>(says: &'static str) -> Answer {
    Answer::json(200, Kind::Of(of::<T>), says)
}

fn fields_of(fields: &'static [http_api::Field], says: &'static str) -> Answer {
    Answer::json(200, Kind::Object(fields), says)
}

fn machine(api: Routes) -> Routes {
    api.get(
        "/health/live",
        health::live,
        Operation::new("isAlive", "Whether the process lives")
            .shows_no_data()
            .answers(fields_of(&fields::LIVE, "It lives")),
    )
    .get(
        "/health/ready",
        health::ready,
        Operation::new("isReady", "Whether the process can work")
            .shows_no_data()
            .answers(fields_of(&fields::READY, "It can"))
            .answers(Answer::json(
                503,
                Kind::Object(&fields::READY),
                "It cannot, and why",
            )),
    )
    .get(
        "/metrics",
        metrics::show,
        Operation::new("readMetrics", "Metrics, in the form of OpenMetrics")
            .shows_no_data()
            .answers(Answer::nothing(200, "The metrics").or(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                Kind::AnyText,
            )),
    )
    .get(
        "/api/stats",
        stats::show,
        Operation::new("readStatistics", "Numbers about the bus and the sagas")
            .shows_no_data()
            .answers(fields_of(&fields::STATS, "The numbers")),
    )
    .get(
        "/openapi.json",
        schemas::openapi,
        Operation::new("readOpenApi", "This document")
            .shows_no_data()
            .answers(Answer::json(200, Kind::AnyObject, "OpenAPI 3.1")),
    )
    .get(
        "/asyncapi.json",
        schemas::asyncapi,
        Operation::new("readAsyncApi", "All types of events")
            .shows_no_data()
            .answers(Answer::json(200, Kind::AnyObject, "AsyncAPI 3.0")),
    )
    .get(
        "/api/schemas",
        schemas::list,
        Operation::new("listEventTypes", "The types of events that are known")
            .shows_no_data()
            .answers(fields_of(&fields::EVENT_TYPES, "The types")),
    )
    .get(
        "/api/schemas/{type}",
        schemas::show,
        Operation::new(
            "readEventType",
            "The versions of one type, each with its JSON Schema",
        )
        .shows_no_data()
        .answers(fields_of(&fields::EVENT_TYPE, "The versions")),
    )
}

/// An operation that takes an event: as an envelope, or as a CloudEvent.
fn takes_event(operation: Operation) -> Operation {
    operation
        .takes(Kind::AnyObject)
        .takes_as(CLOUD_EVENT, Kind::AnyObject)
        .refuses(&[409])
}

fn bus(api: Routes) -> Routes {
    let publish = takes_event(Operation::new(
        "publishEvents",
        "Publishes an event, or many at once: all of them or none",
    ));
    api.get(
        "/api/events",
        events::list,
        Operation::new(
            "listEvents",
            "Stored events in order; as CloudEvents where these are accepted",
        ).shows("event")
        .asked(Kind::Of(of::<events::Wanted>))
        .answers(json::<events::Part>("A part of the log")),
    )
    .post(
        "/api/events",
        events::publish,
        publish
            .takes_as(CLOUD_EVENTS, Kind::List(&Kind::AnyObject))
            .answers(Answer::json(201, fields::ALL_TOLD, "Something is new"))
            .answers(Answer::json(
                200,
                fields::ALL_TOLD,
                "All of it was published before",
            )),
    )
    .get(
        "/api/events/stream",
        stream::show,
        Operation::new(
            "streamEvents",
            "Events as they are stored, as server-sent events: each a CloudEvent in JSON, with its position as `id`",
        ).shows("event")
        .asked(Kind::Of(of::<stream::Wanted>))
        .header(
            "Last-Event-ID",
            "The last position that was seen, after which to go on; it counts before `from`",
        )
        .answers(
            Answer::nothing(200, "Messages, until one of the two ends it")
                .or(stream::MEDIA_TYPE, Kind::AnyText),
        ),
    )
    .get(
        "/api/events/{position}",
        events::show,
        Operation::new("readEvent", "One stored event").shows("event")
            .place(
                "position",
                Kind::Number(0, u64::MAX),
                "Its place in the log",
            )
            .asked(Kind::Of(of::<events::Shown>))
            .answers(
                Answer::json(
                    200,
                    Kind::Json,
                    "The event; its payload alone in binary form",
                )
                .or(CLOUD_EVENT, Kind::AnyObject),
            ),
    )
}

fn schedules(api: Routes) -> Routes {
    let set = takes_event(Operation::new(
        "scheduleEvent",
        "An event is published later",
    ));
    api.get(
        "/api/schedules",
        schedules::list,
        Operation::new(
            "listSchedules",
            "What is to be published, in the order of its times",
        )
        .shows("event")
        .asked(Kind::Of(of::<schedules::Wanted>))
        .answers(json::<schedules::Part>("A page")),
    )
    .post(
        "/api/schedules",
        schedules::set,
        set.asked(Kind::Of(of::<schedules::When>))
            .answers(Answer::json(201, fields::TOLD, "It waits"))
            .answers(Answer::json(200, fields::TOLD, "It was there before")),
    )
    .delete(
        "/api/schedules/{key}",
        schedules::cancel,
        Operation::new("cancelSchedule", "An event is not published")
            .answers(fields_of(&fields::CANCELLED, "It is not published")),
    )
    .post(
        "/api/schedules/{key}/move",
        schedules::move_to,
        Operation::new("moveSchedule", "An event is published at another time")
            .takes(Kind::Of(of::<schedules::Move>))
            .answers(fields_of(&fields::MOVED, "When")),
    )
}

fn letters(api: Routes) -> Routes {
    let order = |id, says, answer: &'static [http_api::Field]| {
        Operation::new(id, says)
            .takes(Kind::Of(of::<dead_letters::Order>))
            .refuses(&[404, 409])
            .answers(fields_of(answer, "How many"))
    };
    let import = post(dead_letters::import::import)
        .layer(DefaultBodyLimit::max(dead_letters::import::BODY_BYTES_MAX));
    api.get(
        "/api/dead-letters",
        dead_letters::list,
        Operation::new("listDeadLetters", "The dead letters that fit")
            .shows("dead_letter")
            .asked(Kind::Of(of::<dead_letters::Wanted>))
            .refuses(&[404])
            .answers(json::<dead_letters::Part>("A page")),
    )
    .get(
        "/api/dead-letters/export",
        dead_letters::export,
        Operation::new("exportDeadLetters", "All that fit, one a line")
            .shows("dead_letter")
            .asked(Kind::Of(of::<dead_letters::Exported>))
            .refuses(&[404])
            .answers(Answer::nothing(200, "The lines").or(LINES, Kind::Bytes)),
    )
    .get(
        "/api/dead-letters/{subscription}/{position}",
        dead_letters::show,
        Operation::new("readDeadLetter", "One dead letter with all that was tried")
            .shows("dead_letter")
            .place(
                "position",
                Kind::Number(0, u64::MAX),
                "Its place in the log",
            )
            .answers(Answer::json(200, Kind::AnyObject, "The dead letter")),
    )
    .post(
        "/api/dead-letters/redrive",
        dead_letters::redrive,
        order(
            "redriveDeadLetters",
            "Hands them out again, to their own subscription only",
            &fields::REDRIVEN,
        ),
    )
    .post(
        "/api/dead-letters/skip",
        dead_letters::skip,
        order(
            "skipDeadLetters",
            "They are not delivered any more",
            &fields::SKIPPED,
        ),
    )
    .post(
        "/api/dead-letters/discard",
        dead_letters::discard,
        order(
            "discardDeadLetters",
            "Throws them away, for a reason that is kept",
            &fields::DISCARDED,
        ),
    )
    .post(
        "/api/dead-letters/revise",
        dead_letters::revise,
        Operation::new(
            "reviseDeadLetter",
            "Another payload for one; what was published stays",
        )
        .takes(Kind::Of(of::<dead_letters::Revision>))
        .refuses(&[404, 409])
        .answers(fields_of(&fields::REVISED, "Which revision it is")),
    )
    .post(
        "/api/dead-letters/republish",
        dead_letters::republish,
        Operation::new(
            "republishDeadLetter",
            "A new event with its payload, to all subscriptions",
        )
        .takes(Kind::Of(of::<dead_letters::One>))
        .refuses(&[404, 409])
        .answers(fields_of(&fields::REPUBLISHED, "The event")),
    )
    .at(
        "POST",
        "/api/dead-letters/import",
        import,
        Operation::new(
            "importDeadLetters",
            "Lines of an export are dead letters again",
        )
        .asked(Kind::Of(of::<dead_letters::import::About>))
        .takes_as(LINES, Kind::Bytes)
        .or_nothing()
        .refuses(&[404, 409])
        .answers(fields_of(&fields::IMPORTED, "How many")),
    )
}

fn subscriptions(api: Routes) -> Routes {
    let order = |id, says| {
        Operation::new(id, says)
            .takes(Kind::Of(of::<subscriptions::Order>))
            .refuses(&[409])
    };
    let subscription = || fields_of(&fields::SUBSCRIPTION, "The subscription as it is now");
    api.get(
        "/api/subscriptions",
        subscriptions::list,
        Operation::new("listSubscriptions", "All, also those that do not run")
            .shows("subscription")
            .answers(fields_of(&fields::SUBSCRIPTIONS, "The subscriptions")),
    )
    .get(
        "/api/subscriptions/{name}/repairs",
        subscriptions::repairs,
        Operation::new(
            "listRepairs",
            "Who did what to deliveries, and why, the latest first",
        )
        .shows("subscription")
        .asked(Kind::Of(of::<subscriptions::Repairs>))
        .answers(fields_of(&fields::REPAIRS, "A page")),
    )
    .post(
        "/api/subscriptions/{name}/pause",
        subscriptions::pause,
        order(
            "pauseSubscription",
            "Nothing is handed out until it is resumed",
        )
        .answers(subscription()),
    )
    .post(
        "/api/subscriptions/{name}/resume",
        subscriptions::resume,
        order("resumeSubscription", "It is handed out again").answers(subscription()),
    )
    .post(
        "/api/subscriptions/{name}/remove",
        subscriptions::remove,
        order(
            "removeSubscription",
            "Forgets one that does not run, and all it had not handled",
        )
        .answers(fields_of(&fields::REMOVED, "Which")),
    )
}

fn sagas(api: Routes) -> Routes {
    let saga = || fields_of(&of_sagas::SAGA, "The saga as it is now");
    let told = |id, says| {
        Operation::new(id, says)
            .refuses(&[409])
            .takes(Kind::Of(of::<sagas::Answer>))
            .answers(fields_of(&of_sagas::SAGA, "The saga as it is now"))
    };
    api.get(
        "/api/sagas",
        sagas::list,
        Operation::new(
            "listSagas",
            "The sagas that fit, the one that was started last first",
        )
        .shows("saga")
        .asked(Kind::Object(&of_sagas::SEARCH))
        .answers(fields_of(&of_sagas::SAGAS, "A page")),
    )
    .post(
        "/api/sagas",
        sagas::start,
        Operation::new("startSaga", "Starts a saga; answers when it is stored")
            .header("traceparent", "The span that it comes from (W3C)")
            .takes(Kind::Of(of::<sagas::Order>))
            .refuses(&[404, 409])
            .answers(Answer::json(
                202,
                Kind::Object(&of_sagas::STARTED),
                "Which saga it is",
            )),
    )
    .get(
        "/api/sagas/health",
        sagas::health,
        Operation::new(
            "areSagasHealthy",
            "Whether something is wrong with the sagas",
        )
        .shows_no_data()
        .answers(fields_of(&of_sagas::HEALTH, "Nothing is wrong"))
        .answers(Answer::json(
            503,
            Kind::Object(&of_sagas::HEALTH),
            "Something is wrong",
        )),
    )
    .get(
        "/api/sagas/{id}",
        sagas::show,
        Operation::new("readSaga", "One saga")
            .shows("saga")
            .asked(Kind::Of(of::<sagas::Shown>))
            .answers(saga()),
    )
    .post(
        "/api/sagas/{id}/signal",
        sagas::signal,
        Operation::new("signalSaga", "Tells a saga what one of its steps waits for")
            .takes(Kind::Of(of::<sagas::Told>))
            .refuses(&[409])
            .answers(saga()),
    )
    .post(
        "/api/sagas/{id}/approve",
        sagas::approve,
        told("approveStep", "Somebody who is asked says yes"),
    )
    .post(
        "/api/sagas/{id}/refuse",
        sagas::refuse,
        told("refuseStep", "Somebody who is asked says no"),
    )
    .post(
        "/api/sagas/{id}/{verb}",
        sagas::operate,
        Operation::new(
            "operateSaga",
            "What an operator does to a saga; durable when it is answered",
        )
        .place("verb", Kind::Word(&sagas::VERBS), "What is done")
        .takes(Kind::Of(of::<sagas::Said>))
        .refuses(&[409])
        .answers(saga()),
    )
}

fn forms(api: Routes) -> Routes {
    api.at(
        "POST",
        "/api/submissions",
        post(submissions::submit).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX)),
        Operation::new(
            "submitForm",
            "Takes a submission form; answers when it is stored",
        )
        .takes_in()
        .header("x-user-id", "Who submits it")
        .idempotent()
        .takes_as("multipart/form-data", Kind::Object(&fields::FORM))
        .answers(Answer::json(202, Kind::Object(&fields::SUBMITTED), "The submission").located()),
    )
}
