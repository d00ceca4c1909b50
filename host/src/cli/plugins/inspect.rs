//! `plugins inspect FILE`: what a library says about itself. None of its code runs.

use super::place::{Place, refused};
use super::sheet;
use crate::cli::args::InspectArgs;
use crate::cli::error::CliResult;
use crate::cli::output::Screen;
use crate::plugins::Offer;

/// Shows the library's sheet and its configuration schema.
///
/// # Errors
/// It is no plugin for this gateway, or its signature is not of this file.
pub fn run(args: &InspectArgs, screen: &Screen) -> CliResult<()> {
    let trust = Place::of(&args.plugins)?.trust()?;
    let offer = Offer::of(&args.file).map_err(|e| refused(&args.file, &e))?;
    let publisher = offer
        .publisher(&trust)
        .map_err(|e| refused(&args.file, &e))?;
    if screen.json_wanted() {
        screen.value_json(&sheet::json(&offer, &publisher));
        return Ok(());
    }
    let from = args.file.display().to_string();
    screen.write(&sheet::text(&offer, &publisher, &from, None, screen));
    screen.line("configuration of an account (channels.<id> in openclaw.json), as JSON Schema:");
    screen.value_json(&offer.inspected.manifest.config_schema);
    Ok(())
}
