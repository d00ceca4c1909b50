//! After a change of `plugins.toml`: the running gateway is asked to take it, for that plugin
//! alone. A gateway that does not run, runs with another file, or is too old is no failure.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::client::{Access, Client, with_gateway};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen};

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Told {
    /// The running gateway took it: `added`, `removed`, `replaced`, `unchanged`.
    Applied {
        /// What it did.
        change: String,
        /// What does not work yet, such as an account that did not start.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// The running gateway goes on as before.
    Kept {
        /// What it did: `refused` or `kept`.
        change: String,
        /// Why.
        problem: String,
    },
    /// No gateway answers: the change counts when one starts.
    NotRunning,
    /// The gateway that answers reads another file.
    OtherFile {
        /// Which.
        file: String,
    },
    /// The gateway that answers cannot take changes while it runs.
    RestartNeeded,
    /// It could not be asked.
    Unasked {
        /// Why.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    file: String,
}

#[derive(Deserialize)]
struct Reloaded {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    name: String,
    change: String,
    #[serde(default)]
    problem: Option<String>,
}

/// Asks the gateway to take what `file` now says about the plugin of this name.
pub fn tell(access: &Access, file: &Path, name: &str) -> Told {
    let asked = with_gateway(access, async |client| ask(client, file, name).await);
    asked.unwrap_or_else(|error| match error.kind() {
        Kind::Connection => Told::NotRunning,
        Kind::Gateway if error.message().starts_with("unknown method") => Told::RestartNeeded,
        _ => Told::Unasked {
            problem: error.message().to_owned(),
        },
    })
}

async fn ask(client: &mut Client, file: &Path, name: &str) -> CliResult<Told> {
    let listed: Listed = client.read("plugins.list", &json!({})).await?;
    if !same(Path::new(&listed.file), file) {
        return Ok(Told::OtherFile { file: listed.file });
    }
    let params = json!({ "name": name });
    let reloaded: Reloaded = client.read("plugins.reload", &params).await?;
    let change = reloaded.changes.into_iter().find(|c| c.name == name);
    Ok(match change {
        Some(change) if matches!(change.change.as_str(), "refused" | "kept") => Told::Kept {
            problem: change.problem.unwrap_or_default(),
            change: change.change,
        },
        Some(change) => Told::Applied {
            change: change.change,
            problem: change.problem,
        },
        None => Told::Applied {
            change: "unchanged".to_owned(),
            problem: None,
        },
    })
}

fn same(one: &Path, two: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(two)
}

impl Told {
    /// One line for people.
    pub fn show(&self, screen: &Screen) {
        let (paint, text) = match self {
            Self::Applied {
                change,
                problem: None,
            } => (
                Paint::Good,
                format!("the running gateway has it ({change})"),
            ),
            Self::Applied {
                change,
                problem: Some(problem),
            } => (
                Paint::Warn,
                format!("the running gateway has it ({change}), but: {problem}"),
            ),
            Self::Kept { .. } => return,
            Self::NotRunning => (
                Paint::Faint,
                "no gateway runs: it counts when one starts".to_owned(),
            ),
            Self::OtherFile { file } => (
                Paint::Warn,
                format!("the running gateway reads {file}, not this file"),
            ),
            Self::RestartNeeded => (
                Paint::Warn,
                "restart the gateway: it cannot take changes while it runs".to_owned(),
            ),
            Self::Unasked { problem } => (
                Paint::Warn,
                format!("the gateway could not be asked ({problem}): restart it"),
            ),
        };
        screen.line(screen.paint(paint, &text));
    }

    /// True when the gateway may still need what it had before.
    pub fn old_one_runs(&self) -> bool {
        !matches!(self, Self::Applied { .. } | Self::NotRunning)
    }

    /// The failure of a change that was written and that the gateway did not take.
    ///
    /// # Errors
    /// When the gateway refused it or went back to the old one.
    pub fn taken(self) -> CliResult<Told> {
        match self {
            Self::Kept { change, problem } => {
                let what = match change.as_str() {
                    "refused" => "the gateway refused it",
                    _ => "it did not get ready, the old one runs on",
                };
                Err(CliError::new(
                    Kind::Gateway,
                    "PLUGIN_NOT_TAKEN",
                    format!("plugins.toml is changed, but {what}: {problem}"),
                )
                .fix(
                    "see its log: openclaw plugins logs NAME, and its state: openclaw plugins list",
                ))
            }
            told => Ok(told),
        }
    }
}
