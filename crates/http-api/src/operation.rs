//! What is said of one route: what it does, what it takes, and what it answers.

use crate::field::{Field, Kind};

/// Media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// What is said of a route with one method.
#[derive(Clone, Debug)]
pub struct Operation {
    pub(crate) method: &'static str,
    /// As for `axum`: parts of it are `{name}`.
    pub(crate) path: String,
    pub(crate) id: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) says: &'static str,
    pub(crate) places: Vec<Field>,
    pub(crate) query: Option<Kind>,
    pub(crate) headers: Vec<Field>,
    pub(crate) body: Option<Body>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) refusals: Vec<u16>,
    pub(crate) shows: Option<Shows>,
    pub(crate) takes_in: bool,
}

/// What an operation shows to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// No data of anybody.
    Nothing,
    /// Data about things of this kind: who looks at them may have to be recorded.
    Data(&'static str),
}

/// What a request may send.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) of: Vec<(&'static str, Kind)>,
    pub(crate) is_required: bool,
}

/// What is answered when all is well.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) says: &'static str,
    pub(crate) of: Vec<(&'static str, Kind)>,
    pub(crate) headers: Vec<Field>,
}

impl Answer {
    /// JSON of this kind.
    #[must_use]
    pub fn json(status: u16, kind: Kind, says: &'static str) -> Self {
        Self::nothing(status, says).or(JSON, kind)
    }

    /// An answer without a body.
    #[must_use]
    pub fn nothing(status: u16, says: &'static str) -> Self {
        Self {
            status,
            says,
            of: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// In this form too.
    #[must_use]
    pub fn or(mut self, media_type: &'static str, kind: Kind) -> Self {
        self.of.push((media_type, kind));
        self
    }

    /// With its version as entity tag.
    #[must_use]
    pub fn tagged(self) -> Self {
        self.with("ETag", "The version, to be given as `If-Match`")
    }

    /// With the address of what it speaks of.
    #[must_use]
    pub fn located(self) -> Self {
        self.with("Location", "Where it is to be read")
    }

    fn with(mut self, name: &'static str, says: &'static str) -> Self {
        let header = Field::required(name, Kind::AnyText, says);
        self.headers.push(header);
        self
    }
}

impl Operation {
    /// An operation: its id, which is unique, and what it does.
    #[must_use]
    pub fn new(id: &'static str, says: &'static str) -> Self {
        Self {
            method: "",
            path: String::new(),
            id,
            tag: "",
            says,
            places: Vec::new(),
            query: None,
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            shows: None,
            takes_in: false,
        }
    }

    /// Shows data about things of this kind. Every operation that reads something says this, or that it shows none.
    #[must_use]
    pub fn shows(mut self, kind: &'static str) -> Self {
        self.shows = Some(Shows::Data(kind));
        self
    }

    /// Shows no data of anybody.
    #[must_use]
    pub fn shows_no_data(mut self) -> Self {
        self.shows = Some(Shows::Nothing);
        self
    }

    /// Takes something in that needs room, now and for what follows from it.
    #[must_use]
    pub fn takes_in(mut self) -> Self {
        self.takes_in = true;
        self
    }

    /// What a part of its path may be, where it is no plain text.
    #[must_use]
    pub fn place(mut self, name: &'static str, kind: Kind, says: &'static str) -> Self {
        self.places.push(Field::required(name, kind, says));
        self
    }

    /// Takes these parameters in its query; without any, every parameter is refused.
    #[must_use]
    pub fn asked(mut self, kind: Kind) -> Self {
        self.query = Some(kind);
        self
    }

    /// Takes a header that may be left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, says: &'static str) -> Self {
        let header = Field::optional(name, Kind::AnyText, says);
        self.headers.push(header);
        self
    }

    /// Changes something on behalf of somebody: `x-user-id` says who, `x-correlation-id` in which piece of work.
    #[must_use]
    pub fn by_somebody(self) -> Self {
        self.header("x-user-id", "Who does it; `anonymous` where it is missing")
            .header(
                "x-correlation-id",
                "The piece of work that it belongs to; a new one where it is missing",
            )
    }

    /// Depends on a version, where `If-Match` names one; 409 when that is gone.
    #[must_use]
    pub fn if_match(mut self) -> Self {
        self.refusals.push(409);
        let tag = Field::optional(
            "If-Match",
            Kind::AnyText,
            "The version that is to be changed, such as `\"3\"`; any where it is missing or `*`",
        );
        self.headers.push(tag);
        self
    }

    /// Is done once for each `Idempotency-Key`.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        let key = Field::optional(
            "Idempotency-Key",
            Kind::Text(255),
            "A repeat with the same key is answered as the first",
        );
        self.headers.push(key);
        self.refusals.push(409);
        self
    }

    /// Takes JSON of this kind as its body.
    #[must_use]
    pub fn takes(self, kind: Kind) -> Self {
        self.takes_as(JSON, kind)
    }

    /// Takes a body of this kind.
    #[must_use]
    pub fn takes_as(mut self, media_type: &'static str, kind: Kind) -> Self {
        let body = self.body.get_or_insert(Body {
            of: Vec::new(),
            is_required: true,
        });
        body.of.push((media_type, kind));
        self
    }

    /// The body may be left out: nothing needs to be said.
    #[must_use]
    pub fn or_nothing(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body.is_required = false;
        }
        self
    }

    /// Answers so when all is well.
    #[must_use]
    pub fn answers(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// Refuses with problem details of these statuses, besides those that every operation may refuse with.
    #[must_use]
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// The same behind a prefix of its path.
    #[must_use]
    pub fn behind(self, prefix: &str) -> Self {
        Self {
            path: format!("{prefix}{}", self.path),
            ..self
        }
    }

    /// Its method, in capitals.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Its path, with `{name}` for what differs.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The names of the parts of its path that it says something of.
    pub fn places(&self) -> impl Iterator<Item = &'static str> {
        self.places.iter().map(|it| it.name)
    }

    /// What it shows; nothing is known of it where it does not say.
    #[must_use]
    pub fn shown(&self) -> Option<Shows> {
        self.shows
    }

    /// Whether it takes something in that needs room.
    #[must_use]
    pub fn is_intake(&self) -> bool {
        self.takes_in
    }

    /// Whether all is well where it answers with this status.
    #[must_use]
    pub fn answers_with(&self, status: u16) -> bool {
        self.answers.iter().any(|it| it.status == status)
    }

    /// The names of the parameters that its query may have.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        let mut generator = crate::document::of_requests();
        let fields = self.query.map(|it| it.fields(&mut generator));
        let fields = fields.unwrap_or_default().into_iter();
        fields.map(|(name, _, _)| name).collect()
    }
}
