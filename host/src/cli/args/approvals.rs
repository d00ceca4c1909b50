//! What `openclaw approvals` is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Reach, Tables};

/// `approvals …`
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// Who may run what on the gateway's machine
    #[command(after_help = "Example: openclaw approvals get --json")]
    Get(ApprovalsGetArgs),
    /// Replace all of it by a file
    #[command(after_help = "Example: openclaw approvals set --file approvals.json")]
    Set(ApprovalsSetArgs),
    /// What may be run without asking
    #[command(
        subcommand,
        after_help = "Example: openclaw approvals allowlist add '/usr/bin/*' --agent main"
    )]
    Allowlist(AllowlistCommand),
    /// Commands that wait for a decision
    #[command(after_help = "Example: openclaw approvals pending --follow")]
    Pending(PendingArgs),
    /// Let a command run
    #[command(after_help = "Example: openclaw approvals approve 6f1c0c8e")]
    Approve(ApproveExecArgs),
    /// Don't let a command run
    #[command(after_help = "Example: openclaw approvals deny 6f1c0c8e")]
    Deny(DenyExecArgs),
}

/// `approvals allowlist …`
#[derive(Debug, Subcommand)]
pub enum AllowlistCommand {
    /// Add a pattern: the whole path of a program, with * ** and ?
    #[command(after_help = "Example: openclaw approvals allowlist add /usr/bin/uptime")]
    Add(PatternArgs),
    /// Remove a pattern
    #[command(after_help = "Example: openclaw approvals allowlist remove /usr/bin/uptime")]
    Remove(PatternArgs),
}

/// `approvals get`
#[derive(Debug, Args)]
pub struct ApprovalsGetArgs {
    #[command(flatten)]
    pub of: OfGateway,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// Other programs of this name have approvals elsewhere, too.
#[derive(Clone, Copy, Debug, Args)]
pub struct OfGateway {
    /// Of the gateway, which is the default
    #[arg(long, hide = true)]
    pub gateway: bool,
}

/// `approvals set`
#[derive(Debug, Args)]
pub struct ApprovalsSetArgs {
    /// The file
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "stdin",
        conflicts_with = "stdin"
    )]
    pub file: Option<PathBuf>,
    /// Read it from standard input
    #[arg(long)]
    pub stdin: bool,
    #[command(flatten)]
    pub of: OfGateway,
    #[command(flatten)]
    pub reach: Reach,
}

/// `approvals allowlist add`, `remove`
#[derive(Debug, Args)]
pub struct PatternArgs {
    /// Such as /usr/bin/uptime, /opt/tools/* or *
    #[arg(value_name = "PATTERN")]
    pub pattern: String,
    /// For this agent only
    #[arg(long, value_name = "ID", default_value = "*")]
    pub agent: String,
    #[command(flatten)]
    pub of: OfGateway,
    #[command(flatten)]
    pub reach: Reach,
}

/// `approvals pending`
#[derive(Debug, Args)]
pub struct PendingArgs {
    /// Stay, and show each that comes, until interrupted
    #[arg(long, short)]
    pub follow: bool,
    #[command(flatten)]
    pub reach: Reach,
}

/// `approvals approve`
#[derive(Debug, Args)]
pub struct ApproveExecArgs {
    /// Its id, or the beginning of it, from openclaw approvals pending
    #[arg(value_name = "ID")]
    pub id: String,
    /// And from now on without asking
    #[arg(long)]
    pub always: bool,
    #[command(flatten)]
    pub reach: Reach,
}

/// `approvals deny`
#[derive(Debug, Args)]
pub struct DenyExecArgs {
    /// Its id, or the beginning of it, from openclaw approvals pending
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub reach: Reach,
}

impl ApprovalsCommand {
    /// Which gateway, and whether tables may be wide.
    pub fn reach(&self) -> (&Reach, bool) {
        match self {
            Self::Get(args) => (&args.reach, args.tables.wide),
            Self::Set(args) => (&args.reach, false),
            Self::Allowlist(AllowlistCommand::Add(args) | AllowlistCommand::Remove(args)) => {
                (&args.reach, false)
            }
            Self::Pending(args) => (&args.reach, false),
            Self::Approve(args) => (&args.reach, false),
            Self::Deny(args) => (&args.reach, false),
        }
    }
}
