//! What operators are told about plugins: `plugins.list`.

use gateway_schemas::plugins::{
    PluginAccount, PluginAccountState, PluginInfo, PluginState, PluginsList,
};

use super::board::{Board, Slot};
use super::status::Phase;
use super::{Account, Channels};
use crate::plugins::{Plugin, PluginRow, RowState};

impl Channels {
    /// Every entry of `plugins.toml` as last read, with what runs of it.
    pub fn plugins(&self) -> PluginsList {
        let board = self.board();
        let file = &self.inner.config.current().paths.plugins_file;
        PluginsList {
            file: file.display().to_string(),
            development: board.development,
            plugins: board.slots.iter().map(|slot| info(&board, slot)).collect(),
        }
    }
}

fn info(board: &Board, slot: &Slot) -> PluginInfo {
    let name = &slot.row.name;
    let history = board.history.get(name);
    let Some(generation) = &slot.serving else {
        let retired = history.map(|h| h.retired(None) as u64).filter(|n| *n > 0);
        return PluginInfo {
            retired,
            ..slot.row.info()
        };
    };
    let plugin = &generation.plugin;
    let accounts = accounts(board, plugin);
    PluginInfo {
        state: state(&accounts),
        generation: Some(generation.number),
        retired: history.map(|h| h.retired(Some(plugin.library())) as u64),
        problem: slot.row.problem.clone(),
        accounts: accounts.into_iter().map(|(account, _)| account).collect(),
        ..generation.row.info()
    }
}

/// A plugin's accounts, each with whether it should run.
fn accounts(board: &Board, plugin: &Plugin) -> Vec<(PluginAccount, bool)> {
    let channel = board.channels.get(&plugin.manifest().id);
    let accounts = channel.into_iter().flat_map(|c| c.accounts.values());
    accounts
        .map(|account| (row(account), account.plan().enabled))
        .collect()
}

fn row(account: &Account) -> PluginAccount {
    let status = account.status();
    PluginAccount {
        account_id: account.id().to_owned(),
        state: match status.phase {
            Phase::Off => PluginAccountState::Off,
            Phase::Starting => PluginAccountState::Starting,
            Phase::Running => PluginAccountState::Running,
            Phase::Degraded => PluginAccountState::Degraded,
            Phase::Draining => PluginAccountState::Draining,
            Phase::Stopped => PluginAccountState::Stopped,
            Phase::Quarantined => PluginAccountState::Quarantined,
        },
        restarts: status.restarts,
        error: status.last_error,
    }
}

/// The worst of the accounts that should run.
fn state(accounts: &[(PluginAccount, bool)]) -> PluginState {
    let meant = accounts.iter().filter(|(_, enabled)| *enabled);
    let states: Vec<_> = meant.map(|(account, _)| account.state).collect();
    let well = |state: &PluginAccountState| *state == PluginAccountState::Running;
    if states.contains(&PluginAccountState::Quarantined) {
        PluginState::Quarantined
    } else if states.is_empty() {
        PluginState::Ready
    } else if states.iter().all(well) {
        PluginState::Running
    } else {
        PluginState::Degraded
    }
}

impl PluginRow {
    /// As operators see it when nothing of it runs.
    pub fn info(&self) -> PluginInfo {
        PluginInfo {
            name: self.name.clone(),
            channel: self.channel.clone(),
            version: self.version.clone(),
            path: self.path.display().to_string(),
            sha256: self.sha256.clone(),
            state: match self.state {
                RowState::Ready => PluginState::Ready,
                RowState::Disabled => PluginState::Disabled,
                RowState::Refused => PluginState::Refused,
            },
            isolation: self.isolation.map(|place| place.as_str().to_owned()),
            signed_by: self.signed_by.clone(),
            generation: None,
            retired: None,
            problem: self.problem.clone(),
            accounts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_account_that_should_run_decides() {
        use PluginAccountState::{Degraded, Off, Quarantined, Running, Starting};
        let of = |states: &[(PluginAccountState, bool)]| {
            let account = |&(state, enabled)| {
                let account = PluginAccount {
                    account_id: "a".to_owned(),
                    state,
                    restarts: 0,
                    error: None,
                };
                (account, enabled)
            };
            state(&states.iter().map(account).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), PluginState::Ready);
        assert_eq!(of(&[(Off, false)]), PluginState::Ready);
        assert_eq!(of(&[(Running, true), (Off, false)]), PluginState::Running);
        assert_eq!(of(&[(Running, true), (Off, true)]), PluginState::Degraded);
        assert_eq!(of(&[(Starting, true)]), PluginState::Degraded);
        let mixed = [(Degraded, true), (Quarantined, true)];
        assert_eq!(of(&mixed), PluginState::Quarantined);
    }
}
