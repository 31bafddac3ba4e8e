//! What an auditor needs: the key, signed states, proofs, and the whole trail as a bundle.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use http_api::Field;
use http_api::{Pairs, Reply};
use nanopore::query::not_known;
use nanopore::sample::FieldErrors;
use sagabus::Error;
use sagabus::event::whole_number;
use schemars::JsonSchema;
use serde::Serialize;

use super::fields;
use crate::model::{ConsistencyProof, InclusionProof, Tree};
use crate::note;
use crate::service::AuditService;

/// The parameters of a proof of inclusion.
const INCLUSION: [&str; 3] = Field::names(&fields::INCLUSION);
/// The parameters of a proof of consistency.
const CONSISTENCY: [&str; 2] = Field::names(&fields::CONSISTENCY);

/// The public key.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    name: String,
    public_key: String,
}

/// A signed state.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    #[serde(flatten)]
    tree: Tree,
    note: String,
    public_key: String,
}

type Service = State<AuditService>;

pub(super) async fn key(State(service): Service) -> Json<Key> {
    let verifier = service.verifier();
    Json(Key {
        name: verifier.name().to_owned(),
        public_key: verifier.to_string(),
    })
}

pub(super) async fn checkpoint(State(service): Service) -> Reply<Json<Checkpoint>> {
    let last = service.last_checkpoint().await?;
    let last = last.ok_or_else(|| Error::not_found("the trail was not signed yet"))?;
    Ok(shown(&service, last))
}

pub(super) async fn sign(State(service): Service) -> Reply<Json<Checkpoint>> {
    let checkpoint = service.checkpoint().await?;
    Ok(shown(&service, checkpoint))
}

fn shown(service: &AuditService, checkpoint: note::Checkpoint) -> Json<Checkpoint> {
    Json(Checkpoint {
        tree: checkpoint.state.into(),
        note: checkpoint.note,
        public_key: service.verifier().to_string(),
    })
}

pub(super) async fn inclusion(
    State(service): Service,
    Pairs(pairs): Pairs,
) -> Reply<Json<InclusionProof>> {
    let asked = Asked::read(&pairs, &INCLUSION, &["id"])?;
    let sequence = match (asked.number("sequence"), asked.text("id")) {
        (Some(sequence), None) => sequence,
        (None, Some(id)) => service.sequence_of(id).await?,
        _ => {
            let text = "must be given, or `id`, and not both";
            return Err(FieldErrors::one("sequence", text).into());
        }
    };
    let size = asked.number("size");
    Ok(Json(service.prove_inclusion(sequence, size).await?))
}

pub(super) async fn consistency(
    State(service): Service,
    Pairs(pairs): Pairs,
) -> Reply<Json<ConsistencyProof>> {
    let asked = Asked::read(&pairs, &CONSISTENCY, &[])?;
    let from = asked
        .number("from")
        .ok_or_else(|| FieldErrors::one("from", "is required"))?;
    let to = asked.number("to");
    Ok(Json(service.prove_consistency(from, to).await?))
}

pub(super) async fn bundle(State(service): Service) -> Reply<Response> {
    let checkpoint = service.checkpoint().await?;
    let size = checkpoint.state.size;
    let head = crate::bundle::head(service.verifier(), &checkpoint);
    // Read as it is sent: the trail may be larger than the memory.
    let lines = try_unfold((Some(head), 0), move |(head, after)| {
        let service = service.clone();
        async move {
            if let Some(head) = head {
                return Ok(Some((Bytes::from(head), (None, after))));
            }
            let page = service.bundle_page(after, size).await?;
            Ok::<_, Error>(page.map(|(lines, next)| (Bytes::from(lines), (None, next))))
        }
    });
    let mut response = Body::from_stream(lines).into_response();
    let lines = HeaderValue::from_static("application/jsonl");
    response.headers_mut().insert(header::CONTENT_TYPE, lines);
    Ok(response)
}

/// The parameters of a request: numbers, but for those that are texts.
#[derive(Debug)]
struct Asked<'a>(Vec<(&'a str, Given<'a>)>);

#[derive(Clone, Copy, Debug)]
enum Given<'a> {
    Number(u64),
    Text(&'a str),
}

impl<'a> Asked<'a> {
    fn read(
        pairs: &'a [(String, String)],
        known: &[&str],
        texts: &[&str],
    ) -> Result<Self, FieldErrors> {
        FieldErrors::check_once(pairs, &[])?;
        let mut errors = FieldErrors::default();
        let mut given = Vec::new();
        for (name, value) in pairs {
            let name = name.as_str();
            if texts.contains(&name) {
                given.push((name, Given::Text(value)));
            } else if known.contains(&name) {
                match whole_number(value) {
                    Some(number) => given.push((name, Given::Number(number))),
                    None => errors.add(name, "must be a whole number"),
                }
            } else {
                errors.add(name, not_known(known));
            }
        }
        match errors.0.is_empty() {
            true => Ok(Self(given)),
            false => Err(errors),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.iter().find_map(|(it, given)| match given {
            Given::Number(number) if *it == name => Some(*number),
            Given::Number(_) | Given::Text(_) => None,
        })
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|(it, given)| match given {
            Given::Text(text) if *it == name => Some(*text),
            Given::Number(_) | Given::Text(_) => None,
        })
    }
}
