//! What is on the board: channels with their accounts, plugins with their generations.
//!
//! A board is never changed, only replaced as a whole by the reload task (`reload.rs`), so a
//! reader that took one sees one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Account, catalogue};
use crate::plugins::{Plugin, PluginRow, RowState};

/// Everything there is at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    /// Every channel that is configured or has a plugin.
    pub(super) channels: BTreeMap<String, Channel>,
    /// Every entry of `plugins.toml` as last read, in its order.
    pub(super) slots: Vec<Slot>,
    /// `[trust] development = true`.
    pub(super) development: bool,
    /// Accounts that the configuration no longer has, by channel and id. They rest.
    pub(super) former: BTreeMap<(String, String), Arc<Account>>,
    /// What became of each plugin's generations, also of plugins that are gone.
    pub(super) history: BTreeMap<String, History>,
}

/// One channel: configured, or with a plugin, or both.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) label: String,
    pub(super) default_account: String,
    pub(super) configured: bool,
    pub(super) accounts: BTreeMap<String, Arc<Account>>,
}

/// One entry of `plugins.toml`.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// As last read; its problem is why the file's plugin isn't the one that runs.
    pub(super) row: PluginRow,
    /// What serves at present.
    pub(super) serving: Option<Generation>,
}

/// One loaded copy of a plugin's library.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) plugin: Arc<Plugin>,
    /// Counted from 1 for each plugin.
    pub(super) number: u64,
    /// The file's entry when it was taken.
    pub(super) row: PluginRow,
}

/// A plugin's generations so far.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The number of the newest.
    number: u64,
    /// Libraries of former generations that stay part of this process.
    mapped: BTreeSet<PathBuf>,
}

impl History {
    /// How many libraries are loaded and no longer used, when this one is.
    pub(super) fn retired(&self, current: Option<&Path>) -> usize {
        let mapped = self.mapped.iter();
        mapped
            .filter(|path| Some(path.as_path()) != current)
            .count()
    }
}

impl Channel {
    /// One account; the default one when none is named.
    pub(super) fn account(&self, id: Option<&str>) -> Option<&Arc<Account>> {
        let id = id.unwrap_or(&self.default_account);
        self.accounts.get(id.trim().to_lowercase().as_str())
    }
}

impl Board {
    /// The configured channels in display order.
    pub(super) fn configured(&self) -> Vec<String> {
        let configured = self.channels.iter().filter(|(_, c)| c.configured);
        let mut ids: Vec<String> = configured.map(|(id, _)| id.clone()).collect();
        ids.sort_by_key(|id| catalogue::rank(id));
        ids
    }

    /// The entry of this name.
    pub(super) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.row.name == name)
    }

    /// The name of the plugin that serves a channel.
    pub(super) fn server(&self, channel: &str) -> Option<&str> {
        let serves = |slot: &&Slot| {
            let generation = slot.serving.as_ref();
            generation.is_some_and(|g| g.plugin.manifest().id == channel)
        };
        self.slots
            .iter()
            .find(serves)
            .map(|slot| slot.row.name.as_str())
    }

    /// The plugin that serves a channel.
    pub(super) fn plugin(&self, channel: &str) -> Option<Arc<Plugin>> {
        let slot = self.slot(self.server(channel)?)?;
        slot.serving.as_ref().map(|g| g.plugin.clone())
    }

    /// Takes an account out of sight.
    pub(super) fn part(&mut self, channel: &str, account: &str) {
        let place = self.channels.get_mut(channel);
        if let Some(parted) = place.and_then(|c| c.accounts.remove(account)) {
            let name = (channel.to_owned(), account.to_owned());
            self.former.insert(name, parted);
        }
    }

    /// Brings an account back that was there before.
    pub(super) fn rejoin(&mut self, channel: &str, account: &str) -> Option<Arc<Account>> {
        let name = (channel.to_owned(), account.to_owned());
        let found = self.former.remove(&name)?;
        let place = self.channels.get_mut(channel)?;
        place.accounts.insert(name.1, found.clone());
        Some(found)
    }

    /// Forgets a channel that is neither configured nor served.
    pub(super) fn clear(&mut self, channel: &str) {
        let idle = |c: &Channel| !c.configured && c.accounts.is_empty();
        if self.server(channel).is_none() && self.channels.get(channel).is_some_and(idle) {
            self.channels.remove(channel);
        }
    }

    /// Why no plugin serves a channel, with the fix.
    pub(super) fn lack(&self, channel: &str) -> String {
        let refused = |slot: &&Slot| {
            slot.row.state == RowState::Refused && slot.row.channel.as_deref() == Some(channel)
        };
        let off = |slot: &&Slot| slot.row.state == RowState::Disabled && slot.row.name == channel;
        if let Some(slot) = self.slots.iter().find(refused) {
            let why = slot.row.problem.as_deref().unwrap_or("refused");
            return format!(
                "no plugin serves {channel}: {} is refused: {why}",
                slot.row.name
            );
        }
        if let Some(slot) = self.slots.iter().find(off) {
            let name = &slot.row.name;
            return format!(
                "no plugin serves {channel}: {name} is switched off in plugins.toml \
                 (openclaw plugins enable {name})"
            );
        }
        format!("no plugin serves {channel}: name its library in plugins.toml")
    }

    /// Puts a plugin in its place, as its next generation.
    pub(super) fn install(&mut self, row: PluginRow, plugin: Arc<Plugin>) {
        let former = self.uninstall(&row.name);
        let history = self.history.entry(row.name.clone()).or_default();
        history.number += 1;
        let generation = Generation {
            plugin,
            number: history.number,
            row: row.clone(),
        };
        let slot = Slot {
            row,
            serving: Some(generation),
        };
        match former {
            Some(place) => self.slots[place] = slot,
            None => self.slots.push(slot),
        }
    }

    /// Notes what the file says of a plugin; what serves stays.
    pub(super) fn note(&mut self, row: PluginRow) {
        match self.slots.iter_mut().find(|slot| slot.row.name == row.name) {
            Some(slot) => slot.row = row,
            None => self.slots.push(Slot { row, serving: None }),
        }
    }

    /// The file's plugin is what serves already.
    pub(super) fn confirm(&mut self, row: PluginRow) {
        let slot = self.slots.iter_mut().find(|s| s.row.name == row.name);
        if let Some(Slot {
            row: known,
            serving: Some(generation),
        }) = slot
        {
            generation.row = row.clone();
            *known = row;
        }
    }

    /// Ends a plugin's service; gives the place of its entry.
    pub(super) fn uninstall(&mut self, name: &str) -> Option<usize> {
        let place = self.slots.iter().position(|slot| slot.row.name == name)?;
        if let Some(former) = self.slots[place].serving.take() {
            self.mapped(name, &former.plugin);
        }
        Some(place)
    }

    /// Remembers a library that was loaded and is not used.
    pub(super) fn mapped(&mut self, name: &str, plugin: &Plugin) {
        if plugin.is_mapped() {
            let history = self.history.entry(name.to_owned()).or_default();
            history.mapped.insert(plugin.library().to_owned());
        }
    }

    /// Forgets an entry that is no longer in the file.
    pub(super) fn remove(&mut self, name: &str) {
        self.uninstall(name);
        self.slots.retain(|slot| slot.row.name != name);
    }

    /// Puts the entries in the order of the file.
    pub(super) fn sort(&mut self, order: &[PluginRow]) {
        let place = |slot: &Slot| {
            let found = order.iter().position(|row| row.name == slot.row.name);
            found.unwrap_or(usize::MAX)
        };
        self.slots.sort_by_key(place);
    }
}
