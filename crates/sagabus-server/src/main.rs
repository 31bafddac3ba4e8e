//! The sagabus program.

fn main() {}
