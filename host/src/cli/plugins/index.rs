//! `plugins index build DIR`: the publisher's side of a registry. The folder can be served by any
//! web server, copied to a mirror, or used as it is.

use std::path::Path;

use serde_json::json;

use super::key;
use crate::cli::args::IndexArgs;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::clock::Clock;
use crate::plugins::digest;
use crate::plugins::registry::{Change, INDEX, Index, build, moment};
use crate::plugins::signature::Domain;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Lists the libraries and signs the list.
///
/// # Errors
/// A file that is no plugin, a name that is not there, or a key that cannot be used.
pub fn run(args: &IndexArgs, screen: &Screen) -> CliResult<()> {
    let key = args.key.as_deref().map(key::read).transpose()?;
    let file = args.folder.join(INDEX);
    let old = previous(&file)?;
    let change = Change {
        yank: &args.yank,
        unyank: &args.unyank,
        now_ms: Clock::system().now_ms(),
        lifetime_ms: u64::from(args.expires) * DAY_MS,
    };
    let index = build(&args.folder, old.as_ref(), change)
        .map_err(|why| CliError::new(Kind::Local, "INDEX_REFUSED", why.to_string()))?;
    let mut text = serde_json::to_string_pretty(&index).expect("plain data always serialises");
    text.push('\n');
    let beside = args.folder.join(format!("{INDEX}.sig"));
    let signed = key.map(|key| key.sign(Domain::Index, &digest(text.as_bytes())));
    // A signature of another index would be worse than none.
    std::fs::remove_file(&beside).or_else(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(CliError::file(&beside, "replace", &e)),
    })?;
    std::fs::write(&file, &text).map_err(|e| CliError::file(&file, "write", &e))?;
    if let Some(signed) = &signed {
        key::write_signature(&beside, &signed.to_string())?;
    }
    let unsigned = unsigned(&index);
    if screen.json_wanted() {
        screen.value_json(&json!({
            "file": file, "signed": signed.is_some(), "expiresAtMs": index.expires_at_ms,
            "plugins": index.plugins, "unsigned": unsigned,
        }));
        return Ok(());
    }
    if signed.is_none() {
        complain("warning: the index is not signed: give --key KEYFILE\n");
    }
    for file in unsigned {
        complain(&format!(
            "warning: {file} is not signed: openclaw plugins sign\n"
        ));
    }
    for listed in &index.plugins {
        for release in &listed.versions {
            let machines: Vec<_> = release
                .artifacts
                .iter()
                .map(|a| a.target.as_str())
                .collect();
            let yanked = if release.yanked { "  taken back" } else { "" };
            let (id, version) = (&listed.id, &release.version);
            screen.line(format!("{id} {version}  {}{yanked}", machines.join(", ")));
        }
    }
    let done = format!(
        "{} is written, it counts until {}",
        file.display(),
        moment(index.expires_at_ms)
    );
    screen.line(screen.paint(Paint::Good, &done));
    Ok(())
}

/// The index that is there: what was taken back stays so.
fn previous(file: &Path) -> CliResult<Option<Index>> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(CliError::file(file, "read", &e)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|e| {
        let text = format!("{} is there and cannot be read: {e}", file.display());
        CliError::new(Kind::Local, "INDEX_REFUSED", text)
            .fix("restore it, or delete it if nothing was taken back (--yank)")
    })
}

fn unsigned(index: &Index) -> Vec<String> {
    let releases = index.plugins.iter().flat_map(|listed| &listed.versions);
    releases
        .flat_map(|release| &release.artifacts)
        .filter(|artifact| artifact.signature.is_none())
        .map(|artifact| artifact.file.clone())
        .collect()
}
