//! A TLS connection that takes any certificate and tells which one it was given.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An open connection.
pub struct Tls {
    /// What came of it.
    pub stream: TlsStream<TcpStream>,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
}

/// Connects with this version alone, offering `http/1.1` by ALPN.
///
/// # Errors
/// When the other side does not shake hands.
///
/// # Panics
/// When the library has no such version.
pub async fn open(
    port: u16,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<Tls> {
    let witness = Arc::new(Witness::default());
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version of the library")
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await?;
    let seen = witness.0.lock().unwrap_or_else(PoisonError::into_inner);
    let fingerprint = seen.clone();
    drop(seen);
    Ok(Tls {
        stream,
        fingerprint,
    })
}

#[derive(Debug, Default)]
struct Witness(Mutex<String>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest = Sha256::digest(certificate.as_ref());
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hex;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
