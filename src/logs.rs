//! Where log lines go: into memory, and from there to standard error by a thread of their own, some
//! times a second. A request neither waits for the terminal nor wakes a writer.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::LogTracer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Lines appear this late at most; nobody sees a difference.
const EVERY: Duration = Duration::from_millis(50);
/// Lines that wait to be written; more are dropped and counted. Some ten thousand access lines.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// Lines that wait to be written.
#[derive(Clone, Debug, Default)]
pub struct Logs(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: Mutex<Vec<u8>>,
    dropped: AtomicU64,
}

impl Logs {
    /// Starts logging for the process: lines for people on a terminal, JSON otherwise. `FREEWAY_LOG`
    /// sets the level as in `info` or `freeway=debug`.
    ///
    /// # Errors
    /// When the process logs already, or has no thread left.
    pub fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let filter = EnvFilter::try_from_env("FREEWAY_LOG")
            .unwrap_or_else(|_| EnvFilter::new("info,pingora_core=warn,pingora_proxy=warn,pingora=warn"));
        let waiting = Self::default();
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(waiting.clone());
        let started = if std::io::stderr().is_terminal() {
            logs.try_init()
        } else {
            logs.with_ansi(false).event_format(JsonLines).try_init()
        };
        started.map_err(|error| -> Box<dyn std::error::Error> { error })?;
        // Pingora's own lines join ours; below a warning they would only cost time.
        LogTracer::builder().with_max_level(tracing_log::log::LevelFilter::Warn).init()?;
        let writer = waiting.clone();
        std::thread::Builder::new().name("logs".to_owned()).spawn(move || writer.keep_flushing())?;
        Ok(waiting)
    }

    #[expect(clippy::disallowed_methods, reason = "a thread of its own, which no request waits for")]
    fn keep_flushing(&self) -> ! {
        loop {
            std::thread::sleep(EVERY);
            self.flush();
        }
    }

    /// Writes what waits; the process calls it once more before it ends.
    pub fn flush(&self) {
        let lines = std::mem::take(&mut *self.0.lines.lock().unwrap_or_else(PoisonError::into_inner));
        let mut out = std::io::stderr().lock();
        // A closed standard error is no reason to stop serving.
        let _ = out.write_all(&lines);
        let dropped = self.0.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ =
                writeln!(out, "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"lines\":{dropped}}}");
        }
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() + line.len() > MAX_WAITING_BYTES {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            lines.extend_from_slice(line);
        }
    }
}

/// An event as one flat JSON object. The library's own JSON format builds the same through several
/// maps and costs about as much as classifying a prompt; this is on every request's path.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        write!(out, "{{\"timestamp\":\"{:.6}\"", jiff::Timestamp::now())?;
        write!(out, ",\"level\":\"{}\",\"target\":\"{}\"", about.level(), about.target())?;
        let mut fields = JsonFields { out, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        fields.out.write_str("}\n")
    }
}

struct JsonFields<'a> {
    out: Writer<'a>,
    result: fmt::Result,
}

impl JsonFields<'_> {
    fn plain(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = write!(self.out, ",\"{}\":{value}", field.name());
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        match serde_json::to_string(value) {
            Ok(quoted) => self.plain(field, format_args!("{quoted}")),
            Err(_) => self.result = Err(fmt::Error),
        }
    }
}

impl Visit for JsonFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let needs_escapes = value.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\');
        if needs_escapes { self.text(field, value) } else { self.plain(field, format_args!("\"{value}\"")) }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// One event's writer; the subscriber writes each event at once.
#[derive(Debug)]
pub struct Line<'a>(&'a Logs);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let logs = Logs::default();
        logs.push(&vec![b'x'; MAX_WAITING_BYTES]);
        logs.push(b"y");
        assert_eq!(logs.0.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(logs.0.lines.lock().expect("unpoisoned").len(), MAX_WAITING_BYTES);
    }
}
