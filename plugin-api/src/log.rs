//! `tracing` lines and panics of this library become LOG frames.
//!
//! Every library has its own copy of tracing and std, so the subscriber and the panic hook that
//! `runtime` installs see this plugin alone. A line goes to the account whose task wrote it, one
//! written outside any task to the account opened first.

use std::fmt::{Debug, Write};
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Once, PoisonError, RwLock};

use gateway_plugin_abi::kind;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata};

use crate::cx::Shared;
use crate::message::{LogRecord, Media};

tokio::task_local! {
    static ACCOUNT: Arc<Shared>;
}

/// Open instances, the oldest first.
static OPEN: RwLock<Vec<Arc<Shared>>> = RwLock::new(Vec::new());
/// The most verbose level any account asked for.
static LEVEL: AtomicU8 = AtomicU8::new(3);

/// Runs a future whose lines belong to this account.
pub(crate) fn of_account<F: Future>(
    shared: Arc<Shared>,
    future: F,
) -> impl Future<Output = F::Output> {
    ACCOUNT.scope(shared, future)
}

/// Installs subscriber and panic hook; once per library.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only if the author installed a subscriber of its own, which then gets the lines.
        tracing::subscriber::set_global_default(Frames).ok();
        std::panic::set_hook(Box::new(|info| {
            let thread = std::thread::current();
            let payload = info.payload();
            let text = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("a panic without a text");
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            send(&LogRecord {
                level: 1,
                target: "panic".to_owned(),
                message: format!("panicked: {text}"),
                fields: vec![
                    ("at".to_owned(), place),
                    (
                        "thread".to_owned(),
                        thread.name().unwrap_or("unnamed").to_owned(),
                    ),
                ],
            });
        }));
    });
}

/// An instance was opened.
pub(crate) fn open(shared: &Arc<Shared>) {
    OPEN.write()
        .unwrap_or_else(PoisonError::into_inner)
        .push(shared.clone());
}

/// An instance is closed.
pub(crate) fn close(shared: &Arc<Shared>) {
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    open.retain(|other| !Arc::ptr_eq(other, shared));
}

/// Sets how much is logged, by the host's word for it.
pub(crate) fn set_level(word: &str) {
    let level = match word {
        "error" => 1,
        "warn" => 2,
        "debug" => 4,
        "trace" => 5,
        _ => 3,
    };
    if LEVEL.swap(level, Ordering::Relaxed) != level {
        tracing::callsite::rebuild_interest_cache();
    }
}

fn send(record: &LogRecord) {
    let Ok(body) = serde_json::to_vec(record) else {
        return;
    };
    let deliver = |shared: &Arc<Shared>| {
        // A log line may be dropped, and nobody could be told.
        shared.line.deliver(kind::LOG, 0, 0, &body, Media::new());
    };
    if ACCOUNT.try_with(deliver).is_err() {
        // Not waiting: the line may be written while the list is being changed.
        let first = OPEN.try_read().ok().and_then(|open| open.first().cloned());
        first.iter().for_each(deliver);
    }
}

fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// The subscriber. Spans are not followed: what matters is in the line.
struct Frames;

impl tracing::Subscriber for Frames {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Ordering::Relaxed) {
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut record = LogRecord {
            level: number(metadata.level()),
            target: metadata.target().to_owned(),
            ..LogRecord::default()
        };
        event.record(&mut Fields(&mut record));
        send(&record);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields<'a>(&'a mut LogRecord);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.message.push_str(value);
        } else {
            self.0
                .fields
                .push((field.name().to_owned(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a string fails only if the value's own rendering does.
        write!(text, "{value:?}").ok();
        self.record_str(field, &text);
    }
}
