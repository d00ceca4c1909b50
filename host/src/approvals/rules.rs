//! What the file, the configuration and the session mean for one command.
//!
//! Promises: the strictest word counts; a word that nobody knows counts as the strictest; without
//! any word nothing is run. Patterns fit the program's whole path, never its name alone, and never
//! a text that a shell would take apart.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use sha2::{Digest, Sha256};

use super::file::{FileRow, PolicyRow, Use};
use super::{Approvals, Decision};
use crate::config::{Config, from_home};
use crate::spell;

/// What may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// Nothing.
    Deny,
    /// What fits a pattern.
    Allowlist,
    /// Everything.
    Full,
}

impl Security {
    fn read(word: &str) -> Security {
        match word.trim() {
            "full" => Security::Full,
            "allowlist" => Security::Allowlist,
            _ => Security::Deny,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Security::Deny => "deny",
            Security::Allowlist => "allowlist",
            Security::Full => "full",
        }
    }
}

/// When approvers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Never.
    Off,
    /// For what no pattern fits.
    OnMiss,
    /// Each time.
    Always,
}

impl Ask {
    fn read(word: &str) -> Ask {
        match word.trim() {
            "off" => Ask::Off,
            "on-miss" => Ask::OnMiss,
            _ => Ask::Always,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Ask::Off => "off",
            Ask::OnMiss => "on-miss",
            Ask::Always => "always",
        }
    }
}

/// What another place than the file says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit<'a> {
    /// Its word for what may be run.
    pub security: Option<&'a str>,
    /// Its word for when approvers are asked.
    pub ask: Option<&'a str>,
    /// It only makes narrower what others allow.
    pub only_narrows: bool,
}

/// What the configuration says for an agent, and the words of a session.
pub fn limits<'a>(
    config: &'a Config,
    agent: &str,
    words: &'a BTreeMap<String, String>,
) -> Vec<Limit<'a>> {
    let own = config.agents.get(agent).and_then(|a| a.tools.as_ref());
    let configured = std::iter::once(&config.tools).chain(own);
    let configured = configured.map(|tools| Limit {
        security: tools.exec.security.as_deref(),
        ask: tools.exec.ask.as_deref(),
        only_narrows: false,
    });
    let word = |name: &str| words.get(name).map(String::as_str);
    let of_session = Limit {
        security: word("execSecurity"),
        ask: word("execAsk"),
        only_narrows: true,
    };
    configured.chain([of_session]).collect()
}

/// A command, as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The program, by its whole path.
    pub program: &'a Path,
    /// Program and arguments.
    pub argv: &'a [String],
    /// The last argument is a text for a shell.
    pub shell: bool,
    /// It is given variables that may change what it does.
    pub variables: bool,
    /// As people read it.
    pub text: &'a str,
}

/// The rules of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What may be run.
    pub security: Security,
    /// When approvers are asked.
    pub ask: Ask,
    /// What may be run when nobody answers.
    pub fallback: Security,
    patterns: Vec<String>,
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs; the pattern that it fits, if that is why.
    Run(Option<String>),
    /// Approvers decide.
    Ask,
    /// It doesn't run, and why.
    Deny(&'static str),
}

impl Rules {
    fn of(file: &FileRow, agent: &str, limits: &[Limit<'_>]) -> Rules {
        let (own, all) = (file.agents.get(agent), file.agents.get("*"));
        let places = [own.map(|a| &a.policy), all.map(|a| &a.policy)];
        let places = places.into_iter().flatten().chain([&file.defaults]);
        let places: Vec<&PolicyRow> = places.collect();
        let word =
            |pick: fn(&PolicyRow) -> Option<&String>| places.iter().find_map(|policy| pick(policy));
        let lists = all.into_iter().chain(own);
        let patterns: Vec<String> = lists
            .flat_map(|agent| &agent.allowlist)
            .map(|row| row.pattern.trim().to_owned())
            .collect();
        let wide = limits.iter().filter(|limit| !limit.only_narrows);
        let securities = wide.clone().filter_map(|limit| limit.security);
        let securities = securities.chain(word(|p| p.security.as_ref()).map(String::as_str));
        let asks = wide.filter_map(|limit| limit.ask);
        let asks = asks.chain(word(|p| p.ask.as_ref()).map(String::as_str));
        // Who lists what may be run, and says no more, means that list.
        let unsaid = match patterns.is_empty() {
            true => Security::Deny,
            false => Security::Allowlist,
        };
        let mut security = securities.map(Security::read).min().unwrap_or(unsaid);
        let mut ask = asks.map(Ask::read).max().unwrap_or(Ask::OnMiss);
        for limit in limits.iter().filter(|limit| limit.only_narrows) {
            security = limit
                .security
                .map_or(security, |w| Security::read(w).min(security));
            ask = limit.ask.map_or(ask, |w| Ask::read(w).max(ask));
        }
        let fallback = word(|p| p.ask_fallback.as_ref());
        let fallback = fallback.map_or(Security::Deny, |word| Security::read(word));
        Rules {
            security,
            ask,
            fallback: fallback.min(security),
            patterns,
        }
    }

    /// What becomes of a command.
    pub fn verdict(&self, command: &Command<'_>) -> Verdict {
        if self.security == Security::Deny {
            return Verdict::Deny("commands are not allowed here (security deny)");
        }
        if self.ask == Ask::Always {
            return Verdict::Ask;
        }
        if self.security == Security::Full {
            return Verdict::Run(None);
        }
        match (self.fitting(command), self.ask) {
            (Some(pattern), _) => Verdict::Run(Some(pattern)),
            (None, Ask::Off) => Verdict::Deny("the command is not on the allowlist"),
            (None, _) => Verdict::Ask,
        }
    }

    /// Whether a command runs after approvers were asked.
    pub fn after(&self, decision: Option<Decision>, command: &Command<'_>) -> Verdict {
        match decision {
            Some(Decision::AllowOnce | Decision::AllowAlways) => Verdict::Run(None),
            Some(Decision::Deny) => Verdict::Deny("the command was denied"),
            None => match self.fallback {
                Security::Full => Verdict::Run(None),
                Security::Allowlist => match self.fitting(command) {
                    Some(pattern) => Verdict::Run(Some(pattern)),
                    None => Verdict::Deny("nobody approved the command"),
                },
                Security::Deny => Verdict::Deny("nobody approved the command"),
            },
        }
    }

    /// The pattern that a command fits.
    fn fitting(&self, command: &Command<'_>) -> Option<String> {
        let fits = |pattern: &&String| fits(pattern, command);
        self.patterns.iter().find(fits).cloned()
    }
}

fn fits(pattern: &str, command: &Command<'_>) -> bool {
    if command.variables {
        return false;
    }
    if pattern == "*" || pattern == exact_pattern(command.argv) {
        return true;
    }
    let named = pattern.contains('/') || pattern.starts_with('~');
    if command.shell || !named {
        return false;
    }
    let pattern = from_home(pattern).display().to_string();
    let program = command.program.display().to_string();
    let wild = pattern.contains(['*', '?']);
    // A pattern of many programs doesn't mean those that run any other.
    match wild {
        false => pattern == program,
        true => {
            !runs_others(command.program) && glob(&pattern).is_some_and(|g| g.is_match(&program))
        }
    }
}

/// `**` is any text, `*` any within a folder, `?` one character of it.
fn glob(pattern: &str) -> Option<Regex> {
    let mut text = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => text.push_str(".*"),
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push('$');
    Regex::new(&text).ok()
}

/// Programs whose arguments are programs: to allow one is to allow everything.
const RUN_OTHERS: [&str; 47] = [
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "busybox",
    "toybox",
    "env",
    "sudo",
    "doas",
    "su",
    "xargs",
    "nice",
    "ionice",
    "nohup",
    "timeout",
    "time",
    "setsid",
    "stdbuf",
    "chroot",
    "unshare",
    "nsenter",
    "ssh",
    "find",
    "awk",
    "gawk",
    "mawk",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "expect",
    "gdb",
    "npx",
    "systemd-run",
    "script",
];

fn runs_others(program: &Path) -> bool {
    let known = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| {
            let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            plain == "python" || plain == "pypy" || RUN_OTHERS.contains(&plain)
        })
    };
    known(program) || std::fs::canonicalize(program).is_ok_and(|real| known(&real))
}

/// The pattern of one command alone, to the letter.
pub fn exact_pattern(argv: &[String]) -> String {
    let text = serde_json::to_string(argv).unwrap_or_default();
    format!("=command:{}", spell::hex(&Sha256::digest(text.as_bytes())))
}

/// The pattern that stands for a command that is always allowed from now on: its program, or the
/// command itself where the program says nothing about what it does.
pub fn pattern_for(command: &Command<'_>) -> String {
    let program = command.program.display().to_string();
    let plain = !command.shell && !runs_others(command.program) && !program.contains(['*', '?']);
    if plain {
        program
    } else {
        exact_pattern(command.argv)
    }
}

impl Approvals {
    /// The rules for an agent now. A file that can't be read allows nothing.
    pub fn rules(&self, agent: &str, limits: &[Limit<'_>]) -> Rules {
        match self.row() {
            Ok(file) => Rules::of(&file, agent, limits),
            Err(error) => {
                tracing::error!(%error, "nothing may be run");
                Rules {
                    security: Security::Deny,
                    ask: Ask::Always,
                    fallback: Security::Deny,
                    patterns: Vec::new(),
                }
            }
        }
    }

    /// Allows a command from now on. What carries variables of its own is allowed this time only.
    pub fn allow_always(&self, agent: &str, command: &Command<'_>) {
        if command.variables {
            return;
        }
        let pattern = pattern_for(command);
        let noted = self.add(agent, &used(&pattern, command));
        match noted {
            Ok(()) => tracing::info!(agent, pattern, "allowed from now on"),
            Err(error) => tracing::error!(%error, "not allowed from now on"),
        }
    }

    /// Notes that a command was run because it fits a pattern.
    pub fn note(&self, agent: &str, pattern: &str, command: &Command<'_>) {
        if let Err(error) = self.note_use(agent, &used(pattern, command)) {
            tracing::warn!(%error, "the use of a pattern is not noted");
        }
    }
}

fn used<'a>(pattern: &'a str, command: &'a Command<'_>) -> Use<'a> {
    Use {
        pattern,
        command: command.text,
        program: command.program.to_str().unwrap_or_default(),
    }
}
