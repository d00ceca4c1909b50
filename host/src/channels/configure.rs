//! Letting a channel's accounts follow the configuration in force.
//!
//! Asked by the reload plan (`reload`) through [`Channels::configure`]; done by the owner of the
//! board, one channel at a time and beside the changes of other plugins. Only an account whose own
//! settings differ is touched: it starts, starts anew, rests, or just gets other rules. An account
//! that is gone rests out of sight and keeps its outbox; it is the same one if it comes back.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;

use super::account::Account;
use super::board::Channel;
use super::build::label;
use super::reload::{ChangeError, Job, ReloadTask};
use super::settings::{AccountPlan, ChannelPlan, DEFAULT_ACCOUNT};
use super::{Channels, hand_in};
use crate::config::ChannelSchema;
use crate::plugins::Plugin;
use crate::store::outbox;

/// Keys that the host alone reads: another value needs no new instance.
const RULES: [&str; 6] = [
    "name",
    "responsePrefix",
    "dmPolicy",
    "groupPolicy",
    "allowFrom",
    "groupAllowFrom",
];

/// What became of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    Unchanged,
    Rules,
    Restarted,
    Rests,
    Added,
    Removed,
}

impl Channels {
    /// Lets every channel follow the configuration in force. Returns once that is ordered; a
    /// plugin that takes its time holds up only its own accounts.
    ///
    /// # Errors
    /// When the gateway is stopping.
    pub async fn configure(&self) -> Result<(), ChangeError> {
        let config = self.inner.config.current();
        let board = self.board();
        let configured = config.channels.keys().cloned();
        let channels: BTreeSet<String> = configured.chain(board.channels.keys().cloned()).collect();
        for channel in channels {
            let plugin = board.server(&channel).unwrap_or(&channel).to_owned();
            self.wish(Job::Configure { plugin, channel }).await?;
        }
        Ok(())
    }

    /// What the plugins that serve say of their accounts.
    pub fn schemas(&self) -> Vec<ChannelSchema> {
        let board = self.board();
        let of = |(id, channel): (&String, &Channel)| {
            let plugin = board.plugin(id)?;
            let manifest = plugin.manifest();
            Some(ChannelSchema {
                id: id.clone(),
                label: channel.label.clone(),
                schema: manifest.config_schema.clone(),
                secrets: manifest.secrets.clone(),
            })
        };
        board.channels.iter().filter_map(of).collect()
    }

    /// What is wrong with the accounts that `config` has, as their plugins see it: dotted path and
    /// reason. Accounts of channels that no plugin serves are not looked at.
    pub fn objections(&self, config: &crate::config::Config) -> Vec<(String, String)> {
        let board = self.board();
        let group_default = config.channel_defaults.group_policy.as_deref();
        let sources = super::settings::SystemSources(config.dotenv.clone());
        let mut found = Vec::new();
        for (channel, block) in &config.channels {
            let Some(plugin) = board.plugin(channel) else {
                continue;
            };
            let plan = super::settings::plan(channel, Some(block), group_default, &sources);
            for account in plan
                .into_iter()
                .flat_map(|plan| plan.accounts.into_values())
            {
                let wrong = plugin.check_config(&account.config).err();
                let wrong = wrong.into_iter().flatten();
                found.extend(wrong.map(|why| (account.path.clone(), why)));
            }
        }
        found
    }
}

impl ReloadTask {
    /// Brings one channel to what the configuration in force says of it.
    pub(super) async fn configure(&self, channel: &str) {
        let board = self.shelf.get();
        let plugin = board.plugin(channel).ok_or_else(|| board.lack(channel));
        let (builder, id, served) = (self.builder.clone(), channel.to_owned(), plugin.clone());
        // Credentials are read from files.
        let plan = tokio::task::spawn_blocking(move || builder.plan(&id, &served)).await;
        let Ok(plan) = plan else {
            return tracing::error!(channel, "the settings of a channel could not be read");
        };
        self.seat(channel, plan.as_ref(), &plugin);
        let wanted = plan.map(|plan| plan.accounts).unwrap_or_default();
        let known = self.shelf.get().channels.get(channel).cloned();
        let known = known.map(|c| c.accounts).unwrap_or_default();
        let gone = known.iter().filter(|(id, _)| !wanted.contains_key(*id));
        let gone: Vec<_> = gone.collect();
        let going = gone
            .iter()
            .map(|(id, account)| self.leave(channel, id, account));
        let (known, plugin) = (&known, &plugin);
        let staying = wanted.into_iter().map(|(id, plan)| async move {
            let what = match known.get(&id) {
                Some(account) => self.follow(account, plan, plugin).await,
                None => self.join(channel, &id, plan, plugin).await,
            };
            if what != Followed::Unchanged {
                tracing::info!(channel, account = id, ?what, "account follows its settings");
            }
        });
        tokio::join!(join_all(going), join_all(staying));
        self.shelf.change(|board| board.clear(channel));
    }

    /// Gives the channel its place and what is said of it as a whole.
    fn seat(
        &self,
        channel: &str,
        plan: Option<&ChannelPlan>,
        plugin: &Result<Arc<Plugin>, String>,
    ) {
        let default_account = plan.map_or(DEFAULT_ACCOUNT, |plan| &plan.default_account);
        let label = label(channel, plugin.as_ref().ok());
        self.shelf.change(|board| {
            let place = board.channels.entry(channel.to_owned());
            let place = place.or_insert_with(|| Channel {
                label: label.clone(),
                default_account: String::new(),
                configured: false,
                accounts: Default::default(),
            });
            place.label = label;
            place.configured = plan.is_some();
            place.default_account = default_account.to_owned();
        });
    }

    /// An account that the configuration no longer has.
    async fn leave(&self, channel: &str, id: &str, account: &Arc<Account>) {
        let former = account.plan();
        let plan = AccountPlan {
            enabled: false,
            problem: None,
            ..AccountPlan::clone(&former)
        };
        self.shelf.change(|board| board.part(channel, id));
        account.rest(Arc::new(plan)).await;
        let what = Followed::Removed;
        tracing::info!(channel, account = id, ?what, "account follows its settings");
    }

    /// An account that the configuration had before.
    async fn follow(
        &self,
        account: &Arc<Account>,
        plan: AccountPlan,
        plugin: &Result<Arc<Plugin>, String>,
    ) -> Followed {
        let former = account.plan();
        if *former == plan {
            return Followed::Unchanged;
        }
        let runs = plan.enabled && plan.problem.is_none();
        let plan = Arc::new(plan);
        let Some(plugin) = plugin.as_ref().ok().filter(|_| runs) else {
            account.rest(plan).await;
            return Followed::Rests;
        };
        let ran = former.enabled && former.problem.is_none();
        if ran && bare(&former.config) == bare(&plan.config) {
            account.set_plan(plan);
            account.announce(|_| {});
            return Followed::Rules;
        }
        let duty = self.builder.duty(account.id(), plugin, plan);
        // What went wrong is logged and shown by the account, which goes on trying.
        account.serve(duty).await.ok();
        Followed::Restarted
    }

    /// An account that is new, or comes back.
    async fn join(
        &self,
        channel: &str,
        id: &str,
        plan: AccountPlan,
        plugin: &Result<Arc<Plugin>, String>,
    ) -> Followed {
        if let Some(former) = self.shelf.change(|board| board.rejoin(channel, id)) {
            self.follow(&former, plan, plugin).await;
            return Followed::Added;
        }
        let plan = Arc::new(plan);
        let runs = plan.enabled && plan.problem.is_none();
        if let Some(problem) = plan.problem.as_ref().filter(|_| plan.enabled) {
            tracing::error!(channel, account = id, problem, "account not started");
        }
        let duty = plugin.as_ref().ok().filter(|_| runs);
        let duty = duty.map(|plugin| self.builder.duty(id, plugin, plan.clone()));
        let (account, start) = self.builder.account(channel, id, plan, duty);
        start();
        self.adopt(&account);
        self.shelf.change(|board| {
            if let Some(place) = board.channels.get_mut(channel) {
                place.accounts.insert(id.to_owned(), account);
            }
        });
        Followed::Added
    }

    /// Messages on disk for an account that did not exist since the start.
    fn adopt(&self, account: &Account) {
        let open = match self.builder.store.read(outbox::open) {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the outbox can't be read"),
        };
        for (id, entry) in open {
            if entry.channel == account.channel() && entry.account == account.id() {
                hand_in(account, id, &entry);
            }
        }
    }
}

/// Settings without what the host alone reads.
fn bare(config: &Value) -> Value {
    let mut bare = config.clone();
    if let Some(map) = bare.as_object_mut() {
        RULES.iter().for_each(|key| _ = map.remove(*key));
    }
    bare
}
