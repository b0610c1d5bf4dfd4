//! Where log lines go and what they look like.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, Logging};

/// Sends the process's log lines to standard error as the configuration says. Times are in UTC.
///
/// # Errors
/// A sentence for the administrator, if the filter is not valid or logging was started before.
pub(super) fn start(logging: &Logging) -> Result<(), String> {
    // Its authorisation rules say "allowed" for every event at this level; who wants to hear it names it.
    let quiet = format!("ruma_state_res=warn,{}", logging.level.as_str());
    let filter = EnvFilter::try_new(quiet).map_err(|error| format!("logging.level is not a valid filter: {error}"))?;
    let lines = layer(logging.format, io::stderr, io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|error| format!("cannot start logging: {error}"))
}

/// The layer that writes one line an event to `output`.
fn layer<W>(format: LogFormat, output: W, colours: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(output);
    match format {
        LogFormat::Human => lines.with_ansi(colours).boxed(),
        // Fields of the event stand at the top level, where log collectors look for them; the span holds the
        // request's id.
        LogFormat::Json => {
            lines.with_ansi(false).json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::secret::Secret;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(format: LogFormat, filter: &str) -> String {
        let lines = Lines::default();
        let output = lines.clone();
        let subscriber = tracing_subscriber::registry()
            .with(layer(format, move || output.clone(), false).with_filter(EnvFilter::try_new(filter).unwrap()));
        tracing::subscriber::with_default(subscriber, || {
            let _request = tracing::info_span!("request", id = "r1").entered();
            tracing::info!(password = ?Secret::from("hunter2"), count = 3, "signed in");
            tracing::debug!("details");
        });
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_for_machines_are_json_with_the_request_id() {
        let text = log(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "signed in");
        assert_eq!(line["count"], 3);
        assert_eq!(line["span"]["id"], "r1");
        assert_eq!(line["level"], "INFO");
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn lines_for_people_are_plain_and_hide_secrets() {
        let text = log(LogFormat::Human, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("signed in") && text.contains("[secret]"));
        assert!(!text.contains("hunter2") && !text.contains('\u{1b}'));
    }

    #[test]
    fn the_level_filters() {
        assert_eq!(log(LogFormat::Human, "off"), "");
        assert_eq!(log(LogFormat::Human, "debug").lines().count(), 2);
    }
}
