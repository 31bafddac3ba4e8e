//! Routes of services that are not here, which say so.

use std::collections::HashSet;

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodFilter, any, on};
use http_api::Failure;
use http_api::Operation;

use super::openapi;
use crate::services::Served;

/// The router with the routes that are not served as well: each answers 404, with what this process serves.
pub(super) fn refused(mut router: Router, here: &[Operation], served: &Served) -> Router {
    if served.is_all() {
        return router;
    }
    let told = served.clone();
    let refuse = move || std::future::ready(Failure::from(told.refusal()));
    let routes: HashSet<(&str, &str)> = here.iter().map(|it| (it.path(), it.method())).collect();
    let paths: HashSet<&str> = here.iter().map(Operation::path).collect();
    let mut refused = HashSet::new();
    for it in &openapi::operations(&Served::all()) {
        if routes.contains(&(it.path(), it.method())) {
            continue;
        }
        let filter = Method::from_bytes(it.method().as_bytes()).ok();
        let filter = filter.and_then(|it| MethodFilter::try_from(it).ok());
        match filter {
            Some(filter) if paths.contains(it.path()) => {
                router = router.route(it.path(), on(filter, refuse.clone()));
            }
            _ if refused.insert(it.path().to_owned()) => {
                router = router.route(it.path(), any(refuse.clone()));
            }
            _ => {}
        }
    }
    router
}
