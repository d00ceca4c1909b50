//! TLS on the gateway's port: its certificate, who pins it, how it changes, what else comes there.

use std::os::unix::fs::PermissionsExt as _;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use support::cli::run;
use support::gateway::TOKEN;
use support::wait::{until, within};
use support::{Gateway, Setup, http, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

async fn encrypted() -> Gateway {
    let gateway = Setup::new()
        .config("/gateway/tls", json!({ "enabled": true }))
        .spawn();
    gateway.logged("gateway ready").await;
    gateway
}

#[tokio::test]
async fn the_command_line_pins_the_certificate() {
    let gateway = encrypted().await;
    let home = gateway.home();
    let told = run(home, &["gateway", "fingerprint"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let pin = told.out.trim().to_owned();
    let told = run(home, &["gateway", "fingerprint", "--json"])
        .await
        .json();
    assert_eq!(told["sha256"], json!(pin));
    for file in ["gateway-cert.pem", "gateway-key.pem"] {
        let path = gateway.state_dir().join("gateway/tls").join(file);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // On its own host the certificate lies in the state folder.
    let health = run(home, &["health", "--json"]).await;
    assert_eq!(health.code, Some(0), "{health:?}");
}

/// From elsewhere: by a pin, however it is written, or kept with the address.
#[tokio::test]
async fn a_client_elsewhere_pins_the_certificate() {
    let gateway = encrypted().await;
    let pin = run(gateway.home(), &["gateway", "fingerprint"]).await;
    let pin = pin.out.trim().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("wss://127.0.0.1:{}", gateway.port());
    let call = async |more: &[&str]| {
        let command = ["call", "health", "--json", "--token", TOKEN, "--url"];
        run(elsewhere.path(), &[&command[..], more].concat()).await
    };
    let written = format!("SHA256:{}", pin.to_uppercase());
    let answer = call(&[&url, "--tls-fingerprint", &written]).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(answer.json()["ok"], true);

    let other = "00".repeat(32);
    let plain = format!("ws://127.0.0.1:{}", gateway.port());
    for (arguments, code, exit, word) in [
        (
            &[&url, "--tls-fingerprint", &other][..],
            "TLS_PIN_MISMATCH",
            1,
            pin.as_str(),
        ),
        (
            &[&plain, "--tls-fingerprint", &pin],
            "TLS_FINGERPRINT_UNUSED",
            78,
            "wss://",
        ),
        (
            &[&url, "--tls-fingerprint", "ab"],
            "TLS_FINGERPRINT_INVALID",
            2,
            "64",
        ),
        (&[&plain], "NOT_A_GATEWAY", 1, "400"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(|s| s.as_ref()).collect();
        let refused = call(&arguments).await;
        assert_eq!(refused.code, Some(exit), "{refused:?}");
        assert_eq!(refused.json()["error"]["code"], code, "{refused:?}");
        assert!(refused.out.contains(word), "{refused:?}");
    }
    // No authority of this machine knows it.
    let refused = call(&[&url]).await;
    let text = refused.json()["error"]["code"].to_string();
    assert!(
        refused.code == Some(1) && text.contains("TLS_"),
        "{refused:?}"
    );

    // A kept pin, with the address.
    let state = elsewhere.path().join(".openclaw");
    let config = json!({ "gateway": { "mode": "remote", "remote": {
        "url": url, "token": TOKEN, "tlsFingerprint": pin } } });
    std::fs::write(state.join("openclaw.json"), config.to_string()).unwrap();
    let answer = run(elsewhere.path(), &["health", "--json"]).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

#[tokio::test]
async fn another_certificate_comes_without_a_restart() {
    let gateway = encrypted().await;
    let mut before = Vec::new();
    for version in [&TLS12, &TLS13] {
        let connection = tls::open(gateway.port(), version).await.unwrap();
        assert_eq!(connection.stream.get_ref().1.alpn_protocol(), None);
        before.push(connection);
    }
    let first = before[0].fingerprint.clone();
    assert_eq!(before[1].fingerprint, first);
    let connection = before.pop().unwrap();
    let url = format!("wss://localhost:{}/", gateway.port());
    let upgrade = tokio_tungstenite::client_async(url, connection.stream);
    let (mut socket, _) = upgrade.await.unwrap();
    let challenge = within("a challenge", socket.next()).await.unwrap().unwrap();
    assert!(challenge.to_text().unwrap().contains("connect.challenge"));

    let folder = gateway.state_dir().join("gateway/tls");
    let key = std::fs::read(folder.join("gateway-key.pem")).unwrap();
    std::fs::remove_file(folder.join("gateway-cert.pem")).unwrap();
    gateway.signal(Signal::HUP);
    until("another certificate", || async {
        let connection = tls::open(gateway.port(), &TLS13).await.ok()?;
        (connection.fingerprint != first).then_some(())
    })
    .await;
    assert_eq!(std::fs::read(folder.join("gateway-key.pem")).unwrap(), key);

    // The connection that was open is answered as ever.
    let frame = r#"{"type":"req","id":"1","method":"health"}"#;
    socket.send(Message::text(frame)).await.unwrap();
    let answer = within("an answer", socket.next()).await.unwrap().unwrap();
    let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
    let reason = "invalid handshake: first request must be connect";
    assert_eq!(answer["error"]["message"], reason);

    // What cannot be served changes nothing.
    std::fs::write(folder.join("gateway-cert.pem"), "nothing").unwrap();
    gateway.signal(Signal::HUP);
    gateway.logged("gateway-cert.pem").await;
    tls::open(gateway.port(), &TLS13).await.unwrap();
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_or_cut_off() {
    let gateway = encrypted().await;
    let plain = http::get(gateway.port(), "/healthz", &[]).await.unwrap();
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("speaks TLS"), "{}", plain.body);
    // The beginning of a handshake, and no more.
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port()))
        .await
        .unwrap();
    stream.write_all(&[0x16, 0x03]).await.unwrap();
    let mut rest = Vec::new();
    let read = within(
        "the end of a stalled handshake",
        stream.read_to_end(&mut rest),
    )
    .await;
    assert!(read.is_err() || rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn without_a_good_certificate_it_does_not_start() {
    let setup = Setup::new();
    let path = setup.state_dir().with_file_name("bad.pem");
    std::fs::write(&path, "nothing").unwrap();
    let bad = json!({ "enabled": true, "certPath": path, "keyPath": path });
    let half = json!({ "enabled": true, "certPath": path });
    let none = json!({ "enabled": true, "autoGenerate": false });
    let mut setup = Some(setup);
    for (tls, words) in [
        (bad, ["gateway.tls", "bad.pem"]),
        (half, ["gateway.tls.keyPath", "set both"]),
        (none, ["gateway-cert.pem", "gateway.tls.autoGenerate"]),
    ] {
        let setup = setup.take().unwrap_or_default().config("/gateway/tls", tls);
        let mut gateway = setup.spawn();
        assert_eq!(gateway.exit().await.code(), Some(78));
        for word in words {
            gateway.logged(word).await;
        }
    }
}
