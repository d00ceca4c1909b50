//! A program of somebody else's that the gateway runs for an answer.
//!
//! Used by the runners that talk to programs. Promises: arguments go to the program as they are, no
//! shell is between; it gets a few variables of the environment and no secrets of the gateway; it
//! leads a process group of its own, and whoever drops [`Program`] ends all of that group at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::agent::runner::RunnerError;
use crate::config::{Secret, env};

/// A running program.
#[derive(Debug)]
pub struct Program {
    /// The child; its pipes may be taken.
    pub child: Child,
    group: Option<Pid>,
}

/// How a program is started.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The program: a path, or a name in `PATH`.
    pub command: &'a str,
    /// Its arguments.
    pub args: &'a [String],
    /// Where it runs.
    pub folder: &'a Path,
    /// More variables.
    pub variables: &'a BTreeMap<String, Secret>,
    /// Variables that it doesn't get.
    pub without: &'a [String],
    /// Whether it is given an input.
    pub has_input: bool,
}

impl Program {
    /// Starts a program with pipes for its output and its complaints.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(start: &Start<'_>) -> std::io::Result<Program> {
        let input = if start.has_input {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut command = Command::new(start.command);
        command
            .args(start.args)
            .current_dir(start.folder)
            .env_clear()
            .envs(env::for_programs().filter(|(name, _)| !start.without.iter().any(|w| w == name)))
            .envs(
                start
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value.expose())),
            )
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let group = group.and_then(Pid::from_raw);
        Ok(Program { child, group })
    }

    /// Waits until the program is over, and ends what it left behind in its group.
    ///
    /// # Errors
    /// What the system says.
    pub async fn wait(&mut self) -> std::io::Result<std::process::ExitStatus> {
        let status = self.child.wait().await;
        self.end_group();
        status
    }

    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            // Gone already is what is wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end_group();
    }
}

/// Reads a pipe to its end, but keeps no more than `bytes_max`; the flag says that there was more.
///
/// # Errors
/// What the system says.
pub async fn read_bounded(
    pipe: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    (&mut *pipe).take(limit).read_to_end(&mut kept).await?;
    let mut rest = [0; 8 * 1024];
    let mut more = false;
    while pipe.read(&mut rest).await? > 0 {
        more = true;
    }
    Ok((kept, more))
}

/// The last words of a program, one bounded line for the log.
pub fn last_words(complaints: &[u8], chars_max: usize) -> String {
    let text = String::from_utf8_lossy(complaints);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let skip = line.chars().count().saturating_sub(chars_max);
    line.chars().skip(skip).collect()
}
/// The settings of a backend: those of `section` of the file over the built-in ones; none when
/// there are neither. `command` is the program of such a backend.
///
/// # Errors
/// [`RunnerError`] that names the wrong setting.
pub fn settings<B: DeserializeOwned>(
    (section, id): (&str, &str),
    built_in: Option<Value>,
    configured: Option<&Value>,
    command: impl Fn(&B) -> &str,
) -> Result<Option<B>, RunnerError> {
    let wrong = |place: &str, why: &str| {
        RunnerError::new(format!("agents.defaults.{section}.{place}: {why}"))
    };
    let mut settings = match (built_in, configured) {
        (Some(Value::Object(settings)), _) => settings,
        (_, Some(_)) => Map::new(),
        (_, None) => return Ok(None),
    };
    match configured {
        Some(Value::Object(own)) => settings.extend(own.clone()),
        Some(_) => return Err(wrong(id, "an object is needed")),
        None => {}
    }
    let backend: B = serde_path_to_error::deserialize(Value::Object(settings))
        .map_err(|e| wrong(&format!("{id}.{}", e.path()), &e.inner().to_string()))?;
    if command(&backend).trim().is_empty() {
        return Err(wrong(id, "command is empty"));
    }
    Ok(Some(backend))
}
