//! `plugins list`: what `plugins.toml` names. From the running gateway, with what runs of it; from
//! the files when none runs, or when `--plugins` names another file. No code of a plugin runs then.
//!
//! `--json` prints the result of `plugins.list` (`schemas/plugins.json`) in both cases: a plugin
//! has a `generation` when a gateway runs it, and its accounts.

use std::path::Path;

use gateway_schemas::plugins::{
    PluginAccount, PluginAccountState, PluginInfo, PluginState, PluginsList,
};
use serde_json::json;

use crate::cli::args::PluginsListArgs;
use crate::cli::client::{paths, with_gateway};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::cli::table::{Cell, Column, Table};
use crate::plugins::Plugins;

/// Asks or reads, and shows. A refused plugin is a row with its reason, not a failure of the list.
///
/// # Errors
/// When `plugins.toml` is missing or broken: a wrong configuration. When a gateway that was named
/// can't be asked.
pub fn run(args: &PluginsListArgs, screen: &Screen) -> CliResult<()> {
    let (list, live) = match &args.plugins {
        Some(file) => (from_files(Some(file))?, false),
        None => ask(args)?,
    };
    if screen.json_wanted() {
        screen.value_json(&list);
        return Ok(());
    }
    if list.development {
        complain("warning: [trust] development = true: digests are not checked\n");
    }
    if list.plugins.is_empty() {
        screen.line(format!("{} names no plugin", list.file));
    } else {
        screen.write(&table(&list.plugins).render(screen));
    }
    if !live {
        screen.line(screen.paint(Paint::Faint, "from the files: no gateway was asked"));
    }
    Ok(())
}

/// The gateway's word, or the files' when no gateway runs on this machine.
fn ask(args: &PluginsListArgs) -> CliResult<(PluginsList, bool)> {
    let asked = with_gateway(&args.reach.access(), async |client| {
        client.read("plugins.list", &json!({})).await
    });
    let error = match asked {
        Ok(list) => return Ok((list, true)),
        // One that was named was meant.
        Err(error) if args.reach.connection.url.is_some() => return Err(error),
        Err(error) => error,
    };
    if error.code() != "GATEWAY_UNREACHABLE" {
        complain(&format!(
            "warning: the gateway could not be asked ({}): shown is what the files say\n",
            error.message()
        ));
    }
    Ok((from_files(None)?, false))
}

fn from_files(named: Option<&Path>) -> CliResult<PluginsList> {
    let paths = paths()?;
    let file = named.unwrap_or(&paths.plugins_file);
    let (plugins, _) = Plugins::load(file, &paths.plugin_store()).map_err(|cause| {
        CliError::new(Kind::Config, "PLUGINS_FILE_INVALID", cause.to_string())
            .fix("correct the file, or name another one with --plugins FILE")
    })?;
    Ok(PluginsList {
        file: file.display().to_string(),
        development: plugins.development(),
        plugins: plugins.report().iter().map(|row| row.info()).collect(),
    })
}

fn table(plugins: &[PluginInfo]) -> Table {
    let mut columns = vec![
        Column::id("Plugin"),
        Column::id("Channel"),
        Column::new("Version").solid(),
        Column::new("State").solid(),
    ];
    let live = plugins.iter().any(|plugin| plugin.generation.is_some());
    if live {
        columns.push(Column::new("Accounts"));
    }
    let wrong = plugins.iter().any(|plugin| trouble(plugin).is_some());
    if wrong {
        columns.push(Column::new("Why"));
    }
    if live {
        columns.push(Column::new("Gen").solid().optional(3));
        columns.push(Column::new("Restarts").solid().optional(3));
    }
    columns.push(Column::new("Runs").solid().optional(2));
    let signed = plugins.iter().any(|plugin| plugin.signed_by.is_some());
    if signed {
        columns.push(Column::new("Signed by").solid().optional(4));
    }
    columns.push(Column::new("File").optional(1));
    columns.push(Column::id("SHA-256").optional(5));
    let mut table = Table::new(columns);
    for plugin in plugins {
        table.row(row(plugin, live, wrong, signed));
    }
    table
}

fn row(plugin: &PluginInfo, live: bool, wrong: bool, signed: bool) -> Vec<Cell> {
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let (state, paint) = match plugin.state {
        PluginState::Ready => ("ready", Paint::Good),
        PluginState::Running => ("running", Paint::Good),
        PluginState::Degraded => ("degraded", Paint::Warn),
        PluginState::Quarantined => ("quarantined", Paint::Bad),
        PluginState::Disabled => ("disabled", Paint::Faint),
        PluginState::Refused => ("refused", Paint::Bad),
    };
    let mut cells: Vec<Cell> = vec![
        plugin.name.as_str().into(),
        told(&plugin.channel).into(),
        told(&plugin.version).into(),
        Cell::painted(state, paint),
    ];
    if live {
        cells.push(accounts(&plugin.accounts).into());
    }
    if wrong {
        cells.push(trouble(plugin).unwrap_or_default().into());
    }
    if live {
        let generation = plugin.generation.map(|n| n.to_string());
        cells.push(told(&generation).into());
        let restarts: u64 = plugin.accounts.iter().map(|a| a.restarts).sum();
        cells.push(restarts.to_string().into());
    }
    cells.push(told(&plugin.isolation).into());
    if signed {
        cells.push(told(&plugin.signed_by).into());
    }
    cells.push(plugin.path.as_str().into());
    cells.push(told(&plugin.sha256).into());
    cells
}

/// `work running, home stopped`
fn accounts(accounts: &[PluginAccount]) -> String {
    let each = |account: &PluginAccount| {
        let state = match account.state {
            PluginAccountState::Off => "off",
            PluginAccountState::Starting => "starting",
            PluginAccountState::Running => "running",
            PluginAccountState::Degraded => "degraded",
            PluginAccountState::Draining => "draining",
            PluginAccountState::Stopped => "stopped",
            PluginAccountState::Quarantined => "quarantined",
        };
        format!("{} {state}", account.account_id)
    };
    let listed: Vec<String> = accounts.iter().map(each).collect();
    match listed.is_empty() {
        true => "–".to_owned(),
        false => listed.join(", "),
    }
}

/// What is wrong with the plugin, else with the first account that has trouble.
fn trouble(plugin: &PluginInfo) -> Option<String> {
    let of_account = || {
        let account = plugin.accounts.iter().find(|a| a.error.is_some())?;
        let error = account.error.as_deref()?;
        Some(format!("{}: {error}", account.account_id))
    };
    plugin.problem.clone().or_else(of_account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str, state: PluginState, problem: Option<&str>) -> PluginInfo {
        PluginInfo {
            name: name.to_owned(),
            channel: problem.is_none().then(|| name.to_owned()),
            version: problem.is_none().then(|| "1.0.0".to_owned()),
            path: format!("/opt/gateway/lib{name}.so"),
            sha256: problem.is_none().then(|| "ab".repeat(32)),
            state,
            isolation: problem.is_none().then(|| "in-process".to_owned()),
            signed_by: None,
            generation: None,
            retired: None,
            problem: problem.map(str::to_owned),
            accounts: Vec::new(),
        }
    }

    fn account(id: &str, state: PluginAccountState, error: Option<&str>) -> PluginAccount {
        PluginAccount {
            account_id: id.to_owned(),
            state,
            restarts: 2,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn a_refused_plugin_says_why() {
        let plugins = [
            plugin("echo", PluginState::Ready, None),
            plugin("broken", PluginState::Refused, Some("not a gateway plugin")),
        ];
        let expected = "\
┌────────┬─────────┬─────────┬─────────┬──────────────────────┬────────────┬───────────────────────────┐
│ Plugin │ Channel │ Version │ State   │ Why                  │ Runs       │ File                      │
├────────┼─────────┼─────────┼─────────┼──────────────────────┼────────────┼───────────────────────────┤
│ echo   │ echo    │ 1.0.0   │ ready   │                      │ in-process │ /opt/gateway/libecho.so   │
│ broken │ –       │ –       │ refused │ not a gateway plugin │ –          │ /opt/gateway/libbroken.so │
└────────┴─────────┴─────────┴─────────┴──────────────────────┴────────────┴───────────────────────────┘
not shown: sha-256 (--wide shows all)
";
        assert_eq!(table(&plugins).render(&Screen::plain(Some(110))), expected);
    }

    #[test]
    fn a_running_one_shows_its_accounts_and_what_troubles_them() {
        let mut echo = plugin("echo", PluginState::Degraded, None);
        echo.generation = Some(3);
        echo.accounts = vec![
            account("home", PluginAccountState::Running, None),
            account("work", PluginAccountState::Starting, Some("away")),
        ];
        let shown = table(&[echo]).render(&Screen::plain(None));
        for part in ["home running, work starting", "work: away", "│ 3 ", "│ 4 "] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
