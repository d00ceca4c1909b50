//! Where log lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::json::JsonLines;
use crate::clock::Clock;
use crate::limits::{LOG_FILE_BYTES_MAX, LOG_QUEUE_LINES_MAX};

/// How and where to log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Level of our own lines; libraries log from `warn` on.
    pub level: LevelFilter,
    /// The file beside standard output.
    pub file: PathBuf,
    /// Also write lines for people to standard output.
    pub stdout: bool,
}

/// Keeps the log alive. Dropping it writes what waits and ends the thread.
#[derive(Debug)]
pub struct LogGuard {
    lines: Option<SyncSender<Line>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let (Some(lines), Some(thread)) = (self.lines.take(), self.thread.take()) {
            // The subscriber keeps its sender for ever: the end is a line of its own.
            lines.send(Line::End).ok();
            thread.join().ok();
        }
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// The system's, when the log's folder or file can't be made.
pub fn start(options: &LogOptions) -> io::Result<LogGuard> {
    if let Some(folder) = options.file.parent() {
        crate::files::private_dir(folder)?;
    }
    let sink = Sink::open(&options.file)?;
    let (lines, queue) = sync_channel(LOG_QUEUE_LINES_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = dropped.clone();
    let thread = std::thread::Builder::new()
        .name("log-writer".into())
        .spawn(move || write_lines(&queue, sink, &counter))?;
    let writer = |form: Form| LineWriter {
        lines: lines.clone(),
        dropped: dropped.clone(),
        form,
    };
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("gateway_host", options.level)
        .with_target("plugin", options.level);
    let for_people = options.stdout.then(|| {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(writer(Line::Text))
    });
    // A second gateway in one process (tests) keeps the first one's log.
    tracing_subscriber::registry()
        .with(filter)
        .with(for_people)
        .with(JsonLines(writer(Line::Json)))
        .try_init()
        .ok();
    Ok(LogGuard {
        lines: Some(lines),
        thread: Some(thread),
    })
}

enum Line {
    /// For standard output.
    Text(Vec<u8>),
    /// For the file.
    Json(Vec<u8>),
    End,
}

/// What a finished line becomes.
type Form = fn(Vec<u8>) -> Line;

#[derive(Clone)]
struct LineWriter {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
    form: Form,
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = LineBuffer<'a>;

    fn make_writer(&'a self) -> LineBuffer<'a> {
        LineBuffer {
            writer: self,
            text: Vec::new(),
        }
    }
}

/// Collects one line and queues it when the formatter is done.
struct LineBuffer<'a> {
    writer: &'a LineWriter,
    text: Vec<u8>,
}

impl Write for LineBuffer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineBuffer<'_> {
    fn drop(&mut self) {
        let line = (self.writer.form)(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_)) = self.writer.lines.try_send(line) {
            self.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The log file, turned over to `<name>.1` when it is full.
struct Sink {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Sink {
    fn open(path: &Path) -> io::Result<Sink> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let written = file.metadata()?.len();
        Ok(Sink {
            path: path.to_path_buf(),
            file,
            written,
        })
    }

    fn write(&mut self, line: &[u8]) {
        if self.written + line.len() as u64 > LOG_FILE_BYTES_MAX {
            self.turn_over();
        }
        // A full disk must not stop the gateway.
        if self.file.write_all(line).is_ok() {
            self.written += line.len() as u64;
        }
    }

    fn turn_over(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, &old).ok();
        if let Ok(fresh) = Sink::open(&self.path) {
            *self = fresh;
        }
    }
}

fn write_lines(queue: &Receiver<Line>, mut sink: Sink, dropped: &AtomicU64) {
    while let Ok(line) = queue.recv() {
        match line {
            // A closed terminal must not stop the gateway.
            Line::Text(line) => drop(io::stdout().write_all(&line)),
            Line::Json(line) => sink.write(&line),
            Line::End => return,
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let ts = Clock::system().now_ms();
            let message = format!("log queue was full: {lost} lines dropped");
            let line = json!({ "ts": ts, "level": "warn", "target": "log", "message": message });
            sink.write(format!("{line}\n").as_bytes());
            drop(writeln!(io::stdout(), "{message}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_file_is_turned_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.log");
        let mut sink = Sink::open(&path).unwrap();
        sink.write(b"first\n");
        sink.written = LOG_FILE_BYTES_MAX;
        sink.write(b"second\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"second\n");
        assert_eq!(
            std::fs::read(dir.path().join("gateway.log.1")).unwrap(),
            b"first\n"
        );
    }

    #[test]
    fn lines_beyond_the_queue_are_counted() {
        let (lines, _queue) = sync_channel(1);
        let writer = LineWriter {
            lines,
            dropped: Arc::default(),
            form: Line::Text,
        };
        for _ in 0..3 {
            writer.make_writer().write_all(b"x").unwrap();
        }
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 2);
    }
}
