//! What `openclaw nodes` is told.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::time::milliseconds;
use super::{Reach, Tables};

/// `nodes …`
#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// Nodes that are here, and those that are paired
    #[command(visible_alias = "status", after_help = "Example: openclaw nodes list")]
    List(NodesListArgs),
    /// One node: what it can do and may be asked for
    #[command(after_help = "Example: openclaw nodes describe phone --json")]
    Describe(NodeArgs),
    /// Have a node do something
    #[command(
        after_help = "Example: openclaw nodes invoke mac system.which --params '{\"bins\":[\"git\"]}'"
    )]
    Invoke(NodeInvokeArgs),
}

/// `nodes list`
#[derive(Debug, Args)]
pub struct NodesListArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `nodes describe`
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Its id, the beginning of that, or its name
    #[arg(value_name = "NODE")]
    pub node: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// `nodes invoke`
#[derive(Debug, Args)]
pub struct NodeInvokeArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Such as system.which
    #[arg(value_name = "COMMAND")]
    pub command: String,
    /// What the command takes, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub params: String,
    /// How long the node may take: milliseconds, or 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = milliseconds)]
    pub invoke_timeout: Duration,
}

impl NodesCommand {
    /// Which gateway, and whether tables are shown whole.
    pub fn reach(&self) -> (&Reach, bool) {
        match self {
            Self::List(args) => (&args.reach, args.tables.wide),
            Self::Describe(args) => (&args.reach, false),
            Self::Invoke(args) => (&args.node.reach, false),
        }
    }
}
