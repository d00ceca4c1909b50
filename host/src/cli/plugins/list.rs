//! `plugins list`: what `plugins.toml` names, read from the files. No code of a plugin runs, and
//! no gateway needs to.

use std::path::Path;

use serde::Serialize;

use crate::cli::args::PluginsListArgs;
use crate::cli::client::paths;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::cli::table::{Cell, Column, Table};
use crate::plugins::{PluginRow, Plugins, RowState};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    file: &'a Path,
    development: bool,
    plugins: &'a [PluginRow],
}

/// Reads and shows. A refused plugin is a row with its reason, not a failure of the list.
///
/// # Errors
/// When `plugins.toml` is missing or broken: a wrong configuration.
pub fn run(args: &PluginsListArgs, screen: &Screen) -> CliResult<()> {
    let paths = paths()?;
    let file = args.plugins.as_ref().unwrap_or(&paths.plugins_file);
    let (plugins, _) = Plugins::load(file, &paths.plugin_store()).map_err(|cause| {
        CliError::new(Kind::Config, "PLUGINS_FILE_INVALID", cause.to_string())
            .fix("correct the file, or name another one with --plugins FILE")
    })?;
    let (rows, development) = (plugins.report(), plugins.development());
    if screen.json_wanted() {
        screen.value_json(&Listed {
            file,
            development,
            plugins: rows,
        });
        return Ok(());
    }
    if development {
        complain("warning: [trust] development = true: digests are not checked\n");
    }
    if rows.is_empty() {
        screen.line(format!("{} names no plugin", file.display()));
    } else {
        screen.write(&table(rows).render(screen));
    }
    Ok(())
}

fn table(rows: &[PluginRow]) -> Table {
    let mut columns = vec![
        Column::id("Plugin"),
        Column::id("Channel"),
        Column::new("Version").solid(),
        Column::new("State").solid(),
    ];
    let refused = rows.iter().any(|row| row.problem.is_some());
    if refused {
        columns.push(Column::new("Why"));
    }
    columns.push(Column::new("File").optional(1));
    columns.push(Column::id("SHA-256").optional(2));
    let mut table = Table::new(columns);
    for row in rows {
        let (state, paint) = match row.state {
            RowState::Ready => ("ready", Paint::Good),
            RowState::Disabled => ("disabled", Paint::Faint),
            RowState::Refused => ("refused", Paint::Bad),
        };
        let mut cells = vec![
            row.name.as_str().into(),
            row.channel.as_deref().unwrap_or("–").into(),
            row.version.as_deref().unwrap_or("–").into(),
            Cell::painted(state, paint),
        ];
        if refused {
            cells.push(row.problem.as_deref().unwrap_or("").into());
        }
        cells.push(row.path.display().to_string().into());
        cells.push(row.sha256.as_deref().unwrap_or("–").into());
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: RowState, problem: Option<&str>) -> PluginRow {
        PluginRow {
            name: name.to_owned(),
            channel: problem.is_none().then(|| name.to_owned()),
            version: problem.is_none().then(|| "1.0.0".to_owned()),
            path: format!("/opt/gateway/lib{name}.so").into(),
            sha256: problem.is_none().then(|| "ab".repeat(32)),
            signed_by: None,
            isolation: None,
            state,
            problem: problem.map(str::to_owned),
        }
    }

    #[test]
    fn a_refused_plugin_says_why() {
        let rows = [
            row("echo", RowState::Ready, None),
            row("broken", RowState::Refused, Some("not a gateway plugin")),
        ];
        let expected = "\
┌────────┬─────────┬─────────┬─────────┬──────────────────────┬───────────────────────────┐
│ Plugin │ Channel │ Version │ State   │ Why                  │ File                      │
├────────┼─────────┼─────────┼─────────┼──────────────────────┼───────────────────────────┤
│ echo   │ echo    │ 1.0.0   │ ready   │                      │ /opt/gateway/libecho.so   │
│ broken │ –       │ –       │ refused │ not a gateway plugin │ /opt/gateway/libbroken.so │
└────────┴─────────┴─────────┴─────────┴──────────────────────┴───────────────────────────┘
not shown: sha-256 (--wide shows all)
";
        assert_eq!(table(&rows).render(&Screen::plain(Some(100))), expected);
    }
}
