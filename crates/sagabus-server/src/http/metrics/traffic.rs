//! What is told of requests, and of everything that fails.

use std::collections::BTreeMap;
use std::fmt;

use super::super::traffic::Route;
use super::Snapshot;
use super::out::Out;

impl Snapshot {
    pub(super) fn encode_traffic(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let served = self.traffic.served();
        let labels = |(method, path): &Route| [("method", method.clone()), ("path", path.clone())];
        let counts = served.iter().flat_map(|((method, path), served)| {
            served.statuses.iter().map(move |(status, count)| {
                let labels = [
                    ("method", method.clone()),
                    ("path", path.clone()),
                    ("status_code", status.to_string()),
                ];
                (labels, *count)
            })
        });
        out.counters(
            "http_requests",
            "Requests, by method, route and status",
            counts,
        )?;
        out.histograms(
            "http_request_duration_seconds",
            "Time until the answer began, by method and route",
            served
                .iter()
                .map(|(route, it)| (labels(route), &it.seconds)),
        )?;
        out.histograms(
            "http_request_size_bytes",
            "Bodies of requests that say how large they are, by method and route",
            served
                .iter()
                .map(|(route, it)| (labels(route), &it.request_bytes)),
        )?;
        out.histograms(
            "http_response_size_bytes",
            "Bodies of answers whose size is known ahead, by method and route",
            served
                .iter()
                .map(|(route, it)| (labels(route), &it.response_bytes)),
        )?;
        out.gauge(
            "active_requests",
            "Requests that are not answered yet",
            self.traffic.active(),
        )
    }

    /// What failed, in the program and by whatever it depends on; what was refused to a caller is no failure.
    pub(super) fn encode_errors(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let mut errors: BTreeMap<(&str, String), u64> = BTreeMap::new();
        errors.insert(
            ("event_bus", "handler".to_owned()),
            self.bus.failed_attempts,
        );
        for (kind, count) in self.ai.iter().flat_map(|it| &it.jobs.errors) {
            errors.insert(("ai_service", kind.clone()), *count);
        }
        for served in self.traffic.served().into_values() {
            for (status, count) in served.statuses.range(500..) {
                *errors.entry(("http", status.to_string())).or_default() += count;
            }
        }
        let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
        for ((_, kind), count) in &errors {
            *by_type.entry(kind.clone()).or_default() += count;
        }
        out.counters(
            "errors",
            "Failures, by component and type",
            errors.into_iter().map(|((component, kind), count)| {
                (
                    [("component", component.to_owned()), ("error_type", kind)],
                    count,
                )
            }),
        )?;
        out.gauges(
            "errors_by_type",
            "The same by type alone",
            by_type
                .into_iter()
                .map(|(kind, count)| ([("error_type", kind)], count)),
        )
    }
}
