//! What `openclaw system`, `wake` and `logs` are told.

use clap::{Args, Subcommand};

use super::Reach;

/// `system …`
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Tell the main session something
    #[command(after_help = "Example: openclaw system event --text 'The post came' --mode now")]
    Event(WakeArgs),
    /// The agent's regular look-around
    #[command(subcommand, after_help = "Example: openclaw system heartbeat last")]
    Heartbeat(HeartbeatCommand),
    /// Who is here
    #[command(after_help = "Example: openclaw system presence --json")]
    Presence(PresenceArgs),
}

/// `system heartbeat …`
#[derive(Debug, Subcommand)]
pub enum HeartbeatCommand {
    /// The last one
    #[command(after_help = "Example: openclaw system heartbeat last --json")]
    Last(PresenceArgs),
    /// Switch them on again
    #[command(after_help = "Example: openclaw system heartbeat enable")]
    Enable(PresenceArgs),
    /// Switch all of them off until the gateway ends
    #[command(after_help = "Example: openclaw system heartbeat disable")]
    Disable(PresenceArgs),
}

/// `system event`, `wake`
#[derive(Debug, Args)]
pub struct WakeArgs {
    /// What it is told
    #[arg(long, value_name = "TEXT")]
    pub text: String,
    /// Whether the agent is woken for it: now, or next-heartbeat
    #[arg(long, value_name = "MODE", default_value = "next-heartbeat", value_parser = ["now", "next-heartbeat"])]
    pub mode: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// Commands that take nothing but the gateway.
#[derive(Debug, Args)]
pub struct PresenceArgs {
    #[command(flatten)]
    pub reach: Reach,
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// So many lines to begin with
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=5000))]
    pub limit: u64,
    #[command(flatten)]
    pub reach: Reach,
}

impl SystemCommand {
    /// Which gateway.
    pub fn reach(&self) -> &Reach {
        match self {
            Self::Event(args) => &args.reach,
            Self::Presence(args) => &args.reach,
            Self::Heartbeat(
                HeartbeatCommand::Last(args)
                | HeartbeatCommand::Enable(args)
                | HeartbeatCommand::Disable(args),
            ) => &args.reach,
        }
    }
}
