//! One test of the encrypted way: a server with a certificate of its own.
//!
//! The certificates were made for this test and are good for nothing else:
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=x
//! -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE`.

use std::sync::Arc;

use gateway_plugin::message::Link;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::{link, send, started};
use crate::server::{Client, Server};

const CERTIFICATE: &str = include_str!("certificate.pem");
const KEY: &str = include_str!("key.pem");

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_certificate_that_is_trusted_lets_words_through() {
    let server = Server::start().await;
    let trusting = json!({ "tls": true, "tlsCa": CERTIFICATE, "host": "localhost" });
    let host = started(&server, trusting).await;
    let stream = acceptor().accept(server.accept_raw().await).await.unwrap();
    let mut client = Client::new(stream);
    let nick = client.register().await;
    client.let_in(&nick).await;
    link(&host, Link::Connected).await;
    let (sent, ()) = tokio::join!(send(&host, "#c", "hi"), async {
        assert_eq!(client.line().await, "PRIVMSG #c hi");
        client.settle().await;
    });
    sent.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_does_not() {
    let server = Server::start().await;
    let careful =
        json!({ "tls": true, "tlsCa": OTHER, "host": "localhost", "password": super::SECRET });
    let host = started(&server, careful).await;
    let refused = acceptor().accept(server.accept_raw().await).await;
    assert!(refused.is_err());
    let detail = link(&host, Link::Connecting).await.detail.unwrap();
    assert!(
        detail.contains("certificate") && detail.contains("tlsCa"),
        "{detail}"
    );
    drop(server);
}

/// Another one's certificate, so that there is something to trust on any system.
const OTHER: &str = include_str!("other.pem");
