//! `plugins enable NAME` and `plugins disable NAME`.

use serde_json::json;

use super::edit::Editing;
use super::place::{Place, unknown};
use super::tell::tell;
use crate::cli::args::SwitchArgs;
use crate::cli::error::CliResult;
use crate::cli::output::{Paint, Screen};
use crate::plugins::file::PluginsFile;

/// Switches one plugin.
///
/// # Errors
/// There is none of that name, the file cannot be changed, or the gateway did not take it.
pub fn run(args: &SwitchArgs, on: bool, screen: &Screen) -> CliResult<()> {
    let place = Place::of(&args.plugins)?;
    let parsed = place.read()?;
    let mut editing = Editing::open(&place)?;
    let changed = editing
        .switch(&args.name, on)?
        .ok_or_else(|| unknown(&args.name, &place, &names(&parsed)))?;
    if changed {
        editing.save()?;
    }
    let told = tell(&args.reach.access(), &place.file, &args.name).taken()?;
    let state = if on { "enabled" } else { "disabled" };
    if screen.json_wanted() {
        screen.value_json(&json!({
            "plugin": args.name, "action": state, "changed": changed, "file": place.file,
            "gateway": told,
        }));
        return Ok(());
    }
    let already = if changed { "" } else { " already" };
    screen.line(screen.paint(Paint::Good, &format!("{} is {state}{already}", args.name)));
    told.show(screen);
    Ok(())
}

/// The names of a file's plugins.
pub fn names(file: &PluginsFile) -> Vec<String> {
    let entries = file.plugins.iter().map(toml::Spanned::get_ref);
    entries.map(|entry| entry.name.clone()).collect()
}
