//! Logs: one JSON object a line on standard error, with event, saga and correlation ids and no personal data.

use tracing_subscriber::EnvFilter;

/// Starts logging at `filter`, such as `warn` or `info,sagabus=debug`.
///
/// Fine twice: the first one stays.
pub(crate) fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("`--log {filter}` is no log filter: {error}"))?;
    // Fails only when logging was started before.
    let _started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // What cannot be written, as the disk is full or nobody reads it, must not end the task that told it.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}
