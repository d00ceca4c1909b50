//! `plugins check`: the whole `plugins.toml` against its libraries, and the accounts of
//! `openclaw.json` against the plugins' own schemas. For continuous integration: exit code 0 if all
//! is right, 78 if not. No code of a plugin runs.

use serde_json::{Value, json};

use super::place::{Place, broken};
use super::remove::channel_of;
use crate::channels::{Audited, audit};
use crate::cli::args::CheckArgs;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::cli::table::{Cell, Column, Table};
use crate::config::{self, LoadOptions};
use crate::plugins::file::PluginsFile;
use crate::plugins::{PluginRow, Plugins, RowState};

/// Checks and shows.
///
/// # Errors
/// Anything that would keep a plugin or an account from starting: a wrong configuration.
pub fn run(args: &CheckArgs, screen: &Screen) -> CliResult<()> {
    let place = Place::of(&args.plugins)?;
    let parsed = place.read()?;
    let (plugins, _) =
        Plugins::judge(&parsed, &place.file, &place.store()).map_err(|e| broken(&e))?;
    let options = LoadOptions {
        plugins: Some(place.file.clone()),
        ..LoadOptions::default()
    };
    let loaded = config::load(&options)
        .map_err(|cause| CliError::new(Kind::Config, "CONFIG_INVALID", cause.to_string()))?;
    let mut accounts = audit(&loaded.config, &plugins);
    rest(&mut accounts, &place, &parsed, plugins.report());
    let wrong = wrong(plugins.report(), &accounts);
    let report = json!({
        "file": place.file,
        "configFile": loaded.config.paths.config_file,
        "development": plugins.development(),
        "plugins": plugins.report(),
        "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
    });
    if !screen.json_wanted() {
        if plugins.development() {
            complain("warning: [trust] development = true: digests are not checked\n");
        }
        screen.write(&table(plugins.report(), &accounts).render(screen));
    }
    if wrong > 0 {
        let things = if wrong == 1 { "thing is" } else { "things are" };
        return Err(CliError::new(
            Kind::Config,
            "PLUGINS_CHECK_FAILED",
            format!("{wrong} {things} wrong in {}", place.file.display()),
        )
        .with_details(Some(report)));
    }
    if screen.json_wanted() {
        let mut report = report;
        report["ok"] = Value::Bool(true);
        screen.value_json(&report);
    } else {
        screen.line(screen.paint(Paint::Good, "all is right"));
    }
    Ok(())
}

/// The accounts of a plugin that is switched off are not wrong, they rest with it.
fn rest(accounts: &mut [Audited], place: &Place, parsed: &PluginsFile, rows: &[PluginRow]) {
    let off = rows.iter().filter(|row| row.state == RowState::Disabled);
    let channels: Vec<String> = off
        .filter_map(|row| channel_of(place, parsed, &row.name))
        .filter(|channel| !rows.iter().any(|row| row.channel.as_ref() == Some(channel)))
        .collect();
    for audited in accounts
        .iter_mut()
        .filter(|a| channels.contains(&a.channel))
    {
        audited.enabled = false;
        audited.problems.clear();
    }
}

fn wrong(rows: &[PluginRow], accounts: &[Audited]) -> usize {
    let refused = rows.iter().filter(|r| r.state == RowState::Refused).count();
    let broken = |a: &&Audited| a.enabled && !a.problems.is_empty();
    refused + accounts.iter().filter(broken).count()
}

fn account(audited: &Audited) -> Value {
    json!({
        "channel": audited.channel,
        "accountId": audited.account,
        "path": audited.path,
        "enabled": audited.enabled,
        "problems": audited.problems,
    })
}

fn table(rows: &[PluginRow], accounts: &[Audited]) -> Table {
    let mut table = Table::new([
        Column::id("What"),
        Column::new("State").solid(),
        Column::new("Why"),
    ]);
    for row in rows {
        let state = match row.state {
            RowState::Ready => Cell::painted("right", Paint::Good),
            RowState::Disabled => Cell::painted("disabled", Paint::Faint),
            RowState::Refused => Cell::painted("refused", Paint::Bad),
        };
        let why = row.problem.as_deref().unwrap_or("");
        table.row([format!("plugin {}", row.name).into(), state, why.into()]);
    }
    for audited in accounts {
        let state = match (audited.enabled, audited.problems.is_empty()) {
            (false, _) => Cell::painted("disabled", Paint::Faint),
            (true, true) => Cell::painted("right", Paint::Good),
            (true, false) => Cell::painted("wrong", Paint::Bad),
        };
        let what = format!("account {}/{}", audited.channel, audited.account);
        let why = audited.problems.join("; ");
        table.row([what.into(), state, why.into()]);
    }
    table
}
