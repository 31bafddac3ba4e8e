//! The words of nanopore sample tracking.
