//! `sessions`: the conversations the agent remembers.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Reach, Tables};

/// `sessions …`
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// Conversations, the last used first
    #[command(after_help = "Example: openclaw sessions list --active 60")]
    List(SessionsListArgs),
    /// The end of conversations
    #[command(after_help = "Example: openclaw sessions preview main --limit 4")]
    Preview(SessionsPreviewArgs),
    /// A whole transcript as JSON lines
    #[command(after_help = "Example: openclaw sessions export main --output main.jsonl")]
    Export(SessionsExportArgs),
    /// Begin a conversation anew: a new transcript, the settings stay
    #[command(after_help = "Example: openclaw sessions reset main")]
    Reset(SessionArgs),
    /// Forget a conversation; its transcript is kept as a file of the gateway
    #[command(after_help = "Example: openclaw sessions delete agent:main:demo")]
    Delete(SessionsDeleteArgs),
    /// Shorten a conversation to its newest messages; the whole is kept as a file of the gateway
    #[command(after_help = "Example: openclaw sessions compact main --keep 100")]
    Compact(SessionsCompactArgs),
}

/// `sessions list`
#[derive(Debug, Args)]
pub struct SessionsListArgs {
    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Used within so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub active: Option<u64>,
    /// Whose name, label, key or id holds this
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Of this agent
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `sessions preview`
#[derive(Debug, Args)]
pub struct SessionsPreviewArgs {
    /// Session keys, or main
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// So many messages of each
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=50))]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sessions export`
#[derive(Debug, Args)]
pub struct SessionsExportArgs {
    /// Session key, or main
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Write to a new file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub reach: Reach,
}

/// A command about one session.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// Session key, or main
    #[arg(value_name = "KEY")]
    pub key: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sessions delete`
#[derive(Debug, Args)]
pub struct SessionsDeleteArgs {
    /// Leave the transcript in the database: it is found again by its session id
    #[arg(long)]
    pub keep_transcript: bool,
    #[command(flatten)]
    pub session: SessionArgs,
}

/// `sessions compact`
#[derive(Debug, Args)]
pub struct SessionsCompactArgs {
    /// So many messages stay
    #[arg(long, value_name = "COUNT", default_value = "400", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep: u64,
    #[command(flatten)]
    pub session: SessionArgs,
}

impl SessionsCommand {
    /// Which gateway, and whether a table may be wide.
    pub fn reach(&self) -> (&Reach, bool) {
        match self {
            SessionsCommand::List(a) => (&a.reach, a.tables.wide),
            SessionsCommand::Preview(a) => (&a.reach, false),
            SessionsCommand::Export(a) => (&a.reach, false),
            SessionsCommand::Reset(a) => (&a.reach, false),
            SessionsCommand::Delete(a) => (&a.session.reach, false),
            SessionsCommand::Compact(a) => (&a.session.reach, false),
        }
    }
}
