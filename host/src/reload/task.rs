//! The owner's task: one change after the other, each whole or not at all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::plan::{Effect, differences, effect};
use super::watch::Watch;
use super::{Applied, Base, DoorOrder, Parts, ReloadError, Write, text, view};
use crate::config::{
    AuthMode, Config, Document, Loaded, load, merge_patch, parse_object, restore, rewrite,
};
use crate::files::write_private;
use crate::hub::SECRET_CHANGED;
use crate::limits::CHANGED_KEYS_SHOWN_MAX;

/// How long the files must rest when the configuration names no time.
const SETTLE: Duration = Duration::from_millis(300);

type Told = oneshot::Sender<Result<Applied, ReloadError>>;

/// What is wished.
pub(super) enum Job {
    /// Read everything again.
    Again(Told),
    /// Change the file.
    Write {
        /// What the asker read.
        base: Base,
        write: Write,
        told: Told,
    },
}

/// The owner of the configuration in force.
pub(super) struct ReloadTask {
    parts: Parts,
    /// The tree when the gateway started: what counts after a restart only is compared with it.
    started: Map<String, Value>,
    watch: Watch,
}

/// Where a configuration comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A file is another one.
    Watched,
    /// Somebody asked: files that the configuration only names are read again, too.
    Asked,
}

impl ReloadTask {
    pub(super) fn new(parts: Parts) -> ReloadTask {
        ReloadTask {
            started: parts.loaded.resolved.clone(),
            parts,
            watch: Watch::default(),
        }
    }

    /// Works until dropped.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        self.watch
            .begin(self.watched(&self.parts.loaded.document))
            .await;
        // What changed between the first reading and now.
        if self.settle().is_some()
            && self
                .read()
                .await
                .is_ok_and(|now| now.resolved != self.parts.loaded.resolved)
        {
            self.reload(Why::Watched).await.ok();
        }
        loop {
            let settle = self.settle();
            let watched = async {
                match settle {
                    Some(settle) => self.watch.changed(settle).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                job = jobs.recv() => match job {
                    // Whoever asked may have left.
                    Some(Job::Again(told)) => drop(told.send(self.reload(Why::Asked).await)),
                    Some(Job::Write { base, write, told }) => {
                        drop(told.send(self.write(base, write).await));
                    }
                    None => return,
                },
                () = watched => drop(self.reload(Why::Watched).await),
            }
        }
    }

    /// How long files must rest before they are read; `None`: nothing is watched.
    fn settle(&self) -> Option<Duration> {
        let config = self.parts.config.current();
        let reload = &config.gateway.reload;
        let settle = reload.debounce_ms.map_or(SETTLE, Duration::from_millis);
        reload.mode.watches().then_some(settle)
    }

    fn watched(&self, document: &Document) -> Vec<std::path::PathBuf> {
        document.watched(&self.parts.config.current().paths)
    }

    async fn read(&self) -> Result<Loaded, ReloadError> {
        let options = self.parts.options.clone();
        Ok(blocking(move || load(&options)).await??)
    }

    async fn reload(&mut self, why: Why) -> Result<Applied, ReloadError> {
        // Before they are read: a change while they are read is a change.
        self.watch.seen_all().await;
        let done = match self.read().await {
            Ok(loaded) => self.put_in_force(loaded, why).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &done {
            tracing::error!(
                %error,
                "the configuration can't be read again: the last good one stays in force"
            );
            self.parts.config.note_problem(&error.to_string());
        }
        done
    }

    /// Puts another configuration in force, or leaves everything as it was.
    async fn put_in_force(&mut self, loaded: Loaded, why: Why) -> Result<Applied, ReloadError> {
        text::startable(&loaded.config)?;
        let current = self.parts.config.current();
        let changed = differences(&self.parts.loaded.resolved, &loaded.resolved);
        let next = kept(&current, loaded.config.clone());
        self.order_door(Arc::new(next.clone()), why).await?;
        let next = self.parts.config.replace(next);
        if next.gateway.auth.generation != current.gateway.auth.generation {
            self.another_secret(next.gateway.auth.generation);
        }
        let restarting = |key: &String| effect(key) == Effect::Restart;
        let since_start = differences(&self.started, &loaded.resolved);
        let applied = Applied {
            after_restart: since_start.into_iter().filter(restarting).collect(),
            unresolved: loaded.unresolved.len(),
            changed,
        };
        tell(&applied, &loaded);
        let files = self.watched(&loaded.document);
        self.parts.loaded = loaded;
        self.watch.files(files).await;
        let ordered = self.parts.channels.configure().await;
        ordered.map_err(|_| ReloadError::Ended)?;
        Ok(applied)
    }

    async fn order_door(&self, config: Arc<Config>, why: Why) -> Result<(), ReloadError> {
        let (told, answer) = oneshot::channel();
        let order = DoorOrder {
            config,
            files_again: why == Why::Asked,
            told,
        };
        let ordered = self.parts.door.send(order).await;
        ordered.map_err(|_| ReloadError::Ended)?;
        let done = answer
            .await
            .unwrap_or(Err("the gateway is stopping".into()));
        done.map_err(ReloadError::Unusable)
    }

    fn another_secret(&self, generation: u64) {
        self.parts.hub.close_device(SECRET_CHANGED, |caller| {
            caller.came_with_older_secret(generation)
        });
        tracing::info!("another shared secret is in force; who used the old one is sent away");
    }

    /// Changes the file: checked, written, put in force. The former text is kept beside it.
    async fn write(&mut self, base: Base, write: Write) -> Result<Applied, ReloadError> {
        let file = self.parts.config.current().paths.config_file.clone();
        let path = file.clone();
        let read = move || {
            let former = Document::read_or_raw(&path)?;
            check_base(&base, &former)?;
            let text = text_of(write, &former)?;
            Ok::<_, ReloadError>((former, text))
        };
        let (former, text) = blocking(read).await??;
        let loaded = self.check(&file, &text).await?;
        let same = former.text.as_deref() == Some(&text);
        if !same {
            let (path, former) = (file.clone(), former.clone());
            let written = blocking(move || text::write(&path, &former, &text)).await?;
            let unwritable = |e| format!("can't write {}: {e}", file.display());
            written.map_err(|e| ReloadError::Unusable(unwritable(e)))?;
        }
        self.watch.seen_all().await;
        let done = self.put_in_force(loaded, Why::Watched).await;
        if done.is_err() && !same {
            // The sockets could not be had: the file goes back to what is in force.
            let back = blocking(move || match &former.text {
                Some(text) => write_private(&file, text.as_bytes()),
                None => std::fs::remove_file(&file),
            });
            if let Err(error) = back.await? {
                tracing::error!(%error, "the former configuration could not be written back");
            }
            self.watch.seen_all().await;
        }
        done
    }

    /// Everything that can be said against a text before it is written.
    async fn check(&self, file: &Path, text: &str) -> Result<Loaded, ReloadError> {
        let options = self.parts.options.clone();
        let schema = view::schema(&self.parts.channels);
        let (file, text) = (file.to_path_buf(), text.to_owned());
        let loaded = blocking(move || text::check(&options, &schema, &file, text)).await??;
        self.object(&loaded.config).await?;
        Ok(loaded)
    }

    /// Refuses what a plugin's schema refuses of an account that was right before.
    async fn object(&self, next: &Config) -> Result<(), ReloadError> {
        let (channels, next) = (self.parts.channels.clone(), next.clone());
        let current = self.parts.config.current();
        // Credentials are read from files.
        let compare = move || {
            let known = channels.objections(&current);
            let all = channels.objections(&next).into_iter();
            all.filter(|one| !known.contains(one)).collect::<Vec<_>>()
        };
        let new = blocking(compare).await?;
        if new.is_empty() {
            return Ok(());
        }
        Err(ReloadError::Invalid(view::issues(new)))
    }
}

/// Reads and writes files where that holds nobody up. What was begun is done to its end.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReloadError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ReloadError::Ended)
}

fn check_base(base: &Base, former: &Document) -> Result<(), ReloadError> {
    match base {
        Base::Text(None) if former.text.is_some() => Err(ReloadError::NoBase),
        Base::Text(Some(hash)) if former.text.is_some() && *hash != former.hash() => {
            Err(ReloadError::Stale)
        }
        _ => Ok(()),
    }
}

/// The text that a wish makes of the former one.
fn text_of(write: Write, former: &Document) -> Result<String, ReloadError> {
    let parsed = |text: &str| parse_object(text).map_err(ReloadError::Syntax);
    let (text, base, mut tree) = match write {
        Write::Text(text) => {
            let tree = parsed(&text)?;
            (Some(text), tree.clone(), tree)
        }
        Write::Patch(patch) => {
            let mut tree = former.own.clone();
            merge_patch(&mut tree, parsed(&patch)?);
            (former.text.clone(), former.own.clone(), tree)
        }
        Write::Edit(change) => {
            let mut tree = former.own.clone();
            change(&mut tree).map_err(ReloadError::Refused)?;
            (former.text.clone(), former.own.clone(), tree)
        }
    };
    restore(&mut tree, &former.own).map_err(|key| {
        let why = format!(
            "Sentinel value \"__OPENCLAW_REDACTED__\" in key {key} is not valid as real data"
        );
        ReloadError::Refused(why)
    })?;
    match text {
        Some(text) if tree == base => Ok(text),
        text => Ok(rewrite(text.as_deref(), &base, &tree)),
    }
}

/// The next configuration with what can't change under a running gateway as it is.
fn kept(current: &Config, mut next: Config) -> Config {
    let (was, is) = (&current.gateway.auth, &mut next.gateway.auth);
    if is.mode != was.mode {
        tracing::warn!("gateway.auth.mode has changed: that takes a restart, auth stays as it is");
        *is = was.clone();
    }
    let (secret, had) = match is.mode {
        Some(AuthMode::Token) | None => (&mut is.token, &was.token),
        Some(AuthMode::Password) => (&mut is.password, &was.password),
        Some(AuthMode::None | AuthMode::TrustedProxy) => return next,
    };
    if secret.is_none() && had.is_some() {
        tracing::error!("gateway.auth has no secret any more: the old one stays in force");
        *secret = had.clone();
    }
    next.logging = current.logging.clone();
    next
}

fn tell(applied: &Applied, loaded: &Loaded) {
    if applied.changed.is_empty() {
        return tracing::info!("configuration read again: nothing has changed");
    }
    let mut keys: Vec<&str> = applied.changed.iter().map(String::as_str).collect();
    if keys.len() > CHANGED_KEYS_SHOWN_MAX {
        keys.truncate(CHANGED_KEYS_SHOWN_MAX);
        keys.push("…");
    }
    let (keys, hash) = (keys.join(", "), loaded.document.hash());
    tracing::info!(keys, hash, "another configuration is in force");
    for unresolved in &loaded.unresolved {
        tracing::warn!("{unresolved}");
    }
    if !applied.after_restart.is_empty() {
        let keys = applied.after_restart.join(", ");
        tracing::warn!(keys, "changed keys that count after a restart only");
    }
}
