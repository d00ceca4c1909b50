//! TLS on the gateway's port: which certificate, and how it is changed under live connections.
//!
//! A connection keeps the certificate it began with; [`Tls::reload`] changes what the next one
//! gets. TLS 1.2 and 1.3, no ALPN. A certificate that the gateway made itself is made anew in
//! time, with the same key.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

use super::certificate::{self, Files, TlsError};
use crate::clock::Clock;
use crate::config::{Paths, TlsConfig};
use crate::limits::CERTIFICATE_RENEWAL;

/// The TLS side of the port.
pub struct Tls {
    files: Files,
    /// Whether missing or ending files may be made.
    generate: bool,
    clock: Clock,
    current: RwLock<Served>,
}

#[derive(Clone)]
struct Served {
    config: Arc<ServerConfig>,
    fingerprint: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish()
    }
}

/// Where the configuration says the certificate and its key lie.
///
/// # Errors
/// When only one of the two is named.
pub fn files(config: &TlsConfig, paths: &Paths) -> Result<Files, TlsError> {
    let named = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim).filter(|t| !t.is_empty())?;
        let home = text.strip_prefix("~/").zip(crate::config::env::home());
        Some(home.map_or_else(|| PathBuf::from(text), |(rest, home)| home.join(rest)))
    };
    match (named(&config.cert_path), named(&config.key_path)) {
        (Some(certificate), Some(key)) => Ok(Files { certificate, key }),
        (None, None) => {
            let folder = paths.state_dir.join("gateway").join("tls");
            Ok(Files {
                certificate: folder.join("gateway-cert.pem"),
                key: folder.join("gateway-key.pem"),
            })
        }
        (Some(_), None) => Err(one_of_two("certPath", "keyPath")),
        (None, Some(_)) => Err(one_of_two("keyPath", "certPath")),
    }
}

fn one_of_two(given: &str, missing: &str) -> TlsError {
    TlsError(format!(
        "gateway.tls.{given} is set and gateway.tls.{missing} is not: set both, or neither for a \
         certificate that the gateway makes"
    ))
}

impl Tls {
    /// Reads the certificate, or makes it; `None` when TLS is off.
    ///
    /// # Errors
    /// When there is none that can be served: names the file and the fix.
    pub fn load(
        config: &TlsConfig,
        paths: &Paths,
        clock: Clock,
    ) -> Result<Option<Arc<Tls>>, TlsError> {
        if !config.enabled {
            return Ok(None);
        }
        let files = files(config, paths)?;
        let generate = config.auto_generate;
        let current = RwLock::new(read(&files, generate, clock)?);
        Ok(Some(Arc::new(Tls {
            files,
            generate,
            clock,
            current,
        })))
    }

    /// For one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().config)
    }

    /// What clients pin.
    pub fn fingerprint(&self) -> String {
        self.current().fingerprint
    }

    /// Reads the files again; new connections get what they hold now. Those that are open stay.
    ///
    /// # Errors
    /// When they can't be served: the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let next = read(&self.files, self.generate, self.clock)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let (old, new) = (current.fingerprint.clone(), next.fingerprint.clone());
        *current = next;
        drop(current);
        if old != new {
            tracing::warn!(
                old,
                new,
                "another TLS certificate is served: pins must follow"
            );
        }
        Ok(())
    }

    fn current(&self) -> Served {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(files: &Files, generate: bool, clock: Clock) -> Result<Served, TlsError> {
    let Files { certificate, key } = files;
    if !certificate.exists() || !key.exists() {
        if !generate {
            let missing = if certificate.exists() {
                key
            } else {
                certificate
            };
            return Err(TlsError::of(
                missing,
                "is missing: put it there, or set gateway.tls.autoGenerate to true",
            ));
        }
        if certificate.exists() {
            let fix =
                "is missing beside its certificate: put it back, or remove the certificate too";
            return Err(TlsError::of(key, fix));
        }
        certificate::make(certificate, key, clock.now_ms())?;
        tracing::info!(file = %certificate.display(), "a TLS certificate was made");
    }
    let mut chain = certificate::read_chain(certificate)?;
    let end = certificate::not_after_ms(&chain[0])
        .ok_or_else(|| TlsError::of(certificate, "is no certificate that can be read"))?;
    let now = clock.now_ms();
    if end < now.saturating_add(crate::spell::millis(CERTIFICATE_RENEWAL)) {
        if certificate::is_own(&chain) && generate {
            certificate::make(certificate, key, now)?;
            tracing::warn!(file = %certificate.display(), "the TLS certificate was made anew");
            chain = certificate::read_chain(certificate)?;
        } else {
            tracing::warn!(file = %certificate.display(), "the TLS certificate ends soon, or has ended");
        }
    }
    let fingerprint = certificate::fingerprint(&chain[0]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = certificate::read_key(key)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|e| {
            let what = format!("can't be served with {}: {e}", key.display());
            TlsError::of(certificate, what)
        })?;
    Ok(Served {
        config: Arc::new(config),
        fingerprint,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn paths(dir: &std::path::Path) -> Paths {
        Paths::resolve(None, Some(dir), None).unwrap()
    }

    fn on() -> TlsConfig {
        TlsConfig {
            enabled: true,
            ..TlsConfig::default()
        }
    }

    #[test]
    fn what_was_made_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let first = Tls::load(&on(), &paths(dir.path()), clock)
            .unwrap()
            .unwrap();
        let again = Tls::load(&on(), &paths(dir.path()), clock)
            .unwrap()
            .unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        // Another certificate for the same key, as at renewal.
        let Files { certificate, key } = &first.files;
        certificate::make(certificate, key, clock.now_ms() - 86_400_000 * 2).unwrap();
        first.reload().unwrap();
        assert_ne!(first.fingerprint(), again.fingerprint());
        // What can't be served changes nothing.
        let good = first.fingerprint();
        std::fs::write(certificate, "nothing").unwrap();
        assert!(first.reload().is_err());
        assert_eq!(first.fingerprint(), good);
    }

    #[test]
    fn an_own_certificate_that_ends_is_made_anew_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let files = files(&on(), &paths(dir.path())).unwrap();
        let life = crate::spell::millis(crate::limits::CERTIFICATE_LIFE);
        let old = clock.now_ms() - life;
        certificate::make(&files.certificate, &files.key, old).unwrap();
        let key = std::fs::read(&files.key).unwrap();
        let before = certificate::read_chain(&files.certificate).unwrap();
        Tls::load(&on(), &paths(dir.path()), clock)
            .unwrap()
            .unwrap();
        let after = certificate::read_chain(&files.certificate).unwrap();
        assert!(certificate::not_after_ms(&after[0]) > certificate::not_after_ms(&before[0]));
        assert_eq!(std::fs::read(&files.key).unwrap(), key);
    }

    #[test]
    fn refusals_name_the_file_and_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |config: &TlsConfig| {
            let text = Tls::load(config, &paths(dir.path()), Clock::system());
            text.err().unwrap().to_string()
        };
        let half = TlsConfig {
            cert_path: Some("c.pem".into()),
            ..on()
        };
        assert!(refused(&half).contains("gateway.tls.keyPath is not"));
        let off = TlsConfig {
            auto_generate: false,
            ..on()
        };
        assert!(refused(&off).contains("gateway.tls.autoGenerate"));
        // A key that belongs to another certificate.
        let files = files(&on(), &paths(dir.path())).unwrap();
        certificate::make(&files.certificate, &files.key, Clock::system().now_ms()).unwrap();
        let other = dir.path().join("other.pem");
        certificate::make(&other, &dir.path().join("other-key.pem"), 0).unwrap();
        std::fs::copy(dir.path().join("other-key.pem"), &files.key).unwrap();
        assert!(refused(&on()).contains("can't be served with"));
    }
}
