//! The log as its file has it: one JSON object a line, for programs and for `plugins logs`.
//!
//! `ts` (milliseconds), `level`, `target`, `message`, then the event's own fields by name:
//! `channel`, `account`, `plugin`, `error` … A line is never broken: what a field holds is escaped.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use crate::clock::Clock;

/// Writes each event as one JSON line.
pub(super) struct JsonLines<W>(pub(super) W);

#[derive(Serialize)]
struct Line<'a> {
    ts: u64,
    level: &'a str,
    target: &'a str,
    message: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl<S: Subscriber, W: for<'a> MakeWriter<'a> + 'static> Layer<S> for JsonLines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let line = Line {
            ts: Clock::system().now_ms(),
            level: &level,
            target: event.metadata().target(),
            message: fields.message,
            fields: fields.others,
        };
        // Nobody could be told that the log can't be written.
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            self.0.make_writer().write_all(&text).ok();
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match field.name() {
            // The line's own names are not for fields.
            name @ ("ts" | "level" | "target") => self.others.insert(format!("{name}_"), value),
            name => self.others.insert(name.to_owned(), value),
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing into a string cannot fail.
            write!(self.message, "{value:?}").ok();
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_whatever_it_holds() {
        let paper = Paper::default();
        let writer = paper.clone();
        let log = tracing_subscriber::registry().with(JsonLines(move || writer.clone()));
        tracing::subscriber::with_default(log, || {
            let plugin = "echo";
            tracing::warn!(plugin, tries = 3, level = "x", error = %"a\nb", "no {}", "luck");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["ts"].take().as_u64().unwrap() > 1_700_000_000_000);
        let expected = serde_json::json!({
            "ts": null, "level": "warn", "target": "gateway_host::telemetry::json::tests",
            "message": "no luck", "plugin": "echo", "tries": 3, "level_": "x", "error": "a\nb",
        });
        assert_eq!(line, expected);
    }
}
