//! The reload task: the one owner of which plugin serves what. It takes wishes in order, works on
//! one wish per plugin at a time and on several plugins side by side, so that one that hangs in
//! its start holds up nobody else.
//!
//! Asked through [`Channels::reload_plugins`] and [`Channels::restart_plugin`]; how accounts move
//! from one generation to the next is in `exchange.rs`. A change of `plugins.toml` is never half
//! done: what can be checked is checked before anything is touched, and what doesn't get ready
//! gives its place back.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use gateway_schemas::plugins::{PluginChange, PluginChanged};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::build::Builder;
use super::{Channels, Shelf};
use crate::limits::PLUGIN_CHANGES_MAX;
use crate::plugins::{Plugins, PluginsFileError, RowState};
use crate::shutdown::panic_text;

/// What is wished.
pub(super) enum Job {
    /// Read `plugins.toml` again and apply what differs.
    Reload {
        /// For this plugin only.
        name: Option<String>,
        told: oneshot::Sender<Result<Vec<PluginChange>, ChangeError>>,
    },
    /// Start a plugin's accounts anew.
    Restart {
        name: String,
        /// Only this one.
        account: Option<String>,
        told: oneshot::Sender<Result<Vec<String>, ChangeError>>,
    },
    /// Let a channel follow the configuration in force.
    Configure {
        /// The plugin that serves it, or the channel where none does.
        plugin: String,
        channel: String,
    },
}

/// Why nothing was changed, or not everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeError {
    /// `plugins.toml` is missing or broken; nothing was changed.
    File(PluginsFileError),
    /// `plugins.toml` names no such plugin.
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The plugin doesn't run, so it can't be started anew.
    NotServing {
        /// The plugin.
        name: String,
        /// Why it doesn't run, with the fix.
        why: String,
    },
    /// The plugin has no such account.
    Account {
        /// The plugin.
        name: String,
        /// The account asked for.
        account: String,
        /// The accounts there are.
        known: Vec<String>,
    },
    /// No account is meant to run.
    Idle(String),
    /// Some accounts did not start.
    NotStarted {
        /// Those that did.
        restarted: Vec<String>,
        /// Those that did not, and why.
        failed: Vec<(String, String)>,
    },
    /// The gateway stopped meanwhile, or a mistake of its own ended the change; the log says which.
    Ended,
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listed = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        match self {
            Self::File(error) => write!(f, "{error}; nothing was changed"),
            Self::Unknown { name, known } => write!(
                f,
                "unknown plugin \"{name}\": plugins.toml names {}",
                listed(known)
            ),
            Self::NotServing { name, why } => write!(f, "plugin {name} does not run: {why}"),
            Self::Account {
                name,
                account,
                known,
            } => write!(
                f,
                "unknown account \"{account}\" of plugin {name}: it has {}",
                listed(known)
            ),
            Self::Idle(why) => f.write_str(why),
            Self::NotStarted { failed, .. } => {
                let each = |(account, why): &(String, String)| format!("account {account}: {why}");
                let failed: Vec<String> = failed.iter().map(each).collect();
                write!(f, "not started: {}", failed.join("; "))
            }
            Self::Ended => {
                f.write_str("the change was not brought to its end: see the gateway's log")
            }
        }
    }
}

impl std::error::Error for ChangeError {}

impl Channels {
    /// Reads `plugins.toml` again and applies what differs, for one plugin or for all. Resolves
    /// when the new generations serve, or the old ones do again. Dropping the future changes
    /// nothing about that.
    ///
    /// # Errors
    /// [`ChangeError`]; a plugin that is refused or doesn't get ready is a [`PluginChange`], not
    /// an error.
    pub async fn reload_plugins(
        &self,
        name: Option<String>,
    ) -> Result<Vec<PluginChange>, ChangeError> {
        let (told, answer) = oneshot::channel();
        self.wish(Job::Reload { name, told }).await?;
        answer.await.unwrap_or(Err(ChangeError::Ended))
    }

    /// Starts one account of a plugin anew, or all that should run; those that were given up or
    /// stopped as well. Gives those that serve again.
    ///
    /// # Errors
    /// [`ChangeError`]; after `NotStarted` the gateway goes on trying where that makes sense.
    pub async fn restart_plugin(
        &self,
        name: String,
        account: Option<String>,
    ) -> Result<Vec<String>, ChangeError> {
        let (told, answer) = oneshot::channel();
        let job = Job::Restart {
            name,
            account,
            told,
        };
        self.wish(job).await?;
        answer.await.unwrap_or(Err(ChangeError::Ended))
    }

    pub(super) async fn wish(&self, job: Job) -> Result<(), ChangeError> {
        let wished = self.inner.jobs.send(job).await;
        wished.map_err(|_| ChangeError::Ended)
    }
}

/// The owner of the board.
pub(super) struct ReloadTask {
    pub(super) builder: Builder,
    pub(super) shelf: Arc<Shelf>,
}

impl ReloadTask {
    pub(super) fn new(builder: Builder, shelf: Arc<Shelf>) -> ReloadTask {
        ReloadTask { builder, shelf }
    }

    /// Works until stopped; what is under way is then left as it is.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let this = &self;
        let mut turns = Turns::default();
        let mut running = FuturesUnordered::new();
        loop {
            while let Some((about, job)) = turns.begin() {
                running.push(async move {
                    this.guarded(job).await;
                    about
                });
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(about) = running.next(), if !running.is_empty() => turns.done(&about),
                job = queue.recv(), if turns.waiting.len() < PLUGIN_CHANGES_MAX => match job {
                    Some(job) => turns.push(job.about(), job),
                    None => return,
                },
            }
        }
    }

    /// A panic stays with its job, whose asker hears that it came to nothing.
    async fn guarded(&self, job: Job) {
        let about = job.about();
        if let Err(panic) = AssertUnwindSafe(self.work(job)).catch_unwind().await {
            let panic = panic_text(panic);
            tracing::error!(plugin = about, panic, "changing a plugin panicked");
        }
    }

    async fn work(&self, job: Job) {
        // Whoever asked may have left.
        match job {
            Job::Reload { name, told } => drop(told.send(self.reload(name).await)),
            Job::Restart {
                name,
                account,
                told,
            } => drop(told.send(self.restart(&name, account).await)),
            Job::Configure { channel, .. } => self.configure(&channel).await,
        }
        self.builder.changes.send_modify(|version| *version += 1);
    }

    async fn reload(&self, name: Option<String>) -> Result<Vec<PluginChange>, ChangeError> {
        let fresh = self.read().await?;
        let board = self.shelf.get();
        let listed = fresh.report().iter().map(|row| row.name.clone());
        let gone = board.slots.iter().map(|slot| slot.row.name.clone());
        let mut names: Vec<String> = listed.collect();
        gone.for_each(|name| {
            if !names.contains(&name) {
                names.push(name);
            }
        });
        if let Some(only) = name {
            if !names.contains(&only) {
                let name = only;
                return Err(ChangeError::Unknown { name, known: names });
            }
            names.retain(|name| *name == only);
        }
        // What goes makes room first: another plugin may take over its channel.
        let comes = |name: &&String| {
            let row = fresh.report().iter().find(|row| row.name == **name);
            row.is_some_and(|row| row.state == RowState::Ready)
        };
        let (coming, going): (Vec<_>, Vec<_>) = names.iter().partition(comes);
        let mut changes = Vec::with_capacity(names.len());
        for group in [going, coming] {
            let each = group.into_iter().map(|name| self.change(name, &fresh));
            changes.extend(join_all(each).await);
        }
        self.shelf.change(|board| {
            board.development = fresh.development();
            board.sort(fresh.report());
        });
        changes.sort_by_key(|c| names.iter().position(|name| *name == c.name));
        changes.iter().for_each(log);
        Ok(changes)
    }

    async fn read(&self) -> Result<Plugins, ChangeError> {
        let paths = self.builder.config.current().paths.clone();
        let read = tokio::task::spawn_blocking(move || {
            Plugins::load(&paths.plugins_file, &paths.plugin_store())
        });
        let (plugins, _) = read
            .await
            .map_err(|_| ChangeError::Ended)?
            .map_err(ChangeError::File)?;
        Ok(plugins)
    }
}

fn log(change: &PluginChange) {
    let PluginChange {
        name,
        change,
        problem,
    } = change;
    match (change, problem) {
        (PluginChanged::Unchanged, _) => tracing::debug!(plugin = name, "plugin unchanged"),
        (_, Some(problem)) => {
            tracing::error!(plugin = name, ?change, problem, "plugin change in trouble");
        }
        (_, None) => tracing::info!(plugin = name, ?change, "plugin changed"),
    }
}

/// What a job is about: one plugin, or all of them.
type About = Option<String>;

impl Job {
    fn about(&self) -> About {
        match self {
            Job::Reload { name, .. } => name.clone(),
            Job::Restart { name, .. } => Some(name.clone()),
            Job::Configure { plugin, .. } => Some(plugin.clone()),
        }
    }
}

/// Jobs in order where they are about the same, side by side where they aren't.
struct Turns<J> {
    waiting: VecDeque<(About, J)>,
    busy: Vec<About>,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Turns {
            waiting: VecDeque::new(),
            busy: Vec::new(),
        }
    }
}

impl<J> Turns<J> {
    fn push(&mut self, about: About, job: J) {
        self.waiting.push_back((about, job));
    }

    /// The first job that meets neither one at work nor one that waits longer.
    fn begin(&mut self) -> Option<(About, J)> {
        let meets = |a: &About, b: &About| a.is_none() || b.is_none() || a == b;
        let free = (0..self.waiting.len()).find(|&place| {
            let about = &self.waiting[place].0;
            let earlier = self.waiting.iter().take(place).map(|(earlier, _)| earlier);
            !self
                .busy
                .iter()
                .chain(earlier)
                .any(|other| meets(about, other))
        })?;
        let (about, job) = self.waiting.remove(free)?;
        self.busy.push(about.clone());
        Some((about, job))
    }

    fn done(&mut self, about: &About) {
        let place = self.busy.iter().position(|busy| busy == about);
        debug_assert!(place.is_some(), "{about:?} was not at work");
        if let Some(place) = place {
            self.busy.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_per_plugin_at_a_time_and_all_of_them_alone() {
        let one = |name: &str| Some(name.to_owned());
        let mut turns = Turns::default();
        for (job, about) in [one("a"), one("a"), one("b"), None, one("c")]
            .into_iter()
            .enumerate()
        {
            turns.push(about, job);
        }
        assert_eq!(turns.begin(), Some((one("a"), 0)));
        assert_eq!(turns.begin(), Some((one("b"), 2)), "a is at work");
        assert_eq!(turns.begin(), None, "c came after the one for all");
        turns.done(&one("a"));
        assert_eq!(turns.begin(), Some((one("a"), 1)));
        turns.done(&one("b"));
        assert_eq!(turns.begin(), None);
        turns.done(&one("a"));
        assert_eq!(turns.begin(), Some((None, 3)));
        assert_eq!(turns.begin(), None);
        turns.done(&None);
        assert_eq!(turns.begin(), Some((one("c"), 4)));
    }
}
