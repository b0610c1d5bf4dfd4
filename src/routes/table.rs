//! A router that remembers what it routes.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use http::Method;
use ruma::api::{Metadata, path_builder::PathBuilder as _};

use crate::http::services::Services;

/// The state of every handler.
type State = Arc<Services>;

/// Routes and their list.
#[derive(Default)]
pub struct Table {
    router: Router<State>,
    listed: Vec<(Method, String)>,
}

impl Table {
    /// Every path of ruma's request type `R`, by its method.
    #[expect(clippy::needless_pass_by_value, reason = "a handler is given, as in axum")]
    #[must_use]
    pub(super) fn on<R: Metadata, T: 'static>(self, handler: impl Handler<T, State>) -> Self {
        R::PATH_BUILDER.all_paths().fold(self, |table, path| table.at(&R::METHOD, path, handler.clone()))
    }

    /// One path that ruma does not know.
    #[must_use]
    pub(super) fn at<T: 'static>(mut self, method: &Method, path: &str, handler: impl Handler<T, State>) -> Self {
        // An endpoint's neighbour by another method may name the same argument differently; the router needs one name.
        let known = self.listed.iter().find(|(_, listed)| same_shape(listed, path));
        let path = known.map_or(path, |(_, listed)| listed).to_owned();
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        self.router = self.router.route(&path, on(filter, handler));
        self.listed.push((method.clone(), path));
        self
    }

    /// One path that ruma does not know, below `v3` and its former name `r0`.
    #[expect(clippy::needless_pass_by_value, reason = "a handler is given, as in axum")]
    #[must_use]
    pub(super) fn v3<T: 'static>(self, method: &Method, rest: &str, handler: impl Handler<T, State>) -> Self {
        ["v3", "r0"]
            .iter()
            .fold(self, |table, version| table.at(method, &format!("/_matrix/client/{version}{rest}"), handler.clone()))
    }

    /// One path of the school's own interface.
    #[must_use]
    pub(super) fn school<T: 'static>(self, method: &Method, rest: &str, handler: impl Handler<T, State>) -> Self {
        self.at(method, &format!("/_homeroom/v1{rest}"), handler)
    }

    /// The router, without state and middleware.
    pub fn router(self) -> Router<State> {
        self.router
    }

    /// `METHOD path` of every route, sorted by path.
    pub fn lines(&self) -> Vec<String> {
        let mut routes: Vec<_> = self.listed.iter().map(|(method, path)| (path, method.as_str())).collect();
        routes.sort_unstable();
        routes.into_iter().map(|(path, method)| format!("{method} {path}")).collect()
    }
}

/// Whether two patterns match the same paths.
fn same_shape(a: &str, b: &str) -> bool {
    let blank = |segment| if str::starts_with(segment, '{') { "{}" } else { segment };
    a.split('/').map(blank).eq(b.split('/').map(blank))
}
