//! How often somebody may be wrong: the limiter of programs and the one of web pages.

use serde_json::{Value, json};
use support::{Client, Gateway, Login, Setup};

async fn limited(limit: Value) -> Gateway {
    Setup::new()
        .config("/gateway/auth/rateLimit", limit)
        .start()
        .await
}

async fn code(gateway: &Gateway, headers: &[(&str, &str)], login: &Login) -> String {
    let mut client = Client::open_with(gateway.port(), "/", headers).await;
    let answer = client.try_log_in(login).await;
    let code = answer["error"]["details"]["code"].as_str();
    code.unwrap_or("in").to_owned()
}

fn wrong(auth: Value) -> Login {
    Login::without_device().auth(auth)
}

/// A burst of sockets that are all at the same point: no more than the allowed number is judged.
#[tokio::test]
async fn a_burst_of_wrong_secrets_is_not_evaluated_beyond_the_limit() {
    let gateway = limited(json!({ "maxAttempts": 10, "exemptLoopback": false })).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(gateway.open().await);
    }
    let missed = wrong(json!({ "token": "no" }));
    let answers = clients.iter_mut().map(|client| client.try_log_in(&missed));
    let (mut evaluated, mut locked) = (0, 0);
    for answer in futures_util::future::join_all(answers).await {
        match answer["error"]["details"]["code"].as_str() {
            Some("AUTH_TOKEN_MISMATCH") => evaluated += 1,
            Some("AUTH_RATE_LIMITED") => locked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((evaluated, locked), (10, 90));
}

/// The secret is accepted in either field, so either field counts when it is wrong; and a device
/// shown beside it doesn't make guessing free.
#[tokio::test]
async fn no_way_of_guessing_is_free() {
    for (attempt, first) in [
        (wrong(json!({ "password": "no" })), "AUTH_TOKEN_MISSING"),
        (
            Login::fresh().auth(json!({ "token": "no" })),
            "AUTH_TOKEN_MISMATCH",
        ),
        (
            Login::fresh().auth(json!({ "token": "no", "deviceToken": "no" })),
            "AUTH_DEVICE_TOKEN_MISMATCH",
        ),
    ] {
        let gateway = limited(json!({ "maxAttempts": 2, "exemptLoopback": false })).await;
        for _ in 0..2 {
            assert_eq!(code(&gateway, &[], &attempt).await, first);
        }
        assert_eq!(code(&gateway, &[], &attempt).await, "AUTH_RATE_LIMITED");
        let right = Login::without_device();
        assert_eq!(code(&gateway, &[], &right).await, "AUTH_RATE_LIMITED");
    }
}

/// A device that sends its own token as `auth.token` has not failed.
#[tokio::test]
async fn a_device_token_in_the_other_field_is_no_failure() {
    let gateway = limited(json!({ "maxAttempts": 2, "exemptLoopback": false })).await;
    let login = Login::fresh();
    let client = gateway.connect(&login).await;
    let token = client.hello["auth"]["deviceToken"].clone();
    let own = login.auth(json!({ "token": token }));
    for _ in 0..5 {
        assert_eq!(code(&gateway, &[], &own).await, "in");
    }
    let missed = wrong(json!({ "token": "no" }));
    assert_eq!(code(&gateway, &[], &missed).await, "AUTH_TOKEN_MISMATCH");
    // A success forgets what was wrong before.
    assert_eq!(code(&gateway, &[], &Login::without_device()).await, "in");
    for expected in [
        "AUTH_TOKEN_MISMATCH",
        "AUTH_TOKEN_MISMATCH",
        "AUTH_RATE_LIMITED",
    ] {
        assert_eq!(code(&gateway, &[], &missed).await, expected);
    }
}

/// Without a word of configuration web pages are limited, this host's own too, and programs on it
/// are not.
#[tokio::test]
async fn pages_have_a_limiter_of_their_own() {
    let gateway = Gateway::start().await;
    let page = [("origin", "http://localhost:5173")];
    let missed = wrong(json!({ "token": "no" })).client("webchat-ui", "webchat");
    for _ in 0..10 {
        assert_eq!(code(&gateway, &page, &missed).await, "AUTH_TOKEN_MISMATCH");
    }
    assert_eq!(code(&gateway, &page, &missed).await, "AUTH_RATE_LIMITED");
    for _ in 0..12 {
        let program = wrong(json!({ "token": "no" }));
        assert_eq!(code(&gateway, &[], &program).await, "AUTH_TOKEN_MISMATCH");
    }
    gateway.operator().await;
}

/// The address behind a proxy is what is locked, not the proxy.
#[tokio::test]
async fn a_lock_is_for_the_client_behind_the_proxy() {
    let gateway = Setup::new()
        .config("/gateway/auth/rateLimit", json!({ "maxAttempts": 1 }))
        .config("/gateway/trustedProxies", json!(["127.0.0.1"]))
        .start()
        .await;
    let missed = wrong(json!({ "token": "no" }));
    let from = |address| [("x-forwarded-for", address)];
    let one = from("192.0.2.1");
    assert_eq!(code(&gateway, &one, &missed).await, "AUTH_TOKEN_MISMATCH");
    for same in ["192.0.2.1", "::ffff:192.0.2.1", "8.8.8.8, 192.0.2.1:99"] {
        assert_eq!(
            code(&gateway, &from(same), &missed).await,
            "AUTH_RATE_LIMITED"
        );
    }
    let other = from("192.0.2.2");
    assert_eq!(code(&gateway, &other, &Login::without_device()).await, "in");
}

#[tokio::test]
async fn a_limit_of_nothing_is_not_started() {
    let setup = Setup::new().config("/gateway/auth/rateLimit", json!({ "maxAttempts": 0 }));
    crate::config::ends(setup, 78, &["gateway.auth.rateLimit.maxAttempts is 0"]).await;
}
