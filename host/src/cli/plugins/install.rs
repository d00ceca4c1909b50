//! `plugins install FILE|DIRECTORY|URL|NAME[@VERSION]`: a library is looked at, shown, copied into
//! the store and named in `plugins.toml` with its digest and signature.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::edit::{Editing, Named};
use super::fetch::{Download, library_by_url, web_url};
use super::key::write_signature;
use super::place::{Place, broken, refused};
use super::search::{Registry, fetch};
use super::tell::{Told, tell};
use super::{remove, sheet};
use crate::cli::args::InstallArgs;
use crate::cli::client::Access;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::plugins::file::{PluginsFile, Trust};
use crate::plugins::store::{LibraryStore, signature_beside};
use crate::plugins::{Offer, PluginRow, Plugins, Publisher, RowState};

/// A library that lies here, and where it came from.
#[derive(Debug)]
pub struct Found {
    path: PathBuf,
    from: String,
    /// Removes a download when all is done.
    _download: Option<Download>,
}

/// How it should be named.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Its name, if not its channel's.
    pub name: Option<&'a str>,
    /// Where it runs, if not by trust.
    pub isolation: Option<&'a str>,
    /// Take it without a signature.
    pub allow_unsigned: bool,
    /// Do not ask.
    pub yes: bool,
}

/// Installs one plugin.
///
/// # Errors
/// It cannot be found or fetched, is refused, or the person says no.
pub fn run(args: &InstallArgs, screen: &Screen) -> CliResult<()> {
    let place = Place::of(&args.plugins)?;
    let found = find(&args.source, &place, screen)?;
    let wish = Wish {
        name: args.name.as_deref(),
        isolation: args.isolation.as_deref(),
        allow_unsigned: args.allow_unsigned,
        yes: args.yes,
    };
    let done = put(&place, &found, wish, &args.reach.access(), screen)?;
    if screen.json_wanted() {
        screen.value_json(&done);
    }
    Ok(())
}

/// A file that is there, a folder with one library, an address, or a name of the registry.
fn find(source: &str, place: &Place, screen: &Screen) -> CliResult<Found> {
    let path = Path::new(source.strip_prefix("file://").unwrap_or(source));
    if path.is_dir() {
        return Ok(here(only_library(path)?));
    }
    if path.is_file() {
        return Ok(here(path.to_owned()));
    }
    if source.contains("://") {
        let download = library_by_url(&web_url(source)?, &place.store(), screen)?;
        return Ok(Found {
            path: download.path.clone(),
            from: source.to_owned(),
            _download: Some(download),
        });
    }
    let (name, version) = match source.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (source, None),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(CliError::new(
            Kind::Local,
            "PLUGIN_NOT_FOUND",
            format!("there is no file {source:?}"),
        )
        .fix("name a library, a folder that holds one, an https:// address, or a plugin of the registry"));
    }
    from_registry(&fetch(place)?, name, version, place, screen)
}

fn here(path: PathBuf) -> Found {
    Found {
        from: path.display().to_string(),
        path,
        _download: None,
    }
}

/// Fetches what the registry has under this name, and checks that it is what the index lists.
///
/// # Errors
/// There is none for this machine, or the file is another one.
pub fn from_registry(
    registry: &Registry,
    name: &str,
    version: Option<&str>,
    place: &Place,
    screen: &Screen,
) -> CliResult<Found> {
    let picked = registry.index.pick(name, version).map_err(|why| {
        CliError::new(Kind::Local, "NOT_IN_REGISTRY", why)
            .fact("registry", "registry", &registry.url)
            .fix("see what it has: openclaw plugins search")
    })?;
    let artifact = picked.artifact;
    let mut download = Download::new(&place.store())?;
    registry
        .origin
        .library(&artifact.file, artifact.size, &mut download, screen)?;
    let digest = std::fs::File::open(&download.path)
        .and_then(|mut file| crate::plugins::verify::digest_of(&mut file))
        .map_err(|e| CliError::file(&download.path, "read", &e))?;
    if digest != artifact.sha256 {
        let text = format!(
            "{name} {} of the registry has sha256 {digest}, its index lists {}",
            picked.release.version, artifact.sha256
        );
        return Err(CliError::new(Kind::Local, "PLUGIN_REFUSED", text)
            .fact("registry", "registry", &registry.url)
            .fix("mirror or build the registry again: the file was altered or is incomplete"));
    }
    if let Some(signature) = &artifact.signature {
        download.sign(signature.as_bytes())?;
    }
    Ok(Found {
        path: download.path.clone(),
        from: format!("{} of {}", artifact.file, registry.url),
        _download: Some(download),
    })
}

/// The one plugin in a folder.
fn only_library(folder: &Path) -> CliResult<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|e| CliError::file(folder, "read", &e))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "so" || e == "dylib"))
        .filter(|path| Offer::of(path).is_ok())
        .collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(CliError::new(
            Kind::Local,
            "PLUGIN_NOT_FOUND",
            format!("{} holds no plugin for this machine", folder.display()),
        )
        .fix(
            "name the library itself to hear what is wrong with it: openclaw plugins inspect FILE",
        )),
        many => {
            let names: Vec<_> = many.iter().map(|p| p.display().to_string()).collect();
            let text = format!("{} holds more than one plugin", folder.display());
            Err(CliError::new(Kind::Local, "AMBIGUOUS", text)
                .fact("plugins", "plugins", names.join(", "))
                .fix("name the library"))
        }
    }
}

/// Looks at a library, asks, keeps it, names it, and tells the gateway. What programs are told.
///
/// # Errors
/// It is refused, or the person says no; nothing is left behind then.
pub fn put(
    place: &Place,
    found: &Found,
    wish: Wish<'_>,
    access: &Access,
    screen: &Screen,
) -> CliResult<Value> {
    let mut editing = Editing::open(place)?;
    let trust = editing.parsed()?.trust;
    let shown = Path::new(&found.from);
    let mut offer = Offer::of(&found.path).map_err(|e| refused(shown, &e))?;
    if !trust.development {
        offer.only_ours().map_err(|e| refused(shown, &e))?;
    }
    let publisher = offer.publisher(&trust).map_err(|e| refused(shown, &e))?;
    let id = offer.inspected.manifest.id.clone();
    let name = wish.name.unwrap_or(&id);
    vouched(&publisher, &trust, name, wish, shown)?;

    let store = LibraryStore::open(&place.store())
        .map_err(|e| CliError::file(&place.store(), "make", &e))?;
    let sha256 = offer.sha256.clone();
    let kept = store
        .keep(&mut offer.file, &sha256)
        .map_err(|e| CliError::file(&place.store(), "copy the library to", &e))?;
    let beside = signature_beside(&kept.path);
    let signed_before = std::fs::read(&beside).ok();
    let old = entry_digest(&editing.parsed()?, name);
    let written = (|| {
        let row = named(&mut editing, place, &offer, &publisher, name, wish)?;
        confirm(
            &offer,
            &publisher,
            &row,
            &found.from,
            old.is_some(),
            wish.yes,
            screen,
        )?;
        editing
            .parsed()
            .and_then(|left| editing.save().map(|()| (row, left)))
    })();
    let (row, left) = written.inspect_err(|_| {
        // It is as if it had never been looked at; why it failed is told.
        match &signed_before {
            _ if kept.fresh => store.forget(&sha256).ok(),
            Some(signed) => std::fs::write(&beside, signed).ok(),
            None => std::fs::remove_file(&beside).ok(),
        };
    })?;
    offer.path.clone_from(&kept.path);
    let told = tell(access, &place.file, name).taken()?;
    if let Some(Some(old)) = old.filter(|_| !told.old_one_runs()) {
        remove::forget(place, Some(&old), &left)?;
    }
    if !screen.json_wanted() {
        let version = &offer.inspected.manifest.version;
        screen.line(screen.paint(Paint::Good, &format!("{name} {version} is installed")));
        told.show(screen);
        account_hint(&id, screen);
    }
    Ok(told_to_programs(&row, place, &found.from, &told))
}

fn told_to_programs(row: &PluginRow, place: &Place, from: &str, told: &Told) -> Value {
    json!({
        "plugin": row.name, "action": "installed", "channel": row.channel,
        "version": row.version, "sha256": row.sha256, "signedBy": row.signed_by,
        "isolation": row.isolation, "from": from, "file": place.file, "gateway": told,
    })
}

fn account_hint(id: &str, screen: &Screen) {
    screen.line(format!(
        "its accounts are configured in openclaw.json under channels.{id}"
    ));
}

/// The digest of the entry of this name; the outer `None` if there is no such entry.
fn entry_digest(file: &PluginsFile, name: &str) -> Option<Option<String>> {
    let mut entries = file.plugins.iter().map(toml::Spanned::get_ref);
    entries
        .find(|entry| entry.name == name)
        .map(|entry| entry.sha256.clone())
}

/// Is there somebody, or the operator's word, to rely on?
fn vouched(
    publisher: &Publisher,
    trust: &Trust,
    name: &str,
    wish: Wish<'_>,
    shown: &Path,
) -> CliResult<()> {
    let unsigned = wish.allow_unsigned || trust.development || trust.allow_unsigned.takes(name);
    let refuse = |text: String| CliError::new(Kind::Local, "PLUGIN_REFUSED", text);
    match publisher {
        Publisher::Named { .. } => Ok(()),
        _ if unsigned => Ok(()),
        Publisher::Unsigned => Err(refuse(format!(
            "{} is refused: it is not signed (no {}.sig)",
            shown.display(),
            shown.file_name().unwrap_or_default().to_string_lossy()
        ))
        .fix("get it with its signature")
        .fix("or rely on its digest alone: --allow-unsigned")),
        Publisher::Stranger(key) => {
            let known: Vec<_> = trust.keys.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            Err(refuse(format!(
                "{} is refused: it is signed with a key that plugins.toml does not name",
                shown.display()
            ))
            .fact("key", "key", key.to_string())
            .fact("known", "known", known)
            .fix(format!(
                "if you trust its owner, name it under [trust]: keys = {{ NAME = \"{key}\" }}"
            ))
            .fix("or rely on its digest alone: --allow-unsigned"))
        }
    }
}

/// Names it in the text, and reads the text as the gateway would.
fn named(
    editing: &mut Editing,
    place: &Place,
    offer: &Offer,
    publisher: &Publisher,
    name: &str,
    wish: Wish<'_>,
) -> CliResult<PluginRow> {
    let library = LibraryStore::open(&place.store())
        .map_err(|e| CliError::file(&place.store(), "make", &e))?
        .path_of(&offer.sha256);
    let beside = signature_beside(&library);
    let key = match publisher {
        Publisher::Named { key, .. } => Some(key.as_str()),
        _ => None,
    };
    if let (Some(_), Some(signed)) = (key, &offer.signature) {
        write_signature(&beside, &signed.to_string())?;
    } else if !editing.parsed()?.trust.development {
        editing.allow_unsigned(name)?;
    }
    let (path, file) = (place.written(&library), place.written(&beside));
    editing.name(&Named {
        name,
        path: &path,
        sha256: &offer.sha256,
        signature: key.map(|key| (key, file.as_path())),
        isolation: wish.isolation,
    })?;
    let parsed = editing.parsed()?;
    let (plugins, problems) =
        Plugins::judge(&parsed, &place.file, &place.store()).map_err(|e| broken(&e))?;
    let served = format!("is already served by plugin {name}:");
    for problem in &problems {
        if problem.name == name {
            return Err(refused(&offer.path, &problem.refusal));
        }
        if problem.refusal.to_string().contains(&served) {
            let text = format!(
                "plugin {:?} already serves the channel {}",
                problem.name, offer.inspected.manifest.id
            );
            return Err(CliError::new(Kind::Local, "PLUGIN_REFUSED", text)
                .fix(format!("replace it: --name {}", problem.name))
                .fix(format!(
                    "or remove it: openclaw plugins remove {}",
                    problem.name
                )));
        }
    }
    let rows = plugins.report().iter().find(|row| row.name == name);
    let mut row = rows.cloned().ok_or_else(|| {
        CliError::new(
            Kind::Local,
            "PLUGIN_REFUSED",
            format!("{name} cannot be named"),
        )
    })?;
    // A disabled plugin is not looked at by the gateway; it was, by us.
    if row.state == RowState::Disabled {
        row.channel = Some(offer.inspected.manifest.id.clone());
        row.version = Some(offer.inspected.manifest.version.clone());
        row.sha256 = Some(offer.sha256.clone());
        row.signed_by = key.map(str::to_owned);
    }
    Ok(row)
}

fn confirm(
    offer: &Offer,
    publisher: &Publisher,
    row: &PluginRow,
    from: &str,
    replaces: bool,
    yes: bool,
    screen: &Screen,
) -> CliResult<()> {
    if !screen.json_wanted() {
        screen.write(&sheet::text(offer, publisher, from, row.isolation, screen));
    }
    if yes {
        return Ok(());
    }
    if screen.json_wanted() || !std::io::stdin().is_terminal() {
        return Err(CliError::new(
            Kind::Local,
            "CONFIRMATION_NEEDED",
            "nothing is installed without a yes, and nobody can be asked here",
        )
        .fact("sha256", "sha256", &offer.sha256)
        .fix("run the same command with --yes"));
    }
    let verb = if replaces { "replace" } else { "install" };
    complain(&format!("{verb} {}? [y/N] ", row.name));
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| CliError::file(Path::new("the terminal"), "read", &e))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(CliError::new(
        Kind::Local,
        "DECLINED",
        "nothing was installed",
    ))
}
