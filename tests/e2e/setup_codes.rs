//! Setup codes: made by the command line, good for one device, burnt at hello-ok.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::cli::run;
use support::{Client, Device, Gateway, Login};

const FAR: [(&str, &str); 1] = [("x-forwarded-for", "203.0.113.9")];

/// The token in a fresh code of this maker.
async fn code(maker: &mut Client) -> String {
    let params = json!({ "url": "wss://gateway.example" });
    let made = maker.ok("device.pair.setupCode", params).await;
    assert_eq!(made["gatewayUrl"], "wss://gateway.example");
    token_in(made["setupCode"].as_str().unwrap())
}

fn token_in(code: &str) -> String {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(code).unwrap()).unwrap();
    assert!(text.starts_with(r#"{"url":"ws"#), "{text}");
    let setup: Value = serde_json::from_str(&text).unwrap();
    let token = setup["bootstrapToken"].as_str().unwrap();
    assert_eq!(token.len(), 43);
    token.to_owned()
}

async fn far(gateway: &Gateway, login: &Login) -> Value {
    let mut client = Client::open_with(gateway.port(), "/", &FAR).await;
    client.try_log_in(login).await
}

fn phone(device: &Device, code: &str) -> Login {
    Login::operator(device)
        .scopes(&["operator.read"])
        .auth(json!({ "bootstrapToken": code }))
}

fn refusal(answer: &Value) -> &str {
    answer["error"]["details"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_code_is_for_the_first_device_and_burnt_at_hello() {
    let mut gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let code = code(&mut admin).await;
    let (first, second) = (Device::new(), Device::new());
    let answer = far(&gateway, &phone(&first, &code)).await;
    assert_eq!(refusal(&answer), "PAIRING_REQUIRED");
    let request = answer["error"]["details"]["requestId"].clone();
    let stranger = far(&gateway, &phone(&second, &code)).await;
    assert_eq!(refusal(&stranger), "AUTH_BOOTSTRAP_TOKEN_INVALID");
    // On this host it is no shortcut either: the code was made for a device elsewhere.
    let near = gateway.open().await.try_log_in(&phone(&first, &code)).await;
    assert_eq!(refusal(&near), "PAIRING_REQUIRED");

    // Whose it is is on disk, and what is on disk is not the code.
    gateway.crash().await;
    let database = std::fs::read(gateway.state_dir().join("gateway.redb")).unwrap();
    let holds = |text: &str| database.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(!holds(&code) && holds(&first.id));
    gateway.restart().await;
    let stranger = far(&gateway, &phone(&second, &code)).await;
    assert_eq!(refusal(&stranger), "AUTH_BOOTSTRAP_TOKEN_INVALID");

    let mut admin = gateway.operator().await;
    let params = json!({ "requestId": request });
    admin.ok("device.pair.approve", params).await;
    let hello = far(&gateway, &phone(&first, &code)).await;
    let own = hello["payload"]["auth"]["deviceToken"].clone();
    assert!(own.is_string(), "{hello}");
    let again = far(&gateway, &phone(&first, &code)).await;
    assert_eq!(refusal(&again), "AUTH_BOOTSTRAP_TOKEN_INVALID");
    let login = phone(&first, "").auth(json!({ "deviceToken": own }));
    assert_eq!(far(&gateway, &login).await["ok"], true);
}

/// A wrong token beside a good code is let through; a wrong code beside a good token is not heard.
#[tokio::test]
async fn a_code_comes_before_other_credentials() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let code = code(&mut admin).await;
    let device = Device::new();
    let both = phone(&device, "").auth(json!({ "token": "wrong", "bootstrapToken": code }));
    assert_eq!(refusal(&far(&gateway, &both).await), "PAIRING_REQUIRED");
    let wrong = phone(&device, "no-such-code");
    let answer = far(&gateway, &wrong).await;
    assert_eq!(
        answer["error"]["message"],
        "unauthorized: bootstrap token invalid or expired (scan a fresh setup code)"
    );
}

/// Protocol 4: the code stands for the approval of a node, and hands over an operator's token
/// that holds no more than the code's maker.
#[tokio::test]
async fn a_node_of_protocol_4_is_handed_an_operators_token() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let mut reader = gateway
        .operator_with(&["operator.pairing", "operator.read"])
        .await;
    let all = [
        "operator.approvals",
        "operator.read",
        "operator.talk.secrets",
        "operator.write",
    ];
    for (maker, expected) in [(&mut admin, &all[..]), (&mut reader, &["operator.read"])] {
        let device = Device::new();
        let login = phone(&device, &code(maker).await)
            .node()
            .set("minProtocol", json!(4))
            .set("maxProtocol", json!(4));
        let mut wide = login.clone();
        wide.params["scopes"] = json!(["operator.admin"]);
        let answer = far(&gateway, &wide).await;
        assert_eq!(answer["ok"], false, "{answer}");
        let hello = far(&gateway, &login).await;
        let auth = &hello["payload"]["auth"];
        assert!(auth["deviceToken"].is_string(), "{hello}");
        let handed = &auth["deviceTokens"][0];
        assert_eq!(handed["role"], "operator");
        assert_eq!(handed["scopes"], json!(expected));
        assert!(handed["issuedAtMs"].is_u64());
        let operator = Login::operator(&device)
            .scopes(expected)
            .auth(json!({ "deviceToken": handed["deviceToken"] }));
        let answer = far(&gateway, &operator).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let answer = far(&gateway, &operator.scopes(&["operator.admin"])).await;
        assert_eq!(refusal(&answer), "AUTH_DEVICE_TOKEN_MISMATCH");
    }
}

/// A device that is removed can't come back with the code it came with.
#[tokio::test]
async fn a_removed_devices_code_is_void() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let code = code(&mut admin).await;
    let device = Device::new();
    let answer = far(&gateway, &phone(&device, &code)).await;
    let params = json!({ "requestId": answer["error"]["details"]["requestId"] });
    admin.ok("device.pair.approve", params).await;
    let params = json!({ "deviceId": device.id });
    admin.ok("device.pair.remove", params).await;
    let answer = far(&gateway, &phone(&device, &code)).await;
    assert_eq!(refusal(&answer), "AUTH_BOOTSTRAP_TOKEN_INVALID");
}

#[tokio::test]
async fn the_command_line_draws_a_code() {
    let gateway = Gateway::start().await;
    let qr = async |arguments: &[&str]| {
        let arguments = [&["qr", "--timeout", "60s"], arguments].concat();
        run(gateway.home(), &arguments).await
    };
    let refused = qr(&["--json"]).await;
    assert_eq!(refused.code, Some(1));
    let message = refused.json()["error"]["message"].clone();
    assert!(
        message.as_str().unwrap().contains("only bound to loopback"),
        "{message}"
    );
    let public = ["--public-url", "https://gateway.example/"];
    let drawn = qr(&public).await;
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
    assert!(drawn.out.contains('▄') && drawn.out.contains("gateway:    wss://gateway.example"));
    let plain = qr(&[&public[..], &["--no-ascii"]].concat()).await;
    assert!(!plain.out.contains('▄'));
    let only = qr(&[&public[..], &["--setup-code-only"]].concat()).await;
    let code = token_in(only.out.trim());
    let made = qr(&[&public[..], &["--json"]].concat()).await.json();
    assert_eq!(
        (&made["auth"], &made["urlSource"]),
        (&json!("token"), &json!("url"))
    );
    assert_ne!(token_in(made["setupCode"].as_str().unwrap()), code);
    let answer = far(&gateway, &phone(&Device::new(), &code)).await;
    assert_eq!(refusal(&answer), "PAIRING_REQUIRED");
}
