//! `plugins upgrade [NAME] [--dry-run]`: the newest version the registry has for this machine.

use serde_json::{Value, json};

use super::install::{Wish, from_registry, put};
use super::place::{Place, broken, unknown};
use super::search::{Registry, fetch};
use super::switch::names;
use crate::cli::args::UpgradeArgs;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::Screen;
use crate::cli::table::{Column, Table};
use crate::plugins::registry::compare;
use crate::plugins::{PluginRow, Plugins};

/// One plugin that could be newer, or why it could not.
struct Step {
    name: String,
    id: String,
    from: String,
    to: Option<String>,
    note: String,
}

/// Upgrades one plugin or all.
///
/// # Errors
/// There is none of that name, no registry, or one of them failed; those before it are done.
pub fn run(args: &UpgradeArgs, screen: &Screen) -> CliResult<()> {
    let place = Place::of(&args.plugins)?;
    let parsed = place.read()?;
    let (plugins, _) =
        Plugins::judge(&parsed, &place.file, &place.store()).map_err(|e| broken(&e))?;
    if let Some(name) = &args.name
        && !plugins.report().iter().any(|row| row.name == *name)
    {
        return Err(unknown(name, &place, &names(&parsed)));
    }
    let registry = fetch(&place)?;
    let wanted = |row: &&PluginRow| args.name.as_ref().is_none_or(|name| *name == row.name);
    let rows = plugins.report().iter().filter(wanted);
    let steps: Vec<Step> = rows.map(|row| step(row, &registry)).collect();
    if !screen.json_wanted() {
        screen.write(&table(&steps).render(screen));
    }
    let mut done = Vec::new();
    for step in steps.iter().filter(|_| !args.dry_run) {
        if let Some(version) = &step.to {
            let found = from_registry(&registry, &step.id, Some(version), &place, screen)?;
            let wish = Wish {
                name: Some(&step.name),
                isolation: None,
                allow_unsigned: false,
                yes: args.yes,
            };
            done.push(put(&place, &found, wish, &args.reach.access(), screen)?);
        }
    }
    if screen.json_wanted() {
        screen.value_json(&json!({
            "file": place.file, "registry": registry.url, "dryRun": args.dry_run,
            "plugins": steps.iter().map(Step::json).collect::<Vec<_>>(), "installed": done,
        }));
    }
    match (&args.name, steps.first()) {
        (Some(name), Some(step)) if step.to.is_none() && step.id.is_empty() => {
            let text = format!("{name} cannot be upgraded: {}", step.note);
            Err(CliError::new(Kind::Local, "PLUGIN_REFUSED", text)
                .fix("see what is wrong: openclaw plugins check"))
        }
        _ => Ok(()),
    }
}

fn step(row: &PluginRow, registry: &Registry) -> Step {
    let mut step = Step {
        name: row.name.clone(),
        id: row.channel.clone().unwrap_or_default(),
        from: row.version.clone().unwrap_or_default(),
        to: None,
        note: String::new(),
    };
    if row.channel.is_none() {
        step.note = row
            .problem
            .clone()
            .unwrap_or_else(|| "it is disabled".to_owned());
        return step;
    }
    let listed = registry.index.find(&step.id);
    let taken_back = listed.into_iter().flat_map(|l| &l.versions);
    let taken_back = taken_back
        .filter(|r| r.yanked)
        .any(|r| r.version == step.from);
    match registry.index.pick(&step.id, None) {
        Err(why) => step.note = why,
        Ok(picked) => {
            let newest = &picked.release.version;
            if compare(newest, &step.from).is_gt() || (taken_back && *newest != step.from) {
                step.to = Some(newest.clone());
            } else {
                step.note = "is the newest".to_owned();
            }
        }
    }
    if taken_back {
        step.note = format!("{} was taken back by its publisher", step.from);
    }
    step
}

impl Step {
    fn json(&self) -> Value {
        json!({
            "plugin": self.name, "channel": self.id, "from": self.from, "to": self.to,
            "note": self.note,
        })
    }
}

fn table(steps: &[Step]) -> Table {
    let mut table = Table::new([
        Column::id("Plugin"),
        Column::new("Installed").solid(),
        Column::new("Upgrade").solid(),
        Column::new("Note"),
    ]);
    for step in steps {
        table.row([
            step.name.as_str().into(),
            step.from.as_str().into(),
            step.to.as_deref().unwrap_or("–").into(),
            step.note.as_str().into(),
        ]);
    }
    table
}
