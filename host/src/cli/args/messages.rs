//! `call`, `send`, `agent`: what goes into the gateway.

use std::time::Duration;

use clap::Args;

use super::time::{milliseconds, seconds};
use super::{Connection, Reach};

/// `call`
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The method, for example chat.history
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// Its parameters, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub params: String,
    /// Wait for the final answer of a method that first says accepted
    #[arg(long)]
    pub expect_final: bool,
    #[command(flatten)]
    pub reach: Reach,
}

/// `send`
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The channel, for example telegram; needed when several are configured
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Who gets it, as the channel names people and groups
    #[arg(long, value_name = "TARGET")]
    pub to: String,
    /// The text
    #[arg(long, short, value_name = "TEXT")]
    pub message: String,
    /// The account to send from, if the channel has several
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// The thread or topic to send into
    #[arg(long, value_name = "THREAD")]
    pub thread: Option<String>,
    /// Sending twice under one key sends once [default: a new key]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
    /// Give up waiting after this long: milliseconds, or 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = milliseconds, help_heading = "Gateway")]
    pub timeout: Duration,
}

/// `agent`
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The message
    #[arg(long, short, value_name = "TEXT")]
    pub message: String,
    /// The conversation [default: the agent's main one]
    #[arg(long, value_name = "KEY")]
    pub session_key: Option<String>,
    /// The agent
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// How long a model that can thinks first: off, minimal, low, medium, high, xhigh or adaptive
    /// [default: the session's]
    #[arg(long, value_name = "LEVEL")]
    pub thinking: Option<String>,
    /// Also send the answer through a channel
    #[arg(long)]
    pub deliver: bool,
    /// The channel for --deliver [default: where the conversation came from]
    #[arg(long, value_name = "CHANNEL", requires = "deliver")]
    pub channel: Option<String>,
    /// Who gets the answer with --deliver
    #[arg(long, value_name = "TARGET", requires = "deliver")]
    pub to: Option<String>,
    /// The account for --deliver
    #[arg(long, value_name = "ACCOUNT", requires = "deliver")]
    pub account: Option<String>,
    /// The run's idempotency key [default: a new one]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
    /// Stop the run after this long: seconds, or 90s, 10m; 0 = never [default: the gateway's]
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "Gateway")]
    pub timeout: Option<Duration>,
}
