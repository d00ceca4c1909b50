//! `plugins logs NAME[/ACCOUNT]`: what the log holds of one plugin, from the gateway's log file.
//! Needs no running gateway; with `--follow` it goes on until interrupted or nobody reads.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::target::Target;
use crate::cli::args::PluginsLogsArgs;
use crate::cli::client::paths;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::cli::text;
use crate::config::{self, Paths};
use crate::plugins::Plugins;
use crate::spell;

/// How often a followed log is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Shows the last lines, and those to come with `--follow`.
///
/// # Errors
/// A plugin that nobody knows, or no log.
pub fn run(args: &PluginsLogsArgs, screen: &Screen) -> CliResult<()> {
    let target = Target::read(&args.plugin)?;
    let paths = paths()?;
    let log = config::load_log_file(&paths).map_err(|cause| {
        CliError::new(Kind::Config, "CONFIG_INVALID", cause.to_string()).fix("correct the file")
    })?;
    let known = Known::read(&paths, &target);
    let filter = Filter {
        channel: known.channel.as_deref().unwrap_or(target.name),
        target,
    };
    let mut past = Past::new(args.lines);
    let mut turned = log.clone().into_os_string();
    turned.push(".1");
    let turned = PathBuf::from(turned);
    if let Ok(mut old) = Tail::open(&turned) {
        // One that can't be read on is as good as its end.
        old.each(|line| past.take(&filter, line)).ok();
    }
    let unreadable = |cause: &io::Error| match cause.kind() {
        io::ErrorKind::NotFound => {
            let text = format!("there is no log at {}", log.display());
            CliError::new(Kind::Local, "LOG_MISSING", text)
                .fix("start the gateway: openclaw gateway")
        }
        _ => CliError::file(&log, "read", cause),
    };
    let mut tail = Tail::open(&log).map_err(|e| unreadable(&e))?;
    tail.each(|line| past.take(&filter, line))
        .map_err(|e| unreadable(&e))?;
    if past.lines.is_empty() && !args.follow {
        return known.nothing(&target, &log);
    }
    for line in &past.lines {
        show(line, screen);
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(GLANCE);
        let mut read = true;
        tail.follow(|line| read &= !filter.takes(line) || show(line, screen))
            .map_err(|e| unreadable(&e))?;
        if !read {
            return Ok(());
        }
    }
}

/// What `plugins.toml` says, as far as it can be read.
struct Known {
    names: Option<Vec<String>>,
    channel: Option<String>,
}

impl Known {
    fn read(paths: &Paths, target: &Target<'_>) -> Known {
        let loaded = Plugins::load(&paths.plugins_file, &paths.plugin_store());
        let Ok((plugins, _)) = loaded else {
            return Known {
                names: None,
                channel: None,
            };
        };
        let rows = plugins.report();
        let row = rows.iter().find(|row| row.name == target.name);
        Known {
            channel: row.and_then(|row| row.channel.clone()),
            names: Some(rows.iter().map(|row| row.name.clone()).collect()),
        }
    }

    /// There is no line: because nothing was said, or because nobody is called so.
    fn nothing(&self, target: &Target<'_>, log: &Path) -> CliResult<()> {
        match &self.names {
            Some(names) if !names.iter().any(|name| name == target.name) => {
                let text = format!("unknown plugin \"{}\"", target.name);
                let error = CliError::new(Kind::Local, "PLUGIN_UNKNOWN", text);
                Err(error.fix("see the plugins: openclaw plugins list"))
            }
            _ => {
                complain(&format!("no line of {target} in {}\n", log.display()));
                Ok(())
            }
        }
    }
}

/// Which lines are wanted.
struct Filter<'a> {
    target: Target<'a>,
    channel: &'a str,
}

/// One line of the log.
#[derive(Deserialize)]
struct Entry {
    ts: u64,
    level: String,
    message: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Filter<'_> {
    fn takes(&self, line: &str) -> bool {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            return false;
        };
        let field = |name: &str| entry.fields.get(name).and_then(Value::as_str);
        // A plugin's own lines carry its channel, those about its file the name in plugins.toml.
        let plugin = field("plugin");
        let ours = plugin == Some(self.target.name)
            || plugin == Some(self.channel)
            || (plugin.is_none() && field("channel") == Some(self.channel));
        let account = self.target.account;
        ours && account.is_none_or(|account| field("account") == Some(account))
    }
}

/// The last lines so far.
struct Past {
    lines: VecDeque<String>,
    most: usize,
}

impl Past {
    fn new(most: usize) -> Past {
        Past {
            lines: VecDeque::new(),
            most,
        }
    }

    fn take(&mut self, filter: &Filter<'_>, line: &str) {
        if self.most == 0 || !filter.takes(line) {
            return;
        }
        if self.lines.len() == self.most {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }
}

/// Shows one line; false once nobody reads.
fn show(line: &str, screen: &Screen) -> bool {
    if screen.json_wanted() {
        return screen.try_line(line);
    }
    match serde_json::from_str::<Entry>(line) {
        Ok(entry) => screen.try_line(&worded(&entry, screen)),
        Err(_) => true,
    }
}

fn worded(entry: &Entry, screen: &Screen) -> String {
    let paint = match entry.level.as_str() {
        "error" => Paint::Bad,
        "warn" => Paint::Warn,
        "info" => Paint::Plain,
        _ => Paint::Faint,
    };
    let level = screen.paint(paint, &format!("{:<5}", entry.level.to_uppercase()));
    let moment = screen.paint(Paint::Faint, &spell::moment(entry.ts));
    let mut words = text::clean(&entry.message);
    let said = ["plugin", "channel", "account", "target", "module"];
    for (name, value) in entry
        .fields
        .iter()
        .filter(|(n, _)| !said.contains(&n.as_str()))
    {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        words.push_str(&format!(" {name}={}", text::clean(&value)));
    }
    match entry.fields.get("account").and_then(Value::as_str) {
        Some(account) => format!("{moment} {level} {}: {words}", text::clean(account)),
        None => format!("{moment} {level} {words}"),
    }
}

/// A file that grows, and is now and then put aside for a new one.
struct Tail {
    path: PathBuf,
    file: File,
    /// What came after the last line break.
    rest: Vec<u8>,
}

impl Tail {
    fn open(path: &Path) -> io::Result<Tail> {
        Ok(Tail {
            path: path.to_owned(),
            file: File::open(path)?,
            rest: Vec::new(),
        })
    }

    /// Every whole line from here to the present end.
    fn each(&mut self, mut take: impl FnMut(&str)) -> io::Result<()> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            self.rest.extend_from_slice(&chunk[..count]);
            let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let lines: Vec<u8> = self.rest.drain(..=end).collect();
            for line in lines.split(|byte| *byte == b'\n') {
                if let Ok(line) = std::str::from_utf8(line)
                    && !line.is_empty()
                {
                    take(line);
                }
            }
        }
    }

    /// As [`Tail::each`], going over to the new file once the old one was put aside.
    fn follow(&mut self, mut take: impl FnMut(&str)) -> io::Result<()> {
        self.each(&mut take)?;
        let own = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(now) if now.ino() == own.ino() && now.dev() == own.dev() => {
                if now.len() < self.file.stream_position()? {
                    self.file.seek(SeekFrom::Start(0))?;
                    self.rest.clear();
                    self.each(take)?;
                }
                Ok(())
            }
            Ok(_) => {
                // Between the last look and the turn something may have been added.
                self.each(&mut take)?;
                *self = Tail::open(&self.path)?;
                self.each(take)
            }
            // Put aside, and the new one isn't there yet.
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    const ECHO: Target<'_> = Target {
        name: "echo",
        account: None,
    };

    fn line(fields: &str) -> String {
        format!(
            "{{\"ts\":1795374042007,\"level\":\"warn\",\"target\":\"t\",\"message\":\"m\\u001b[1m\"{fields}}}"
        )
    }

    #[test]
    fn lines_are_those_of_the_plugin_and_of_its_channel() {
        let filter = Filter {
            target: ECHO,
            channel: "loop",
        };
        let check = |fields: &str, taken: bool| assert_eq!(filter.takes(&line(fields)), taken);
        check(",\"plugin\":\"echo\"", true);
        check(",\"plugin\":\"loop\",\"account\":\"a\"", true);
        check(",\"channel\":\"loop\"", true);
        check(",\"plugin\":\"other\",\"channel\":\"loop\"", false);
        check("", false);
        assert!(!filter.takes("no JSON, plugin=\"echo\""));
        let one = Filter {
            target: Target {
                account: Some("a"),
                ..ECHO
            },
            channel: "loop",
        };
        assert!(one.takes(&line(",\"plugin\":\"loop\",\"account\":\"a\"")));
        assert!(!one.takes(&line(",\"plugin\":\"loop\",\"account\":\"b\"")));
    }

    #[test]
    fn a_line_is_worded_without_what_was_asked_for() {
        let entry =
            line(",\"plugin\":\"echo\",\"account\":\"work\",\"pause_ms\":3,\"error\":\"gone\"");
        let entry: Entry = serde_json::from_str(&entry).unwrap();
        let expected = "2026-11-22T19:00:42.007Z WARN  work: m[1m error=gone pause_ms=3";
        let shown = worded(&entry, &Screen::plain(None));
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert_eq!(shown.replace('\u{fffd}', ""), expected);
    }

    #[test]
    fn a_log_that_is_put_aside_is_followed_into_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.log");
        let mut writer = File::create(&path).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        let mut look = |seen: &mut Vec<String>| tail.follow(|line| seen.push(line.to_owned()));
        let mut seen = Vec::new();
        writer.write_all(b"one\ntw").unwrap();
        look(&mut seen).unwrap();
        assert_eq!(seen, ["one"]);
        writer.write_all(b"o\nthree\n").unwrap();
        std::fs::rename(&path, dir.path().join("gateway.log.1")).unwrap();
        look(&mut seen).unwrap();
        std::fs::write(&path, "four\n").unwrap();
        look(&mut seen).unwrap();
        assert_eq!(seen, ["one", "two", "three", "four"]);
    }
}
