//! `plugins search [TEXT]`: what the registry of `plugins.toml` has, and the way to that registry.

use serde_json::json;

use super::fetch::Origin;
use super::place::Place;
use crate::cli::args::SearchArgs;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::Screen;
use crate::cli::table::{Column, Table};
use crate::clock::Clock;
use crate::limits::{INDEX_BYTES_MAX, SIGNATURE_FILE_BYTES_MAX};
use crate::plugins::registry::{INDEX, Index, Listed};

/// A registry whose index was checked.
#[derive(Debug)]
pub struct Registry {
    /// As `plugins.toml` names it.
    pub url: String,
    /// Where its files are.
    pub origin: Origin,
    /// What it has.
    pub index: Index,
}

/// Fetches and checks the index of the registry that `plugins.toml` names.
///
/// # Errors
/// None is named, it cannot be fetched, or it says nothing.
pub fn fetch(place: &Place) -> CliResult<Registry> {
    let file = place.read()?;
    let Some(registry) = &file.registry else {
        let text = format!("{} names no registry", place.file.display());
        return Err(CliError::new(Kind::Config, "NO_REGISTRY", text)
            .fix("add [registry] with url = \"https://…\" (or a folder) and key = \"NAME\""));
    };
    let url = registry.url.clone();
    let origin = Origin::parse(&url, place.folder())?;
    let bytes = origin.small(INDEX, INDEX_BYTES_MAX)?.ok_or_else(|| {
        let text = format!("the registry {url} has no {INDEX}");
        CliError::new(Kind::Connection, "REGISTRY_MISSING", text)
            .fix("correct url under [registry] in plugins.toml")
            .fix("or make it: openclaw plugins index build DIR")
    })?;
    let signature = origin.small(&format!("{INDEX}.sig"), SIGNATURE_FILE_BYTES_MAX)?;
    let signature = signature.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let now_ms = Clock::system().now_ms();
    let index = Index::read(&bytes, signature.as_deref(), &file, now_ms).map_err(|why| {
        let text = format!("the index of the registry {url} is refused: {why}");
        CliError::new(Kind::Local, "REGISTRY_REFUSED", text).fact("registry", "registry", &url)
    })?;
    Ok(Registry { url, origin, index })
}

/// Shows what matches.
///
/// # Errors
/// As [`fetch`].
pub fn run(args: &SearchArgs, screen: &Screen) -> CliResult<()> {
    let registry = fetch(&Place::of(&args.plugins)?)?;
    let text = args.text.as_deref().unwrap_or_default().to_lowercase();
    let matches =
        |listed: &&Listed| listed.id.contains(&text) || listed.name.to_lowercase().contains(&text);
    let found: Vec<&Listed> = registry.index.plugins.iter().filter(matches).collect();
    if screen.json_wanted() {
        let expires = registry.index.expires_at_ms;
        screen.value_json(&json!({
            "registry": registry.url, "expiresAtMs": expires, "plugins": found,
        }));
        return Ok(());
    }
    if found.is_empty() {
        screen.line(format!("{} has nothing like that", registry.url));
        return Ok(());
    }
    let mut table = Table::new([
        Column::id("Plugin"),
        Column::new("Name"),
        Column::new("For this machine").solid(),
        Column::new("Versions"),
        Column::new("Licence").optional(2),
        Column::new("Homepage").optional(3),
    ]);
    for listed in found {
        let here = registry.index.pick(&listed.id, None);
        let versions = listed.versions.iter().map(|release| {
            let yanked = if release.yanked { " (taken back)" } else { "" };
            format!("{}{yanked}", release.version)
        });
        table.row([
            listed.id.as_str().into(),
            listed.name.as_str().into(),
            here.map_or("–".to_owned(), |p| p.release.version.clone())
                .into(),
            versions.collect::<Vec<_>>().join(", ").into(),
            listed.licence.as_deref().unwrap_or("–").into(),
            listed.homepage.as_deref().unwrap_or("–").into(),
        ]);
    }
    screen.write(&table.render(screen));
    screen.line("install with openclaw plugins install PLUGIN[@VERSION]");
    Ok(())
}
