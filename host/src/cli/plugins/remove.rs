//! `plugins remove NAME [--purge]`.

use serde_json::json;

use super::edit::Editing;
use super::place::{Place, unknown};
use super::switch::names;
use super::tell::tell;
use crate::cli::args::RemoveArgs;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen};
use crate::plugins::Offer;
use crate::plugins::file::PluginsFile;
use crate::plugins::store::LibraryStore;
use crate::store::{Store, plugin_kv};

/// Takes the plugin out, asks the gateway to let it go, and forgets its copy.
///
/// # Errors
/// There is none of that name, the file cannot be changed, or, with `--purge`, the gateway runs.
pub fn run(args: &RemoveArgs, screen: &Screen) -> CliResult<()> {
    let place = Place::of(&args.plugins)?;
    let parsed = place.read()?;
    let name = &args.name;
    let Some(sha256) = digest_of(&parsed, name) else {
        return Err(unknown(name, &place, &names(&parsed)));
    };
    let channel = channel_of(&place, &parsed, name);
    if args.purge && channel.is_none() {
        return Err(unreadable(name));
    }
    let store = args.purge.then(|| database(&place)).transpose()?.flatten();
    let mut editing = Editing::open(&place)?;
    editing.remove(name)?;
    let left = editing.parsed()?;
    editing.save()?;
    let told = tell(&args.reach.access(), &place.file, name).taken()?;
    if !told.old_one_runs() {
        forget(&place, sha256.as_deref(), &left)?;
    }
    let forgotten = match (store, &channel) {
        (Some(store), Some(channel)) => Some(purge(&store, channel)?),
        _ => None,
    };
    if screen.json_wanted() {
        screen.value_json(&json!({
            "plugin": name, "action": "removed", "channel": channel, "file": place.file,
            "forgottenValues": forgotten, "gateway": told,
        }));
        return Ok(());
    }
    screen.line(screen.paint(Paint::Good, &format!("{name} is removed")));
    told.show(screen);
    match (forgotten, args.purge) {
        (Some(values), _) => screen.line(format!("{values} kept values are forgotten")),
        (None, true) => screen.line("it kept nothing"),
        (None, false) => screen.line("what its accounts kept stays (--purge forgets it)"),
    }
    if let Some(channel) = channel {
        screen.line(format!(
            "its accounts stay in openclaw.json: channels.{channel}"
        ));
    }
    Ok(())
}

/// The pinned digest of the plugin of this name; the outer `None` if there is no such plugin.
fn digest_of(parsed: &PluginsFile, name: &str) -> Option<Option<String>> {
    let mut entries = parsed.plugins.iter().map(toml::Spanned::get_ref);
    entries
        .find(|entry| entry.name == name)
        .map(|entry| entry.sha256.clone())
}

/// The channel it serves, if its file still tells; whether it is switched on does not matter.
pub fn channel_of(place: &Place, parsed: &PluginsFile, name: &str) -> Option<String> {
    let mut entries = parsed.plugins.iter().map(toml::Spanned::get_ref);
    let entry = entries.find(|entry| entry.name == name)?;
    let offer = Offer::of_entry(parsed, &place.file, entry).ok()?;
    Some(offer.inspected.manifest.id)
}

/// Forgets the copy of this digest unless another entry names it.
///
/// # Errors
/// The system's.
pub fn forget(place: &Place, sha256: Option<&str>, left: &PluginsFile) -> CliResult<()> {
    let Some(sha256) = sha256 else { return Ok(()) };
    let mut entries = left.plugins.iter().map(toml::Spanned::get_ref);
    if entries.any(|entry| entry.sha256.as_deref() == Some(sha256)) {
        return Ok(());
    }
    LibraryStore::open(&place.store())
        .and_then(|store| store.forget(sha256))
        .map_err(|e| CliError::file(&place.store(), "clean", &e))
}

/// State is kept by channel, and which one this is only the library tells.
fn unreadable(name: &str) -> CliError {
    let text = format!("the library of {name} cannot be read: whose state it kept is not known");
    CliError::new(Kind::Local, "PLUGIN_UNREADABLE", text)
        .fix("see what is wrong with it: openclaw plugins check")
        .fix("put the library back, or leave --purge away")
}

/// The gateway's database, if there is one. Only one process can have it.
fn database(place: &Place) -> CliResult<Option<Store>> {
    let path = place.paths.database();
    if !path.exists() {
        return Ok(None);
    }
    Store::open(&path).map(Some).map_err(|cause| {
        CliError::new(
            Kind::Local,
            "DATABASE_IN_USE",
            format!("what the plugin kept cannot be forgotten: {cause}"),
        )
        .fix("stop the gateway and run the same command again")
        .fix("or leave --purge away")
    })
}

fn purge(store: &Store, channel: &str) -> CliResult<u64> {
    let channel = channel.to_owned();
    let failed = |why: String| CliError::new(Kind::Local, "DATABASE", why);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let forgotten = store
            .write(move |txn| plugin_kv::forget(txn, &channel))
            .await;
        store.close().await;
        forgotten.map_err(|e| failed(e.to_string()))
    })
}
