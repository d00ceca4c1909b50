//! What `openclaw plugins` is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Tables;

/// `plugins …`
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// The plugins that plugins.toml names, read from their files; needs no running gateway
    #[command(after_help = "Example: openclaw plugins list --json")]
    List(PluginsListArgs),
    /// Run the conformance checks of the SDK against a built library; its code runs
    #[command(
        after_help = "Example: openclaw plugins test target/debug/libbell.so --config '{\"minutes\":1}' --to ann"
    )]
    Test(PluginsTestArgs),
}

/// `plugins test`
#[derive(Debug, Args)]
pub struct PluginsTestArgs {
    /// The built library
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The accounts' configuration: JSON, or a file with it
    /// [default: the first example of the plugin's configSchema]
    #[arg(long, value_name = "JSON|FILE")]
    pub config: Option<String>,
    /// To whom messages are sent; one that gives back what it gets (echo:ann) brings more checks
    #[arg(long, value_name = "TARGET", default_value = "conformance")]
    pub to: String,
    /// Run only these checks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tables: Tables,
}

/// `plugins list`
#[derive(Debug, Args)]
pub struct PluginsListArgs {
    /// File that names the plugins [default: plugins.toml in the state folder]
    #[arg(long, value_name = "FILE")]
    pub plugins: Option<PathBuf>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tables: Tables,
}

impl PluginsCommand {
    /// Whether the output is JSON, and whether tables may be as wide as they like.
    pub(super) fn wishes(&self) -> (bool, bool) {
        match self {
            PluginsCommand::List(args) => (args.json, args.tables.wide),
            PluginsCommand::Test(args) => (args.json, args.tables.wide),
        }
    }
}
