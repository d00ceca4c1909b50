//! What a client needs of this machine's configuration: where the gateway is and its secret.

use std::net::IpAddr;

use serde_json::Value;

use super::target::{Secrets, Settings};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::config::{self, AuthMode, Bind, GatewayConfig, LoadOptions, Paths, Secret, env};
use crate::http;

/// Files and folders of this machine's gateway, by environment and default place.
///
/// # Errors
/// Without a home folder and without `OPENCLAW_STATE_DIR`.
pub fn paths() -> CliResult<Paths> {
    Paths::resolve(None, None, None).map_err(|cause| {
        CliError::new(
            Kind::Config,
            "STATE_DIR",
            format!("no state folder: {cause}"),
        )
    })
}

/// Reads the configuration file; a missing one is an empty one.
///
/// # Errors
/// When it is there but broken: the message names file, key and fix.
pub fn read() -> CliResult<Settings> {
    let paths = paths()?;
    let gateway = config::load_gateway(&LoadOptions::default(), &paths).map_err(|cause| {
        CliError::new(Kind::Config, "CONFIG_INVALID", cause.to_string())
            .fix("correct the file, or name the gateway with --url and --token")
    })?;
    let mut settings = settings(&gateway, env::var(env::PORT).is_some());
    if gateway.tls.enabled {
        let files = http::files(&gateway.tls, &paths)
            .map_err(|cause| CliError::new(Kind::Config, "CONFIG_INVALID", cause.to_string()))?;
        settings.local_certificate = Some(files.certificate);
    }
    Ok(settings)
}

fn settings(gateway: &GatewayConfig, port_by_variable: bool) -> Settings {
    let remote = gateway.other.get("remote");
    let text = |key: &str| {
        let value = remote?.get(key).and_then(Value::as_str)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let place = if port_by_variable {
        env::PORT
    } else {
        "gateway.port in the configuration"
    };
    Settings {
        remote: gateway.mode.as_deref() == Some("remote"),
        remote_url: text("url"),
        remote_fingerprint: text("tlsFingerprint"),
        local_certificate: None,
        remote_secrets: Secrets {
            token: text("token"),
            password: text("password"),
        },
        port: gateway.port.map(|port| (port, place)),
        host: custom_host(gateway),
        local_secrets: local_secrets(gateway),
    }
}

/// A gateway bound to one address of its own does not listen on loopback.
fn custom_host(gateway: &GatewayConfig) -> Option<IpAddr> {
    let host = gateway
        .custom_bind_host
        .as_deref()
        .filter(|_| gateway.bind == Bind::Custom)?;
    host.trim()
        .parse::<IpAddr>()
        .ok()
        .filter(|ip| !ip.is_unspecified())
}

fn local_secrets(gateway: &GatewayConfig) -> Secrets {
    let plain = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().trim().to_owned());
    let auth = &gateway.auth;
    match auth.mode {
        Some(AuthMode::Password) => Secrets {
            token: None,
            password: plain(&auth.password),
        },
        Some(AuthMode::None) => Secrets::default(),
        _ => Secrets {
            token: plain(&auth.token),
            password: None,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Settings {
        settings(&json5::from_str::<GatewayConfig>(text).unwrap(), false)
    }

    #[test]
    fn the_mode_decides_which_secret_is_sent() {
        let both = "auth: {token: 't', password: 'p'";
        let check = |mode: &str, token: Option<&str>, password: Option<&str>| {
            let secrets = read(&format!("{{{both}, mode: '{mode}'}}}}")).local_secrets;
            assert_eq!(
                (secrets.token.as_deref(), secrets.password.as_deref()),
                (token, password)
            );
        };
        check("token", Some("t"), None);
        check("password", None, Some("p"));
        check("none", None, None);
    }

    #[test]
    fn remote_and_port_are_read() {
        let settings = read("{mode: 'remote', port: 7, remote: {url: ' ws://h:1 ', token: 't'}}");
        assert!(settings.remote);
        assert_eq!(settings.remote_url.as_deref(), Some("ws://h:1"));
        assert_eq!(settings.remote_secrets.token.as_deref(), Some("t"));
        assert_eq!(
            settings.port,
            Some((7, "gateway.port in the configuration"))
        );
    }

    #[test]
    fn a_custom_address_is_called_by_itself() {
        let custom = "{bind: 'custom', customBindHost: '192.0.2.4'}";
        assert_eq!(read(custom).host, Some("192.0.2.4".parse().unwrap()));
        assert_eq!(
            read("{bind: 'custom', customBindHost: '0.0.0.0'}").host,
            None
        );
        assert_eq!(read("{customBindHost: '192.0.2.4'}").host, None);
    }
}
