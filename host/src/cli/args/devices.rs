//! `devices`: pairing requests, paired devices, their tokens.

use clap::{Args, Subcommand};

use super::{Reach, Tables};

/// `devices …`
#[derive(Debug, Subcommand)]
pub enum DevicesCommand {
    /// Paired devices, and requests that wait for approval
    #[command(after_help = "Example: openclaw devices list")]
    List(ListArgs),
    /// Approve a pairing request
    #[command(
        after_help = "Example: openclaw devices approve 6f1c0c8e-8f3b-4f6e-9d0a-3b1c5d7e9f00"
    )]
    Approve(ApproveArgs),
    /// Reject a pairing request
    #[command(after_help = "Example: openclaw devices reject 6f1c0c8e-8f3b-4f6e-9d0a-3b1c5d7e9f00")]
    Reject(RequestArgs),
    /// Forget a device; it must be paired again
    #[command(after_help = "Example: openclaw devices remove DEVICE_ID")]
    Remove(DeviceArgs),
    /// Give a device a new token for a role
    #[command(after_help = "Example: openclaw devices rotate --device DEVICE_ID --role operator")]
    Rotate(RotateArgs),
    /// Make a device's token for a role invalid
    #[command(after_help = "Example: openclaw devices revoke --device DEVICE_ID --role node")]
    Revoke(RevokeArgs),
    /// Forget all devices; each must be paired again
    #[command(after_help = "Example: openclaw devices clear --yes --pending")]
    Clear(ClearArgs),
}

/// A command that shows a table.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `devices approve`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The request's id, from openclaw devices list
    #[arg(value_name = "REQUEST_ID", required_unless_present = "latest")]
    pub request_id: Option<String>,
    /// Only show the newest request and the command that approves it
    #[arg(long, conflicts_with = "request_id")]
    pub latest: bool,
    #[command(flatten)]
    pub reach: Reach,
}

/// `devices reject`
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// The request's id, from openclaw devices list
    #[arg(value_name = "REQUEST_ID")]
    pub request_id: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// `devices remove`
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The device's id, from openclaw devices list
    #[arg(value_name = "DEVICE_ID")]
    pub device_id: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// `devices rotate`
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    pub token: TokenArgs,
    /// A scope of the new token; repeat for more [default: as before]
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
}

/// `devices revoke`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    pub token: TokenArgs,
}

/// `devices clear`
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// Really do it
    #[arg(long)]
    pub yes: bool,
    /// Reject the requests that wait, too
    #[arg(long)]
    pub pending: bool,
    #[command(flatten)]
    pub reach: Reach,
}

/// A token of a device.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The device's id, from openclaw devices list
    #[arg(long, value_name = "DEVICE_ID")]
    pub device: String,
    /// The role of the token: operator or node
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    #[command(flatten)]
    pub reach: Reach,
}

impl DevicesCommand {
    /// The gateway, the patience and the output that were asked for; whether tables are wide.
    pub fn reach(&self) -> (&Reach, bool) {
        match self {
            DevicesCommand::List(a) => (&a.reach, a.tables.wide),
            DevicesCommand::Approve(a) => (&a.reach, false),
            DevicesCommand::Reject(a) => (&a.reach, false),
            DevicesCommand::Remove(a) => (&a.reach, false),
            DevicesCommand::Rotate(a) => (&a.token.reach, false),
            DevicesCommand::Revoke(a) => (&a.token.reach, false),
            DevicesCommand::Clear(a) => (&a.reach, false),
        }
    }
}
