//! What `openclaw plugins` is told by an operator: look, install, remove, switch, check.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Reach, Tables};

/// The operator's commands of `plugins …`.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// What a library says about itself, its digest and who signed it; none of its code runs
    #[command(after_help = "Example: openclaw plugins inspect ./libacme_matrix.so")]
    Inspect(InspectArgs),
    /// Take a plugin into plugins.toml: verified, copied, and pinned by its digest
    #[command(
        after_help = "Example: openclaw plugins install ./libacme_matrix.so --yes\n         \
                      openclaw plugins install matrix@1.4.0"
    )]
    Install(InstallArgs),
    /// Take a plugin out of plugins.toml
    #[command(after_help = "Example: openclaw plugins remove matrix --purge")]
    Remove(RemoveArgs),
    /// Install the newest version the registry has, of one plugin or of all
    #[command(after_help = "Example: openclaw plugins upgrade --dry-run")]
    Upgrade(UpgradeArgs),
    /// Let a plugin run
    #[command(after_help = "Example: openclaw plugins enable matrix")]
    Enable(SwitchArgs),
    /// Keep a plugin in plugins.toml and do not run it
    #[command(after_help = "Example: openclaw plugins disable matrix")]
    Disable(SwitchArgs),
    /// Check plugins.toml, its libraries and the accounts of openclaw.json; exit code 78 if wrong
    #[command(after_help = "Example: openclaw plugins check --json")]
    Check(CheckArgs),
    /// The plugins of the registry
    #[command(after_help = "Example: openclaw plugins search matrix")]
    Search(SearchArgs),
    /// Make a registry
    #[command(
        subcommand,
        after_help = "Example: openclaw plugins index build ./registry --key release.key"
    )]
    Index(IndexCommand),
    /// Sign a library: writes FILE.sig
    #[command(after_help = "Example: openclaw plugins sign ./libacme_matrix.so --key release.key")]
    Sign(SignArgs),
    /// Keys that sign plugins
    #[command(
        subcommand,
        after_help = "Example: openclaw plugins key new release.key"
    )]
    Key(KeyCommand),
}

/// `plugins index …`
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Write index.json for the libraries of a folder, and sign it
    #[command(
        after_help = "Example: openclaw plugins index build ./registry --key release.key --yank matrix@1.3.0"
    )]
    Build(IndexArgs),
}

/// `plugins key …`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key pair: the private half into FILE, the public half on standard output
    #[command(after_help = "Example: openclaw plugins key new release.key")]
    New(KeyNewArgs),
}

/// Which `plugins.toml`.
#[derive(Clone, Debug, Args)]
pub struct PluginsFileArg {
    /// File that names the plugins [default: plugins.toml in the state folder]
    #[arg(long, value_name = "FILE")]
    pub plugins: Option<PathBuf>,
}

/// `plugins inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The library
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// `plugins install`
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// A library, a folder that holds one, an address, or a name of the registry
    #[arg(value_name = "FILE|DIRECTORY|URL|NAME[@VERSION]")]
    pub source: String,
    /// Its name in plugins.toml [default: the channel it serves]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where it runs [default: by who signed it]
    #[arg(long, value_name = "WHERE", value_parser = ["in-process", "process"])]
    pub isolation: Option<String>,
    /// Take it without a signature, by its digest alone
    #[arg(long)]
    pub allow_unsigned: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    #[command(flatten)]
    pub reach: Reach,
}

/// `plugins remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its name in plugins.toml
    pub name: String,
    /// Forget what its accounts kept as well; the gateway must not run
    #[arg(long)]
    pub purge: bool,
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    #[command(flatten)]
    pub reach: Reach,
}

/// `plugins upgrade`
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// Its name in plugins.toml [default: all]
    pub name: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    #[command(flatten)]
    pub reach: Reach,
}

/// `plugins enable` and `plugins disable`
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// Its name in plugins.toml
    pub name: String,
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    #[command(flatten)]
    pub reach: Reach,
}

/// `plugins check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tables: Tables,
}

/// `plugins search`
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Part of an id or a name [default: all]
    pub text: Option<String>,
    #[command(flatten)]
    pub plugins: PluginsFileArg,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tables: Tables,
}

/// `plugins index build`
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// The folder with the libraries and their signatures
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The private key that signs the index
    #[arg(long, value_name = "KEYFILE")]
    pub key: Option<PathBuf>,
    /// Days until the index must be made anew
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub expires: u32,
    /// Offer this version no longer; stays so in later builds
    #[arg(long, value_name = "NAME@VERSION")]
    pub yank: Vec<String>,
    /// Offer this version again
    #[arg(long, value_name = "NAME@VERSION")]
    pub unyank: Vec<String>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// `plugins sign`
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The library
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The private key
    #[arg(long, value_name = "KEYFILE")]
    pub key: PathBuf,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// `plugins key new`
#[derive(Debug, Args)]
pub struct KeyNewArgs {
    /// Where the private key goes; must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

impl OperatorCommand {
    /// Whether the output is JSON, and whether tables may be as wide as they like.
    pub(super) fn wishes(&self) -> (bool, bool) {
        match self {
            Self::Inspect(args) => (args.json, false),
            Self::Install(args) => (args.reach.connection.json, false),
            Self::Remove(args) => (args.reach.connection.json, false),
            Self::Upgrade(args) => (args.reach.connection.json, false),
            Self::Enable(args) | Self::Disable(args) => (args.reach.connection.json, false),
            Self::Check(args) => (args.json, args.tables.wide),
            Self::Search(args) => (args.json, args.tables.wide),
            Self::Index(IndexCommand::Build(args)) => (args.json, false),
            Self::Sign(args) => (args.json, false),
            Self::Key(KeyCommand::New(args)) => (args.json, false),
        }
    }
}
