//! Runs the rules of delivery on the engines of this crate and prints what they showed.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is run by `cargo xtask tidy`, which takes what it prints"
)]

use sagabus::conformance::embedded::EmbeddedCluster;
use sagabus::conformance::report::{Engine, page};

/// How it is run, for the first line of the page.
const COMMAND: &str = "cargo run -p sagabus --all-features --bin capabilities";

fn main() {
    // What fails stands in the page.
    std::panic::set_hook(Box::new(|_| {}));
    let engines = [
        Engine {
            name: "embedded, memory",
            open: || Box::new(EmbeddedCluster::in_memory()),
        },
        Engine {
            name: "embedded, directory",
            open: || Box::new(EmbeddedCluster::in_directory().unwrap()),
        },
    ];
    print!("{}", page(&engines, COMMAND));
}
