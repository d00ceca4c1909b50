//! Methods of the wire that this gateway does not have: not advertised, refused by name, with a
//! text that helps.

use serde_json::{Value, json};
use support::Gateway;
use support::binaries::repository;

/// Begins with one of these: not left out, only still to come.
const TO_COME: [&str; 2] = ["node.", "exec.approval"];

/// Methods of operators that the catalogue names without a schema.
fn absent() -> Vec<String> {
    let path = repository().join("schemas/methods.json");
    let catalogue: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let methods = catalogue["methods"].as_object().unwrap();
    let absent = methods
        .iter()
        .filter(|(_, entry)| entry.get("params").is_none() && entry["role"] == "operator");
    absent.map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn each_says_why_and_none_is_advertised() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let advertised = client.hello["features"]["methods"].clone();
    let advertised = advertised.as_array().unwrap();
    for method in absent() {
        let error = client.refused(&method, json!({})).await;
        let text = error["message"].as_str().unwrap();
        let is_to_come = TO_COME.iter().any(|prefix| method.starts_with(prefix));
        let unbuilt = format!("{method} is not built into this gateway yet");
        assert_eq!(text == unbuilt, is_to_come, "{method}: {text}");
        assert!(
            !advertised.contains(&json!(method)),
            "{method} is advertised"
        );
    }
}

#[tokio::test]
async fn in_the_words_that_clients_and_people_know() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for (method, code, text) in [
        (
            "web.login.start",
            "INVALID_REQUEST",
            "web login provider is not available",
        ),
        (
            "web.login.wait",
            "INVALID_REQUEST",
            "web login provider is not available",
        ),
        (
            "browser.request",
            "UNAVAILABLE",
            "browser control is disabled",
        ),
        (
            "config.openFile",
            "UNAVAILABLE",
            "config.openFile is not offered: the gateway opens no windows on its machine: \
             config.get tells the file's path",
        ),
        (
            "update.run",
            "UNAVAILABLE",
            "update.run is not offered: the gateway does not replace itself: install the new \
             release as the old one was, and restart the service",
        ),
    ] {
        let error = client.refused(method, json!({})).await;
        assert_eq!(error, json!({ "code": code, "message": text }), "{method}");
    }
}
