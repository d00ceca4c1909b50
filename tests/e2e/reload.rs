//! Another configuration under a running gateway: only those follow whom a key concerns.

use rustix::process::Signal;
use serde_json::{Value, json};
use support::wait::until;
use support::{Client, Gateway, Setup, gateway::free_port};

/// The account of a channel, once it fits.
async fn account(client: &mut Client, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + support::wait::patience();
    loop {
        let status = client.ok("channels.status", json!({})).await;
        let accounts = status["channelAccounts"]["echo"].as_array().cloned();
        let found = accounts.unwrap_or_default();
        let found = found.into_iter().find(|a| a["accountId"] == id);
        let found = found.unwrap_or(Value::Null);
        if fits(&found) {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{id}: {found}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn running(account: &Value) -> bool {
    account["running"] == true
}

async fn health(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Value {
    let health = client.ok("health", json!({})).await;
    if fits(&health) {
        return health;
    }
    client.event_where("health", fits).await["payload"].clone()
}

#[tokio::test]
async fn an_account_that_comes_changes_and_goes_leaves_the_others_alone() {
    let gateway = Setup::new()
        .config("/channels/echo", json!({ "accounts": { "a": {} } }))
        .start()
        .await;
    let mut client = gateway.operator().await;
    let a = account(&mut client, "a", running).await;

    gateway.edit_config("/channels/echo/accounts/b", json!({ "name": "Bea" }));
    let b = account(&mut client, "b", running).await;
    assert_eq!(b["name"], "Bea");
    let params = json!({ "channel": "echo", "accountId": "b", "to": "x", "message": "m", "idempotencyKey": "1" });
    client.ok("send", params).await;

    // What the host alone reads needs no new instance.
    gateway.edit_config("/channels/echo/accounts/b/name", json!("Bert"));
    let renamed = account(&mut client, "b", |b| b["name"] == "Bert").await;
    assert_eq!(renamed["lastStartAt"], b["lastStartAt"]);

    gateway.edit_config("/channels/echo/accounts/b/greeting", json!("hello"));
    let started = b["lastStartAt"].clone();
    account(&mut client, "b", |b| {
        running(b) && b["lastStartAt"] != started
    })
    .await;

    gateway.edit_config("/channels/echo/accounts/b/enabled", json!(false));
    account(&mut client, "b", |b| b["enabled"] == false && !running(b)).await;

    gateway.edit_config("/channels/echo/accounts/b", Value::Null);
    account(&mut client, "b", Value::is_null).await;
    let params = json!({ "channel": "echo", "accountId": "b", "to": "x", "message": "m", "idempotencyKey": "2" });
    client.refused("send", params).await;

    gateway.edit_config("/channels/echo/accounts/b", json!({}));
    account(&mut client, "b", running).await;
    let still = account(&mut client, "a", running).await;
    assert_eq!(still["lastStartAt"], a["lastStartAt"]);
    assert_eq!(
        gateway
            .log()
            .text()
            .matches("account started channel=\"echo\" account=\"a\"")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_one() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let good = health(&mut client, |h| h["configValid"] == true).await;
    let text = std::fs::read_to_string(gateway.config_file()).unwrap();
    for (broken, words) in [
        ("{ gateway: ".to_owned(), "is not valid JSON5"),
        (
            text.replace("\"local\"", "\"remote\""),
            "gateway.mode is remote",
        ),
        (text.replace("\"token\"", "\"tocken\""), "gateway.auth.mode"),
    ] {
        std::fs::write(gateway.config_file(), broken).unwrap();
        let bad = health(&mut client, |h| h["configValid"] == false).await;
        assert_eq!(bad["configHash"], good["configHash"]);
        gateway.logged(words).await;
        gateway.operator().await;
        std::fs::write(gateway.config_file(), &text).unwrap();
        health(&mut client, |h| h["configValid"] == true).await;
    }
    // Another text is another hash, and counts at once.
    let agents = json!([{ "id": "main", "name": "Ada" }]);
    gateway.edit_config("/agents", json!({ "list": agents }));
    let next = health(&mut client, |h| h["configHash"] != good["configHash"]).await;
    assert_eq!(next["configValid"], true);
    let list = client.ok("agents.list", json!({})).await;
    assert_eq!(list["agents"][0]["name"], "Ada", "{list}");
}

/// Another port: new clients find it there, the old ones stay where they are.
#[tokio::test]
async fn the_door_moves_and_nobody_falls_out() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let (old, next) = (gateway.port(), free_port());
    let taken = Gateway::start().await;
    gateway.edit_config("/gateway/port", json!(taken.port()));
    gateway.logged("already listening").await;
    gateway.operator().await;

    gateway.edit_config("/gateway/port", json!(next));
    until("the new port", || async { Client::try_open(next).await }).await;
    client.ok("health", json!({})).await;
    until("the old port to close", || async {
        Client::try_open(old).await.is_none().then_some(())
    })
    .await;
    gateway.listens_on(next);
    gateway.operator().await;

    // The same port elsewhere, and with TLS: who is there stays.
    gateway.edit_config("/gateway/bind", json!("lan"));
    gateway.logged(&format!("0.0.0.0:{next}")).await;
    let mut late = gateway.operator().await;
    gateway.edit_config("/gateway/tls", json!({ "enabled": true }));
    gateway.logged("wss://0.0.0.0").await;
    late.ok("health", json!({})).await;
    client.ok("health", json!({})).await;
}

#[tokio::test]
async fn what_takes_a_restart_is_said() {
    let gateway = Gateway::start().await;
    gateway.edit_config("/gateway/auth/mode", json!("none"));
    gateway.logged("that takes a restart").await;
    gateway.operator().await;
    gateway.logged("gateway.auth.mode").await;
}

#[tokio::test]
async fn a_file_that_nobody_watches_is_read_at_sighup() {
    let gateway = Setup::new()
        .config("/gateway/reload/mode", json!("off"))
        .start()
        .await;
    gateway.edit_config("/channels/echo/name", json!("Ed"));
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert!(!gateway.log().has("another configuration is in force"));
    gateway.signal(Signal::HUP);
    gateway.logged("another configuration is in force").await;
    gateway
        .account("echo", "the name", |a| a["name"] == "Ed")
        .await;
}

/// Variables of `.env` files and included files count, and their change is noticed.
#[tokio::test]
async fn what_lies_beside_the_file_belongs_to_it() {
    let setup = Setup::new()
        .config(
            "/channels/echo",
            json!({ "$include": "channels/echo.json5" }),
        )
        .state_file(".env", "# names\nECHO_NAME=\"from .env\"\nOWN='file'\n")
        .state_file("channels/echo.json5", "{ name: '${ECHO_NAME}, ${OWN}' }");
    let gateway = setup.environment("OWN", "process").start().await;
    let named = |name: &'static str| move |a: &Value| a["name"] == name;
    gateway
        .account("echo", "the name", named("from .env, process"))
        .await;
    let file = |name: &str| gateway.state_dir().join(name);
    std::fs::write(file(".env"), "ECHO_NAME=other\n").unwrap();
    gateway
        .account("echo", "another variable", named("other, process"))
        .await;
    std::fs::write(file("channels/echo.json5"), "{ name: 'plain' }").unwrap();
    gateway
        .account("echo", "another file", named("plain"))
        .await;
    std::fs::write(file("channels/echo.json5"), "{ $include: '../../x' }").unwrap();
    gateway.logged("$include").await;
}
