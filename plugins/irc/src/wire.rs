//! The way to the server: TCP, and TLS around it.
//!
//! `link` opens one connection at a time. The TLS provider is this library's own; certificates to
//! trust are the system's and those of `tlsCa`.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::Config;

/// What a session reads and writes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Connects, at most for as long as the configuration says.
///
/// # Errors
/// Why not, in words for the operator.
pub async fn connect(config: &Config) -> Result<Box<dyn Stream>, String> {
    let server = config.server();
    let timeout = config.timeout();
    match tokio::time::timeout(timeout, open(config)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(why)) => Err(format!("{server} cannot be reached: {why}")),
        Err(_) => Err(format!(
            "{server} cannot be reached: no answer within {} s",
            timeout.as_secs()
        )),
    }
}

async fn open(config: &Config) -> Result<Box<dyn Stream>, String> {
    let tcp = TcpStream::connect((config.host.as_str(), config.port())).await;
    let tcp = tcp.map_err(|e| e.to_string())?;
    // A line is written whole: waiting for more would only delay it.
    tcp.set_nodelay(true).ok();
    if !config.tls {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(config.host.clone())
        .map_err(|e| format!("host is no name a certificate can be for: {e}"))?;
    let ca = config.tls_ca.clone();
    let client = tokio::task::spawn_blocking(move || client(ca.as_deref())).await;
    let client = client.map_err(|e| e.to_string())??;
    let tls = TlsConnector::from(Arc::new(client))
        .connect(name, tcp)
        .await;
    tls.map(|tls| Box::new(tls) as Box<dyn Stream>)
        .map_err(|e| {
            let words = e.to_string();
            if words.contains("certificate") {
                format!("TLS: {words} (a server's own certificate can be trusted with tlsCa)")
            } else {
                format!("TLS: {words} (is this its TLS port?)")
            }
        })
}

/// Reads files: not for the runtime's thread.
fn client(ca: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (of_system, _) = roots.add_parsable_certificates(found.certs);
    if let Some(ca) = ca {
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            let certificate = certificate.map_err(|e| format!("tlsCa cannot be read: {e}"))?;
            roots.add(certificate).map_err(|e| format!("tlsCa: {e}"))?;
        }
    }
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |e| format!(" ({e})"));
        return Err(format!(
            "the system has no certificates to trust{why}: install ca-certificates or set tlsCa"
        ));
    }
    if of_system == 0 {
        gateway_plugin::tracing::debug!("only tlsCa is trusted, the system has no certificates");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_certificate_that_is_none_is_named() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(client(Some(text)).unwrap_err().contains("tlsCa"));
    }
}
