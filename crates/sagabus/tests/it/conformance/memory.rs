//! The embedded engine on a memory disk against the rules of delivery.
sagabus::transport_conformance!(async {
    sagabus::conformance::embedded::EmbeddedCluster::in_memory()
});
