//! `plugins.toml`: which libraries are loaded and how far they are trusted; nothing else.
//!
//! Read at start by [`Plugins::load`](super::Plugins::load) and by the `openclaw plugins` commands.
//! An unknown key is an error with file, line and key: a misspelt limit must not be no limit. The
//! same shape for editors is `schemas/plugins-toml.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use super::access;
use super::signature::PublicKey;

/// The schema this gateway reads.
const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginsFile {
    /// Always 1.
    pub schema: toml::Spanned<u32>,
    /// Whom to trust.
    #[serde(default)]
    pub trust: Trust,
    /// Where `plugins install NAME` looks.
    pub registry: Option<Registry>,
    /// The libraries, in order.
    #[serde(default, rename = "plugin")]
    pub plugins: Vec<toml::Spanned<Entry>>,
}

/// Whom to trust.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Public keys by the name the operator gives them.
    pub keys: BTreeMap<String, PublicKey>,
    /// Names of keys whose plugins may run in this process.
    pub trusted: Vec<String>,
    /// Which plugins are taken without a signature, by their digest alone.
    pub allow_unsigned: AllowUnsigned,
    /// Take whatever the build just made, without digests. Never on a machine that serves people.
    pub development: bool,
}

/// `allow_unsigned`: `false`, `true`, or the names of plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowUnsigned {
    /// None.
    #[default]
    Never,
    /// All.
    Always,
    /// Those of these names.
    Named(Vec<String>),
}

impl AllowUnsigned {
    /// Is the plugin of this name taken without a signature?
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Named(names) => names.iter().any(|n| n == name),
        }
    }
}

impl<'de> Deserialize<'de> for AllowUnsigned {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = AllowUnsigned;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a list of plugin names")
            }

            fn visit_bool<E>(self, all: bool) -> Result<AllowUnsigned, E> {
                Ok(if all {
                    AllowUnsigned::Always
                } else {
                    AllowUnsigned::Never
                })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<AllowUnsigned, A::Error> {
                let names = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                Ok(AllowUnsigned::Named(names))
            }
        }
        from.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        PublicKey::parse(&text).map_err(|why| de::Error::custom(format!("key {text:?} {why}")))
    }
}

/// A registry: a folder or web address with an index of plugins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The folder, or the address of `index.json` or of the folder that holds it.
    pub url: String,
    /// The name, under `[trust] keys`, of the key that signs the index.
    pub key: Option<String>,
}

/// One library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The operator's name for it, unique in the file.
    pub name: String,
    /// The library; see [`PluginsFile::candidates`].
    pub path: PathBuf,
    /// The SHA-256 of the file in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Its signature.
    pub signature: Option<Signature>,
    /// Load it at all? Default yes.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where it runs, if not where its trust would put it.
    pub isolation: Option<Isolation>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
}

fn yes() -> bool {
    true
}

/// A signature over a library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The key's name in `[trust] keys`.
    pub key: String,
    /// The file with the signature.
    pub file: PathBuf,
}

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In the gateway itself.
    InProcess,
    /// In a child process.
    Process,
}

impl Isolation {
    /// As `plugins.toml` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Process => "process",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a plugin may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory of its process.
    pub memory_mb: Option<u64>,
    /// Ports it may connect to.
    pub tcp_ports: Option<Vec<u16>>,
    /// State one account may keep, instead of what its manifest asks for.
    pub kv_mb: Option<u64>,
}

/// `plugins.toml` is missing or broken. A configuration error (exit code 78).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginsFileError {
    /// Which file.
    pub file: PathBuf,
    /// Which line, from 1.
    pub line: Option<usize>,
    /// What is wrong, with the fix.
    pub message: String,
}

impl fmt::Display for PluginsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.message),
            None => write!(f, "{}: {}", self.file.display(), self.message),
        }
    }
}

impl std::error::Error for PluginsFileError {}

impl PluginsFile {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Missing, unreadable, not TOML, an unknown key, a value out of its range, or others than
    /// its owner may write to it: a text that anybody can change names nobody's trust.
    pub fn read(file: &Path) -> Result<PluginsFile, PluginsFileError> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            let fix = match e.kind() {
                std::io::ErrorKind::NotFound => {
                    "the file that names the plugins is missing: create it with the line \
                     `schema = 1`, or name another one with OPENCLAW_PLUGINS_PATH"
                        .to_owned()
                }
                std::io::ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
                _ => format!("the file cannot be read: {e}"),
            };
            PluginsFileError {
                file: file.to_owned(),
                line: None,
                message: fix,
            }
        })?;
        let refused = |message: String| PluginsFileError {
            file: file.to_owned(),
            line: None,
            message,
        };
        let open_to_all = std::fs::metadata(file).is_ok_and(|meta| access::everybody_writes(&meta));
        if let Some(told) = access::refusal(file).filter(|_| open_to_all) {
            return Err(refused(told));
        }
        let parsed = Self::parse(file, &text)?;
        match access::refusal(file).filter(|_| !parsed.trust.development) {
            Some(told) => Err(refused(told)),
            None => Ok(parsed),
        }
    }

    /// Checks the file's text; `file` is for messages.
    ///
    /// # Errors
    /// As [`PluginsFile::read`].
    pub fn parse(file: &Path, text: &str) -> Result<PluginsFile, PluginsFileError> {
        let error = |at: Option<std::ops::Range<usize>>, message: String| PluginsFileError {
            file: file.to_owned(),
            line: at.map(|at| 1 + text.bytes().take(at.start).filter(|b| *b == b'\n').count()),
            message,
        };
        let parsed: PluginsFile = toml::from_str(text)
            .map_err(|e| error(e.span(), e.message().trim().replace('\n', ", ")))?;
        if *parsed.schema.get_ref() != SCHEMA {
            let message = format!(
                "schema {} is not known, this gateway reads `schema = {SCHEMA}`",
                parsed.schema.get_ref()
            );
            return Err(error(Some(parsed.schema.span()), message));
        }
        if let Some(unknown) = parsed.unknown_key() {
            return Err(error(None, unknown));
        }
        let mut names = BTreeSet::new();
        for spanned in &parsed.plugins {
            let entry = spanned.get_ref();
            if entry.name.is_empty() || !names.insert(&entry.name) {
                let message = format!("name {:?} must be given, and once only", entry.name);
                return Err(error(Some(spanned.span()), message));
            }
            if let Some(sha256) = entry.sha256.as_ref().filter(|s| !is_digest(s)) {
                let message = format!(
                    "sha256 {sha256:?} of plugin {:?} must be 64 lower-case hexadecimal digits, \
                     as `sha256sum {}` prints them",
                    entry.name,
                    entry.path.display()
                );
                return Err(error(Some(spanned.span()), message));
            }
        }
        Ok(parsed)
    }

    /// A key that is named and not given.
    fn unknown_key(&self) -> Option<String> {
        let keys = &self.trust.keys;
        let trusted = self
            .trust
            .trusted
            .iter()
            .map(|name| (name, "[trust] trusted"));
        let registry = self.registry.iter().filter_map(|r| r.key.as_ref());
        let (name, place) = trusted
            .chain(registry.map(|name| (name, "[registry] key")))
            .find(|(name, _)| !keys.contains_key(*name))?;
        let known: Vec<&str> = keys.keys().map(String::as_str).collect();
        Some(format!(
            "{place} names the key {name:?}, [trust] keys has {}: give its public key there, \
             `{name} = \"ed25519:…\"`, or take the name away",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        ))
    }

    /// The places where an entry's library may be, in order: an absolute path is itself; a
    /// relative one is sought in the folder of `file` and, in development, in the folder of the
    /// running program, where the build puts its libraries beside it.
    pub fn candidates(&self, file: &Path, entry: &Entry, program: Option<&Path>) -> Vec<PathBuf> {
        if entry.path.is_absolute() {
            return vec![entry.path.clone()];
        }
        let mut out = vec![file.parent().unwrap_or(Path::new("")).join(&entry.path)];
        if let (true, Some(folder)) = (self.trust.development, program.and_then(Path::parent)) {
            out.push(folder.join(&entry.path));
            // A test program lives one folder deeper than the libraries.
            if folder.file_name().is_some_and(|name| name == "deps") {
                out.extend(folder.parent().map(|folder| folder.join(&entry.path)));
            }
        }
        out
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str) -> Result<PluginsFile, String> {
        PluginsFile::parse(Path::new("plugins.toml"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_whole_file() {
        let file = check(
            r#"
            schema = 1
            [trust]
            keys = { release = "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg" }
            trusted = ["release"]
            [[plugin]]
            name = "a"
            path = "a.so"
            sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
            [[plugin]]
            name = "b"
            path = "/b.so"
            enabled = false
            isolation = "process"
            signature = { key = "release", file = "b.sig" }
            limits = { memory_mb = 256, tcp_ports = [443], kv_mb = 64 }
            "#,
        )
        .unwrap();
        let entries: Vec<&Entry> = file.plugins.iter().map(toml::Spanned::get_ref).collect();
        assert!(entries[0].enabled && entries[0].isolation.is_none());
        assert!(!entries[1].enabled && entries[1].isolation == Some(Isolation::Process));
        assert_eq!(entries[1].limits.kv_mb, Some(64));
        assert!(!file.trust.development && !file.trust.allow_unsigned.takes("a"));
    }

    #[test]
    fn unsigned_plugins_are_allowed_by_name_or_all() {
        let takes = |value: &str, name: &str| {
            let file = check(&format!("schema = 1\n[trust]\nallow_unsigned = {value}")).unwrap();
            file.trust.allow_unsigned.takes(name)
        };
        assert!(takes("true", "a") && !takes("false", "a"));
        assert!(takes("[\"a\"]", "a") && !takes("[\"a\"]", "b"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("", "missing field `schema`"),
            (
                "schema = 2",
                "plugins.toml:1: schema 2 is not known, this gateway reads",
            ),
            (
                "schema = 1\n\nport = 2",
                "plugins.toml:3: unknown field `port`, expected one of",
            ),
            (
                "schema = 1\n[trust]\ndev = true",
                "plugins.toml:3: unknown field `dev`",
            ),
            (
                "schema = 1\n[[plugin]]\nname = \"a\"\npath = \"a\"\nisolated = 1",
                "plugins.toml:5: unknown field `isolated`",
            ),
            (
                "schema = 1\n[[plugin]]\nname = \"a\"",
                "plugins.toml:2: missing field `path`",
            ),
            ("schema = 1\nschema = 1", "plugins.toml:2: duplicate key"),
            (
                "schema = 1\n[[plugin]]\nname=\"a\"\npath=\"a\"\nisolation = \"jail\"",
                "plugins.toml:5: unknown variant `jail`, expected `in-process` or `process`",
            ),
            (
                "schema = 1\n[[plugin]]\nname=\"a\"\npath=\"a\"\nsha256 = \"12\"",
                "sha256 \"12\" of plugin \"a\" must be 64 lower-case hexadecimal digits",
            ),
            (
                "schema=1\n[[plugin]]\nname=\"a\"\npath=\"a\"\n[[plugin]]\nname=\"a\"\npath=\"b\"",
                "plugins.toml:5: name \"a\" must be given, and once only",
            ),
            ("schema = ", "plugins.toml:1:"),
            (
                "schema=1\n[trust]\nkeys = { a = \"ed25519:AAAA\" }",
                "plugins.toml:3: key \"ed25519:AAAA\" holds 3 bytes, an Ed25519 key has 32",
            ),
            (
                "schema=1\n[trust]\nallow_unsigned = 1",
                "plugins.toml:3: invalid type: integer `1`, expected true, false or a list of",
            ),
            (
                "schema=1\n[trust]\ntrusted = [\"x\"]",
                "[trust] trusted names the key \"x\", [trust] keys has none: give its public key",
            ),
            (
                "schema=1\n[registry]\nurl = \"r\"\nkey = \"y\"",
                "[registry] key names the key \"y\"",
            ),
        ];
        for (text, expected) in cases {
            let told = check(text).expect_err(text);
            assert!(told.contains(expected), "{text:?}: {told}");
        }
    }

    #[test]
    fn a_missing_file_says_what_to_do() {
        let told = PluginsFile::read(Path::new("/nowhere/plugins.toml"))
            .unwrap_err()
            .to_string();
        assert!(told.starts_with("/nowhere/plugins.toml: the file that names the plugins"));
        assert!(told.contains("schema = 1"));
    }

    #[test]
    fn libraries_are_sought_beside_the_program_only_in_development() {
        let text = "schema = 1\n[[plugin]]\nname = \"a\"\npath = \"a.so\"\n";
        let program = Path::new("/t/debug/deps/test-1");
        let places = |text: &str| -> Vec<PathBuf> {
            let file = check(text).unwrap();
            let entry = file.plugins[0].get_ref();
            file.candidates(Path::new("/etc/gw/plugins.toml"), entry, Some(program))
        };
        assert_eq!(places(text), [Path::new("/etc/gw/a.so")]);
        let development = format!("{text}[trust]\ndevelopment = true\n");
        let expected = ["/etc/gw/a.so", "/t/debug/deps/a.so", "/t/debug/a.so"];
        assert_eq!(places(&development), expected.map(PathBuf::from));
        assert_eq!(
            places(&development.replace("a.so", "/x/a.so")),
            [Path::new("/x/a.so")]
        );
    }
}
