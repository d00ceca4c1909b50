//! Channels: the directory of accounts, and the way of messages in and out.
//!
//! `gateway` builds [`Channels`] from the configuration and the loaded plugins, starts it after
//! the router listens and stops it before the store closes. Each account has one task
//! (`account.rs`) and one delivery (`delivery.rs`). What comes in is in the journal before the
//! provider hears of it; the router is woken by [`Channels::inbound_bell`]. What goes out is in
//! the outbox before the plugin hears of it.

pub mod access;
mod account;
pub mod backoff;
pub mod catalogue;
mod delivery;
mod intake;
pub mod lanes;
mod report;
mod send;
mod settings;
mod status;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

pub use account::Account;
pub use delivery::Room;
pub use report::Health;
pub use send::{Delivered, SendError, SendRequest};
pub use settings::{AccountPlan, DEFAULT_ACCOUNT};

use crate::clock::Clock;
use crate::config::Config;
use crate::plugins::{Plugin, Plugins, StoreKv};
use crate::shutdown::Tasks;
use crate::store::{Store, StoreError, outbox};
use account::AccountTask;
use delivery::{Delivery, Post};
use intake::Intake;
use settings::ChannelPlan;
use status::Phase;

/// What the directory is built from.
pub struct Parts<'a> {
    /// The configuration at start.
    pub config: &'a Config,
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
    channels: BTreeMap<String, Channel>,
    store: Store,
    clock: Clock,
    bell: Arc<Notify>,
    changes: watch::Sender<u64>,
    accounts: Tasks,
    deliveries: Tasks,
}

/// One channel: configured, or with a plugin, or both.
struct Channel {
    label: String,
    default_account: String,
    configured: bool,
    accounts: BTreeMap<String, Arc<Account>>,
    /// What [`Channels::start`] starts; empty afterwards.
    starters: std::sync::Mutex<Vec<Starter>>,
}

type Starter = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.inner.channels.keys()).finish()
    }
}

impl Channels {
    /// Reads every account's settings and checks them with its plugin. Starts nothing. A wrong
    /// account is logged and shown, and stops nobody else.
    pub fn new(parts: Parts<'_>) -> Channels {
        let bell = Arc::new(Notify::new());
        let (changes, _) = watch::channel(0);
        let build = Build {
            bell: &bell,
            changes: &changes,
            accounts: parts.tasks.child("channel accounts"),
            deliveries: parts.tasks.child("channel deliveries"),
            parts: &parts,
        };
        let group_default = parts.config.channel_defaults.group_policy.as_deref();
        let mut channels = BTreeMap::new();
        let ids = parts.plugins.iter().map(|p| p.manifest().id.clone());
        let ids: std::collections::BTreeSet<String> =
            ids.chain(parts.config.channels.keys().cloned()).collect();
        for id in ids {
            let block = parts.config.channels.get(&id);
            let plan = settings::plan(&id, block, group_default, &settings::SystemSources);
            let channel = build.channel(&id, plan);
            channels.insert(id, channel);
        }
        let inner = Inner {
            channels,
            accounts: build.accounts.clone(),
            deliveries: build.deliveries.clone(),
            store: parts.store.clone(),
            clock: parts.clock,
            bell: bell.clone(),
            changes: changes.clone(),
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
        for channel in self.inner.channels.values() {
            let starters = std::mem::take(
                &mut *channel
                    .starters
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            );
            starters.into_iter().for_each(|start| start());
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
            match account.and_then(|a| a.post().try_room().map(|room| (a, room))) {
                Some((account, room)) => account.post().hand_in(id, &entry, room),
                None => *homeless.entry((entry.channel, entry.account)).or_default() += 1,
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

    /// Takes no more messages in, ends the sends in flight within `grace`, then stops the plugin
    /// instances within as much again. True when everything ended by itself.
    pub async fn stop(&self, grace: Duration) -> bool {
        // The accounts see the same token and take nothing more from the world.
        let delivered = self.inner.deliveries.stop(grace).await;
        self.inner.accounts.stop(grace).await && delivered
    }

    /// One account; the channel's default one when none is named.
    pub fn account(&self, channel: &str, account: Option<&str>) -> Option<&Arc<Account>> {
        let channel = self.inner.channels.get(channel)?;
        let id = account.unwrap_or(&channel.default_account);
        channel.accounts.get(id.trim().to_lowercase().as_str())
    }

    /// True for a channel that a plugin serves or the configuration names.
    pub fn exists(&self, channel: &str) -> bool {
        self.inner.channels.contains_key(channel)
    }

    /// The configured channels in display order.
    pub fn configured(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .inner
            .channels
            .iter()
            .filter(|(_, c)| c.configured)
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort_by_key(|id| catalogue::rank(id));
        ids
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

/// Puts one directory together.
struct Build<'a> {
    parts: &'a Parts<'a>,
    bell: &'a Arc<Notify>,
    changes: &'a watch::Sender<u64>,
    accounts: Tasks,
    deliveries: Tasks,
}

impl Build<'_> {
    fn channel(&self, id: &str, plan: Option<ChannelPlan>) -> Channel {
        let plugin = self.parts.plugins.get(id);
        let label = match (catalogue::find(id), plugin) {
            (Some(known), _) => known.label.to_owned(),
            (None, Some(plugin)) => plugin.manifest().name.clone(),
            (None, None) => id.to_owned(),
        };
        let configured = plan.is_some();
        let mut channel = Channel {
            label,
            default_account: DEFAULT_ACCOUNT.to_owned(),
            configured,
            accounts: BTreeMap::new(),
            starters: std::sync::Mutex::default(),
        };
        let Some(plan) = plan else { return channel };
        channel.default_account = plan.default_account;
        for (account_id, mut plan) in plan.accounts {
            plan.problem = plan.problem.take().or_else(|| check(id, &plan, plugin));
            let (account, starter) = self.account(id, &account_id, plan, plugin);
            channel.accounts.insert(account_id, account);
            let starters = channel.starters.get_mut();
            starters
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .extend(starter);
        }
        channel
    }

    fn account(
        &self,
        channel: &str,
        id: &str,
        plan: AccountPlan,
        plugin: Option<&Arc<Plugin>>,
    ) -> (Arc<Account>, Option<Starter>) {
        let (post, queue) = Post::new();
        let post = Arc::new(post);
        let (instance, running) = watch::channel(None);
        let (refusals, refused) = mpsc::channel(1);
        let runs = plan.enabled && plan.problem.is_none();
        tell_problem(channel, id, &plan);
        let account = Arc::new(Account::new(
            channel,
            id,
            plan,
            self.changes.clone(),
            post.clone(),
            running.clone(),
            refusals,
        ));
        let Some(plugin) = plugin.filter(|_| runs) else {
            return (account, None);
        };
        account.note(|s| s.phase = Phase::Starting);
        let draining = self.deliveries.stop_token().clone();
        let delivery = Delivery {
            store: self.parts.store.clone(),
            clock: self.parts.clock,
            post,
            listener: account.clone(),
            outlet: running,
            draining: draining.clone(),
        };
        let task = AccountTask {
            account: account.clone(),
            kv: self.kv(plugin, id),
            plugin: plugin.clone(),
            clock: self.parts.clock,
            intake: self.intake(),
            instance,
            refusals: refused,
            tasks: self.accounts.clone(),
            log_level: self.log_level(),
            draining,
        };
        let (accounts, deliveries) = (self.accounts.clone(), self.deliveries.clone());
        let start = move || {
            deliveries.spawn("channel delivery", delivery.run(queue));
            accounts.spawn("channel account", task.run());
        };
        (account, Some(Box::new(start)))
    }
}

fn tell_problem(channel: &str, id: &str, plan: &AccountPlan) {
    if let Some(problem) = plan.problem.as_ref().filter(|_| plan.enabled) {
        tracing::error!(channel, account = id, problem, "account not started");
    }
}

impl Build<'_> {
    fn kv(&self, plugin: &Plugin, account: &str) -> Arc<StoreKv> {
        let (store, channel) = (self.parts.store.clone(), &plugin.manifest().id);
        Arc::new(StoreKv::new(store, channel, account, plugin.kv_quota()))
    }

    fn intake(&self) -> Intake {
        Intake {
            store: self.parts.store.clone(),
            clock: self.parts.clock,
            bell: self.bell.clone(),
        }
    }

    fn log_level(&self) -> String {
        let level = &self.parts.config.logging.level;
        level.clone().unwrap_or_else(|| "info".to_owned())
    }
}

/// What is wrong with an account, as far as can be said before it starts.
fn check(channel: &str, plan: &AccountPlan, plugin: Option<&Arc<Plugin>>) -> Option<String> {
    let Some(plugin) = plugin else {
        return Some(format!(
            "no plugin serves {channel}: name its library in plugins.toml"
        ));
    };
    let problems = plugin.check_config(&plan.config).err()?;
    Some(format!("{}: {}", plan.path, problems.join("; ")))
}
