//! The embedded engine on a real directory against the rules of delivery.
sagabus::transport_conformance!(async {
    sagabus::conformance::embedded::EmbeddedCluster::in_directory().unwrap()
});
