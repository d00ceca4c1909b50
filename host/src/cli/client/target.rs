//! Which gateway to talk to and what to show at its door.
//!
//! The address: `--url`, else `OPENCLAW_GATEWAY_URL`, else `gateway.remote.url` (mode `remote`),
//! else this machine's own port. The secret comes from the level of the address or a more
//! explicit one, never from a lower one: an address given by hand borrows nothing stored.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::address::{self, ALLOW_INSECURE};
use super::secure;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::Vars;
use crate::config::{GatewayConfig, env};
use crate::http;

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--url`
    pub url: Option<String>,
    /// `--token`
    pub token: Option<String>,
    /// `--password`
    pub password: Option<String>,
    /// `--tls-fingerprint`
    pub tls_fingerprint: Option<String>,
}

/// What the configuration says that matters to a client.
#[derive(Clone, Default)]
pub struct Settings {
    /// `gateway.mode` is `remote`.
    pub remote: bool,
    /// `gateway.remote.url`
    pub remote_url: Option<String>,
    /// `gateway.remote.tlsFingerprint`
    pub remote_fingerprint: Option<String>,
    /// The certificate of this machine's gateway, when it speaks TLS.
    pub local_certificate: Option<PathBuf>,
    /// `gateway.remote.token` and `.password`
    pub remote_secrets: Secrets,
    /// The port of this machine's gateway, and where it is set.
    pub port: Option<(u16, &'static str)>,
    /// Where that gateway listens when it is not loopback (`gateway.customBindHost`).
    pub host: Option<IpAddr>,
    /// `gateway.auth`: the secret that its mode asks for.
    pub local_secrets: Secrets,
}

/// A token, a password, both or nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Shared token.
    pub token: Option<String>,
    /// Shared password.
    pub password: Option<String>,
}

impl Secrets {
    /// True with neither.
    pub fn is_empty(&self) -> bool {
        self.token.is_none() && self.password.is_none()
    }

    /// The same, with the place it is from; `None` when there is nothing.
    fn from(self, source: Source) -> Option<(Secrets, Source)> {
        (!self.is_empty()).then_some((self, source))
    }
}

/// The places that name an address or a secret, the most explicit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--url`
    Flag,
    /// `OPENCLAW_GATEWAY_URL`
    Environment,
    /// `gateway.remote.url`
    Remote,
    /// This machine's port and `gateway.auth`.
    Local,
}

impl Source {
    /// Where an address is from, in words.
    pub fn of_address(self) -> &'static str {
        match self {
            Source::Flag => "--url",
            Source::Environment => env::URL,
            Source::Remote => "gateway.remote.url in the configuration",
            Source::Local => "this machine",
        }
    }

    /// The place that holds (or should hold) a token of this source.
    pub fn of_token(self) -> &'static str {
        match self {
            Source::Flag => "--token",
            Source::Environment => env::TOKEN,
            Source::Remote => "gateway.remote.token",
            Source::Local => "gateway.auth.token",
        }
    }

    /// The place that holds (or should hold) a password of this source.
    pub fn of_password(self) -> &'static str {
        match self {
            Source::Flag => "--password",
            Source::Environment => env::PASSWORD,
            Source::Remote => "gateway.remote.password",
            Source::Local => "gateway.auth.password",
        }
    }
}

/// How a gateway that speaks TLS proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By this certificate and no other: SHA-256, lower-case hex.
    Pinned(String),
    /// By the authorities that this machine trusts.
    Authorities,
}

/// A resolved gateway.
#[derive(Clone)]
pub struct Target {
    /// The address as people read it, without query.
    pub url: String,
    /// Host to connect to: a name or an address, without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Which place named the address.
    pub source: Source,
    /// That place in words.
    pub source_text: String,
    /// The address for the upgrade request, with path and query.
    pub request: String,
    /// What to show.
    pub secrets: Secrets,
    /// Where that is from; `None` without any.
    pub secrets_from: Option<Source>,
    /// How the other end proves who it is; `None` for plain text.
    pub trust: Option<Trust>,
    /// The other end must be of this machine or of a private network.
    pub private_only: bool,
}

impl Target {
    /// The gateway behind its own socket.
    pub fn own(socket: &Path) -> Target {
        let url = format!("unix:{}", socket.display());
        Target {
            request: url.clone(),
            url,
            host: String::new(),
            port: 0,
            source: Source::Local,
            source_text: Source::Local.of_address().to_owned(),
            secrets: Secrets::default(),
            secrets_from: None,
            trust: None,
            private_only: true,
        }
    }

    /// True when the gateway is the one this machine's configuration names: only then may the
    /// stored device token be used or replaced.
    pub fn is_configured(&self) -> bool {
        matches!(self.source, Source::Remote | Source::Local)
    }

    /// Adds the address and where it came from to an error.
    pub fn explain(&self, error: CliError) -> CliError {
        error
            .fact("url", "url", &self.url)
            .fact("url from", "urlSource", &self.source_text)
    }

    /// Decides by flags, environment and configuration; `settings` is called only when neither
    /// flag nor environment named an address.
    ///
    /// # Errors
    /// When the address is no `ws://` URL, or plain text would leave this machine.
    pub fn resolve(
        flags: &Flags,
        vars: Vars<'_>,
        settings: impl FnOnce() -> CliResult<Settings>,
    ) -> CliResult<Target> {
        let by_flag = Secrets {
            token: flags.token.clone(),
            password: flags.password.clone(),
        };
        let by_variable = Secrets {
            token: vars(env::TOKEN),
            password: vars(env::PASSWORD),
        };
        let by_hand = by_flag.from(Source::Flag);
        let insecure = vars(ALLOW_INSECURE).is_some_and(|value| value.trim() == "1");
        let pin = flags.tls_fingerprint.as_deref();
        let pin = pin
            .map(|text| secure::fingerprint(text, Source::Flag))
            .transpose()?;
        if let Some(url) = &flags.url {
            return address::parse(url, Source::Flag, insecure)?
                .pinned(pin)?
                .with(by_hand);
        }
        let by_hand = by_hand.or_else(|| by_variable.from(Source::Environment));
        if let Some(url) = vars(env::URL) {
            let target = address::parse(&url, Source::Environment, insecure)?;
            return target.pinned(pin)?.with(by_hand);
        }
        let settings = settings()?;
        if settings.remote {
            let url = settings.remote_url.as_deref().ok_or_else(no_remote_url)?;
            let secrets = by_hand.or_else(|| settings.remote_secrets.from(Source::Remote));
            let kept = settings.remote_fingerprint.as_deref();
            let kept = kept
                .map(|text| secure::fingerprint(text, Source::Remote))
                .transpose()?;
            let target = address::parse(url, Source::Remote, insecure)?;
            return target.pinned(pin.or(kept))?.with(secrets);
        }
        let secrets = by_hand.or_else(|| settings.local_secrets.from(Source::Local));
        let mut target = local(settings.port, settings.host);
        if let Some(certificate) = &settings.local_certificate {
            target.encrypt(certificate)?;
        }
        target.pinned(pin)?.with(secrets)
    }

    /// This machine's own gateway: its certificate lies here.
    fn encrypt(&mut self, certificate: &Path) -> CliResult<()> {
        let chain = http::read_chain(certificate).map_err(|cause| {
            CliError::new(Kind::Config, "TLS_CERTIFICATE", cause.to_string())
                .fix("start the gateway once: it makes its certificate")
        })?;
        self.trust = Some(Trust::Pinned(http::fingerprint(&chain[0])));
        for url in [&mut self.url, &mut self.request] {
            *url = url.replacen("ws://", "wss://", 1);
        }
        Ok(())
    }

    /// Trusts this certificate alone.
    fn pinned(mut self, pin: Option<String>) -> CliResult<Target> {
        if let Some(pin) = pin {
            if self.trust.is_none() {
                return Err(secure::pin_without_tls(&self));
            }
            self.trust = Some(Trust::Pinned(pin));
        }
        Ok(self)
    }

    fn with(mut self, secrets: Option<(Secrets, Source)>) -> CliResult<Target> {
        if let Some((secrets, source)) = secrets {
            self.secrets = secrets;
            self.secrets_from = Some(source);
        }
        Ok(self)
    }
}

fn no_remote_url() -> CliError {
    CliError::new(
        Kind::Config,
        "CONFIG_INVALID",
        "gateway.mode is remote, but gateway.remote.url is not set",
    )
    .fix("set gateway.remote.url to ws://HOST:PORT, or gateway.mode to local")
}

fn local(port: Option<(u16, &'static str)>, host: Option<IpAddr>) -> Target {
    let (port, source_text) = match port {
        Some((port, place)) => (port, format!("this machine, port from {place}")),
        None => (
            GatewayConfig::DEFAULT_PORT,
            "this machine, the default port".to_owned(),
        ),
    };
    let host = host.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let shown = if host.is_ipv6() {
        format!("[{host}]")
    } else {
        host.to_string()
    };
    let url = format!("ws://{shown}:{port}");
    Target {
        request: url.clone(),
        url,
        host: host.to_string(),
        port,
        source: Source::Local,
        source_text,
        secrets: Secrets::default(),
        secrets_from: None,
        trust: None,
        private_only: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(text: &str) -> Secrets {
        Secrets {
            token: Some(text.into()),
            password: None,
        }
    }

    fn settings() -> Settings {
        Settings {
            remote_url: Some("ws://127.0.0.1:7000".into()),
            remote_secrets: token("remote"),
            port: Some((7001, "gateway.port")),
            local_secrets: token("local"),
            ..Settings::default()
        }
    }

    fn resolve(flags: &[&str], vars: &[(&str, &str)], settings: Settings) -> CliResult<Target> {
        let flag = |at: usize| {
            flags
                .get(at)
                .filter(|f| !f.is_empty())
                .map(|f| (*f).to_owned())
        };
        let flags = Flags {
            url: flag(0),
            token: flag(1),
            password: flag(2),
            tls_fingerprint: None,
        };
        let vars = |name: &str| {
            vars.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Target::resolve(&flags, &vars, || Ok(settings))
    }

    fn check(flags: &[&str], vars: &[(&str, &str)], settings: Settings, expected: (&str, &str)) {
        let target = resolve(flags, vars, settings).unwrap();
        let secret = target
            .secrets
            .token
            .clone()
            .or(target.secrets.password.clone());
        assert_eq!(
            (target.url.as_str(), secret.as_deref().unwrap_or("")),
            expected
        );
    }

    #[test]
    fn the_address_goes_from_flag_to_default() {
        let remote = || Settings {
            remote: true,
            ..settings()
        };
        let url = (env::URL, "ws://localhost:7003/x?y=1");
        check(
            &["ws://127.0.0.1:7002/"],
            &[url],
            remote(),
            ("ws://127.0.0.1:7002", ""),
        );
        check(&[], &[url], remote(), ("ws://localhost:7003/x", ""));
        check(&[], &[], remote(), ("ws://127.0.0.1:7000", "remote"));
        check(&[], &[], settings(), ("ws://127.0.0.1:7001", "local"));
        check(&[], &[], Settings::default(), ("ws://127.0.0.1:18789", ""));
    }

    #[test]
    fn a_secret_never_comes_from_below_the_address() {
        let flag = ["ws://127.0.0.1:1"];
        let variables = [(env::TOKEN, "variable")];
        check(&flag, &variables, settings(), ("ws://127.0.0.1:1", ""));
        check(
            &["ws://127.0.0.1:1", "flag"],
            &variables,
            settings(),
            ("ws://127.0.0.1:1", "flag"),
        );
        let url = [(env::URL, "ws://[::1]:2"), (env::TOKEN, "variable")];
        check(&[], &url, settings(), ("ws://[::1]:2", "variable"));
        check(&["", "flag"], &url, settings(), ("ws://[::1]:2", "flag"));
        check(&[], &url[..1], settings(), ("ws://[::1]:2", ""));
        check(
            &[],
            &variables,
            settings(),
            ("ws://127.0.0.1:7001", "variable"),
        );
        check(
            &["", "", "pw"],
            &variables,
            settings(),
            ("ws://127.0.0.1:7001", "pw"),
        );
    }

    #[test]
    fn the_place_of_the_secret_is_known() {
        let from = |flags: &[&str], vars: &[(&str, &str)]| {
            resolve(flags, vars, settings()).unwrap().secrets_from
        };
        assert_eq!(from(&["", "t"], &[]), Some(Source::Flag));
        assert_eq!(
            from(&[], &[(env::PASSWORD, "p")]),
            Some(Source::Environment)
        );
        assert_eq!(from(&[], &[]), Some(Source::Local));
        assert_eq!(from(&["ws://127.0.0.1:1"], &[]), None);
    }

    #[test]
    fn only_a_configured_gateway_sees_stored_tokens() {
        assert!(
            !resolve(&["ws://127.0.0.1:1"], &[], settings())
                .unwrap()
                .is_configured()
        );
        let url = [(env::URL, "ws://127.0.0.1:1")];
        assert!(!resolve(&[], &url, settings()).unwrap().is_configured());
        assert!(resolve(&[], &[], settings()).unwrap().is_configured());
    }

    #[test]
    fn remote_mode_without_url_is_a_configuration_error() {
        let settings = Settings {
            remote: true,
            remote_url: None,
            ..settings()
        };
        assert_eq!(
            resolve(&[], &[], settings).err().unwrap().kind(),
            Kind::Config
        );
    }
}
