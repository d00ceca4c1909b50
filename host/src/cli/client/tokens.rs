//! Device tokens of this command line: `<state>/identity/device-auth.json`.
//!
//! The gateway gives a token in hello-ok; it stands in when no shared secret is known. The file
//! has the reference's own form and belongs to one device: another device's file counts as empty.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::error::{CliError, CliResult};

/// A token and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredToken {
    /// The token itself.
    pub token: String,
    /// The role it was given for.
    pub role: String,
    /// The scopes it carries.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it was stored.
    #[serde(default)]
    pub updated_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenFile {
    version: u32,
    device_id: String,
    #[serde(default)]
    tokens: BTreeMap<String, StoredToken>,
}

/// The stored token of this device for `role`. A missing or unreadable file has none: the
/// gateway's answer then says what to do.
pub fn stored(state_dir: &Path, device_id: &str, role: &str) -> Option<StoredToken> {
    read(state_dir, device_id)
        .tokens
        .remove(role)
        .filter(|token| !token.token.is_empty())
}

/// Keeps a token, replacing the role's earlier one; the same token is not written again.
///
/// # Errors
/// When the file cannot be written.
pub fn store(state_dir: &Path, device_id: &str, token: StoredToken) -> CliResult<()> {
    let mut file = read(state_dir, device_id);
    if file
        .tokens
        .get(&token.role)
        .is_some_and(|known| known.token == token.token && known.scopes == token.scopes)
    {
        return Ok(());
    }
    file.tokens.insert(token.role.clone(), token);
    let text = serde_json::to_string_pretty(&file).expect("plain strings always serialise");
    let target = path(state_dir);
    crate::files::write_private(&target, format!("{text}\n").as_bytes())
        .map_err(|cause| CliError::file(&target, "store the device token in", &cause))
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity").join("device-auth.json")
}

fn read(state_dir: &Path, device_id: &str) -> TokenFile {
    fs::read_to_string(path(state_dir))
        .ok()
        .and_then(|text| serde_json::from_str::<TokenFile>(&text).ok())
        .filter(|file| file.version == 1 && file.device_id == device_id)
        .unwrap_or_else(|| TokenFile {
            version: 1,
            device_id: device_id.to_owned(),
            tokens: BTreeMap::new(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn token(role: &str, text: &str) -> StoredToken {
        StoredToken {
            token: text.into(),
            role: role.into(),
            scopes: vec![],
            updated_at_ms: 7,
        }
    }

    #[test]
    fn roles_are_kept_apart_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("identity")).unwrap();
        store(dir.path(), "d1", token("operator", "a")).unwrap();
        store(dir.path(), "d1", token("node", "n")).unwrap();
        store(dir.path(), "d1", token("operator", "b")).unwrap();
        assert_eq!(stored(dir.path(), "d1", "operator").unwrap().token, "b");
        assert_eq!(stored(dir.path(), "d1", "node").unwrap().token, "n");
        assert_eq!(stored(dir.path(), "d2", "operator"), None);
        let mode = fs::metadata(path(dir.path())).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn an_unreadable_file_has_no_token_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("identity")).unwrap();
        fs::write(path(dir.path()), "nonsense").unwrap();
        assert_eq!(stored(dir.path(), "d1", "operator"), None);
        store(dir.path(), "d1", token("operator", "a")).unwrap();
        assert_eq!(stored(dir.path(), "d1", "operator").unwrap().token, "a");
    }
}
