//! `gateway`: run one here, or call one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CallArgs, HealthArgs};

/// `gateway`
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// A command about the gateway; without one it runs.
    #[command(subcommand)]
    pub command: Option<GatewayCommand>,
    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `gateway …`
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Run the gateway in the foreground
    #[command(after_help = "Example: openclaw gateway run --port 18789")]
    Run(RunArgs),
    /// Call any method; the same as openclaw call
    #[command(after_help = "Example: openclaw gateway call health")]
    Call(CallArgs),
    /// The same as openclaw health
    #[command(after_help = "Example: openclaw gateway health")]
    Health(HealthArgs),
    /// Show the fingerprint of this machine's TLS certificate, for clients to pin
    #[command(after_help = "Example: openclaw gateway fingerprint")]
    Fingerprint(FingerprintArgs),
}

/// `gateway fingerprint`
#[derive(Debug, Args)]
pub struct FingerprintArgs {
    /// Configuration file [default: openclaw.json in the state folder]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State folder [default: ~/.openclaw]
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// `gateway [run]`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Port to listen on [default: gateway.port, else 18789]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Where to listen: loopback, lan, tailnet, auto or custom [default: gateway.bind]
    #[arg(long, value_name = "MODE", value_parser = ["loopback", "lan", "tailnet", "auto", "custom"], hide_possible_values = true)]
    pub bind: Option<String>,
    /// How clients prove themselves: none, token, password or trusted-proxy [default:
    /// gateway.auth.mode]
    #[arg(long, value_name = "MODE", value_parser = ["none", "token", "password", "trusted-proxy"], hide_possible_values = true)]
    pub auth: Option<String>,
    /// Shared token that clients must show
    #[arg(long, value_name = "TOKEN", conflicts_with = "password")]
    pub token: Option<String>,
    /// Shared password that clients must show
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Configuration file [default: openclaw.json in the state folder]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State folder [default: ~/.openclaw]
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// File that names the plugins [default: plugins.toml in the state folder]
    #[arg(long, value_name = "FILE")]
    pub plugins: Option<PathBuf>,
    /// Log more
    #[arg(long)]
    pub verbose: bool,
}
