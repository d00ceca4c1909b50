//! Mode trusted-proxy: a proxy has authenticated the user, and only its word counts.

use serde_json::{Value, json};
use support::{Client, Gateway, Login, Setup};

use crate::config::ends;

const ALL: [(&str, &str); 2] = [("x-verified", "yes"), ("x-user", "ada@example.com")];

fn behind_a_proxy(proxies: Value) -> Setup {
    let proxy = json!({
        "userHeader": "X-User", "requiredHeaders": ["X-Verified"],
        "allowUsers": ["ada@example.com"],
    });
    Setup::new()
        .config("/gateway/auth/mode", json!("trusted-proxy"))
        .config("/gateway/auth/trustedProxy", proxy)
        .config("/gateway/trustedProxies", proxies)
        .config(
            "/gateway/controlUi/allowedOrigins",
            json!(["https://panel.example"]),
        )
}

async fn answer(gateway: &Gateway, headers: &[(&str, &str)], login: &Login) -> Value {
    let mut client = Client::open_with(gateway.port(), "/", headers).await;
    client.try_log_in(login).await
}

#[tokio::test]
async fn whom_the_proxy_names_is_in() {
    let gateway = behind_a_proxy(json!(["127.0.0.0/8"])).start().await;
    // A Control UI keeps its scopes, and is paired with nobody, with or without a device.
    let mut headers = ALL.to_vec();
    headers.push(("origin", "https://panel.example"));
    headers.push(("x-forwarded-for", "203.0.113.9"));
    for login in [Login::without_device(), Login::fresh()] {
        let login = login
            .client("openclaw-control-ui", "webchat")
            .auth(json!({}));
        let mut client = Client::open_with(gateway.port(), "/", &headers).await;
        client.log_in(&login).await;
        assert_eq!(client.hello["snapshot"]["authMode"], "trusted-proxy");
        assert_eq!(client.hello.get("auth"), None);
        let list = client.ok("device.pair.list", json!({})).await;
        assert_eq!(list["paired"], json!([]), "{list}");
    }
    // Any other program is in too, and may do nothing without a device.
    let mut client = Client::open_with(gateway.port(), "/", &ALL).await;
    client
        .log_in(&Login::without_device().auth(json!({})))
        .await;
    let error = client.refused("device.pair.list", json!({})).await;
    assert_eq!(error["message"], "missing scope: operator.pairing");
    // With one it has to be paired: a proxy is not this host.
    let answer = answer(&gateway, &ALL, &Login::fresh().auth(json!({}))).await;
    assert_eq!(answer["error"]["details"]["reason"], "not-paired");
}

#[tokio::test]
async fn what_the_proxy_leaves_out_is_named() {
    let gateway = behind_a_proxy(json!(["127.0.0.1"])).start().await;
    let eve = [ALL[0], ("x-user", "eve@example.com")];
    let blank = [ALL[0], ("x-user", " ")];
    for (headers, reason) in [
        (&ALL[1..], "trusted_proxy_missing_header_X-Verified"),
        (&ALL[..1], "trusted_proxy_user_missing"),
        (&blank[..], "trusted_proxy_user_missing"),
        (&eve[..], "trusted_proxy_user_not_allowed"),
    ] {
        // The right token is no way around.
        let answer = answer(&gateway, headers, &Login::without_device()).await;
        assert_eq!(
            answer["error"],
            json!({
                "code": "INVALID_REQUEST", "message": "unauthorized",
                "details": {
                    "code": "AUTH_UNAUTHORIZED", "authReason": reason,
                    "canRetryWithDeviceToken": false,
                    "recommendedNextStep": "review_auth_configuration",
                },
            })
        );
    }
    let nothing = Login::without_device().auth(json!({}));
    let answer = answer(&gateway, &[], &nothing).await;
    assert_eq!(
        answer["error"]["details"]["code"],
        "DEVICE_IDENTITY_REQUIRED"
    );
}

/// Headers of somebody who is no proxy are worth nothing.
#[tokio::test]
async fn a_peer_that_is_no_proxy_names_nobody() {
    let gateway = behind_a_proxy(json!(["127.0.0.9", "10.0.0.0/8"]))
        .start()
        .await;
    for login in [Login::fresh(), Login::without_device()] {
        let answer = answer(&gateway, &ALL, &login).await;
        let details = &answer["error"]["details"];
        assert_eq!(
            details["authReason"], "trusted_proxy_untrusted_source",
            "{answer}"
        );
    }
}

#[tokio::test]
async fn half_a_trusted_proxy_is_not_started() {
    let mode = || Setup::new().config("/gateway/auth/mode", json!("trusted-proxy"));
    ends(mode(), 78, &["openclaw.json", "gateway.auth.trustedProxy"]).await;
    let setup = mode().config("/gateway/auth/trustedProxy", json!({ "userHeader": " " }));
    ends(
        setup,
        78,
        &["gateway.auth.trustedProxy.userHeader is empty"],
    )
    .await;
    ends(
        behind_a_proxy(json!([])),
        78,
        &["gateway.trustedProxies names no proxy"],
    )
    .await;
    ends(
        behind_a_proxy(json!(["10.0.0.1"])),
        78,
        &["no loopback address"],
    )
    .await;
}
