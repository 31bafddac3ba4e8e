//! The program from outside: the real binary, killed, starved, fed with bad input, and looked at over HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test's own helpers need is there, or the test fails; figures are printed"
)]

mod acceptance;
mod accesses;
mod admission;
mod alerts;
mod audit;
mod bad_forms;
mod bad_input;
mod causes;
mod client;
mod cloud_events;
mod dead_letters;
mod demo;
mod doors;
mod entered_samples;
mod faults;
mod hostile_pdfs;
mod http;
mod json_suite;
mod kill;
mod lab;
mod logs;
mod only;
mod openapi;
mod parameters;
mod pdf;
mod plain_words;
mod program;
mod qc_decisions;
mod reviews;
mod saga_checks;
mod saga_verbs;
mod sagas;
mod schedules;
mod schemas;
mod stop;
mod streams;
mod world;
