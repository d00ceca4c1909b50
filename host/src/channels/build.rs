//! Puts channels and accounts together, from the configuration in force and a plugin.
//!
//! Used at start by [`Channels::new`](super::Channels::new) and afterwards by the reload task,
//! whenever a plugin comes or goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};

use super::account::{Account, Ends};
use super::board::Channel;
use super::catalogue;
use super::delivery::{Delivery, Post};
use super::intake::Intake;
use super::settings::{self, AccountPlan, ChannelPlan, DEFAULT_ACCOUNT};
use super::status::Status;
use super::task::{AccountTask, Duty};
use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::limits::ACCOUNT_ORDERS_MAX;
use crate::plugins::{Plugin, StoreKv};
use crate::shutdown::Tasks;
use crate::store::Store;

/// What accounts are made of.
#[derive(Clone)]
pub(super) struct Builder {
    pub(super) config: ConfigHandle,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) bell: Arc<Notify>,
    pub(super) changes: watch::Sender<u64>,
    pub(super) accounts: Tasks,
    pub(super) deliveries: Tasks,
}

/// Starts an account's two tasks.
pub(super) type Starter = Box<dyn FnOnce() + Send>;

impl Builder {
    /// A channel's settings, checked with its plugin; `Err` says why there is none. `None`: the
    /// channel isn't configured.
    pub(super) fn plan(
        &self,
        channel: &str,
        plugin: &Result<Arc<Plugin>, String>,
    ) -> Option<ChannelPlan> {
        let config = self.config.current();
        let group_default = config.channel_defaults.group_policy.as_deref();
        let block = config.channels.get(channel);
        let sources = settings::SystemSources(config.dotenv.clone());
        let mut plan = settings::plan(channel, block, group_default, &sources)?;
        for account in plan.accounts.values_mut() {
            let problem = account.problem.take();
            account.problem = problem.or_else(|| check(account, plugin));
        }
        Some(plan)
    }

    /// A channel with new accounts, and what starts their tasks.
    pub(super) fn channel(
        &self,
        id: &str,
        plugin: &Result<Arc<Plugin>, String>,
    ) -> (Channel, Vec<Starter>) {
        let plan = self.plan(id, plugin);
        let mut channel = Channel {
            label: label(id, plugin.as_ref().ok()),
            default_account: DEFAULT_ACCOUNT.to_owned(),
            configured: plan.is_some(),
            accounts: BTreeMap::new(),
        };
        let Some(plan) = plan else {
            return (channel, Vec::new());
        };
        channel.default_account = plan.default_account;
        let mut starters = Vec::new();
        for (account_id, plan) in plan.accounts {
            let plan = Arc::new(plan);
            let runs = plan.enabled && plan.problem.is_none();
            let plugin = plugin.as_ref().ok().filter(|_| runs);
            let duty = plugin.map(|plugin| self.duty(&account_id, plugin, plan.clone()));
            let (account, starter) = self.account(id, &account_id, plan, duty);
            channel.accounts.insert(account_id, account);
            starters.push(starter);
        }
        (channel, starters)
    }

    /// What an account serves with.
    pub(super) fn duty(&self, account: &str, plugin: &Arc<Plugin>, plan: Arc<AccountPlan>) -> Duty {
        let (store, channel) = (self.store.clone(), &plugin.manifest().id);
        Duty {
            plugin: plugin.clone(),
            plan,
            kv: Arc::new(StoreKv::new(store, channel, account, plugin.kv_quota())),
            trial: false,
        }
    }

    /// One account, and what starts its tasks; with a duty it serves from the start.
    pub(super) fn account(
        &self,
        channel: &str,
        id: &str,
        plan: Arc<AccountPlan>,
        duty: Option<Duty>,
    ) -> (Arc<Account>, Starter) {
        let (post, queue) = Post::new();
        let post = Arc::new(post);
        let (serving, instance) = watch::channel(None);
        let (refusals, refused) = mpsc::channel(1);
        let (orders, ordered) = mpsc::channel(ACCOUNT_ORDERS_MAX);
        let ends = Ends {
            changes: self.changes.clone(),
            post: post.clone(),
            serving: instance.clone(),
            refusals,
            orders,
        };
        let account = Arc::new(Account::new(channel, id, plan, ends));
        if duty.is_some() {
            account.note(Status::starting);
        }
        let draining = self.deliveries.stop_token().clone();
        let delivery = Delivery {
            store: self.store.clone(),
            clock: self.clock,
            post,
            listener: account.clone(),
            outlet: instance,
            draining: draining.clone(),
        };
        let task = AccountTask {
            account: account.clone(),
            clock: self.clock,
            intake: Intake {
                store: self.store.clone(),
                clock: self.clock,
                bell: self.bell.clone(),
            },
            serving,
            refusals: refused,
            orders: ordered,
            tasks: self.accounts.clone(),
            log_level: self.log_level(),
            draining,
        };
        let (accounts, deliveries) = (self.accounts.clone(), self.deliveries.clone());
        let start = move || {
            deliveries.spawn("channel delivery", delivery.run(queue));
            accounts.spawn("channel account", task.run(duty));
        };
        (account, Box::new(start))
    }

    fn log_level(&self) -> String {
        let level = self.config.current().logging.level.clone();
        level.unwrap_or_else(|| "info".to_owned())
    }
}

/// A channel's name for people.
pub(super) fn label(id: &str, plugin: Option<&Arc<Plugin>>) -> String {
    match (catalogue::find(id), plugin) {
        (Some(known), _) => known.label.to_owned(),
        (None, Some(plugin)) => plugin.manifest().name.clone(),
        (None, None) => id.to_owned(),
    }
}

/// What is wrong with an account, as far as can be said before it starts.
fn check(plan: &AccountPlan, plugin: &Result<Arc<Plugin>, String>) -> Option<String> {
    match plugin {
        Err(why) => Some(why.clone()),
        Ok(plugin) => {
            let problems = plugin.check_config(&plan.config).err()?;
            Some(format!("{}: {}", plan.path, problems.join("; ")))
        }
    }
}
