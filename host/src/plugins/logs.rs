//! A plugin's log lines in the host's log: with plugin and account beside them, at most so many a
//! second, never longer than a page. Called by `intake`.

use std::fmt::Write;
use std::time::Duration;

use gateway_plugin::message::LogRecord;

use crate::limits::{PLUGIN_LOG_BURST, PLUGIN_LOG_PER_SECOND, PLUGIN_LOG_TEXT_BYTES_MAX};

/// A bucket of lines, filled by time.
#[derive(Debug)]
pub(super) struct LogGate {
    lines: f64,
    filled_at: Duration,
    dropped: u64,
}

impl Default for LogGate {
    fn default() -> Self {
        Self {
            lines: PLUGIN_LOG_BURST,
            filled_at: Duration::ZERO,
            dropped: 0,
        }
    }
}

impl LogGate {
    /// May one more line be written at `now`?
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.lines = (self.lines + passed * PLUGIN_LOG_PER_SECOND).min(PLUGIN_LOG_BURST);
        if self.lines < 1.0 {
            self.dropped += 1;
            return false;
        }
        self.lines -= 1.0;
        true
    }

    /// Writes a line that its process wrote on its own, such as the words of a crash.
    pub(super) fn said(&mut self, plugin: &str, account: &str, line: &str) {
        self.tell_dropped(plugin, account);
        let text = one_line(line.to_owned());
        tracing::warn!(plugin, account, "the plugin process wrote: {text}");
    }

    fn tell_dropped(&mut self, plugin: &str, account: &str) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            tracing::warn!(
                plugin,
                account,
                dropped,
                "the plugin logs too much, lines dropped"
            );
        }
    }

    /// Writes one line; `false` if it cannot be read.
    pub(super) fn emit(&mut self, plugin: &str, account: &str, body: &[u8]) -> bool {
        let Ok(record) = serde_json::from_slice::<LogRecord>(body) else {
            return false;
        };
        self.tell_dropped(plugin, account);
        let text = text_of(&record);
        let module = record.target.as_str();
        match record.level {
            1 => tracing::error!(plugin, account, module, "{text}"),
            2 => tracing::warn!(plugin, account, module, "{text}"),
            3 => tracing::info!(plugin, account, module, "{text}"),
            4 => tracing::debug!(plugin, account, module, "{text}"),
            _ => tracing::trace!(plugin, account, module, "{text}"),
        }
        true
    }
}

fn text_of(record: &LogRecord) -> String {
    let mut text = record.message.clone();
    for (name, value) in &record.fields {
        // Writing into a string cannot fail.
        write!(text, " {name}={value}").ok();
    }
    one_line(text)
}

fn one_line(mut text: String) -> String {
    if text.len() > PLUGIN_LOG_TEXT_BYTES_MAX {
        let cut = (0..=PLUGIN_LOG_TEXT_BYTES_MAX)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    // A line stays a line, and a terminal stays as it is.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_only_the_rate() {
        let mut gate = LogGate::default();
        let at = Duration::from_secs;
        assert_eq!((0..1_000).filter(|_| gate.admit(at(0))).count(), 200);
        assert_eq!((0..1_000).filter(|_| gate.admit(at(1))).count(), 50);
        assert_eq!((0..1_000).filter(|_| gate.admit(at(100))).count(), 200);
        assert_eq!(gate.dropped, 800 + 950 + 800);
    }

    #[test]
    fn a_line_is_one_line_and_not_endless() {
        let fields = vec![("chat".to_owned(), "7".to_owned())];
        let record = LogRecord {
            message: "a\nb\u{1b}[1m".to_owned(),
            fields,
            ..LogRecord::default()
        };
        assert_eq!(text_of(&record), "a b [1m chat=7");
        let long = LogRecord {
            message: "ü".repeat(9_000),
            ..LogRecord::default()
        };
        assert!(text_of(&long).len() <= PLUGIN_LOG_TEXT_BYTES_MAX + 3);
    }
}
