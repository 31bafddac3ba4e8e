//! What is said of the routes of samples.

use http_api::{Answer, Kind, Operation, of};
use nanopore::sample::queue::Reading;
use nanopore::sample::{Act, Details, Priority, Stage, Status};

use super::fields::{queries, things};
use super::of_things::{attach, detach};
use super::{Routes, extras, fields, queue, samples, work};
use crate::model::{Attachment, HistoryEntry, ProcessingStep, Sample, Statistics};

const SAMPLE: Kind = Kind::Of(of::<Sample>);
const SAMPLES: Kind = Kind::Of(of::<samples::Samples>);
const ATTACHMENT: Kind = Kind::Of(of::<Attachment>);

pub(super) fn lists(api: Routes) -> Routes {
    let page = || Answer::json(200, SAMPLES, "A page");
    let filter = Kind::Object(&queries::FILTER);
    api.get(
        "/samples",
        samples::list,
        Operation::new("listSamples", "The samples that fit, the newest first")
            .shows("sample")
            .asked(filter)
            .answers(page()),
    )
    .get(
        "/samples/search",
        samples::search,
        Operation::new("searchSamples", "The same in smaller pages")
            .shows("sample")
            .asked(Kind::Object(&queries::SEARCH))
            .answers(page()),
    )
    .get(
        "/samples/status/{status}",
        samples::by_status,
        Operation::new("listSamplesByStatus", "Samples that stand so")
            .shows("sample")
            .place("status", Kind::Of(of::<Status>), "Where they stand")
            .asked(filter)
            .answers(page()),
    )
    .get(
        "/samples/priority/{priority}",
        samples::by_priority,
        Operation::new("listSamplesByPriority", "Samples of this priority")
            .shows("sample")
            .place(
                "priority",
                Kind::Of(of::<Priority>),
                "How soon they are wanted",
            )
            .asked(filter)
            .answers(page()),
    )
    .get(
        "/samples/assignee/{assignee}",
        samples::by_assignee,
        Operation::new(
            "listSamplesByAssignee",
            "Samples in the hands of this person",
        )
        .shows("sample")
        .place("assignee", Kind::Text(255), "Who works on them")
        .asked(filter)
        .answers(page()),
    )
    .get(
        "/queue",
        queue::queue,
        Operation::new("showQueue", "What can be worked on, the most urgent first")
            .shows("sample")
            .asked(Kind::Object(&queries::QUEUE))
            .answers(Answer::json(200, Kind::Of(of::<queue::Queue>), "A page")),
    )
    .get(
        "/statistics",
        samples::statistics,
        Operation::new("countSamples", "How many samples stand where")
            .shows("sample")
            .answers(Answer::json(200, Kind::Of(of::<Statistics>), "The counts")),
    )
    .get(
        "/chart-fields",
        samples::chart_fields,
        Operation::new("listChartFields", "The accounts that may pay")
            .shows_no_data()
            .answers(Answer::json(200, Kind::List(&Kind::AnyText), "Their codes")),
    )
    .post(
        "/chart-fields/validate",
        samples::validate_chart_field,
        Operation::new("validateChartField", "Whether an account may pay")
            .takes(Kind::Object(&things::VALIDATE))
            .answers(Answer::json(
                200,
                Kind::Object(&things::IS_VALID),
                "Whether it may",
            )),
    )
}

/// A change of one sample, which answers with what it is then.
fn change(id: &'static str, says: &'static str, body: Kind) -> Operation {
    Operation::new(id, says)
        .by_somebody()
        .if_match()
        .takes(body)
        .or_nothing()
        .answers(Answer::json(200, SAMPLE, "The sample as it is now").tagged())
}

pub(super) fn changes(api: Routes) -> Routes {
    api.post(
        "/samples",
        samples::create,
        Operation::new(
            "createSample",
            "Enters a sample; with `form` its fields are read and told besides",
        )
        .takes_in()
        .by_somebody()
        .refuses(&[409])
        .takes(Kind::Object(&fields::SAMPLE))
        .answers(Answer::json(201, SAMPLE, "The sample").tagged()),
    )
    .put(
        "/samples/{id}",
        samples::update,
        change(
            "updateSample",
            "Changes fields of a sample",
            Kind::Object(&fields::CHANGE),
        ),
    )
    .delete(
        "/samples/{id}",
        samples::delete,
        Operation::new(
            "deleteSample",
            "Deletes a sample with which no work was begun",
        )
        .by_somebody()
        .if_match()
        .answers(Answer::nothing(204, "It is deleted")),
    )
    .post(
        "/samples/bulk",
        queue::bulk,
        Operation::new(
            "changeManySamples",
            "Does the same with many samples, each by itself",
        )
        .by_somebody()
        .takes(Kind::Object(&fields::BULK))
        .answers(Answer::json(
            200,
            Kind::Object(&fields::BULK_RESULTS),
            "What became of each",
        )),
    )
    .post(
        "/samples/{id}/assign",
        samples::assign,
        change(
            "assignSample",
            "Puts a sample into somebody's hands",
            Kind::Object(&fields::ASSIGN),
        ),
    )
    .post(
        "/samples/{id}/status",
        samples::set_status,
        change(
            "setSampleStatus",
            "Moves a sample on",
            Kind::Object(&fields::SET_STATUS),
        ),
    )
    .patch(
        "/samples/{id}/stage",
        work::set_stage,
        change(
            "setSampleStage",
            "Says at which step a sample is",
            Kind::Object(&fields::SET_STAGE),
        ),
    )
    .post(
        "/samples/{id}/steps/{stage}/{act}",
        work::act,
        change(
            "workOnSample",
            "Begins or ends a step",
            Kind::Object(&fields::ACT),
        )
        .or_nothing()
        .place("stage", Kind::Of(of::<Stage>), "The step")
        .place("act", Kind::Of(of::<Act>), "What is done"),
    )
    .post(
        "/samples/{id}/receive",
        work::receive,
        change(
            "receiveSample",
            "Says that the tube came",
            Kind::Object(&fields::RECEIVE),
        )
        .or_nothing(),
    )
    .post(
        "/samples/{id}/hold",
        work::hold,
        change(
            "holdSample",
            "Nothing is begun with a sample until it is released",
            Kind::Object(&fields::HOLD),
        ),
    )
    .post(
        "/samples/{id}/release",
        work::release,
        change(
            "releaseSample",
            "A sample that was held goes on",
            Kind::Object(&fields::RELEASE),
        )
        .or_nothing(),
    )
    .put(
        "/samples/{id}/details",
        extras::set_details,
        Operation::new("setSampleDetails", "Changes details of a sample")
            .by_somebody()
            .if_match()
            .takes(Kind::Object(&fields::DETAILS))
            .or_nothing()
            .answers(
                Answer::json(200, Kind::Of(of::<Details>), "The details as they are now").tagged(),
            ),
    )
}

pub(super) fn of_one(api: Routes) -> Routes {
    api.get(
        "/samples/{id}",
        samples::read,
        Operation::new("readSample", "One sample")
            .shows("sample")
            .answers(Answer::json(200, SAMPLE, "The sample").tagged()),
    )
    .get(
        "/samples/{id}/history",
        samples::history,
        Operation::new(
            "readSampleHistory",
            "What became of a sample, the oldest first",
        )
        .shows("sample")
        .answers(Answer::json(
            200,
            Kind::List(&Kind::Of(of::<HistoryEntry>)),
            "Each change",
        )),
    )
    .get(
        "/samples/{id}/steps",
        work::steps,
        Operation::new("readSampleSteps", "The processing steps of a sample")
            .shows("sample")
            .answers(Answer::json(
                200,
                Kind::List(&Kind::Of(of::<ProcessingStep>)),
                "In the order of the work",
            )),
    )
    .get(
        "/samples/{id}/turnaround",
        queue::turnaround,
        Operation::new("readSampleTurnaround", "The clock of a sample")
            .shows("sample")
            .answers(Answer::json(200, Kind::Of(of::<Reading>), "What it shows")),
    )
    .get(
        "/samples/{id}/details",
        extras::details,
        Operation::new("readSampleDetails", "The details of a sample")
            .shows("sample")
            .answers(Answer::json(200, Kind::Of(of::<Details>), "The details")),
    )
    .get(
        "/samples/{id}/attachments",
        extras::of_sample,
        Operation::new("listSampleAttachments", "The files of a sample")
            .shows("sample")
            .answers(Answer::json(200, Kind::List(&ATTACHMENT), "The files")),
    )
    .post(
        "/samples/{id}/attachments",
        extras::attach_to_sample,
        attach("attachToSample", "Attaches an upload to a sample"),
    )
    .delete(
        "/samples/{id}/attachments/{attachment}",
        extras::detach_from_sample,
        detach("detachFromSample", "Takes a file away from a sample"),
    )
}
