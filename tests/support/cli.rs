//! The command line as a person starts it: one process, its exit code and its two outputs.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::gateway;

/// What one call left behind.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// The output as one JSON value and nothing else.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("not pure JSON ({error}): {self:?}"))
    }
}

/// Runs `openclaw` with this home and waits for its end.
///
/// # Panics
/// When it cannot be started.
pub async fn run(home: &Path, arguments: &[&str]) -> Ran {
    let mut command = tokio::process::Command::from(gateway::command(home));
    command
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = crate::wait::within("a command to end", command.output()).await;
    read(output.expect("the command can be started"))
}

fn read(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
