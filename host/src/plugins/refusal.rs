//! Why one plugin is not loaded. Each text names what was found, what was wanted and the fix; it
//! is shown to the operator as it is.

use std::fmt;
use std::path::PathBuf;

use super::access;
use super::signature::PublicKey;

/// Why a plugin is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file in any of these places, or it cannot be read.
    NoFile(String),
    /// The file is not a shared library.
    NotALibrary(String),
    /// A shared library of another machine.
    OtherMachine {
        /// The file's.
        plugin: String,
        /// Ours.
        host: String,
    },
    /// A shared library, but no plugin.
    NotAPlugin,
    /// A plugin whose description is damaged.
    Damaged(String),
    /// Built for another boundary.
    Abi {
        /// The file's.
        plugin: u16,
        /// Ours.
        host: u16,
    },
    /// Says it is of our boundary, but its table is another one.
    Fingerprint {
        /// The file's.
        plugin: u64,
        /// Ours.
        host: u64,
    },
    /// The system's C library is too old for it.
    Glibc {
        /// The oldest it takes.
        needed: String,
        /// The system's.
        has: String,
    },
    /// It needs a newer gateway.
    HostTooOld {
        /// The minor it needs.
        needed: u16,
        /// Ours.
        has: u16,
    },
    /// Its manifest breaks rules.
    Manifest(Vec<String>),
    /// Another file than the operator meant.
    Digest {
        /// As `plugins.toml` says.
        expected: String,
        /// The file's.
        found: String,
    },
    /// `plugins.toml` has no digest of it.
    NoDigest {
        /// The file's.
        found: String,
    },
    /// Nobody vouches for it.
    Unsigned {
        /// Its name in `plugins.toml`.
        name: String,
        /// The file's digest.
        found: String,
    },
    /// Its signature cannot be read.
    SignatureFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It names a key that `[trust] keys` does not have.
    UnknownKey {
        /// The name.
        key: String,
        /// The names there.
        known: Vec<String>,
    },
    /// Its signature was made with another key than the one of that name.
    OtherKey {
        /// The name.
        key: String,
        /// The key of that name here.
        ours: PublicKey,
        /// The key of the signature.
        theirs: PublicKey,
    },
    /// Its signature is not of this file.
    Signature {
        /// The key's name.
        key: String,
        /// The file's digest.
        found: String,
    },
    /// Others may write to it, or to its folder.
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It, or its folder, belongs to somebody else.
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It was written to while it was read.
    Changed(PathBuf),
    /// Another plugin serves this channel already.
    Twice {
        /// The channel.
        channel: String,
        /// The plugin that was first.
        first: String,
    },
    /// The copy to be loaded cannot be written.
    Store(String),
    /// The system or the layout check does not take it.
    Load(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile(why) | Self::Load(why) => f.write_str(why),
            Self::NotALibrary(why) => {
                write!(f, "not a shared library: {why}: name the plugin's .so file")
            }
            Self::OtherMachine { plugin, host } => {
                write!(
                    f,
                    "built for {plugin}, this gateway runs on {host}: build it for here"
                )
            }
            Self::NotAPlugin => write!(
                f,
                "a shared library, but not a gateway plugin (no {} section): is `export_plugin!` \
                 missing?",
                gateway_plugin::abi::SECTION
            ),
            Self::Damaged(why) => {
                write!(
                    f,
                    "its description is damaged ({why}): build or fetch it again"
                )
            }
            Self::Abi { plugin, host } => write!(
                f,
                "built for plugin ABI {plugin}, this gateway speaks ABI {host}: rebuild it \
                 against gateway-plugin-api {host}.x"
            ),
            Self::Fingerprint { plugin, host } => write!(
                f,
                "its table has fingerprint {plugin:016x}, ours has {host:016x}: it was built \
                 against an altered gateway-plugin-abi, rebuild it against the released one"
            ),
            Self::Glibc { needed, has } => write!(
                f,
                "needs glibc {needed}, this system has {has}: build it on an older system, or \
                 run the gateway on a newer one"
            ),
            Self::HostTooOld { needed, has } => write!(
                f,
                "needs plugin API 1.{needed}, this gateway speaks 1.{has}: update the gateway"
            ),
            Self::Manifest(problems) => {
                let problems = problems.join("; ");
                write!(
                    f,
                    "its manifest is wrong: {problems}: correct plugin.json and build it again"
                )
            }
            Self::Digest { expected, found } => write!(
                f,
                "its sha256 is {found}, expected {expected}: put the right file there, or the \
                 new digest if you replaced it yourself"
            ),
            Self::Twice { channel, first } => write!(
                f,
                "channel {channel} is already served by plugin {first}: remove one of the two"
            ),
            Self::Store(why) => write!(f, "its copy cannot be kept: {why}"),
            trust => trust.fmt_trust(f),
        }
    }
}

impl Refusal {
    /// The refusals about who vouches for a file, and who may change it.
    fn fmt_trust(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDigest { found } => write!(
                f,
                "there is no sha256 for it: add `sha256 = \"{found}\"` if this is the file you \
                 mean"
            ),
            Self::Unsigned { name, found } => write!(
                f,
                "it is not signed (sha256 {found}): get it with its signature, or add {name:?} to \
                 `allow_unsigned` under [trust] to rely on its sha256 alone"
            ),
            Self::SignatureFile { path, why } => write!(
                f,
                "its signature {} cannot be used: {why}: fetch it again, or correct `signature`",
                path.display()
            ),
            Self::UnknownKey { key, known } => {
                let known = match known.as_slice() {
                    [] => "none".to_owned(),
                    names => names.join(", "),
                };
                write!(
                    f,
                    "it is signed with key {key:?}, [trust] keys has {known}: add \
                     `{key} = \"ed25519:…\"` there if you trust its publisher"
                )
            }
            Self::OtherKey { key, ours, theirs } => write!(
                f,
                "its signature was made with key {theirs}, [trust] keys says that {key} is \
                 {ours}: get the file from the publisher you named, or correct the key"
            ),
            Self::Signature { key, found } => write!(
                f,
                "its signature of key {key:?} is not of this file (sha256 {found}): one of the two \
                 was altered, fetch both again"
            ),
            Self::Writable { path, mode } => write!(
                f,
                "{path} can be written by {who} (mode {mode:04o}): run `chmod go-w {path}`",
                path = path.display(),
                who = access::writers(*mode),
            ),
            Self::Foreign { path, owner, us } => write!(
                f,
                "{path} belongs to user {owner}, the gateway runs as user {us}: run `chown {us} \
                 {path}`, or move it to a folder of the gateway's own user",
                path = path.display(),
            ),
            Self::Changed(path) => write!(
                f,
                "{} was written to while it was read: try again when it is whole",
                path.display()
            ),
            _ => unreachable!("`fmt` tells the others"),
        }
    }
}

impl std::error::Error for Refusal {}
