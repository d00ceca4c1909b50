//! `plugins key new FILE` and `plugins sign FILE --key KEYFILE`: the publisher's side of trust.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde_json::json;

use super::place::refused;
use crate::cli::args::{KeyNewArgs, SignArgs};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen};
use crate::clock::Clock;
use crate::plugins::Offer;
use crate::plugins::signature::{Domain, PrivateKey};
use crate::plugins::store::signature_beside;

/// Makes a key pair. A file that exists is never overwritten: the key in it may be in use.
///
/// # Errors
/// The file exists or cannot be written.
pub fn new(args: &KeyNewArgs, screen: &Screen) -> CliResult<()> {
    let key = PrivateKey::from_seed(Clock::system().random());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .map_err(|e| CliError::file(&args.file, "create", &e))?;
    file.write_all(key.to_text().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| CliError::file(&args.file, "write", &e))?;
    let public = key.public().to_string();
    if screen.json_wanted() {
        screen.value_json(&json!({ "file": args.file, "publicKey": public }));
        return Ok(());
    }
    let name = args.file.file_stem().unwrap_or_default().to_string_lossy();
    screen.line(format!(
        "private key  {} (keep it, show it to nobody)",
        args.file.display()
    ));
    screen.line(format!("public key   {public}"));
    screen.line(format!(
        "operators put it into plugins.toml, under [trust]:\n  keys = {{ {name} = \"{public}\" }}"
    ));
    Ok(())
}

/// Signs a library that is a plugin, for whatever machine.
///
/// # Errors
/// It is no plugin, or the key cannot be used.
pub fn sign(args: &SignArgs, screen: &Screen) -> CliResult<()> {
    let key = read(&args.key)?;
    let beside = signature_beside(&args.file);
    // An old signature must not stand in the way of the new one.
    let old = std::fs::remove_file(&beside);
    if let Err(e) = old
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(CliError::file(&beside, "replace", &e));
    }
    let offer = Offer::of_any(&args.file).map_err(|e| refused(&args.file, &e))?;
    let signed = key.sign(Domain::Plugin, &offer.sha256);
    write_signature(&beside, &signed.to_string())?;
    if screen.json_wanted() {
        screen.value_json(&json!({
            "file": args.file, "signature": beside, "sha256": offer.sha256,
            "publicKey": signed.key.to_string(),
        }));
        return Ok(());
    }
    screen.line(screen.paint(Paint::Good, &format!("{} is signed", args.file.display())));
    screen.line(format!("  signature  {}", beside.display()));
    screen.line(format!("  sha256     {}", offer.sha256));
    screen.line(format!("  key        {}", signed.key));
    Ok(())
}

/// Writes a signature file: everybody may read it.
///
/// # Errors
/// The system's.
pub fn write_signature(path: &Path, signed: &str) -> CliResult<()> {
    std::fs::write(path, format!("{signed}\n")).map_err(|e| CliError::file(path, "write", &e))
}

/// Reads a private key that nobody else can read.
///
/// # Errors
/// It is missing, not one, or others may read it.
pub fn read(path: &Path) -> CliResult<PrivateKey> {
    let unreadable = |e: &std::io::Error| CliError::file(path, "read the key", e);
    let mode = std::fs::metadata(path).map_err(|e| unreadable(&e))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!(
            "the private key {} can be read by others (mode {mode:04o})",
            path.display()
        );
        return Err(CliError::new(Kind::Local, "KEY_EXPOSED", text)
            .fix(format!("run chmod 600 {}", path.display()))
            .fix("make a new one if somebody may have seen it: openclaw plugins key new FILE"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
    PrivateKey::parse(&text).map_err(|why| {
        let text = format!("{} is no private key: it {why}", path.display());
        CliError::new(Kind::Local, "KEY_INVALID", text)
            .fix("make one: openclaw plugins key new FILE")
    })
}
