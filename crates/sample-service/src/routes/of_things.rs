//! What is said of the routes of all beside samples: tables, the catalogue, projects, submissions, decisions, flow cells.

use http_api::{Answer, Kind, Operation, of};
use nanopore::sample::{Item, Kind as ItemKind};

use super::fields::{queries, things};
use super::{Routes, decisions, extras, flow_cells, projects, submissions, tables};
use crate::model::{Attachment, Decision, FlowCell, Project, Sample, Submission};

/// Kinds of the catalogue.
const KIND: Kind = Kind::Of(of::<ItemKind>);
const SAMPLE: Kind = Kind::Of(of::<Sample>);
const ITEM: Kind = Kind::Of(of::<Item>);
const PROJECT: Kind = Kind::Of(of::<Project>);
const ATTACHMENT: Kind = Kind::Of(of::<Attachment>);

pub(super) fn attach(id: &'static str, says: &'static str) -> Operation {
    Operation::new(id, says)
        .takes_in()
        .by_somebody()
        .refuses(&[409])
        .takes(Kind::Object(&things::ATTACH))
        .answers(Answer::json(201, ATTACHMENT, "The attachment"))
}

pub(super) fn detach(id: &'static str, says: &'static str) -> Operation {
    Operation::new(id, says)
        .by_somebody()
        .answers(Answer::nothing(204, "It is taken away"))
}

pub(super) fn tables(api: Routes) -> Routes {
    const CSV: &str = "text/csv; charset=utf-8";
    const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
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
        .shows("sample")
        .asked(Kind::Object(&queries::EXPORT))
        .answers(Answer::json(200, Kind::List(&SAMPLE), "The samples").or(CSV, Kind::AnyText)),
    )
    .post(
        "/submissions/import",
        tables::import,
        taken(
            Operation::new("importTable", "Takes a table of samples")
                .takes_in()
                .asked(Kind::Object(&queries::IMPORT))
                .takes_as("text/csv", Kind::AnyText)
                .takes_as(XLSX, Kind::Bytes),
        ),
    )
    .post(
        "/submissions/ingest",
        tables::ingest,
        taken(
            Operation::new("ingestSamples", "Takes a list of samples as JSON")
                .takes_in()
                .takes(Kind::Object(&things::INGEST)),
        ),
    )
    .post(
        "/sample-sheets",
        tables::sheet,
        Operation::new(
            "makeSampleSheet",
            "Makes the sample sheet of a run for MinKNOW",
        )
        .shows("sample")
        .takes(Kind::Object(&things::SHEET))
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

pub(super) fn catalogue(api: Routes) -> Routes {
    let kind = |operation: Operation| operation.place("kind", KIND, "Kind of the catalogue");
    api.get(
        "/catalogue/{kind}",
        extras::items,
        kind(Operation::new("listItems", "What a facility works with").shows_no_data())
            .asked(Kind::Object(&queries::CATALOGUE))
            .answers(Answer::json(200, Kind::List(&ITEM), "The items")),
    )
    .post(
        "/catalogue/{kind}",
        extras::add_item,
        kind(Operation::new("addItem", "Adds an item"))
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&things::ITEM))
            .answers(Answer::json(201, ITEM, "The item")),
    )
    .put(
        "/catalogue/{kind}/{name}",
        extras::change_item,
        kind(Operation::new("changeItem", "Changes an item"))
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&things::ITEM_CHANGE))
            .or_nothing()
            .answers(Answer::json(200, ITEM, "The item as it is now")),
    )
}

pub(super) fn submissions(api: Routes) -> Routes {
    api.get(
        "/projects",
        projects::list,
        Operation::new("listProjects", "The projects")
            .shows("project")
            .asked(Kind::Object(&queries::PROJECTS))
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
            .takes_in()
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&things::PROJECT))
            .answers(Answer::json(201, PROJECT, "The project").tagged()),
    )
    .get(
        "/projects/{id}",
        projects::read,
        Operation::new("readProject", "One project")
            .shows("project")
            .answers(Answer::json(200, PROJECT, "The project").tagged()),
    )
    .put(
        "/projects/{id}",
        projects::update,
        Operation::new("updateProject", "Changes fields of a project")
            .by_somebody()
            .if_match()
            .takes(Kind::Object(&things::PROJECT_CHANGE))
            .or_nothing()
            .answers(Answer::json(200, PROJECT, "The project as it is now").tagged()),
    )
    .get(
        "/submissions",
        submissions::list,
        Operation::new("listSubmissions", "The submissions, the newest first")
            .shows("submission")
            .asked(Kind::Object(&queries::SUBMISSIONS))
            .answers(Answer::json(
                200,
                Kind::Of(of::<submissions::Submissions>),
                "A page",
            )),
    )
    .get(
        "/submissions/{id}",
        submissions::read,
        Operation::new("readSubmission", "One submission")
            .shows("submission")
            .answers(Answer::json(
                200,
                Kind::Of(of::<Submission>),
                "The submission",
            )),
    )
    .get(
        "/submissions/{id}/attachments",
        extras::of_submission,
        Operation::new("listSubmissionAttachments", "The files of a submission")
            .shows("submission")
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

pub(super) fn decisions(api: Routes) -> Routes {
    api.get(
        "/qc/decisions",
        decisions::list,
        Operation::new(
            "listDecisions",
            "Samples whose quality control failed, and what was decided",
        )
        .shows("qc")
        .asked(Kind::Object(&queries::DECISIONS))
        .answers(Answer::json(
            200,
            Kind::Of(of::<decisions::Decisions>),
            "A page",
        )),
    )
    .get(
        "/samples/{id}/decisions",
        decisions::of_sample,
        Operation::new("listDecisionsOfSample", "The decisions about a sample")
            .shows("sample")
            .answers(Answer::json(
                200,
                Kind::List(&Kind::Of(of::<Decision>)),
                "The decisions",
            )),
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
        .takes(Kind::Object(&things::DECIDE))
        .answers(Answer::json(200, Kind::Of(of::<Decision>), "The decision")),
    )
}

pub(super) fn flow_cells(api: Routes) -> Routes {
    let flow_cell = |status, says| Answer::json(status, Kind::Of(of::<FlowCell>), says).tagged();
    api.get(
        "/flow-cells",
        flow_cells::list,
        Operation::new("listFlowCells", "The flow cells")
            .shows("flowcell")
            .asked(Kind::Object(&queries::FLOW_CELLS))
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
            .takes_in()
            .by_somebody()
            .refuses(&[409])
            .takes(Kind::Object(&things::REGISTER))
            .answers(flow_cell(201, "The flow cell")),
    )
    .get(
        "/flow-cells/{id}",
        flow_cells::read,
        Operation::new("readFlowCell", "One flow cell with what was done with it")
            .shows("flowcell")
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
            .takes(Kind::Object(&things::HANDLE))
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
        .shows("sample")
        .answers(Answer::json(
            200,
            Kind::List(&Kind::Of(of::<FlowCell>)),
            "The flow cells",
        )),
    )
}
