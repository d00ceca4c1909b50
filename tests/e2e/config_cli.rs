//! `openclaw config …` as people and scripts use it, with a gateway that runs and without one.

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::gateway::TOKEN;
use support::{Gateway, Setup, http};

async fn config(gateway: &Gateway, arguments: &[&str]) -> Ran {
    run(gateway.home(), &[&["config"], arguments].concat()).await
}

#[track_caller]
fn said(ran: &Ran, out: &str) {
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (Some(0), out, ""),
        "{ran:?}"
    );
}

fn text(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.config_file()).unwrap()
}

/// Both ways have to come to the same.
async fn everything(gateway: &Gateway, running: bool) {
    said(&config(gateway, &["get", "gateway.mode"]).await, "local\n");
    let token = config(gateway, &["get", "gateway.auth", "--json"]).await;
    assert_eq!(token.json()["token"], "__OPENCLAW_REDACTED__");
    assert!(!token.out.contains(TOKEN), "{token:?}");
    let none = config(gateway, &["get", "gateway.nosuch"]).await;
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(
        none.err.contains("config path not found: gateway.nosuch"),
        "{none:?}"
    );

    let set = config(gateway, &["set", "messages.responsePrefix", "2h"]).await;
    assert_eq!(set.code, Some(0), "{set:?}");
    assert!(
        set.out.starts_with("updated messages.responsePrefix: "),
        "{set:?}"
    );
    said(
        &config(gateway, &["get", "messages.responsePrefix"]).await,
        "2h\n",
    );
    let list = ["set", "agents.list[0].name", "'Ada'", "--json"];
    let set = config(gateway, &list).await.json();
    assert_eq!(
        (&set["ok"], &set["running"]),
        (&json!(true), &json!(running)),
        "{set}"
    );
    said(
        &config(gateway, &["get", "agents.list[0].name"]).await,
        "Ada\n",
    );
    assert!(
        text(gateway).contains("// mine"),
        "comments stay: {}",
        text(gateway)
    );
    assert!(
        text(gateway).contains(TOKEN),
        "secrets stay: {}",
        text(gateway)
    );

    refusals(gateway, running).await;
    let unset = config(gateway, &["unset", "messages.responsePrefix"]).await;
    assert!(
        unset.out.starts_with("removed messages.responsePrefix: "),
        "{unset:?}"
    );
    config(gateway, &["unset", "agents.list"]).await;
    let file = gateway.config_file().display().to_string();
    said(&config(gateway, &["file"]).await, &format!("{file}\n"));
    let valid = config(gateway, &["validate", "--json"]).await.json();
    assert_eq!(valid, json!({ "valid": true, "path": file }));
    let schema = config(gateway, &["schema"]).await.json();
    assert_eq!(schema["title"], "OpenClawConfig", "{schema}");
    let port = config(gateway, &["schema", "gateway.port"]).await.json();
    assert_eq!(port["path"], "gateway.port", "{port}");
}

async fn refusals(gateway: &Gateway, running: bool) {
    let before = text(gateway);
    for (arguments, code, words) in [
        (vec!["set", "gateway.port", "moon"], 78, "gateway.port"),
        (
            vec!["set", "gateway.port", "moon", "--strict-json"],
            2,
            "not JSON5",
        ),
        (vec!["set", "agents.list[7].id", "x"], 2, "there is no [7]"),
        (vec!["set", "gateway.mode.x.y", "1"], 78, "gateway.mode"),
        (vec!["unset", "nosuch"], 1, "config path not found"),
        (vec!["get", "a["], 2, "missing"),
    ] {
        let refused = config(gateway, &arguments).await;
        let gateway_refused = running && code == 78;
        let code = if gateway_refused { 1 } else { code };
        assert_eq!(refused.code, Some(code), "{arguments:?} {refused:?}");
        assert!(refused.err.contains(words), "{arguments:?} {refused:?}");
    }
    assert_eq!(text(gateway), before);
}

async fn commented() -> Gateway {
    let gateway = Setup::new().start().await;
    let with = text(&gateway).replacen('{', "{\n  // mine", 1);
    std::fs::write(gateway.config_file(), with).unwrap();
    gateway
}

#[tokio::test]
async fn through_the_gateway() {
    let gateway = commented().await;
    everything(&gateway, true).await;
    // It is in force at once, and what is not says so.
    let set = config(&gateway, &["set", "ui.seamColor", "'#112233'"]).await;
    assert!(set.out.contains("the gateway has it"), "{set:?}");
    let answer = http::get(gateway.port(), "/healthz", &[]).await.unwrap();
    assert_eq!(answer.status, 200);
    let mut client = gateway.operator().await;
    let now = client.ok("config.get", json!({})).await;
    assert_eq!(now["config"]["ui"]["seamColor"], "#112233");
}

#[tokio::test]
async fn on_the_file_alone() {
    let mut gateway = commented().await;
    gateway.stop().await;
    everything(&gateway, false).await;
    gateway.launch();
    gateway.ready().await;
}

#[tokio::test]
async fn broken_and_missing_files() {
    let mut gateway = Gateway::start().await;
    gateway.stop().await;
    let right = text(&gateway);
    let wrong = right.replacen("\"port\"", "\"bind\": \"moon\", \"port\"", 1);
    std::fs::write(gateway.config_file(), &wrong).unwrap();
    let invalid = config(&gateway, &["validate", "--json"]).await;
    assert_eq!(invalid.code, Some(78), "{invalid:?}");
    let told: Value = invalid.json();
    assert_eq!(
        (&told["valid"], &told["issues"][0]["path"]),
        (&json!(false), &json!("gateway.bind"))
    );
    let words = config(&gateway, &["validate"]).await;
    assert!(words.err.contains("gateway.bind"), "{words:?}");
    // A wrong value can be put right.
    let mended = config(&gateway, &["set", "gateway.bind", "loopback"]).await;
    assert_eq!(mended.code, Some(0), "{mended:?}");
    std::fs::write(gateway.config_file(), "{ half").unwrap();
    let refused = config(&gateway, &["set", "gateway.port", "1"]).await;
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert_eq!(text(&gateway), "{ half");
    std::fs::remove_file(gateway.config_file()).unwrap();
    let missing = config(&gateway, &["validate", "--json"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert_eq!(missing.json()["error"], "file not found");
    let made = config(
        &gateway,
        &["set", "gateway.port", &gateway.port().to_string()],
    )
    .await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(text(&gateway).contains("\"port\""), "{}", text(&gateway));
}
