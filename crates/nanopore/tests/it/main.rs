//! Promises of the domain's words to those who send and read them.

#[cfg(test)]
mod golden;
