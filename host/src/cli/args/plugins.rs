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
        }
    }
}
