//! Secrets that must not be found again. Every gateway of every test is searched when its test is
//! over: what it printed, and what lies in its state folder.
//!
//! Looked for are the values of secret keys of its configuration, the secret variables of its
//! environment, and each device token it gave to a client of this process.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Below this many characters a text is found by chance.
const SECRET_CHARS_MIN: usize = 8;

/// Files that may hold a secret: the configuration, which the test wrote, and the tokens that the
/// command line keeps for itself.
const KEEPERS: [&str; 3] = ["openclaw.json", "openclaw.json.bak", "device-auth.json"];

/// Files that the test wrote, with modes of its own.
const WRITTEN: [&str; 2] = ["openclaw.json", "plugins.toml"];

static GIVEN: Mutex<Vec<(u16, String)>> = Mutex::new(Vec::new());

/// Remembers the device token that the gateway on `port` gave in this hello-ok.
pub fn watch(port: u16, hello: &Value) {
    if let Some(token) = hello["auth"]["deviceToken"].as_str() {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        given.push((port, token.to_owned()));
    }
}

/// The device tokens that the gateway on `port` gave.
#[must_use]
pub fn given(port: u16) -> Vec<String> {
    let given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tokens: Vec<String> = given
        .iter()
        .filter(|(of, _)| *of == port)
        .map(|(_, token)| token.clone())
        .collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

/// The texts in `config` that stand under a key whose name says that they are secret.
#[must_use]
pub fn configured(config: &Value) -> Vec<String> {
    match config {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value {
                // The name of a variable is no secret.
                Value::String(text) if is_secret(key) && !text.contains("${") => vec![text.clone()],
                _ => configured(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(configured).collect(),
        _ => Vec::new(),
    }
}

/// Whether a key or variable of this name holds a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "password", "secret", "apikey", "api_key"]
        .iter()
        .any(|word| name.ends_with(word))
}

/// Where a secret was found: a line of the log, a file.
#[must_use]
pub fn leaks(secrets: &[String], log: &str, state: &Path) -> Vec<String> {
    let secrets: Vec<&str> = secrets
        .iter()
        .map(String::as_str)
        .filter(|text| text.chars().count() >= SECRET_CHARS_MIN)
        .collect();
    let mut found: Vec<String> = log
        .lines()
        .filter(|line| secrets.iter().any(|secret| line.contains(secret)))
        .map(|line| format!("a secret in the log: {line}"))
        .collect();
    for path in entries(state).filter(|path| path.is_file() && !is_one_of(path, &KEEPERS)) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        if secrets.iter().any(|secret| text.contains(secret)) {
            found.push(format!("a secret in {}", path.display()));
        }
    }
    found
}

/// What in the state folder others may read or enter.
#[must_use]
pub fn open_to_others(state: &Path) -> Vec<String> {
    entries(state)
        .filter(|path| mode(path).is_some_and(|mode| mode & 0o077 != 0))
        .filter(|path| !is_one_of(path, &WRITTEN))
        .map(|path| format!("others may read {}", path.display()))
        .collect()
}

fn is_one_of(path: &Path, names: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    names.contains(&&*name)
}

fn mode(path: &Path) -> Option<u32> {
    // Gone meanwhile is as good as private.
    let meta = std::fs::symlink_metadata(path).ok()?;
    (!meta.is_symlink()).then(|| meta.permissions().mode())
}

/// Whatever lies below a folder but the copies of libraries: those hold no secret and are large.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    let is_library = |path: &PathBuf| path.extension().is_some_and(|end| end == "so");
    found.into_iter().filter(move |path| !is_library(path))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
        found.push(entry.path());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn leaks_are_found() {
        let config = json!({
            "gateway": { "auth": { "mode": "token", "token": "marked-one" } },
            "channels": { "x": [{ "botToken": "marked-two", "name": "open-name" }] },
        });
        let mut secrets = configured(&config);
        secrets.sort();
        assert_eq!(secrets, ["marked-one", "marked-two"]);
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("inner")).unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(state.path().join("inner"), private).unwrap();
        let write = |name: &str, text: &str, mode| {
            let path = state.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("openclaw.json", "marked-one", 0o644);
        write("inner/clean", "nothing", 0o600);
        assert!(leaks(&secrets, "all is well", state.path()).is_empty());
        assert!(open_to_others(state.path()).is_empty());
        write("inner/open", "nothing", 0o640);
        write("inner/told", "\u{0}marked-two\u{0}", 0o600);
        let found = leaks(&secrets, "one\nit is marked-one\n", state.path());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(open_to_others(state.path()).len(), 1);
    }
}
