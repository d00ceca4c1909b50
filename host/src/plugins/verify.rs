//! Is this file the one the operator meant, who vouches for it, and where may it run? Its digest
//! and its signature against `plugins.toml`.
//!
//! `directory` asks before a library is kept, `openclaw plugins install` before it is written down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Refusal;
use super::file::{Entry, Isolation, Trust};
use super::signature::{Domain, PublicKey, Signed};
use crate::limits::{LIBRARY_PIECE_BYTES, SIGNATURE_FILE_BYTES_MAX};
use crate::spell::hex;

/// The SHA-256 of bytes in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a whole file, read in pieces: a library is never in memory as a whole.
///
/// # Errors
/// The system's.
pub fn digest_of(file: &mut File) -> io::Result<String> {
    each_piece(file, |_| Ok(()))
}

/// Reads a file from its start in pieces and gives its SHA-256.
pub(super) fn each_piece(
    file: &mut File,
    mut piece: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; LIBRARY_PIECE_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => {
                hash.update(&buffer[..n]);
                piece(&buffer[..n])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Where a plugin runs that nobody marked as trusted.
const UNTRUSTED: Isolation = Isolation::Process;

/// Who vouches for a file that may be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The name of the key that signed it.
    pub signed_by: Option<String>,
    /// Where it runs.
    pub isolation: Isolation,
}

/// May a file of this digest be loaded, and where? `folder` is the one of `plugins.toml`.
///
/// # Errors
/// Another digest than expected, none where one is needed, no signature, or not a good one.
pub(super) fn standing(
    trust: &Trust,
    entry: &Entry,
    sha256: &str,
    folder: &Path,
) -> Result<Standing, Refusal> {
    if let Some(expected) = entry.sha256.as_ref().filter(|e| *e != sha256) {
        return Err(Refusal::Digest {
            expected: expected.clone(),
            found: sha256.to_owned(),
        });
    }
    let signed_by = match &entry.signature {
        Some(signature) => {
            let signed = read_signature(&folder.join(&signature.file))?;
            holds(&trust.keys, &signature.key, &signed, sha256)?;
            Some(signature.key.clone())
        }
        None => None,
    };
    if !trust.development {
        if entry.sha256.is_none() {
            return Err(Refusal::NoDigest {
                found: sha256.to_owned(),
            });
        }
        if signed_by.is_none() && !trust.allow_unsigned.takes(&entry.name) {
            return Err(Refusal::Unsigned {
                name: entry.name.clone(),
                found: sha256.to_owned(),
            });
        }
    }
    let isolation = isolation(trust, entry, signed_by.as_deref());
    Ok(Standing {
        signed_by,
        isolation,
    })
}

/// The operator's word if there is one; else in process for those signed by a trusted key and
/// whatever a developer just built.
fn isolation(trust: &Trust, entry: &Entry, signed_by: Option<&str>) -> Isolation {
    let trusted = signed_by.is_some_and(|key| trust.trusted.iter().any(|name| name == key));
    let ours = trusted || trust.development;
    if entry.isolation == Some(Isolation::InProcess) && !ours {
        tracing::warn!(
            plugin = entry.name,
            signed_by,
            "runs in the gateway's own process because plugins.toml says so, though no key marked \
             trusted has signed it: what it does wrong, the gateway does"
        );
    }
    entry.isolation.unwrap_or(if ours {
        Isolation::InProcess
    } else {
        UNTRUSTED
    })
}

/// Reads a signature file.
///
/// # Errors
/// Missing, too large, or not one.
pub fn read_signature(path: &Path) -> Result<Signed, Refusal> {
    let refused = |why: String| Refusal::SignatureFile {
        path: path.to_owned(),
        why,
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| {
            file.take(SIGNATURE_FILE_BYTES_MAX)
                .read_to_string(&mut text)
        })
        .map_err(|e| refused(e.to_string()))?;
    Signed::parse(&text).map_err(|why| refused(format!("it {why}")))
}

/// Did the key of this name sign the plugin of this digest?
///
/// # Errors
/// No key of that name, another key, or a signature of another file.
pub fn holds(
    keys: &BTreeMap<String, PublicKey>,
    name: &str,
    signed: &Signed,
    sha256: &str,
) -> Result<(), Refusal> {
    let key = name.to_owned();
    let Some(ours) = keys.get(name) else {
        let known = keys.keys().cloned().collect();
        return Err(Refusal::UnknownKey { key, known });
    };
    if signed.holds(ours, Domain::Plugin, sha256) {
        return Ok(());
    }
    Err(if signed.key == *ours {
        let found = sha256.to_owned();
        Refusal::Signature { key, found }
    } else {
        Refusal::OtherKey {
            key,
            ours: *ours,
            theirs: signed.key,
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plugins::file::PluginsFile;
    use crate::plugins::signature::PrivateKey;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn check(trust: &str, entry: &str, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (
            PrivateKey::from_seed([1; 32]),
            PrivateKey::from_seed([2; 32]),
        );
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        write("one.sig", one.sign(Domain::Plugin, ABC).to_string());
        write("two.sig", two.sign(Domain::Plugin, ABC).to_string());
        write("index.sig", one.sign(Domain::Index, ABC).to_string());
        write("broken.sig", "hello".to_owned());
        let text = format!(
            "schema = 1\n[trust]\nkeys = {{ one = \"{}\", two = \"{}\" }}\n{trust}\n\
             [[plugin]]\nname = \"a\"\npath = \"a.so\"\n{entry}",
            one.public(),
            two.public()
        );
        let file = PluginsFile::parse(Path::new("plugins.toml"), &text).unwrap();
        let entry = file.plugins[0].get_ref();
        let told = standing(&file.trust, entry, &digest(b"abc"), dir.path()).map_or_else(
            |refusal| refusal.to_string(),
            |s| format!("{} by {:?}", s.isolation, s.signed_by),
        );
        assert!(told.contains(expected), "{told} instead of {expected}");
    }

    #[test]
    fn who_is_taken() {
        let pinned = format!("sha256 = \"{ABC}\"");
        let other = format!("sha256 = \"{}\"", "0".repeat(64));
        let untrusted = format!("{UNTRUSTED} by None");
        check("development = true", "", "in-process by None");
        check("development = true", &pinned, "in-process by None");
        check("development = true", &other, "its sha256 is ba7816bf");
        check("", "", "add `sha256 = \"ba7816bf");
        check("", &pinned, "it is not signed");
        check("allow_unsigned = true", &pinned, &untrusted);
        check("allow_unsigned = [\"a\"]", &pinned, &untrusted);
        check("allow_unsigned = [\"b\"]", &pinned, "it is not signed");
        check("allow_unsigned = true", &other, "its sha256 is ba7816bf");
    }

    #[test]
    fn who_signed_decides_where_it_runs() {
        let signed = |key: &str, file: &str, rest: &str| {
            format!("sha256 = \"{ABC}\"\nsignature = {{ key = {key:?}, file = {file:?} }}\n{rest}")
        };
        let one = signed("one", "one.sig", "");
        let trusted = "trusted = [\"one\"]";
        check(trusted, &one, "in-process by Some(\"one\")");
        check("", &one, &format!("{UNTRUSTED} by Some(\"one\")"));
        let two = signed("two", "two.sig", "");
        check(trusted, &two, &format!("{UNTRUSTED} by Some(\"two\")"));
        let jailed = signed("one", "one.sig", "isolation = \"process\"");
        check(trusted, &jailed, "process by Some(\"one\")");
        let freed = signed("two", "two.sig", "isolation = \"in-process\"");
        check(trusted, &freed, "in-process by Some(\"two\")");
    }

    #[test]
    fn bad_signatures_are_refused_even_in_development() {
        for trust in ["", "development = true", "allow_unsigned = true"] {
            for (key, file, expected) in [
                (
                    "three",
                    "one.sig",
                    "signed with key \"three\", [trust] keys has one, two",
                ),
                ("two", "one.sig", "[trust] keys says that two is ed25519:"),
                ("one", "index.sig", "is not of this file"),
                ("one", "broken.sig", "it must be one line"),
                (
                    "one",
                    "missing.sig",
                    "missing.sig cannot be used: No such file",
                ),
            ] {
                let entry =
                    format!("sha256 = \"{ABC}\"\nsignature = {{ key = {key:?}, file = {file:?} }}");
                check(trust, &entry, expected);
            }
        }
    }
}
