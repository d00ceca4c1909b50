//! `gateway [run]`: hands over to the daemon.

use std::process::ExitCode;

use super::args::RunArgs;
use crate::gateway::{GatewayOptions, run as run_gateway};

/// Runs the gateway until it is told to stop; its exit code is the process's.
pub fn run(args: &RunArgs) -> ExitCode {
    run_gateway(GatewayOptions {
        port: args.port,
        bind: args.bind.clone(),
        token: args.token.clone(),
        password: args.password.clone(),
        config: args.config.clone(),
        state_dir: args.state_dir.clone(),
        plugins: args.plugins.clone(),
        verbose: args.verbose,
    })
}
