//! From a document to values: which kind of document it is, and the method that reads it.
//!
//! All methods have one face: a document with its geometry in, an [`Extraction`] out, each value with unit, confidence
//! and place. The kind is decided by one pure function, [`kind`]. What is not on the paper has no value.

mod answer;
mod doubt;
mod fields;
mod kind;
mod pairs;
mod quote;
mod rag;
mod said;
mod units;

use nanopore::events::ai::Method;
use serde_json::Value;

pub(crate) use answer::{TASK, schema, text};
pub use kind::{Kind, kind};
pub(crate) use rag::{Vectors, aliases, labels, likeness};
pub(crate) use said::OF_ALL;

use crate::form::{self, Extraction, Form};
use crate::pdf::{Document, PdfError, PdfErrorKind};

/// What a model says of a document: its name and its answer, or why there is none.
pub(crate) type Asked = Result<(String, Value), NoAnswer>;

/// Why a model has said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There is none, or it is not asked for such a document.
    NotAsked(String),
    /// It was asked.
    Failed(String),
}

/// Reads a document by labels and geometry ([`Method::Pattern`]), or also by labels that are only like those known
/// ([`Method::Rag`]).
///
/// # Errors
/// `EXTRACTION_FAILED` when the document is of no known kind, or for a method that asks a model.
pub fn read(document: &Document, method: Method) -> Result<Extraction, PdfError> {
    read_with(document, method, &Vectors::new(), not_configured())
}

/// The same with what an endpoint says of it.
///
/// # Errors
/// `EXTRACTION_FAILED` when the document is of no known kind; `NETWORK_ERROR` when only a model could have read it and did
/// not answer.
pub(crate) fn read_with(
    document: &Document,
    method: Method,
    vectors: &Vectors,
    asked: Asked,
) -> Result<Extraction, PdfError> {
    let base = pattern(document);
    let mut extraction = match method {
        Method::Pattern => base?,
        Method::Rag => rag::read(document, base, vectors)?,
        Method::Llm => with_model(document, base, asked, false)?,
        Method::Hybrid => {
            let base = rag::read(document, base, vectors);
            with_model(document, base, asked, true)?
        }
    };
    doubt::flag(document, &mut extraction);
    Ok(extraction)
}

/// Why no model is asked for a document of this kind; nothing where one is.
pub(crate) fn not_asked(kind: Kind) -> Option<NoAnswer> {
    let why = match kind {
        Kind::HtsfForm => "the facility's form is read by its drawings, which a model does not see",
        Kind::Scan => "there is no text that a model could be given",
        Kind::Pairs | Kind::Quote | Kind::Unknown => return None,
    };
    Some(NoAnswer::NotAsked(why.to_owned()))
}

fn not_configured() -> Asked {
    Err(NoAnswer::NotAsked("no model is configured".to_owned()))
}

fn with_model(
    document: &Document,
    base: Result<Extraction, PdfError>,
    asked: Asked,
    all: bool,
) -> Result<Extraction, PdfError> {
    let said = asked.and_then(|(name, answer)| {
        let findings = answer::verified(document, &answer).map_err(NoAnswer::Failed)?;
        Ok((name, findings))
    });
    match (base, said) {
        (Ok(base), Ok((name, findings))) => Ok(answer::merged(base, findings, (&name, all))),
        // A document of no known kind is what the model makes of it.
        (Err(_), Ok((name, findings))) if !findings.fields.is_empty() => {
            let blank = pairs::read(document);
            Ok(answer::merged(blank, findings, (&name, all)))
        }
        (Err(error), Ok(_)) => Err(error),
        (Ok(mut base), Err(NoAnswer::NotAsked(why) | NoAnswer::Failed(why))) => {
            let way = crate::model::method_word(base.method);
            base.notes.push(format!("read by `{way}`: {why}"));
            Ok(base)
        }
        (Err(_), Err(NoAnswer::Failed(why))) => Err(PdfError::new(PdfErrorKind::NetworkError, why)),
        (Err(error), Err(NoAnswer::NotAsked(why))) => {
            let message = format!("{}; {why}", error.message);
            Err(PdfError::new(error.kind, message))
        }
    }
}

/// Labels and the geometry of the page.
fn pattern(document: &Document) -> Result<Extraction, PdfError> {
    match kind(document) {
        Kind::Pairs => Ok(pairs::read(document)),
        Kind::Quote => quote::read(document),
        Kind::Scan => Ok(scan()),
        // For another kind the error names what is missing of the facility's form.
        Kind::HtsfForm | Kind::Unknown => form::extract(document),
    }
}

/// A document without text that a person sees has no values: somebody must look at it.
fn scan() -> Extraction {
    Extraction {
        kind: Kind::Scan,
        method: Method::Pattern,
        // Nobody knows which form it is: the molecule has to be said.
        form: Form {
            said: Some(Box::default()),
            ..Form::default()
        },
        fields: Vec::new(),
        confidence: 0.0,
        issues: Vec::new(),
        model: None,
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
