//! `gateway [run]`: hands over to the daemon.

use std::process::ExitCode;

use serde_json::json;

use super::args::{FingerprintArgs, RunArgs};
use super::error::{CliError, CliResult, Kind};
use super::output::Screen;
use crate::config::{LoadOptions, Paths, load_gateway};
use crate::gateway::{GatewayOptions, run as run_gateway};
use crate::http;

/// Runs the gateway until it is told to stop; its exit code is the process's.
pub fn run(args: &RunArgs) -> ExitCode {
    run_gateway(GatewayOptions {
        port: args.port,
        bind: args.bind.clone(),
        auth: args.auth.clone(),
        token: args.token.clone(),
        password: args.password.clone(),
        config: args.config.clone(),
        state_dir: args.state_dir.clone(),
        plugins: args.plugins.clone(),
        verbose: args.verbose,
    })
}

/// Shows what clients pin: SHA-256 of the certificate that the configuration names.
///
/// # Errors
/// When TLS is off, or there is no certificate yet.
pub fn fingerprint(args: &FingerprintArgs, screen: &Screen) -> CliResult<()> {
    let wrong = |cause: &dyn std::fmt::Display| {
        CliError::new(Kind::Config, "CONFIG_INVALID", cause.to_string())
    };
    let paths = Paths::resolve(args.config.as_deref(), args.state_dir.as_deref(), None)
        .map_err(|e| wrong(&e))?;
    let gateway = load_gateway(&LoadOptions::default(), &paths).map_err(|e| wrong(&e))?;
    if !gateway.tls.enabled {
        let message = "this machine's gateway speaks plain text: gateway.tls.enabled is not true";
        return Err(CliError::new(Kind::Config, "TLS_OFF", message)
            .fix("set gateway.tls.enabled to true and start the gateway"));
    }
    let files = http::files(&gateway.tls, &paths).map_err(|e| wrong(&e))?;
    let chain = http::read_chain(&files.certificate).map_err(|cause| {
        CliError::new(Kind::Config, "TLS_CERTIFICATE", cause.to_string())
            .fix("start the gateway once: it makes its certificate")
    })?;
    let fingerprint = http::fingerprint(&chain[0]);
    if args.json {
        let certificate = files.certificate.display().to_string();
        screen.value_json(&json!({ "sha256": fingerprint, "certificate": certificate }));
    } else {
        screen.line(fingerprint);
    }
    Ok(())
}
