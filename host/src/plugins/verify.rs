//! Is this file the one the operator meant? Its digest against `plugins.toml`; the place where
//! signatures will be checked.

use sha2::{Digest, Sha256};

use super::Refusal;
use super::file::{Entry, Isolation, Trust};

/// The SHA-256 of a file in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What can be said about an entry before its file is read.
///
/// # Errors
/// What this gateway cannot do yet, in words.
pub(super) fn supported(entry: &Entry) -> Result<(), Refusal> {
    if entry.isolation == Some(Isolation::Process) {
        return Err(Refusal::NotYet(
            "isolation = \"process\" is not supported yet: remove the line to run the plugin in \
             the gateway, or the plugin"
                .to_owned(),
        ));
    }
    if entry.signature.is_some() {
        return Err(Refusal::NotYet(
            "signatures are not supported yet: remove the `signature` and set \
             `allow_unsigned = true` under [trust] to rely on sha256 alone"
                .to_owned(),
        ));
    }
    Ok(())
}

/// May a file of this digest be loaded?
///
/// # Errors
/// Another digest than expected, or none where one is needed.
pub(super) fn trusted(trust: &Trust, entry: &Entry, digest: &str) -> Result<(), Refusal> {
    match &entry.sha256 {
        Some(expected) if expected != digest => Err(Refusal::Digest {
            expected: expected.clone(),
            found: digest.to_owned(),
        }),
        _ if trust.development => Ok(()),
        None => Err(Refusal::Untrusted(format!(
            "there is no sha256 for it: add `sha256 = \"{digest}\"` if this is the file you mean"
        ))),
        Some(_) if trust.allow_unsigned => Ok(()),
        Some(_) => Err(Refusal::Untrusted(
            "it is not signed: set `allow_unsigned = true` under [trust] to rely on sha256 alone"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plugins::file::PluginsFile;
    use std::path::Path;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn check(trust: &str, entry: &str, expected: &str) {
        let text = format!(
            "schema = 1\n[trust]\n{trust}\n[[plugin]]\nname = \"a\"\npath = \"a.so\"\n{entry}"
        );
        let file = PluginsFile::parse(Path::new("plugins.toml"), &text).unwrap();
        let entry = file.plugins[0].get_ref();
        let told = supported(entry)
            .and_then(|()| trusted(&file.trust, entry, &digest(b"abc")))
            .map_or_else(|refusal| refusal.to_string(), |()| "taken".to_owned());
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn who_is_trusted() {
        let pinned = format!("sha256 = \"{ABC}\"");
        let other = format!("sha256 = \"{}\"", "0".repeat(64));
        check("development = true", "", "taken");
        check("development = true", &pinned, "taken");
        check("development = true", &other, "its sha256 is ba7816bf");
        check("", "", "add `sha256 = \"ba7816bf");
        check("", &pinned, "it is not signed");
        check("allow_unsigned = true", &pinned, "taken");
        check("allow_unsigned = true", &other, "its sha256 is ba7816bf");
        check(
            "development = true",
            "isolation = \"process\"",
            "not supported yet",
        );
        let signed = format!("{pinned}\nsignature = {{ key = \"k\", file = \"f\" }}");
        check(
            "allow_unsigned = true",
            &signed,
            "signatures are not supported yet",
        );
    }
}
