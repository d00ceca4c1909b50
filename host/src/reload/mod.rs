//! The configuration in force has one owner: the reload task. It alone puts another one in place.
//!
//! It hears of a change by the files themselves (`watch.rs`), by SIGHUP ([`Reload::again`]) or by
//! a client ([`Reload::edit`]). Then it reads and checks the whole, compares it with what is in
//! force key by key (`plan.rs`), and lets only those follow whom a key concerns. What can't be
//! read, or not be opened, changes nothing: the last good configuration stays, and says why.

mod plan;
mod task;
pub mod text;
mod view;
mod watch;

use std::sync::Arc;

use gateway_schemas::config::ConfigIssue;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

pub use plan::{Effect, effect};
pub use view::{schema, snapshot};

use crate::channels::Channels;
use crate::config::{Config, ConfigError, ConfigHandle, LoadOptions, Loaded};
use crate::hub::Hub;
use crate::limits::CONFIG_JOBS_MAX;
use crate::shutdown::Tasks;
use task::{Job, ReloadTask};

/// An order to the listening sockets: be as this configuration says.
#[derive(Debug)]
pub struct DoorOrder {
    /// The configuration that is about to be in force.
    pub config: Arc<Config>,
    /// Read certificate files again even if no key differs.
    pub files_again: bool,
    /// Told once it is so, or why it stays as it was.
    pub told: oneshot::Sender<Result<(), String>>,
}

/// What the reload task works with.
pub struct Parts {
    /// The configuration in force.
    pub config: ConfigHandle,
    /// How it was read at start, and is read again.
    pub options: LoadOptions,
    /// What was read at start.
    pub loaded: Loaded,
    /// Connections, of which some came with a secret.
    pub hub: Hub,
    /// Channels and their accounts.
    pub channels: Channels,
    /// The listening sockets.
    pub door: mpsc::Sender<DoorOrder>,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The keys that differ, dotted.
    pub changed: Vec<String>,
    /// Those that differ since the start and count after the next one only.
    pub after_restart: Vec<String>,
    /// References below `channels` that lead nowhere.
    pub unresolved: usize,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// The file changed since the asker read it.
    Stale,
    /// The asker must say which text it changes: there is a file already.
    NoBase,
    /// What was sent is no JSON5; the reason in the words of the wire.
    Syntax(String),
    /// The file, or what it should become, is not right: each key and reason.
    Invalid(Vec<ConfigIssue>),
    /// The change was refused by the one who made it.
    Refused(String),
    /// It is right and can't be put in force, or can't be written.
    Unusable(String),
    /// The gateway is stopping.
    Ended,
}

impl std::fmt::Display for ReloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stale => f.write_str("the configuration changed meanwhile"),
            Self::NoBase => f.write_str("the fingerprint of the changed text is missing"),
            Self::Syntax(why) | Self::Refused(why) | Self::Unusable(why) => f.write_str(why),
            Self::Invalid(issues) => f.write_str(&issues_text(issues)),
            Self::Ended => f.write_str("the gateway is stopping"),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<ConfigError> for ReloadError {
    fn from(error: ConfigError) -> Self {
        Self::Invalid(vec![view::issue_of(&error)])
    }
}

/// The first three, and how many more.
fn issues_text(issues: &[ConfigIssue]) -> String {
    let each = |issue: &ConfigIssue| match issue.path.as_str() {
        "" => issue.message.clone(),
        path => format!("{path}: {}", issue.message),
    };
    let shown: Vec<String> = issues.iter().take(3).map(each).collect();
    let more = issues.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" (+{more} more issues)")
    } else {
        String::new()
    };
    shown.join("; ") + &more
}

/// Makes the file's own tree another one, before includes, variables and secrets are looked at.
pub type Change = Box<dyn FnOnce(&mut Map<String, Value>) -> Result<(), String> + Send>;

/// Access to the reload task. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reload {
    jobs: mpsc::Sender<Job>,
    options: Arc<LoadOptions>,
}

impl Reload {
    /// Starts the task; it works until `tasks` stop.
    pub fn start(parts: Parts, tasks: &Tasks) -> Reload {
        let (jobs, queue) = mpsc::channel(CONFIG_JOBS_MAX);
        let stop = tasks.stop_token().clone();
        let options = Arc::new(parts.options.clone());
        let task = ReloadTask::new(parts);
        tasks.spawn("configuration", async move {
            stop.run_until_cancelled(task.run(queue)).await;
        });
        Reload { jobs, options }
    }

    /// Reads everything again, also what lies in other files: secrets, certificates. Dropping the
    /// future doesn't stop it.
    ///
    /// # Errors
    /// [`ReloadError`]; it is logged, too.
    pub async fn again(&self) -> Result<Applied, ReloadError> {
        let (told, answer) = oneshot::channel();
        self.ask(Job::Again(told), answer).await
    }

    /// Changes the person's file and puts it in force. Comments and order of what doesn't change
    /// stay. Resolves when the file is on disk and what follows from it is ordered; accounts of
    /// channels start afterwards. Dropping the future doesn't stop it.
    ///
    /// # Errors
    /// [`ReloadError`]; then the file is as it was.
    pub async fn edit(
        &self,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), String> + Send + 'static,
    ) -> Result<Applied, ReloadError> {
        self.write(Base::Any, Write::Edit(Box::new(change))).await
    }

    /// As [`Reload::edit`], also for one who has read the file before. Placeholders of secrets are
    /// replaced by what the file has in their place.
    ///
    /// # Errors
    /// [`ReloadError`]; `Stale` when the file is another one by now.
    pub async fn write(&self, base: Base, write: Write) -> Result<Applied, ReloadError> {
        let (told, answer) = oneshot::channel();
        self.ask(Job::Write { base, write, told }, answer).await
    }

    /// How the configuration is read.
    pub fn options(&self) -> Arc<LoadOptions> {
        self.options.clone()
    }

    async fn ask(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<Applied, ReloadError>>,
    ) -> Result<Applied, ReloadError> {
        let asked = self.jobs.send(job).await;
        asked.map_err(|_| ReloadError::Ended)?;
        answer.await.unwrap_or(Err(ReloadError::Ended))
    }
}

/// What a change was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Whatever is there.
    Any,
    /// The text with this fingerprint; one is needed where a file is.
    Text(Option<String>),
}

/// How the file is to be changed.
pub enum Write {
    /// By its tree.
    Edit(Change),
    /// Altogether: the text.
    Text(String),
    /// By a merge patch, JSON5.
    Patch(String),
}
