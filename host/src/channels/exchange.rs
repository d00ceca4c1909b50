//! Moving a channel's accounts from one generation of a plugin to the next, and back.
//!
//! The reload task (`reload.rs`) calls it for one plugin at a time. The order of a replacement:
//! load the new library, check every account's configuration with it, then let one account that
//! serves go ahead; the others follow side by side once it is ready. If one that served before
//! does not get ready, all go back.

use std::sync::Arc;

use futures_util::future::join_all;
use gateway_schemas::plugins::{PluginChange, PluginChanged};

use super::account::Account;
use super::board::{Channel, Generation, Slot};
use super::build::label;
use super::reload::{ChangeError, ReloadTask};
use super::settings::{AccountPlan, ChannelPlan};
use super::task::Duty;
use crate::plugins::{Plugin, PluginRow, Plugins, RowState};

/// What became of a plugin, and what went wrong.
type Outcome = (PluginChanged, Option<String>);

/// One account on its way.
struct Move {
    account: Arc<Account>,
    plan: Arc<AccountPlan>,
    former: Arc<AccountPlan>,
    /// It served until now: its new generation must, too.
    served: bool,
}

impl ReloadTask {
    /// Applies what the file says of one plugin.
    pub(super) async fn change(&self, name: &str, fresh: &Plugins) -> PluginChange {
        let row = fresh.report().iter().find(|row| row.name == name).cloned();
        let new = fresh.named(name).cloned();
        let serving = self.shelf.get().slot(name).and_then(|s| s.serving.clone());
        let (change, problem) = match (row, new, serving) {
            (Some(row), Some(new), Some(old)) => self.replace(row, &old, new).await,
            (Some(row), Some(new), None) => self.add(row, new).await,
            (Some(row), None, serving) if row.state == RowState::Refused => {
                let goes_on = serving.map(|g| format!("; generation {} goes on", g.number));
                let problem = row.problem.clone().unwrap_or_default();
                self.shelf.change(|board| board.note(row));
                let problem = problem + &goes_on.unwrap_or_default();
                (PluginChanged::Refused, Some(problem))
            }
            (row, _, serving) => self.take_away(name, row, serving).await,
        };
        PluginChange {
            name: name.to_owned(),
            change,
            problem,
        }
    }

    /// The plugin is gone from the file, or switched off there.
    async fn take_away(
        &self,
        name: &str,
        row: Option<PluginRow>,
        serving: Option<Generation>,
    ) -> Outcome {
        let known_off = row.is_some() && serving.is_none();
        self.shelf.change(|board| match row {
            Some(row) => {
                board.uninstall(name);
                board.note(row);
            }
            None => board.remove(name),
        });
        if let Some(generation) = serving {
            self.retire(&generation.plugin.manifest().id).await;
        }
        if known_off {
            (PluginChanged::Unchanged, None)
        } else {
            (PluginChanged::Removed, None)
        }
    }

    /// Lets the accounts of a channel without a plugin rest. Their outbox is kept.
    async fn retire(&self, channel: &str) {
        let lack = Err(self.shelf.get().lack(channel));
        if let Some(plan) = self.builder.plan(channel, &lack) {
            self.rest(channel, &plan).await;
        }
        self.shelf.change(|board| {
            let idle = |c: &Channel| !c.configured && c.accounts.is_empty();
            if board.channels.get(channel).is_some_and(idle) {
                board.channels.remove(channel);
            } else if let Some(found) = board.channels.get_mut(channel) {
                found.label = label(channel, None);
            }
        });
    }

    async fn rest(&self, channel: &str, plan: &ChannelPlan) {
        let board = self.shelf.get();
        let resting = plan.accounts.iter().filter_map(|(id, plan)| {
            let account = board.channels.get(channel)?.accounts.get(id)?.clone();
            let plan = Arc::new(plan.clone());
            Some(async move { account.rest(plan).await })
        });
        join_all(resting).await;
    }

    /// A plugin that did not serve until now.
    async fn add(&self, mut row: PluginRow, new: Arc<Plugin>) -> Outcome {
        let channel = new.manifest().id.clone();
        if let Err(why) = self.acceptable(&row.name, &new).await {
            row.state = RowState::Refused;
            row.problem = Some(why.clone());
            self.shelf.change(|board| {
                board.mapped(&row.name, &new);
                board.note(row);
            });
            return (PluginChanged::Refused, Some(why));
        }
        self.put_on_board(&channel, &row.name);
        self.shelf.change(|board| board.install(row, new.clone()));
        self.name_channel(&channel, &new);
        let mut failed = Vec::new();
        if let Some(plan) = self.builder.plan(&channel, &Ok(new.clone())) {
            let (moves, resting) = self.moves(&channel, plan);
            let (verdicts, ()) = tokio::join!(
                join_all(moves.iter().map(|m| self.serve(m, &new))),
                self.rest_all(resting),
            );
            failed = failures(&moves, &verdicts, |_| true);
        }
        (PluginChanged::Added, joined(&failed))
    }

    /// A channel that is neither configured nor had a plugin gets its place.
    fn put_on_board(&self, channel: &str, name: &str) {
        if self.shelf.get().channels.contains_key(channel) {
            return;
        }
        let (fresh, starters) = self
            .builder
            .channel(channel, &Err(format!("{name} starts")));
        self.shelf
            .change(|board| board.channels.insert(channel.to_owned(), fresh));
        starters.into_iter().for_each(|start| start());
    }

    fn name_channel(&self, channel: &str, plugin: &Arc<Plugin>) {
        self.shelf.change(|board| {
            if let Some(found) = board.channels.get_mut(channel) {
                found.label = label(channel, Some(plugin));
            }
        });
    }

    /// What can be said against a plugin before it takes over: its channel is taken, or its
    /// library can't be loaded.
    async fn acceptable(&self, name: &str, new: &Arc<Plugin>) -> Result<(), String> {
        let channel = &new.manifest().id;
        if let Some(other) = self
            .shelf
            .get()
            .server(channel)
            .filter(|other| *other != name)
        {
            return Err(format!(
                "channel {channel} is served by plugin {other}: remove that one first \
                 (openclaw plugins remove {other})"
            ));
        }
        let new = new.clone();
        let loaded = tokio::task::spawn_blocking(move || new.preload()).await;
        match loaded {
            Ok(loaded) => loaded.map_err(|e| e.to_string()),
            Err(_) => Err("the plugin panicked while it was loaded".to_owned()),
        }
    }

    /// A plugin that serves and is another one in the file.
    async fn replace(&self, row: PluginRow, old: &Generation, new: Arc<Plugin>) -> Outcome {
        if new.same_as(&old.plugin) {
            self.shelf.change(|board| board.confirm(row));
            return (PluginChanged::Unchanged, None);
        }
        let (from, to) = (&old.plugin.manifest().id, &new.manifest().id);
        if from != to {
            if let Err(why) = self.acceptable(&row.name, &new).await {
                return self.keep(row, old, &new, &why);
            }
            self.shelf.change(|board| board.uninstall(&row.name));
            self.retire(from).await;
            return match self.add(row, new).await {
                (PluginChanged::Added, problem) => (PluginChanged::Replaced, problem),
                other => other,
            };
        }
        if let Err(why) = self.acceptable(&row.name, &new).await {
            return self.keep(row, old, &new, &why);
        }
        let plan = self.builder.plan(to, &Ok(new.clone()));
        let (moves, resting) = plan.map_or_else(Default::default, |plan| self.moves(to, plan));
        // Whoever serves now must not be lost to a configuration that the new one refuses.
        let lost = resting.iter().filter(|m| m.served).find_map(|m| {
            let problem = m.plan.problem.as_ref()?;
            Some(format!("account {}: {problem}", m.account.id()))
        });
        if let Some(why) = lost {
            return self.keep(row, old, &new, &why);
        }
        if let Err(why) = self.exchange(&moves, old, &new).await {
            return self.keep(row, old, &new, &why);
        }
        self.rest_all(resting).await;
        self.shelf.change(|board| board.install(row, new.clone()));
        self.name_channel(to, &new);
        (PluginChanged::Replaced, None)
    }

    /// The old generation serves on; the file's plugin is remembered with what is wrong with it.
    fn keep(&self, mut row: PluginRow, old: &Generation, new: &Plugin, why: &str) -> Outcome {
        let problem = format!(
            "the new one did not get ready: {why}; generation {} goes on",
            old.number
        );
        row.problem = Some(problem.clone());
        self.shelf.change(|board| {
            board.mapped(&row.name, new);
            board.note(row);
        });
        (PluginChanged::Kept, Some(problem))
    }

    /// All accounts to the new generation, or all back to the old one.
    async fn exchange(
        &self,
        moves: &[Move],
        old: &Generation,
        new: &Arc<Plugin>,
    ) -> Result<(), String> {
        let ahead = moves
            .iter()
            .position(|m| m.served)
            .map_or(0, |place| place + 1);
        // The first that serves goes ahead, with those before it, which have nothing to lose.
        for (from, to) in [(0, ahead), (ahead, moves.len())] {
            let group = &moves[from..to];
            let verdicts = join_all(group.iter().map(|m| self.try_with(m, new))).await;
            let failed = failures(group, &verdicts, |m| m.served);
            let Some(why) = joined(&failed) else { continue };
            return Err(match self.back(&moves[..to], &old.plugin).await {
                None => why,
                Some(again) => format!("{why}; going back failed for now: {again}"),
            });
        }
        Ok(())
    }

    /// Back to the old generation. `Some`: what went wrong even there; the accounts go on trying.
    async fn back(&self, moves: &[Move], old: &Arc<Plugin>) -> Option<String> {
        let moves = moves.iter().map(|m| Move {
            account: m.account.clone(),
            plan: m.former.clone(),
            former: m.former.clone(),
            served: m.served,
        });
        let (able, unable): (Vec<_>, Vec<_>) =
            moves.partition(|m| m.plan.enabled && m.plan.problem.is_none());
        let (verdicts, ()) = tokio::join!(
            join_all(able.iter().map(|m| self.serve(m, old))),
            self.rest_all(unable),
        );
        joined(&failures(&able, &verdicts, |m| m.served))
    }

    async fn serve(&self, m: &Move, plugin: &Arc<Plugin>) -> Result<(), String> {
        let duty = self.builder.duty(m.account.id(), plugin, m.plan.clone());
        m.account.serve(duty).await
    }

    /// As [`ReloadTask::serve`]; one that served before has somewhere to go back to.
    async fn try_with(&self, m: &Move, plugin: &Arc<Plugin>) -> Result<(), String> {
        let duty = self.builder.duty(m.account.id(), plugin, m.plan.clone());
        let trial = m.served;
        m.account.serve(Duty { trial, ..duty }).await
    }

    async fn rest_all(&self, moves: Vec<Move>) {
        // Not an async closure: the compiler's incremental mode trips over one here (1.95).
        let each = moves.into_iter().map(|m| async move {
            m.account.rest(m.plan).await;
        });
        join_all(each).await;
    }

    /// The channel's accounts under a new plan: those that are to serve, and the others.
    fn moves(&self, channel: &str, plan: ChannelPlan) -> (Vec<Move>, Vec<Move>) {
        let board = self.shelf.get();
        let Some(channel) = board.channels.get(channel) else {
            return Default::default();
        };
        let known = plan.accounts.into_iter().filter_map(|(id, plan)| {
            let account = channel.accounts.get(&id)?.clone();
            Some(Move {
                former: account.plan(),
                served: account.status().phase.serves(),
                plan: Arc::new(plan),
                account,
            })
        });
        known.partition(|m| m.plan.enabled && m.plan.problem.is_none())
    }

    /// Starts a plugin's accounts anew, with the settings in force.
    pub(super) async fn restart(
        &self,
        name: &str,
        account: Option<String>,
    ) -> Result<Vec<String>, ChangeError> {
        let board = self.shelf.get();
        let slot = board.slot(name).ok_or_else(|| ChangeError::Unknown {
            name: name.to_owned(),
            known: board.slots.iter().map(|s| s.row.name.clone()).collect(),
        })?;
        let Some(generation) = &slot.serving else {
            return Err(not_serving(slot));
        };
        let plugin = &generation.plugin;
        let channel = &plugin.manifest().id;
        let plan = self.builder.plan(channel, &Ok(plugin.clone()));
        let (mut moves, mut others) =
            plan.map_or_else(Default::default, |plan| self.moves(channel, plan));
        if let Some(account) = account {
            let account = account.trim().to_lowercase();
            let known = moves.iter().chain(&others);
            let known: Vec<String> = known.map(|m| m.account.id().to_owned()).collect();
            if !known.contains(&account) {
                let name = name.to_owned();
                return Err(ChangeError::Account {
                    name,
                    account,
                    known,
                });
            }
            moves.retain(|m| m.account.id() == account);
            others.retain(|m| m.account.id() == account);
        }
        // One that can't start is told of and not touched: if it serves, it goes on.
        let wrong = others.iter().filter(|m| m.plan.enabled).filter_map(|m| {
            let problem = m.plan.problem.clone()?;
            Some((m.account.id().to_owned(), problem))
        });
        let mut failed: Vec<_> = wrong.collect();
        if moves.is_empty() && failed.is_empty() {
            return Err(idle(name, channel, &others));
        }
        let verdicts = join_all(moves.iter().map(|m| self.serve(m, plugin))).await;
        failed.extend(failures(&moves, &verdicts, |_| true));
        let well = moves.iter().zip(&verdicts).filter(|(_, v)| v.is_ok());
        let restarted = well.map(|(m, _)| m.account.id().to_owned()).collect();
        tracing::info!(plugin = name, ?restarted, ?failed, "plugin restarted");
        if failed.is_empty() {
            return Ok(restarted);
        }
        Err(ChangeError::NotStarted { restarted, failed })
    }
}

fn not_serving(slot: &Slot) -> ChangeError {
    let name = slot.row.name.clone();
    let why = match (&slot.row.problem, slot.row.state) {
        (Some(problem), _) => problem.clone(),
        (None, RowState::Disabled) => {
            format!("it is switched off (openclaw plugins enable {name})")
        }
        (None, _) => "it is not loaded (openclaw plugins reload)".to_owned(),
    };
    ChangeError::NotServing { name, why }
}

fn idle(name: &str, channel: &str, others: &[Move]) -> ChangeError {
    ChangeError::Idle(match others {
        [] => format!("plugin {name} serves no account: add channels.{channel} to openclaw.json"),
        [one] => format!(
            "account {} is switched off: set {}.enabled to true in openclaw.json",
            one.account.id(),
            one.plan.path
        ),
        _ => format!(
            "all accounts of plugin {name} are switched off: set channels.{channel}.enabled to \
             true in openclaw.json"
        ),
    })
}

/// Which of those that count did not get ready, and why.
fn failures(
    moves: &[Move],
    verdicts: &[Result<(), String>],
    counts: impl Fn(&Move) -> bool,
) -> Vec<(String, String)> {
    let tried = moves.iter().zip(verdicts).filter(|(m, _)| counts(m));
    let failed = tried.filter_map(|(m, verdict)| {
        let why = verdict.clone().err()?;
        Some((m.account.id().to_owned(), why))
    });
    failed.collect()
}

fn joined(failed: &[(String, String)]) -> Option<String> {
    let each = |(account, why): &(String, String)| format!("account {account}: {why}");
    let failed: Vec<String> = failed.iter().map(each).collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}
