//! The daemon as one call: options in, exit code out.

use std::path::PathBuf;
use std::process::ExitCode;

/// What the command line says about running a gateway; `None` leaves it to the configuration.
#[derive(Clone, Debug, Default)]
pub struct GatewayOptions {
    /// Port to listen on.
    pub port: Option<u16>,
    /// Bind mode.
    pub bind: Option<String>,
    /// Shared token.
    pub token: Option<String>,
    /// Shared password.
    pub password: Option<String>,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// State folder.
    pub state_dir: Option<PathBuf>,
    /// Plugins file.
    pub plugins: Option<PathBuf>,
    /// Log more.
    pub verbose: bool,
}

/// Runs until told to stop. The parts are not put together yet: fails at once.
pub fn run(options: GatewayOptions) -> ExitCode {
    tracing::error!(?options.port, "the gateway's parts are not put together yet");
    ExitCode::FAILURE
}
