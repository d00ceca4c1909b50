//! Shared secrets, origins, locality and rate limits: who is let in and in which words the rest
//! is refused.

use serde_json::{Value, json};
use support::{Client, Close, Device, Gateway, Login, Setup};

/// Sends `connect` with these header fields; returns the error and checks that the close says the
/// same.
async fn refusal(gateway: &Gateway, headers: &[(&str, &str)], login: &Login) -> Value {
    let mut client = Client::open_with(gateway.port(), "/", headers).await;
    let answer = client.try_log_in(login).await;
    assert_eq!(answer["ok"], false, "should have been refused: {answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    let mut cut = message.to_owned();
    cut.truncate(120);
    assert_eq!(client.closed().await, Close::new(1008, &cut));
    answer["error"].clone()
}

async fn admitted(gateway: &Gateway, headers: &[(&str, &str)], login: &Login) -> Client {
    let mut client = Client::open_with(gateway.port(), "/", headers).await;
    client.log_in(login).await;
    client
}

fn unauthorized(message: &str, code: &str, reason: &str, retry: bool, next: &str) -> Value {
    json!({
        "code": "INVALID_REQUEST", "message": format!("unauthorized: {message}"),
        "details": {
            "code": code, "authReason": reason,
            "canRetryWithDeviceToken": retry, "recommendedNextStep": next,
        },
    })
}

#[tokio::test]
async fn token_mode() {
    let gateway = Gateway::start().await;
    let cli = "set gateway.remote.token to match gateway.auth.token";
    let ui = "open the dashboard URL and paste the token in Control UI settings";
    let other = "provide gateway auth token";
    let origin = format!("http://127.0.0.1:{}", gateway.port());
    let browser = [("origin", origin.as_str())];
    let wrong = json!({ "token": "wrong" });
    for (login, headers, hint) in [
        (Login::fresh(), &[][..], cli),
        (
            Login::fresh().client("openclaw-control-ui", "webchat"),
            &browser[..],
            ui,
        ),
        (Login::fresh().client("gateway-client", "ui"), &[], other),
    ] {
        let missing = refusal(&gateway, headers, &login.clone().auth(json!({}))).await;
        let message = format!("gateway token missing ({hint})");
        let next = "update_auth_configuration";
        let code = "AUTH_TOKEN_MISSING";
        assert_eq!(
            missing,
            unauthorized(&message, code, "token_missing", false, next)
        );

        let mismatch = refusal(&gateway, headers, &login.auth(wrong.clone())).await;
        let message = format!("gateway token mismatch ({hint})");
        let next = "retry_with_device_token";
        let code = "AUTH_TOKEN_MISMATCH";
        assert_eq!(
            mismatch,
            unauthorized(&message, code, "token_mismatch", true, next)
        );
    }
    // Either field carries the secret, and it may stand between blanks.
    let password = Login::fresh().auth(json!({ "password": "throwaway-token" }));
    admitted(&gateway, &[], &password).await;
    let blanks = Login::fresh().auth(json!({ "token": " throwaway-token " }));
    admitted(&gateway, &[], &blanks).await;
    // Without a device there is nothing to retry with.
    let bare = Login::without_device().auth(wrong);
    let error = refusal(&gateway, &[], &bare).await;
    assert_eq!(
        error["details"]["recommendedNextStep"],
        "update_auth_credentials"
    );
}

#[tokio::test]
async fn password_mode() {
    let gateway = Setup::new()
        .config(
            "/gateway/auth",
            json!({ "mode": "password", "password": "open sesame" }),
        )
        .start()
        .await;
    let right = Login::fresh().auth(json!({ "password": "open sesame" }));
    let client = admitted(&gateway, &[], &right).await;
    assert_eq!(client.hello["snapshot"]["authMode"], "password");

    let hint = "set gateway.remote.password to match gateway.auth.password";
    let missing = refusal(&gateway, &[], &Login::fresh().auth(json!({}))).await;
    assert_eq!(
        missing,
        unauthorized(
            &format!("gateway password missing ({hint})"),
            "AUTH_PASSWORD_MISSING",
            "password_missing",
            false,
            "update_auth_configuration",
        )
    );
    let wrong = Login::fresh().auth(json!({ "password": "x" }));
    assert_eq!(
        refusal(&gateway, &[], &wrong).await,
        unauthorized(
            &format!("gateway password mismatch ({hint})"),
            "AUTH_PASSWORD_MISMATCH",
            "password_mismatch",
            false,
            "update_auth_credentials",
        )
    );
}

#[tokio::test]
async fn mode_none_still_wants_a_device() {
    let gateway = Setup::new()
        .config("/gateway/auth", json!({ "mode": "none" }))
        .start()
        .await;
    let login = Login::fresh().auth(json!({ "token": "whatever" }));
    let client = admitted(&gateway, &[], &login).await;
    assert_eq!(client.hello["snapshot"]["authMode"], "none");
    let error = refusal(&gateway, &[], &Login::without_device().auth(json!({}))).await;
    assert_eq!(
        error,
        json!({
            "code": "NOT_PAIRED", "message": "device identity required",
            "details": { "code": "DEVICE_IDENTITY_REQUIRED" },
        })
    );
}

#[tokio::test]
async fn a_control_ui_without_a_device_is_told_why() {
    let gateway = Gateway::start().await;
    let origin = format!("http://localhost:{}", gateway.port());
    let login = Login::without_device().client("openclaw-control-ui", "webchat");
    let error = refusal(&gateway, &[("origin", &origin)], &login).await;
    assert_eq!(
        error,
        json!({
            "code": "INVALID_REQUEST",
            "message": "control ui requires device identity (use HTTPS or localhost secure context)",
            "details": { "code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" },
        })
    );
}

#[tokio::test]
async fn origins() {
    let gateway = Setup::new()
        .config(
            "/gateway/controlUi/allowedOrigins",
            json!(["https://Panel.example"]),
        )
        .start()
        .await;
    let ui = || Login::fresh().client("openclaw-control-ui", "webchat");
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1:1",
        "https://panel.example",
    ] {
        admitted(&gateway, &[("origin", origin)], &ui()).await;
    }
    for (origin, reason) in [
        ("https://elsewhere.example", "origin not allowed"),
        ("null", "origin missing or invalid"),
        ("not a url", "origin missing or invalid"),
    ] {
        let error = refusal(&gateway, &[("origin", origin)], &ui()).await;
        assert_eq!(
            error["details"]["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            "{origin}: {error}"
        );
        assert_eq!(error["details"]["reason"], reason, "{origin}");
    }
    // The control UI has to send one; a command line that sends one is looked at as well.
    let error = refusal(&gateway, &[], &ui()).await;
    assert_eq!(error["details"]["reason"], "origin missing or invalid");
    let error = refusal(
        &gateway,
        &[("origin", "https://elsewhere.example")],
        &Login::fresh(),
    )
    .await;
    assert_eq!(error["details"]["reason"], "origin not allowed");
}

/// Which requests count as coming from this very machine: only those are paired without asking.
#[tokio::test]
async fn what_is_local() {
    let gateway = Gateway::start().await;
    for headers in [
        &[("host", "localhost")][..],
        &[("host", "127.0.0.1:1")],
        &[("host", "[::1]:18789")],
        &[("host", "box.tail.ts.net")],
        &[("x-forwarded-proto", "https")],
        &[("forwarded", "for=1.2.3.4")],
    ] {
        admitted(&gateway, headers, &Login::fresh()).await;
    }
    for headers in [
        &[("host", "gw.example")][..],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("x-real-ip", "127.0.0.1")],
        &[("x-forwarded-host", "localhost")],
    ] {
        let error = refusal(&gateway, headers, &Login::fresh()).await;
        assert_eq!(error["code"], "NOT_PAIRED", "{headers:?}: {error}");
        assert_eq!(error["message"], "pairing required");
        assert_eq!(error["details"]["code"], "PAIRING_REQUIRED");
        assert_eq!(error["details"]["reason"], "not-paired");
        assert_eq!(error["details"]["requestId"].as_str().unwrap().len(), 36);
    }
}

#[tokio::test]
async fn a_trusted_proxy_hands_on_the_address() {
    let gateway = Setup::new()
        .config("/gateway/trustedProxies", json!(["127.0.0.1"]))
        .start()
        .await;
    // No forwarded header from a proxy: the address is unknown, so not local.
    let error = refusal(&gateway, &[], &Login::fresh()).await;
    assert_eq!(error["details"]["reason"], "not-paired");
    let error = refusal(
        &gateway,
        &[("x-forwarded-for", "203.0.113.9")],
        &Login::fresh(),
    )
    .await;
    assert_eq!(error["details"]["reason"], "not-paired");
    admitted(&gateway, &[("x-forwarded-for", "::1")], &Login::fresh()).await;
}

#[tokio::test]
async fn too_many_wrong_secrets_lock_the_address_out() {
    let limit = json!({
        "maxAttempts": 2, "windowMs": 60_000, "lockoutMs": 600_000, "exemptLoopback": false,
    });
    let gateway = Setup::new()
        .config("/gateway/auth/rateLimit", limit)
        .start()
        .await;
    let wrong = Login::without_device().auth(json!({ "token": "wrong" }));
    // Nothing at all is not an attempt.
    for _ in 0..3 {
        let nothing = Login::fresh().auth(json!({}));
        let error = refusal(&gateway, &[], &nothing).await;
        assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISSING");
    }
    for _ in 0..2 {
        let error = refusal(&gateway, &[], &wrong).await;
        assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    }
    let locked = refusal(&gateway, &[], &Login::without_device()).await;
    assert_eq!(
        locked,
        unauthorized(
            "too many failed authentication attempts (retry later)",
            "AUTH_RATE_LIMITED",
            "rate_limited",
            false,
            "wait_then_retry",
        )
    );
}

#[tokio::test]
async fn a_local_backend_needs_no_pairing() {
    let gateway = Gateway::start().await;
    let device = Device::new();
    let login = Login::operator(&device).client("gateway-client", "backend");
    let mut client = admitted(&gateway, &[], &login).await;
    let list = client.ok("device.pair.list", json!({})).await;
    assert_eq!(list["paired"], json!([]), "{list}");
    assert!(client.hello["auth"].get("deviceToken").is_none());
}
