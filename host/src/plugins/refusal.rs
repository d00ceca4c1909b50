//! Why one plugin is not loaded. Each text names what was found, what was wanted and the fix; it
//! is shown to the operator as it is.

use std::fmt;

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
    /// Nobody vouches for it.
    Untrusted(String),
    /// Something the file asks for that this gateway cannot do yet.
    NotYet(String),
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
            Self::NoFile(why) | Self::Untrusted(why) | Self::NotYet(why) | Self::Load(why) => {
                f.write_str(why)
            }
            Self::NotALibrary(why) => write!(f, "not a shared library: {why}"),
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
                write!(f, "its manifest is wrong: {}", problems.join("; "))
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
        }
    }
}

impl std::error::Error for Refusal {}
