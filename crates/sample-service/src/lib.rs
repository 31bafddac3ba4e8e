//! The sample service.
