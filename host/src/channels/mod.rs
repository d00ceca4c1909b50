//! Channels: the directory of accounts, and the way of messages in and out.
//!
//! `gateway` builds [`Channels`] from the configuration and the loaded plugins, starts it after
//! the router listens and stops it before the store closes. Each account has one task
//! (`task.rs`) and one delivery (`delivery.rs`); one reload task (`reload.rs`) changes plugins
//! while everything else runs. What comes in is in the journal before the provider hears of it;
//! the router is woken by [`Channels::inbound_bell`]. What goes out is in the outbox before the
//! plugin hears of it.

pub mod access;
mod account;
mod audit;
pub mod backoff;
mod board;
mod build;
pub mod catalogue;
mod configure;
mod delivery;
mod exchange;
mod intake;
pub mod lanes;
mod reload;
mod report;
mod roster;
mod send;
mod settings;
mod status;
mod task;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

pub use account::Account;
pub use audit::{Audited, audit};
pub use delivery::Room;
pub use reload::ChangeError;
pub use report::Health;
pub use send::{Delivered, SendError, SendRequest};
pub use settings::{AccountPlan, DEFAULT_ACCOUNT};

use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::limits::PLUGIN_CHANGES_MAX;
use crate::plugins::Plugins;
use crate::shutdown::Tasks;
use crate::store::{Store, StoreError, outbox};
use board::{Board, Channel};
use build::{Builder, Starter};
use reload::{Job, ReloadTask};

/// What the directory is built from.
pub struct Parts<'a> {
    /// The configuration in force.
    pub config: ConfigHandle,
    /// Every loaded plugin.
    pub plugins: &'a Plugins,
    /// The database.
    pub store: Store,
    /// Time and ids.
    pub clock: Clock,
    /// The set that account tasks belong to.
    pub tasks: &'a Tasks,
}

/// All channels and their accounts. Cheap to clone.
#[derive(Clone)]
pub struct Channels {
    inner: Arc<Inner>,
}

struct Inner {
    shelf: Arc<Shelf>,
    config: ConfigHandle,
    store: Store,
    clock: Clock,
    bell: Arc<Notify>,
    changes: watch::Sender<u64>,
    jobs: mpsc::Sender<Job>,
    accounts: Tasks,
    deliveries: Tasks,
    reloads: Tasks,
    /// What [`Channels::start`] starts; empty afterwards.
    unstarted: Mutex<Option<Unstarted>>,
}

/// Where the board in force stands. Only the reload task replaces it.
#[derive(Default)]
struct Shelf(RwLock<Arc<Board>>);

struct Unstarted {
    starters: Vec<Starter>,
    reload: ReloadTask,
    jobs: mpsc::Receiver<Job>,
}

impl Shelf {
    fn get(&self) -> Arc<Board> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the board by a changed copy.
    fn change<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = Board::clone(&self.get());
        let result = change(&mut board);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(board);
        result
    }
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.board().channels.keys())
            .finish()
    }
}

impl Channels {
    /// Reads every account's settings and checks them with its plugin. Starts nothing. A wrong
    /// account is logged and shown, and stops nobody else.
    pub fn new(parts: Parts<'_>) -> Channels {
        let bell = Arc::new(Notify::new());
        let (changes, _) = watch::channel(0);
        let (jobs, queue) = mpsc::channel(PLUGIN_CHANGES_MAX);
        let builder = Builder {
            config: parts.config.clone(),
            store: parts.store.clone(),
            clock: parts.clock,
            bell: bell.clone(),
            changes: changes.clone(),
            accounts: parts.tasks.child("channel accounts"),
            deliveries: parts.tasks.child("channel deliveries"),
        };
        let mut board = Board {
            development: parts.plugins.development(),
            ..Board::default()
        };
        for row in parts.plugins.report() {
            match parts.plugins.named(&row.name) {
                Some(plugin) => board.install(row.clone(), plugin.clone()),
                None => board.note(row.clone()),
            }
        }
        let starters = fill(&mut board, &builder, parts.plugins);
        let shelf = Arc::new(Shelf(RwLock::new(Arc::new(board))));
        let inner = Inner {
            shelf: shelf.clone(),
            config: parts.config,
            accounts: builder.accounts.clone(),
            deliveries: builder.deliveries.clone(),
            reloads: parts.tasks.child("plugin changes"),
            store: parts.store,
            clock: parts.clock,
            bell,
            changes,
            jobs,
            unstarted: Mutex::new(Some(Unstarted {
                starters,
                reload: ReloadTask::new(builder, shelf),
                jobs: queue,
            })),
        };
        Channels {
            inner: Arc::new(inner),
        }
    }

    /// Recovers the outbox and starts every account that should run. Doesn't wait for any.
    ///
    /// # Errors
    /// When the outbox can't be read or written.
    pub async fn start(&self) -> Result<(), StoreError> {
        self.recover_outbox().await?;
        let unstarted = self.inner.unstarted.lock();
        let unstarted = unstarted.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(unstarted) = unstarted {
            unstarted.starters.into_iter().for_each(|start| start());
            let stop = self.inner.reloads.stop_token().clone();
            let reload = unstarted.reload.run(unstarted.jobs, stop);
            self.inner.reloads.spawn("plugin changes", reload);
        }
        Ok(())
    }

    /// What was being sent when the gateway died becomes `unknown`; what was prepared is sent.
    async fn recover_outbox(&self) -> Result<(), StoreError> {
        let (store, now_ms) = (&self.inner.store, self.inner.clock.now_ms());
        for (id, entry) in store
            .write(move |txn| outbox::close_interrupted(txn, now_ms))
            .await?
        {
            tracing::warn!(
                channel = entry.channel, account = entry.account, to = entry.to, %id,
                "delivery unknown: the gateway stopped while sending; it is not sent again"
            );
        }
        let mut homeless: HashMap<(String, String), usize> = HashMap::new();
        for (id, entry) in store.read(outbox::open)? {
            let account = self.account(&entry.channel, Some(&entry.account));
            if !account.is_some_and(|account| hand_in(&account, id, &entry)) {
                *homeless.entry((entry.channel, entry.account)).or_default() += 1;
            }
        }
        for ((channel, account), entries) in homeless {
            tracing::warn!(
                channel,
                account,
                entries,
                "messages wait for an account that is gone"
            );
        }
        Ok(())
    }

    /// Changes no more plugins, takes no more messages in, ends the sends in flight within
    /// `grace`, then stops the plugin instances within as much again. True when everything ended
    /// by itself.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.inner.reloads.stop(Duration::ZERO).await;
        // The accounts see the same token and take nothing more from the world.
        let delivered = self.inner.deliveries.stop(grace).await;
        self.inner.accounts.stop(grace).await && delivered
    }

    fn board(&self) -> Arc<Board> {
        self.inner.shelf.get()
    }

    /// One account; the channel's default one when none is named.
    pub fn account(&self, channel: &str, account: Option<&str>) -> Option<Arc<Account>> {
        self.board()
            .channels
            .get(channel)?
            .account(account)
            .cloned()
    }

    /// True for a channel that a plugin serves or the configuration names.
    pub fn exists(&self, channel: &str) -> bool {
        self.board().channels.contains_key(channel)
    }

    /// The configured channels in display order.
    pub fn configured(&self) -> Vec<String> {
        self.board().configured()
    }

    /// Rung after each new journal entry. One listener: the router.
    pub fn inbound_bell(&self) -> Arc<Notify> {
        self.inner.bell.clone()
    }

    /// Changes whenever an account's state does: the health snapshot is then out of date.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }
}

/// Gives a message from the disk to its account; false when there is no room for it.
fn hand_in(account: &Account, id: outbox::OutboxId, entry: &outbox::Entry) -> bool {
    let room = account.post().try_room();
    room.map(|room| account.post().hand_in(id, entry, room))
        .is_some()
}

/// Puts every channel that is configured or has a plugin on the board.
fn fill(board: &mut Board, builder: &Builder, plugins: &Plugins) -> Vec<Starter> {
    let config = builder.config.current();
    let served = plugins.iter().map(|p| p.manifest().id.clone());
    let ids: BTreeSet<String> = served.chain(config.channels.keys().cloned()).collect();
    let mut starters = Vec::new();
    for id in ids {
        let plugin = plugins.get(&id).cloned();
        let (channel, start) = builder.channel(&id, &plugin.ok_or_else(|| board.lack(&id)));
        for (account, handle) in &channel.accounts {
            let plan = handle.plan();
            if let Some(problem) = plan.problem.as_ref().filter(|_| plan.enabled) {
                tracing::error!(channel = id, account, problem, "account not started");
            }
        }
        board.channels.insert(id, channel);
        starters.extend(start);
    }
    starters
}
