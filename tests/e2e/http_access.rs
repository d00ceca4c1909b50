//! Who may ask over HTTP: the secret, a device's own token, nobody else; what is off is not there.

use serde_json::{Value, json};
use support::gateway::TOKEN;
use support::http::{self, Answer};
use support::llm::Llm;
use support::{Device, Gateway, Login, Setup};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

fn setup(llm: &Llm) -> Setup {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config(
            "/gateway/http/endpoints/chatCompletions/enabled",
            json!(true),
        )
}

async fn ask(gateway: &Gateway, path: &str, body: Value) -> Answer {
    let bearer = format!("Authorization: Bearer {TOKEN}");
    http::post(gateway.port(), path, &[&bearer], &body)
        .await
        .unwrap()
}

fn hello() -> Value {
    json!({ "model": "openclaw", "messages": [{ "role": "user", "content": "hi" }] })
}

#[tokio::test]
async fn what_is_off_is_not_there_and_who_is_unknown_is_not_read() {
    let llm = Llm::start().await;
    let gateway = Setup::new()
        .config("/gateway/http/endpoints/responses/enabled", json!(true))
        .start()
        .await;
    assert_eq!(ask(&gateway, CHAT, hello()).await.status, 404);
    let unauthorised = json!({ "error": { "message": "Unauthorized", "type": "unauthorized" } });
    let port = gateway.port();
    for headers in [
        &[][..],
        &["Authorization: Bearer wrong"],
        &["Authorization: Basic x"],
    ] {
        for path in [
            RESPONSES,
            "/tools/invoke",
            "/api/channels/x",
            "/api/%63hannels/x",
        ] {
            let answer = http::post(port, path, headers, &hello()).await.unwrap();
            assert_eq!(
                (answer.status, answer.json()),
                (401, unauthorised.clone()),
                "{path}"
            );
        }
    }
    // Known, and nothing there.
    assert_eq!(
        ask(&gateway, "/api/channels/x", json!({})).await.status,
        404
    );
    assert_eq!(http::get(port, "/api/x", &[]).await.unwrap().status, 404);
    // A large body of somebody unknown is refused all the same, not cut off.
    let large = json!({ "x": "y".repeat(4_000_000) });
    let answer = http::post(port, RESPONSES, &[], &large).await;
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 401);
    }
    assert!(llm.asked().is_empty());
}

#[tokio::test]
async fn who_fails_too_often_has_to_wait() {
    let gateway = Setup::new()
        .config(
            "/gateway/auth/rateLimit",
            json!({ "maxAttempts": 2, "exemptLoopback": false }),
        )
        .start()
        .await;
    let port = gateway.port();
    let wrong = ["Authorization: Bearer wrong"];
    for _ in 0..2 {
        let answer = http::post(port, "/tools/invoke", &wrong, &json!({}))
            .await
            .unwrap();
        assert_eq!(answer.status, 401);
    }
    let answer = ask(&gateway, "/tools/invoke", json!({})).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["error"]["type"], "rate_limited");
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
}

#[tokio::test]
async fn a_device_comes_with_its_own_token() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    let device = Device::new();
    let scopes = ["operator.read", "operator.write"];
    let client = gateway
        .connect(&Login::operator(&device).scopes(&scopes))
        .await;
    let token = client.hello["auth"]["deviceToken"].as_str().unwrap();
    let id = format!("x-openclaw-device-id: {}", device.id);
    let own = format!("Authorization: Bearer {token}");
    let port = gateway.port();
    let answer = http::post(port, CHAT, &[&id, &own], &hello())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let other = format!("x-openclaw-device-id: {}", "0".repeat(64));
    let answer = http::post(port, CHAT, &[&other, &own], &hello())
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
    let answer = http::post(port, CHAT, &[&own], &hello()).await.unwrap();
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_page_elsewhere_can_not_ask_a_gateway_without_a_secret() {
    let llm = Llm::start().await;
    let gateway = setup(&llm)
        .config("/gateway/auth", json!({ "mode": "none" }))
        .start()
        .await;
    let port = gateway.port();
    let asked = async |headers: &[&str]| {
        http::post(port, CHAT, headers, &hello())
            .await
            .unwrap()
            .status
    };
    assert_eq!(asked(&[]).await, 200);
    assert_eq!(asked(&["Origin: https://elsewhere.example"]).await, 401);
    assert_eq!(asked(&["Origin: null"]).await, 401);
    assert_eq!(asked(&["X-Forwarded-For: 203.0.113.9"]).await, 401);
}
