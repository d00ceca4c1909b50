//! TLS to a gateway: by a pinned certificate, or by the authorities that this machine trusts.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::{Source, Target, Trust};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::http;

/// A fingerprint as people write it: `sha256:`, colons, spaces and capitals don't count.
///
/// # Errors
/// When something else than 64 hex digits is left.
pub fn fingerprint(text: &str, source: Source) -> CliResult<String> {
    let lower = text.trim().to_ascii_lowercase();
    let text = lower.strip_prefix("sha256:").unwrap_or(&lower);
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    if digits.len() == 64 {
        return Ok(digits);
    }
    let (kind, place) = match source {
        Source::Flag => (Kind::Usage, "--tls-fingerprint"),
        _ => (Kind::Config, "gateway.remote.tlsFingerprint"),
    };
    let message = format!("{place} is no SHA-256 fingerprint: it needs 64 hex digits");
    Err(CliError::new(kind, "TLS_FINGERPRINT_INVALID", message)
        .fix("take it from the gateway's host: openclaw gateway fingerprint"))
}

/// A pin for an address that is not encrypted.
pub fn pin_without_tls(target: &Target) -> CliError {
    let message = format!(
        "a TLS fingerprint was given, but {} is plain text",
        target.url
    );
    CliError::new(Kind::Config, "TLS_FINGERPRINT_UNUSED", message)
        .fact("url from", "urlSource", &target.source_text)
        .fix("name the gateway by wss://, or leave the fingerprint out")
}

/// Encrypts the connection and proves the other end.
///
/// # Errors
/// When it speaks no TLS, or is not the one that is trusted.
pub async fn wrap(stream: TcpStream, host: &str, trust: &Trust) -> CliResult<TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let pin = match trust {
        Trust::Pinned(wanted) => Some(Arc::new(Pin {
            wanted: wanted.clone(),
            seen: OnceLock::new(),
            provider: provider.clone(),
        })),
        Trust::Authorities => None,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match &pin {
        Some(pin) => pin.clone(),
        None => Arc::new(Verifier::new(provider.clone()).map_err(|e| failed(&e))?),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(&e))?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    connected.map_err(|cause| {
        let seen = pin.as_ref().and_then(|pin| pin.seen.get());
        match (seen, trust) {
            (Some(seen), _) => other_certificate(seen),
            (None, Trust::Authorities) if is_untrusted(&cause) => untrusted(&cause),
            _ => failed(&cause),
        }
    })
}

fn failed(cause: &dyn std::fmt::Display) -> CliError {
    CliError::new(
        Kind::Connection,
        "TLS_FAILED",
        format!("no TLS connection: {cause}"),
    )
    .fix("a gateway with gateway.tls.enabled false is reached by ws:// (through a tunnel)")
}

fn is_untrusted(cause: &std::io::Error) -> bool {
    let inner = cause.get_ref().and_then(|e| e.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_)))
}

fn untrusted(cause: &std::io::Error) -> CliError {
    let message = format!("the gateway's certificate is not trusted here: {cause}");
    CliError::new(Kind::Connection, "TLS_UNTRUSTED", message)
        .fix("pin it: --tls-fingerprint with what openclaw gateway fingerprint says on its host")
}

fn other_certificate(seen: &str) -> CliError {
    let message = "the gateway's certificate is not the pinned one";
    CliError::new(Kind::Connection, "TLS_PIN_MISMATCH", message)
        .fact("fingerprint", "fingerprint", seen)
        .fix("compare it with openclaw gateway fingerprint on the gateway's host")
        .fix("if they are equal, pin that one; if not, somebody else answers")
}

/// Takes one certificate and no other; authorities, names and dates don't count.
#[derive(Debug)]
struct Pin {
    wanted: String,
    /// What another certificate had instead.
    seen: OnceLock<String>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = http::fingerprint(certificate);
        if found == self.wanted {
            return Ok(ServerCertVerified::assertion());
        }
        self.seen.get_or_init(|| found);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fingerprints_are_read_as_people_write_them() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for text in [plain.clone(), colons.clone(), format!(" sha256:{colons} ")] {
            assert_eq!(fingerprint(&text, Source::Flag).unwrap(), plain, "{text}");
        }
        for (text, source, code) in [("ab", Source::Flag, 2), ("", Source::Remote, 78)] {
            let error = fingerprint(text, source).err().unwrap();
            assert_eq!(error.kind().exit_code(), code);
        }
    }
}
