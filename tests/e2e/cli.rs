//! The command line as people and scripts use it: exit codes, pure JSON, errors that name the fix.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::gateway::{TOKEN, free_port};
use support::{Client, Gateway, Login};

/// A home without a gateway, with this `openclaw.json`.
fn home(config: Option<&Value>) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    if let Some(config) = config {
        configure(home.path(), config);
    }
    home
}

fn configure(home: &Path, config: &Value) {
    std::fs::create_dir_all(home.join(".openclaw")).unwrap();
    std::fs::write(home.join(".openclaw/openclaw.json"), config.to_string()).unwrap();
}

/// A machine slow enough to miss the default patience must not fail a test.
async fn patient(home: &Path, arguments: &[&str]) -> Ran {
    run(home, &[arguments, &["--timeout", "60s"]].concat()).await
}

async fn json_of(home: &Path, arguments: &[&str]) -> Value {
    let ran = patient(home, &[arguments, &["--json"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran.json()
}

/// The error object of a failed call under `--json`; nothing else may be printed.
async fn error_of(home: &Path, arguments: &[&str], code: i32) -> Value {
    let ran = patient(home, &[arguments, &["--json"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(code), ""), "{ran:?}");
    let mut answer = ran.json();
    assert_eq!(answer["ok"], false);
    let error = answer["error"].take();
    for field in ["type", "code", "message", "details", "retryable"] {
        assert!(error.get(field).is_some(), "{field} is missing: {error}");
    }
    error
}

#[tokio::test]
async fn help_and_version_need_nothing() {
    let home = tempfile::tempdir().unwrap();
    let help = run(home.path(), &["--help"]).await;
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    assert!(
        help.out
            .contains("Exit codes: 0 ok · 1 failure · 2 wrong command line · 78")
    );
    let version = run(home.path(), &["--version"]).await;
    assert!(version.out.starts_with("openclaw "), "{version:?}");
    let inner = run(home.path(), &["send", "--help"]).await;
    assert!(inner.out.contains("Example: openclaw send"), "{inner:?}");
    assert!(
        !home.path().join(".openclaw").exists(),
        "help must not touch the state folder"
    );
}

#[tokio::test]
async fn a_wrong_command_line_is_2() {
    let home = tempfile::tempdir().unwrap();
    for wrong in [
        &["helth"][..],
        &["health", "--frobnicate"],
        &["gateway", "--url", "ws://127.0.0.1:1"],
        &["call", "health", "--params", "[]"],
        &["health", "--url", "http://127.0.0.1:1"],
        &["devices", "approve"],
        &["send", "--to", "x"],
    ] {
        let ran = run(home.path(), wrong).await;
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(2), ""),
            "{wrong:?}: {ran:?}"
        );
        assert!(ran.err.starts_with("error: "), "{wrong:?}: {ran:?}");
    }
    let suggestion = run(home.path(), &["helth", "--json"]).await;
    assert_eq!(suggestion.json()["error"]["type"], "usage");
    assert!(suggestion.out.contains("'health'"), "{suggestion:?}");
}

#[tokio::test]
async fn no_gateway_is_told_with_place_and_next_command() {
    let port = free_port();
    let home = home(Some(&json!({ "gateway": { "port": port } })));
    let ran = patient(home.path(), &["health"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    for part in [
        "error: no gateway is reachable",
        &format!("ws://127.0.0.1:{port}"),
        "gateway.port in the configuration",
        "start the gateway: openclaw gateway",
    ] {
        assert!(ran.err.contains(part), "{part:?} is missing: {ran:?}");
    }
    let error = error_of(home.path(), &["status"], 1).await;
    assert_eq!(
        (&error["type"], &error["retryable"]),
        (&json!("connection"), &json!(true))
    );
    assert_eq!(
        error["details"]["url"],
        json!(format!("ws://127.0.0.1:{port}"))
    );
}

#[tokio::test]
async fn a_wrong_configuration_is_78() {
    let home = tempfile::tempdir().unwrap();
    configure(home.path(), &json!({ "gateway": { "mode": "remote" } }));
    let error = error_of(home.path(), &["health"], 78).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("gateway.remote.url is not set")
    );
    configure(home.path(), &json!({ "gateway": { "port": "many" } }));
    let error = error_of(home.path(), &["health"], 78).await;
    assert!(
        error["message"].as_str().unwrap().contains("gateway.port"),
        "{error}"
    );
    std::fs::write(home.path().join(".openclaw/openclaw.json"), "{ gateway: ").unwrap();
    let error = error_of(home.path(), &["health"], 78).await;
    assert!(
        error["message"].as_str().unwrap().contains("openclaw.json"),
        "{error}"
    );
    // An address by hand needs no configuration.
    let by_hand = format!("ws://127.0.0.1:{}", free_port());
    assert_eq!(
        error_of(home.path(), &["health", "--url", &by_hand], 1).await["type"],
        "connection"
    );
    // Plain text stays on this machine.
    let far = error_of(home.path(), &["health", "--url", "ws://192.0.2.1:1"], 78).await;
    assert_eq!(far["code"], "PLAINTEXT_REFUSED");
}

#[tokio::test]
async fn the_reads_answer_as_json_and_as_tables() {
    let gateway = Gateway::start().await;
    let home = gateway.home();
    let health = json_of(home, &["health"]).await;
    assert_eq!(health["ok"], true, "{health}");
    let status = json_of(home, &["status"]).await;
    assert_eq!(
        status["gateway"]["url"],
        json!(format!("ws://127.0.0.1:{}", gateway.port()))
    );
    assert!(status["status"]["sessions"]["count"].is_u64(), "{status}");
    assert_eq!(status["unreadable"], json!([]));
    let channels = json_of(home, &["channels", "status"]).await;
    assert_eq!(channels["channelOrder"], json!(["echo"]));
    let devices = json_of(home, &["devices", "list"]).await;
    let own = devices["paired"][0]["deviceId"].as_str().unwrap();
    assert_eq!(json_of(home, &["call", "health"]).await["ok"], true);
    assert_eq!(
        json_of(home, &["gateway", "call", "health"]).await["ok"],
        true
    );

    for (command, expected) in [
        (&["health"][..], &["ok · ws://127.0.0.1:", "│ echo"][..]),
        (
            &["status", "--all"],
            &["Gateway   reachable · version", "│ echo", "Methods"],
        ),
        (&["channels", "status"], &["│ echo", "│ running"]),
        (&["devices", "list"], &[own, "(this device)"]),
    ] {
        let ran = patient(home, command).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        for part in expected {
            assert!(ran.out.contains(part), "{part:?} is missing:\n{}", ran.out);
        }
        assert!(!ran.out.contains('\u{1b}'), "colour in a pipe: {ran:?}");
        assert!(!ran.out.contains(TOKEN), "a secret is shown: {ran:?}");
    }
}

#[tokio::test]
async fn the_device_is_made_once_and_its_token_replaces_the_secret() {
    let gateway = Gateway::start().await;
    let url = format!("ws://127.0.0.1:{}", gateway.port());
    let remote = |secret: Value| {
        let mut remote = json!({ "url": url });
        remote
            .as_object_mut()
            .unwrap()
            .extend(secret.as_object().unwrap().clone());
        json!({ "gateway": { "mode": "remote", "remote": remote } })
    };
    let home = home(Some(&remote(json!({ "token": TOKEN }))));
    json_of(home.path(), &["status"]).await;
    let identity = home.path().join(".openclaw/identity/device.json");
    let mode = std::fs::metadata(&identity).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = std::fs::read_to_string(&identity).unwrap();
    configure(home.path(), &remote(json!({})));
    json_of(home.path(), &["devices", "list"]).await;
    assert_eq!(std::fs::read_to_string(&identity).unwrap(), first);
    // A stale shared token is replaced by the device's own.
    configure(home.path(), &remote(json!({ "token": "stale" })));
    json_of(home.path(), &["devices", "list"]).await;
}

#[tokio::test]
async fn an_address_by_hand_borrows_nothing() {
    let gateway = Gateway::start().await;
    let home = gateway.home();
    let url = format!("ws://127.0.0.1:{}", gateway.port());
    json_of(home, &["health"]).await;
    let error = error_of(home, &["health", "--url", &url], 1).await;
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("auth"), &json!("AUTH_TOKEN_MISSING"))
    );
    json_of(home, &["health", "--url", &url, "--token", TOKEN]).await;
    let error = error_of(home, &["health", "--token", "wrong"], 1).await;
    assert_eq!(error["code"], "AUTH_TOKEN_MISMATCH");
    let fix = error["details"]["fix"][0].as_str().unwrap();
    assert!(fix.starts_with("--token holds another secret"), "{error}");
}

#[tokio::test]
async fn a_refused_call_keeps_the_gateways_words() {
    let gateway = Gateway::start().await;
    let error = error_of(gateway.home(), &["call", "no.such"], 1).await;
    assert_eq!(error["type"], "gateway");
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(error["message"], "unknown method: no.such");
    let error = error_of(gateway.home(), &["devices", "remove", "nobody"], 1).await;
    assert_eq!(
        error["details"]["fix"][0],
        "see the paired devices: openclaw devices list"
    );
}

#[tokio::test]
async fn the_agent_answers_and_a_message_is_sent_once() {
    let gateway = Gateway::start().await;
    let home = gateway.home();
    let ran = patient(home, &["agent", "--message", "a word to say"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("a word to say"), "{ran:?}");
    let answer = json_of(home, &["agent", "--message", "another word"]).await;
    assert_eq!(answer["status"], "ok", "{answer}");
    assert!(
        answer["result"]["payloads"][0]["text"]
            .as_str()
            .unwrap()
            .contains("another word")
    );

    let send = [
        "send",
        "--channel",
        "echo",
        "--to",
        "room",
        "-m",
        "hi",
        "--idempotency-key",
        "k",
    ];
    let first = json_of(home, &send).await;
    assert_eq!(json_of(home, &send).await, first);
    let ran = patient(
        home,
        &["send", "--channel", "echo", "--to", "room", "-m", "hi"],
    )
    .await;
    assert!(
        ran.out.starts_with("sent to room on echo: message "),
        "{ran:?}"
    );
    let error = error_of(
        home,
        &["send", "--channel", "foo", "--to", "x", "-m", "hi"],
        1,
    )
    .await;
    assert_eq!(error["message"], "unsupported channel: foo");
}

#[tokio::test]
async fn requests_are_previewed_approved_and_rejected() {
    let gateway = Gateway::start().await;
    let home = gateway.home();
    let far = [("x-forwarded-for", "203.0.113.9")];
    let ask = async || {
        let mut phone = Client::open_with(gateway.port(), "/", &far).await;
        let login = Login::fresh().scopes(&["operator.read"]);
        let refused = phone.try_log_in(&login).await;
        refused["error"]["details"]["requestId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        error_of(home, &["devices", "approve", "--latest"], 1).await["code"],
        "NOTHING_PENDING"
    );
    let request = ask().await;
    let preview = error_of(home, &["devices", "approve", "--latest"], 1).await;
    assert_eq!(
        (&preview["code"], &preview["details"]["requestId"]),
        (&json!("CONFIRMATION_NEEDED"), &json!(request))
    );
    let list = patient(home, &["devices", "list"]).await;
    assert!(
        list.out.contains("waiting for approval") && list.out.contains(&request),
        "{list:?}"
    );
    let approved = json_of(home, &["devices", "approve", &request]).await;
    let device = approved["device"]["deviceId"].as_str().unwrap().to_owned();
    let error = error_of(home, &["devices", "approve", &request], 1).await;
    assert_eq!(error["message"], "unknown requestId");
    let token = ["--device", &device, "--role", "operator"];
    let rotated = json_of(home, &[&["devices", "rotate"][..], &token].concat()).await;
    assert!(rotated["token"].is_string(), "{rotated}");
    let revoked = json_of(home, &[&["devices", "revoke"][..], &token].concat()).await;
    assert!(revoked["revokedAtMs"].is_u64(), "{revoked}");
    let removed = patient(home, &["devices", "remove", &device]).await;
    assert!(removed.out.starts_with("removed "), "{removed:?}");
    let request = ask().await;
    let rejected = patient(home, &["devices", "reject", &request]).await;
    assert_eq!(
        rejected.out,
        format!("rejected {request}\n"),
        "{rejected:?}"
    );
}
