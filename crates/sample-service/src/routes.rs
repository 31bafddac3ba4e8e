//! The HTTP face of the sample service, to be mounted under `/api`.

mod body;
mod decisions;
mod extras;
mod fields;
mod flow_cells;
mod projects;
mod queue;
mod reply;
mod samples;
mod submissions;
mod tables;
mod work;

use http_api::{Answer, Api, Kind, Operation, of};
use nanopore::sample::queue::Reading;
use nanopore::sample::{Act, Details, Item, Kind as ItemKind, Priority, Stage, Status};

use crate::model::{
    Attachment, HistoryEntry, ProcessingStep, Project, Sample, Statistics, Submission,
};
use crate::model::{Decision, FlowCell};
use crate::service::SampleService;

type Routes = Api<SampleService>;

/// Kinds of the catalogue.
const KIND: Kind = Kind::Of(of::<ItemKind>);
const SAMPLE: Kind = Kind::Of(of::<Sample>);
const SAMPLES: Kind = Kind::Of(of::<samples::Samples>);
const ITEM: Kind = Kind::Of(of::<Item>);
const PROJECT: Kind = Kind::Of(of::<Project>);
const ATTACHMENT: Kind = Kind::Of(of::<Attachment>);

/// The routes `/samples…`, `/submissions…`, `/projects…`, `/catalogue…`, `/chart-fields…`, `/queue` and `/statistics`.
///
/// Callers are named by `x-user-id` and work is tied together by `x-correlation-id`; `If-Match: "3"` makes a change
/// depend on the version. Failures are problem details (RFC 9457).
#[must_use]
pub fn api() -> Api<SampleService> {
    lists(Api::new("samples"))
        .merge(changes(Api::new("samples")))
        .merge(of_one(Api::new("samples")))
        .merge(tables(Api::new("tables")))
        .merge(catalogue(Api::new("catalogue")))
        .merge(submissions(Api::new("submissions")))
        .merge(decisions(Api::new("decisions")))
        .merge(flow_cells(Api::new("flow cells")))
}

fn lists(api: Routes) -> Routes {
    let page = || Answer::json(200, SAMPLES, "A page");
    let filter = Kind::Object(&fields::FILTER);
    api.get(
        "/samples",
        samples::list,
        Operation::new("listSamples", "The samples that fit, the newest first")
            .asked(filter)
            .answers(page()),
    )
    .get(
        "/samples/search",
        samples::search,
        Operation::new("searchSamples", "The same in smaller pages")
            .asked(Kind::Object(&fields::SEARCH))
            .answers(page()),
    )
    .get(
        "/samples/status/{status}",
        samples::by_status,
        Operation::new("listSamplesByStatus", "Samples that stand so")
            .place("status", Kind::Of(of::<Status>), "Where they stand")
            .asked(filter)
            .answers(page()),
    )
    .get(
        "/samples/priority/{priority}",
        samples::by_priority,
        Operation::new("listSamplesByPriority", "Samples of this priority")
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
        .place("assignee", Kind::Text(255), "Who works on them")
        .asked(filter)
        .answers(page()),
    )
    .get(
        "/queue",
        queue::queue,
        Operation::new("showQueue", "What can be worked on, the most urgent first")
            .asked(Kind::Object(&fields::QUEUE))
            .answers(Answer::json(200, Kind::Of(of::<queue::Queue>), "A page")),
    )
    .get(
        "/statistics",
        samples::statistics,
        Operation::new("countSamples", "How many samples stand where").answers(Answer::json(
            200,
            Kind::Of(of::<Statistics>),
            "The counts",
        )),
    )
    .get(
        "/chart-fields",
        samples::chart_fields,
        Operation::new("listChartFields", "The accounts that may pay").answers(Answer::json(
            200,
            Kind::List(&Kind::AnyText),
            "Their codes",
        )),
    )
    .post(
        "/chart-fields/validate",
        samples::validate_chart_field,
        Operation::new("validateChartField", "Whether an account may pay")
            .takes(Kind::Object(&fields::VALIDATE))
            .answers(Answer::json(
                200,
                Kind::Object(&fields::IS_VALID),
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

fn changes(api: Routes) -> Routes {
    api.post(
        "/samples",
        samples::create,
        Operation::new(
            "createSample",
            "Enters a sample; with `form` its fields are read and told besides",
        )
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

fn of_one(api: Routes) -> Routes {
    api.get(
        "/samples/{id}",
        samples::read,
        Operation::new("readSample", "One sample")
            .answers(Answer::json(200, SAMPLE, "The sample").tagged()),
    )
    .get(
        "/samples/{id}/history",
        samples::history,
        Operation::new(
            "readSampleHistory",
            "What became of a sample, the oldest first",
        )
        .answers(Answer::json(
            200,
            Kind::List(&Kind::Of(of::<HistoryEntry>)),
            "Each change",
        )),
    )
    .get(
        "/samples/{id}/steps",
        work::steps,
        Operation::new("readSampleSteps", "The processing steps of a sample").answers(
            Answer::json(
                200,
                Kind::List(&Kind::Of(of::<ProcessingStep>)),
                "In the order of the work",
            ),
        ),
    )
    .get(
        "/samples/{id}/turnaround",
        queue::turnaround,
        Operation::new("readSampleTurnaround", "The clock of a sample").answers(Answer::json(
            200,
            Kind::Of(of::<Reading>),
            "What it shows",
        )),
    )
    .get(
        "/samples/{id}/details",
        extras::details,
        Operation::new("readSampleDetails", "The details of a sample").answers(Answer::json(
            200,
            Kind::Of(of::<Details>),
            "The details",
        )),
    )
    .get(
        "/samples/{id}/attachments",
        extras::of_sample,
        Operation::new("listSampleAttachments", "The files of a sample").answers(Answer::json(
            200,
            Kind::List(&ATTACHMENT),
            "The files",
        )),
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

fn attach(id: &'static str, says: &'static str) -> Operation {
    Operation::new(id, says)
        .by_somebody()
        .refuses(&[409])
        .takes(Kind::Object(&fields::ATTACH))
        .answers(Answer::json(201, ATTACHMENT, "The attachment"))
}

fn detach(id: &'static str, says: &'static str) -> Operation {
    Operation::new(id, says)
        .by_somebody()
        .answers(Answer::nothing(204, "It is taken away"))
}

fn tables(api: Routes) -> Routes {
    const CSV: &str = "text/csv; charset=utf-8";
    let taken = |operation: Operation| {
        operation
            .by_somebody()
            .idempotent()
            .answers(Answer::json(
                200,
                Kind::Of(of::<tables::Taken>),
                "A preview: nothing is stored",
            ))
            .answers(
                Answer::json(
                    201,
                    Kind::Of(of::<tables::Taken>),
                    "The submission that was made of it",
                )
                .located(),
            )
    };
    api.get(
        "/samples/export",
        tables::export,
        Operation::new(
            "exportSamples",
            "The samples that fit as a table, or as JSON",
        )
        .asked(Kind::Object(&fields::EXPORT))
        .answers(Answer::json(200, Kind::List(&SAMPLE), "The samples").or(CSV, Kind::AnyText)),
    )
    .post(
        "/submissions/import",
        tables::import,
        taken(
            Operation::new("importTable", "Takes a table of samples")
                .asked(Kind::Object(&fields::IMPORT))
                .takes_as("text/csv", Kind::AnyText),
        ),
    )
    .post(
        "/submissions/ingest",
        tables::ingest,
        taken(
            Operation::new("ingestSamples", "Takes a list of samples as JSON")
                .takes(Kind::Object(&fields::INGEST)),
        ),
    )
    .post(
        "/sample-sheets",
        tables::sheet,
        Operation::new(
            "makeSampleSheet",
            "Makes the sample sheet of a run for MinKNOW",
        )
        .takes(Kind::Object(&fields::SHEET))
        .refuses(&[404])
        .answers(
            Answer::json(
                200,
                Kind::Of(of::<nanopore::sample::sheet::Sheet>),
                "The sheet",
            )
            .or(CSV, Kind::AnyText),
        ),
    )
}

fn catalogue(api: Routes) -> Routes {
    let kind = |operation: Operation| operation.place("kind", KIND, "Kind of the catalogue");
    api.get(
        "/catalogue/{kind}",
        extras::items,
        kind(Operation::new("listItems", "What a facility works with"))
            .asked(Kind::Object(&fields::CATALOGUE))
            .answers(Answer::json(200, Kind::List(&ITEM), "The items")),
    )
    .post(
        "/catalogue/{kind}",
        extras::add_item,
        kind(Operation::new("addItem", "Adds an item"))
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&fields::ITEM))
            .answers(Answer::json(201, ITEM, "The item")),
    )
    .put(
        "/catalogue/{kind}/{name}",
        extras::change_item,
        kind(Operation::new("changeItem", "Changes an item"))
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&fields::ITEM_CHANGE))
            .or_nothing()
            .answers(Answer::json(200, ITEM, "The item as it is now")),
    )
}

fn submissions(api: Routes) -> Routes {
    api.get(
        "/projects",
        projects::list,
        Operation::new("listProjects", "The projects")
            .asked(Kind::Object(&fields::PROJECTS))
            .answers(Answer::json(
                200,
                Kind::Of(of::<projects::Projects>),
                "A page",
            )),
    )
    .post(
        "/projects",
        projects::create,
        Operation::new("createProject", "Begins a project")
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&fields::PROJECT))
            .answers(Answer::json(201, PROJECT, "The project").tagged()),
    )
    .get(
        "/projects/{id}",
        projects::read,
        Operation::new("readProject", "One project")
            .answers(Answer::json(200, PROJECT, "The project").tagged()),
    )
    .put(
        "/projects/{id}",
        projects::update,
        Operation::new("updateProject", "Changes fields of a project")
            .by_somebody()
            .if_match()
            .takes(Kind::Object(&fields::PROJECT_CHANGE))
            .or_nothing()
            .answers(Answer::json(200, PROJECT, "The project as it is now").tagged()),
    )
    .get(
        "/submissions",
        submissions::list,
        Operation::new("listSubmissions", "The submissions, the newest first")
            .asked(Kind::Object(&fields::SUBMISSIONS))
            .answers(Answer::json(
                200,
                Kind::Of(of::<submissions::Submissions>),
                "A page",
            )),
    )
    .get(
        "/submissions/{id}",
        submissions::read,
        Operation::new("readSubmission", "One submission").answers(Answer::json(
            200,
            Kind::Of(of::<Submission>),
            "The submission",
        )),
    )
    .get(
        "/submissions/{id}/attachments",
        extras::of_submission,
        Operation::new("listSubmissionAttachments", "The files of a submission")
            .answers(Answer::json(200, Kind::List(&ATTACHMENT), "The files")),
    )
    .post(
        "/submissions/{id}/attachments",
        extras::attach_to_submission,
        attach("attachToSubmission", "Attaches an upload to a submission"),
    )
    .delete(
        "/submissions/{id}/attachments/{attachment}",
        extras::detach_from_submission,
        detach(
            "detachFromSubmission",
            "Takes a file away from a submission",
        ),
    )
}

fn decisions(api: Routes) -> Routes {
    api.get(
        "/qc/decisions",
        decisions::list,
        Operation::new(
            "listDecisions",
            "Samples whose quality control failed, and what was decided",
        )
        .asked(Kind::Object(&fields::DECISIONS))
        .answers(Answer::json(
            200,
            Kind::Of(of::<decisions::Decisions>),
            "A page",
        )),
    )
    .get(
        "/samples/{id}/decisions",
        decisions::of_sample,
        Operation::new("listDecisionsOfSample", "The decisions about a sample").answers(
            Answer::json(200, Kind::List(&Kind::Of(of::<Decision>)), "The decisions"),
        ),
    )
    .post(
        "/samples/{id}/decision",
        decisions::decide,
        Operation::new(
            "decide",
            "Says what becomes of a sample whose quality control failed",
        )
        .by_somebody()
        .if_match()
        .takes(Kind::Object(&fields::DECIDE))
        .answers(Answer::json(200, Kind::Of(of::<Decision>), "The decision")),
    )
}

fn flow_cells(api: Routes) -> Routes {
    let flow_cell = |status, says| Answer::json(status, Kind::Of(of::<FlowCell>), says).tagged();
    api.get(
        "/flow-cells",
        flow_cells::list,
        Operation::new("listFlowCells", "The flow cells")
            .asked(Kind::Object(&fields::FLOW_CELLS))
            .answers(Answer::json(
                200,
                Kind::Of(of::<flow_cells::FlowCells>),
                "A page",
            )),
    )
    .post(
        "/flow-cells",
        flow_cells::register,
        Operation::new("registerFlowCell", "A flow cell came")
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&fields::REGISTER))
            .answers(flow_cell(201, "The flow cell")),
    )
    .get(
        "/flow-cells/{id}",
        flow_cells::read,
        Operation::new("readFlowCell", "One flow cell with what was done with it")
            .answers(Answer::json(200, Kind::Of(of::<flow_cells::Life>), "The flow cell").tagged()),
    )
    .post(
        "/flow-cells/{id}/{act}",
        flow_cells::handle,
        Operation::new("handleFlowCell", "Something is done with a flow cell")
            .place(
                "act",
                Kind::Word(&["load", "check", "wash", "retire"]),
                "What is done",
            )
            .by_somebody()
            .if_match()
            .takes(Kind::Object(&fields::HANDLE))
            .or_nothing()
            .answers(flow_cell(200, "The flow cell as it is now")),
    )
    .get(
        "/samples/{id}/flow-cells",
        flow_cells::of_sample,
        Operation::new(
            "listFlowCellsOfSample",
            "The flow cells that a sample was on",
        )
        .answers(Answer::json(
            200,
            Kind::List(&Kind::Of(of::<FlowCell>)),
            "The flow cells",
        )),
    )
}
