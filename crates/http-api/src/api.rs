//! Routes and operations, put together one by one.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::operation::Operation;

/// Routes of `axum`, each with what is said of it.
#[derive(Debug)]
pub struct Api<S = ()> {
    tag: &'static str,
    router: Router<S>,
    operations: Vec<Operation>,
}

/// Adds a route that answers one method.
macro_rules! methods {
    ($($name:ident $method:literal),*) => {$(
        #[doc = concat!("Answers `", $method, "` with a handler.")]
        #[must_use]
        pub fn $name<H, T>(self, path: &str, handler: H, operation: Operation) -> Self
        where
            H: Handler<T, S>,
            T: 'static,
        {
            self.at($method, path, routing::$name(handler), operation)
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// No routes yet; those to come are of this group.
    #[must_use]
    pub fn new(tag: &'static str) -> Self {
        Self {
            tag,
            router: Router::new(),
            operations: Vec::new(),
        }
    }

    methods!(get "GET", post "POST", put "PUT", patch "PATCH", delete "DELETE");

    /// Answers `method` with what is a route of that method already, as one with a layer of its own is.
    #[must_use]
    pub fn at(
        mut self,
        method: &'static str,
        path: &str,
        route: MethodRouter<S>,
        operation: Operation,
    ) -> Self {
        self.router = self.router.route(path, route);
        self.operations.push(Operation {
            method,
            path: path.to_owned(),
            tag: self.tag,
            ..operation
        });
        self
    }

    /// The routes of another one, behind `prefix`.
    #[must_use]
    pub fn nest(mut self, prefix: &str, other: Self) -> Self {
        self.router = self.router.nest(prefix, other.router);
        let others = other.operations.into_iter();
        self.operations.extend(others.map(|it| it.behind(prefix)));
        self
    }

    /// The routes of another one beside these.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// With what the handlers work on.
    #[must_use]
    pub fn with_state<O>(self, state: S) -> Api<O> {
        Api {
            tag: self.tag,
            router: self.router.with_state(state),
            operations: self.operations,
        }
    }

    /// The router and the operations.
    pub fn into_parts(self) -> (Router<S>, Vec<Operation>) {
        (self.router, self.operations)
    }
}
