//! A registry's index: which plugins there are, in which versions, for which machines, with their
//! digests and signatures. A static file, `index.json`, beside the libraries it lists, and
//! `index.json.sig`: a folder, a web server or an offline mirror of either.
//!
//! `openclaw plugins search`, `install NAME` and `upgrade` read it, `index build` makes it. An
//! index says nothing until its signature and its expiry were checked ([`Index::read`]); a library
//! is checked on its own once it is fetched, so that an index can offer, and not vouch.

mod build;
mod version;

use std::fmt;

use gateway_plugin::abi::ABI_MAJOR;
use gateway_plugin::manifest::{API_MINOR, parse_api};
use serde::{Deserialize, Serialize};

pub use build::{BuildRefusal, Change, build};
pub use version::compare;

use super::file::{AllowUnsigned, PluginsFile};
use super::signature::{Domain, Signed};
use super::{digest, inspect, library};

/// The index's file.
pub const INDEX: &str = "index.json";
/// The schema this gateway reads and writes.
const SCHEMA: u32 = 1;

/// `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 1.
    pub schema: u32,
    /// When it was made.
    pub created_at_ms: u64,
    /// From when on it says nothing: an old copy must not hide a fixed version for ever.
    pub expires_at_ms: u64,
    /// By id.
    pub plugins: Vec<Listed>,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The channel it serves.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Its licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Newest first.
    pub versions: Vec<Release>,
}

/// One version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its version.
    pub version: String,
    /// The plugin ABI it was built for.
    pub abi: u16,
    /// The message schema it was written for, `1.N`.
    pub api: String,
    /// The oldest message schema it can live with, `1.N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_host_api: Option<String>,
    /// Nobody should install it any more.
    #[serde(default)]
    pub yanked: bool,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// One library for each machine.
    pub artifacts: Vec<Artifact>,
}

/// One library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The machine: `x86_64-linux`.
    pub target: String,
    /// The file, relative to the index.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
    /// The oldest glibc it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glibc: Option<String>,
    /// The compiler that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// The line of its signature file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Why an index says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexRefusal {
    /// It cannot be read.
    Broken(String),
    /// Of another schema.
    Schema(u32),
    /// `[registry]` names no key and unsigned things are not taken.
    NoKey,
    /// There is no `index.json.sig`.
    Unsigned(String),
    /// Its signature file is not one.
    SignatureFile(String),
    /// The signature was made with another key, or for another file.
    Signature {
        /// The key's name in `plugins.toml`.
        key: String,
        /// That key.
        ours: String,
        /// The key of the signature.
        theirs: String,
    },
    /// Too old.
    Expired {
        /// When it ended, milliseconds.
        at_ms: u64,
    },
}

impl fmt::Display for IndexRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "it cannot be read: {why}: build or fetch it again"),
            Self::Schema(found) => write!(
                f,
                "it has schema {found}, this gateway reads {SCHEMA}: update the gateway, or build \
                 the index with this one"
            ),
            Self::NoKey => f.write_str(
                "plugins.toml does not say who signs it: add `key = \"NAME\"` under [registry] and \
                 that key under [trust] keys",
            ),
            Self::Unsigned(key) => write!(
                f,
                "it is not signed (no {INDEX}.sig), plugins.toml wants the signature of {key:?}: \
                 build it with --key, or mirror the signature too"
            ),
            Self::SignatureFile(why) => write!(
                f,
                "its signature {INDEX}.sig cannot be used: it {why}: fetch it again"
            ),
            Self::Signature { key, ours, theirs } if ours == theirs => write!(
                f,
                "its signature of key {key:?} is not of this {INDEX}: one of the two was altered, \
                 fetch both again"
            ),
            Self::Signature { key, ours, theirs } => write!(
                f,
                "it was signed with {theirs}, [trust] keys says that {key} is {ours}: use the \
                 registry you named, or correct the key"
            ),
            Self::Expired { at_ms } => write!(
                f,
                "it ended at {}: fetch a newer one, or build it again",
                moment(*at_ms)
            ),
        }
    }
}

/// A moment for people, in UTC.
pub fn moment(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| "never".to_owned(), |t| t.to_string())
}

/// What a registry has for this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked<'a> {
    /// The plugin.
    pub listed: &'a Listed,
    /// Its version.
    pub release: &'a Release,
    /// The library.
    pub artifact: &'a Artifact,
}

impl Index {
    /// Reads an index and checks who signed it and whether it still counts.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn read(
        bytes: &[u8],
        signature: Option<&str>,
        file: &PluginsFile,
        now_ms: u64,
    ) -> Result<Index, IndexRefusal> {
        signed(bytes, signature, file)?;
        let index: Index =
            serde_json::from_slice(bytes).map_err(|e| IndexRefusal::Broken(e.to_string()))?;
        if index.schema != SCHEMA {
            return Err(IndexRefusal::Schema(index.schema));
        }
        if index.expires_at_ms <= now_ms {
            let at_ms = index.expires_at_ms;
            return Err(IndexRefusal::Expired { at_ms });
        }
        Ok(index)
    }

    /// The plugin of this id.
    pub fn find(&self, id: &str) -> Option<&Listed> {
        self.plugins.iter().find(|listed| listed.id == id)
    }

    /// The library to install: of this version, or of the newest that this gateway can run.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn pick(&self, id: &str, version: Option<&str>) -> Result<Picked<'_>, String> {
        let listed = self.find(id).ok_or_else(|| {
            let close = self.plugins.iter().find(|p| p.id.contains(id));
            let hint = close.map_or(String::new(), |p| format!(", is it {:?}?", p.id));
            format!("the registry has no plugin {id:?}{hint}")
        })?;
        if let Some(version) = version {
            let release = listed
                .versions
                .iter()
                .find(|release| release.version == version)
                .ok_or_else(|| {
                    let known: Vec<_> =
                        listed.versions.iter().map(|r| r.version.as_str()).collect();
                    format!(
                        "the registry has no {id} {version}, it has {}",
                        known.join(", ")
                    )
                })?;
            if release.yanked {
                return Err(format!(
                    "{id} {version} was taken back by its publisher: choose another version"
                ));
            }
            let artifact = artifact(release).map_err(|why| format!("{id} {version}: {why}"))?;
            return Ok(Picked {
                listed,
                release,
                artifact,
            });
        }
        let mut first = None;
        let offered = listed.versions.iter().filter(|r| !r.yanked);
        let (early, ready): (Vec<_>, Vec<_>) = offered.partition(|r| r.version.contains('-'));
        for release in ready.into_iter().chain(early) {
            match artifact(release) {
                Ok(artifact) => {
                    return Ok(Picked {
                        listed,
                        release,
                        artifact,
                    });
                }
                Err(why) => {
                    first.get_or_insert(format!("{id} {}: {why}", release.version));
                }
            }
        }
        Err(first.unwrap_or_else(|| format!("every version of {id} was taken back")))
    }
}

/// The library of a release for this machine.
fn artifact(release: &Release) -> Result<&Artifact, String> {
    if release.abi != ABI_MAJOR {
        return Err(format!(
            "built for plugin ABI {}, this gateway speaks ABI {ABI_MAJOR}",
            release.abi
        ));
    }
    if let Some((_, needed)) = release.min_host_api.as_deref().and_then(parse_api)
        && needed > API_MINOR
    {
        return Err(format!(
            "needs plugin API 1.{needed}, this gateway speaks 1.{API_MINOR}: update the gateway"
        ));
    }
    let here = inspect::this_target();
    let Some(artifact) = release.artifacts.iter().find(|a| a.target == here) else {
        let there: Vec<_> = release
            .artifacts
            .iter()
            .map(|a| a.target.as_str())
            .collect();
        return Err(format!(
            "built for {}, this gateway runs on {here}",
            there.join(", ")
        ));
    };
    match (&artifact.glibc, library::glibc_version()) {
        (Some(needed), Some(has)) if compare(needed, has).is_gt() => {
            Err(format!("needs glibc {needed}, this system has {has}"))
        }
        _ => Ok(artifact),
    }
}

fn signed(bytes: &[u8], signature: Option<&str>, file: &PluginsFile) -> Result<(), IndexRefusal> {
    let key = file.registry.as_ref().and_then(|r| r.key.as_ref());
    let Some(key) = key else {
        let trust = &file.trust;
        let lenient = trust.development || trust.allow_unsigned == AllowUnsigned::Always;
        return if lenient {
            Ok(())
        } else {
            Err(IndexRefusal::NoKey)
        };
    };
    let ours = file.trust.keys.get(key).ok_or(IndexRefusal::NoKey)?;
    let signature = signature.ok_or_else(|| IndexRefusal::Unsigned(key.clone()))?;
    let signed = Signed::parse(signature).map_err(IndexRefusal::SignatureFile)?;
    if signed.holds(ours, Domain::Index, &digest(bytes)) {
        return Ok(());
    }
    Err(IndexRefusal::Signature {
        key: key.clone(),
        ours: ours.to_string(),
        theirs: signed.key.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::plugins::signature::PrivateKey;

    fn release(version: &str, target: &str) -> Release {
        Release {
            version: version.to_owned(),
            abi: ABI_MAJOR,
            api: "1.0".to_owned(),
            min_host_api: None,
            yanked: false,
            capabilities: Vec::new(),
            artifacts: vec![Artifact {
                target: target.to_owned(),
                file: format!("echo-{version}.so"),
                size: 1,
                sha256: "0".repeat(64),
                glibc: None,
                compiler: None,
                signature: None,
            }],
        }
    }

    fn index(versions: Vec<Release>) -> Index {
        Index {
            schema: SCHEMA,
            created_at_ms: 1,
            expires_at_ms: 1_000,
            plugins: vec![Listed {
                id: "echo".to_owned(),
                name: "Echo".to_owned(),
                homepage: None,
                licence: None,
                versions,
            }],
        }
    }

    #[test]
    fn the_newest_that_runs_here_is_picked() {
        let here = inspect::this_target();
        let mut yanked = release("1.9.0", &here);
        yanked.yanked = true;
        let mut newer_host = release("1.8.0", &here);
        newer_host.min_host_api = Some("1.99".to_owned());
        let mut newer_glibc = release("1.7.0", &here);
        newer_glibc.artifacts[0].glibc = Some("2.999".to_owned());
        let index = index(vec![
            release("2.0.0-rc.1", &here),
            yanked,
            newer_host,
            newer_glibc,
            release("1.6.0", "riscv64-linux"),
            release("1.5.0", &here),
        ]);
        let pick = |version| {
            index
                .pick("echo", version)
                .map(|p| p.release.version.clone())
        };
        assert_eq!(pick(None).unwrap(), "1.5.0");
        assert_eq!(pick(Some("2.0.0-rc.1")).unwrap(), "2.0.0-rc.1");
        for (version, expected) in [
            ("1.9.0", "was taken back by its publisher"),
            ("1.8.0", "needs plugin API 1.99, this gateway speaks 1.0"),
            ("1.7.0", "needs glibc 2.999, this system has 2."),
            ("1.6.0", "built for riscv64-linux, this gateway runs on"),
            ("1.4.0", "has no echo 1.4.0, it has 2.0.0-rc.1, 1.9.0"),
        ] {
            let told = pick(Some(version)).unwrap_err();
            assert!(told.contains(expected), "{version}: {told}");
        }
        let told = index.pick("ech", None).unwrap_err();
        assert_eq!(told, "the registry has no plugin \"ech\", is it \"echo\"?");
    }

    #[test]
    fn an_index_counts_only_with_its_signature_and_in_its_time() {
        let (ours, theirs) = (
            PrivateKey::from_seed([1; 32]),
            PrivateKey::from_seed([2; 32]),
        );
        let bytes = serde_json::to_vec(&index(Vec::new())).unwrap();
        let sign = |key: &PrivateKey, domain| key.sign(domain, &digest(&bytes)).to_string();
        let good = sign(&ours, Domain::Index);
        let read = |registry: &str, signature: Option<&str>, now_ms| {
            let text = format!(
                "schema = 1\n[trust]\nkeys = {{ ours = \"{}\" }}\n{registry}",
                ours.public()
            );
            let file = PluginsFile::parse(Path::new("plugins.toml"), &text).unwrap();
            Index::read(&bytes, signature, &file, now_ms).map_err(|e| e.to_string())
        };
        let registry = "[registry]\nurl = \"r\"\nkey = \"ours\"";
        assert!(read(registry, Some(&good), 999).is_ok());
        assert!(read("allow_unsigned = true\n[registry]\nurl = \"r\"", None, 0).is_ok());
        let keyless = "[registry]\nurl = \"r\"";
        for (registry, signature, now_ms, expected) in [
            (
                registry,
                Some(good.as_str()),
                1_000,
                "it ended at 1970-01-01T00:00:01Z",
            ),
            (registry, None, 0, "it is not signed (no index.json.sig)"),
            (
                registry,
                Some("x"),
                0,
                "cannot be used: it must be one line",
            ),
            (
                registry,
                Some(&sign(&theirs, Domain::Index)),
                0,
                "it was signed with ed25519:",
            ),
            (
                registry,
                Some(&sign(&ours, Domain::Plugin)),
                0,
                "is not of this index.json",
            ),
            (keyless, Some(&good), 0, "does not say who signs it"),
        ] {
            let told = read(registry, signature, now_ms).unwrap_err();
            assert!(told.contains(expected), "{told} instead of {expected}");
        }
    }
}
