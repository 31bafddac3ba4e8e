//! New work is taken only while there is room for what follows from it.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_api::Failure;
use http_api::Operation;
use sagabus::ErrorKind;

use crate::assemble::System;

/// What a service takes into a file of its own, before the log is asked. All else that is new the log refuses by itself.
#[derive(Debug)]
pub(super) struct Intakes {
    system: Arc<System>,
    /// Method and path.
    routes: HashSet<(&'static str, String)>,
}

impl Intakes {
    /// Those of these operations.
    pub(super) fn of(operations: &[Operation], system: Arc<System>) -> Self {
        let intakes = operations.iter().filter(|it| it.is_intake());
        let routes = intakes.map(|it| (it.method(), it.path().to_owned()));
        Self {
            routes: routes.collect(),
            system,
        }
    }

    fn has(&self, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>();
        let method = request.method().as_str();
        let is_it = |(of, path): &(&str, String)| {
            *of == method && route.is_some_and(|it| it.as_str() == path)
        };
        self.routes.iter().any(is_it)
    }
}

/// Refuses new work as `Full` while the disk has too little room.
pub(super) async fn with_room(
    State(intakes): State<Arc<Intakes>>,
    request: Request,
    next: Next,
) -> Response {
    if intakes.has(&request)
        && let Err(error) = intakes.system.bus.condition()
        && error.kind() == ErrorKind::Full
    {
        return Failure::from(error).into_response();
    }
    next.run(request).await
}
