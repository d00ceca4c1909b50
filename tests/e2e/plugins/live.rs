//! `plugins.list`, `plugins.reload`, `plugins.restart`: plugins change while clients stay.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Client, Gateway, Setup};

use super::{echo, faulty, others_work, to};

/// Writes `plugins.toml` of a running gateway: name, library, further lines.
pub fn write(gateway: &Gateway, entries: &[(&str, &Path, &str)]) {
    let mut text = String::from("schema = 1\n\n[trust]\ndevelopment = true\n");
    for (name, path, rest) in entries {
        text.push_str(&format!(
            "\n[[plugin]]\nname = \"{name}\"\npath = {path:?}\n{rest}\n"
        ));
    }
    std::fs::write(gateway.state_dir().join("plugins.toml"), text).unwrap();
}

/// A copy of a library with some bytes after its end: another digest, the same code.
pub fn build(folder: &Path, library: &Path, number: usize) -> PathBuf {
    let mut bytes = std::fs::read(library).unwrap();
    bytes.extend_from_slice(format!("build {number}").as_bytes());
    let path = folder.join(format!("build-{number}.so"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A build of the faulty plugin that loads and can't start.
pub fn sick_build(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(faulty()).unwrap();
    let mark = b"faulty-build-is:well";
    let places: Vec<usize> = bytes
        .windows(mark.len())
        .enumerate()
        .filter_map(|(place, window)| (window == mark).then_some(place))
        .collect();
    assert!(!places.is_empty(), "the fixture carries its mark");
    for place in places {
        bytes[place..place + mark.len()].copy_from_slice(b"faulty-build-is:sick");
    }
    let path = folder.join("sick.so");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What became of one plugin after a reload of it.
pub async fn reload(client: &mut Client, name: &str) -> Value {
    let answer = client.ok("plugins.reload", json!({ "name": name })).await;
    let changes = answer["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{answer}");
    assert_eq!(changes[0]["name"], name);
    changes[0].clone()
}

/// One plugin's entry of the list.
pub async fn listed(client: &mut Client, name: &str) -> Value {
    let list = client.ok("plugins.list", json!({})).await;
    let plugins = list["plugins"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["name"] == name);
    found.cloned().unwrap_or_else(|| panic!("{list}"))
}

async fn of_channel(client: &mut Client, channel: &str) -> Value {
    let status = client.ok("channels.status", json!({})).await;
    status["channelAccounts"][channel][0].clone()
}

#[tokio::test]
async fn the_list_says_what_runs_and_what_does_not() {
    let gateway = Setup::new()
        .plugin_files(&[("echo", echo()), ("gone", PathBuf::from("gone.so"))])
        .start()
        .await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let port = gateway.port();
    let plugin = support::wait::until("a running plugin", || async move {
        let mut client = Client::connect(port, &support::Login::fresh()).await;
        let plugin = listed(&mut client, "echo").await;
        (plugin["state"] == "running").then_some(plugin)
    })
    .await;
    assert_eq!(plugin["channel"], "echo");
    assert_eq!(plugin["isolation"], "in-process");
    assert_eq!(
        (&plugin["generation"], &plugin["retired"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(plugin["sha256"].as_str().map(str::len), Some(64));
    let account = json!({ "accountId": "default", "state": "running", "restarts": 0 });
    assert_eq!(plugin["accounts"], json!([account]));
    let gone = listed(&mut client, "gone").await;
    assert_eq!(gone["state"], "refused");
    assert!(
        gone["problem"].as_str().unwrap().contains("gone.so"),
        "{gone}"
    );
    let list = client.ok("plugins.list", json!({})).await;
    assert_eq!(list["development"], true);
    let file = gateway.state_dir().join("plugins.toml");
    assert_eq!(list["file"], json!(file));
    // Reading is not changing.
    for (method, params) in [
        ("plugins.reload", json!({})),
        ("plugins.restart", json!({ "name": "echo" })),
    ] {
        let error = client.refused(method, params).await;
        assert_eq!(error["message"], "missing scope: operator.admin");
    }
    let hello = gateway.operator().await.ok("health", json!({})).await;
    assert_eq!(hello["ok"], true);
}

#[tokio::test]
async fn a_plugin_comes_and_goes_while_clients_stay() {
    let gateway = Setup::new()
        .config("/channels/faulty", json!({}))
        .start()
        .await;
    let (mut client, mut watcher) = (gateway.operator().await, gateway.operator().await);
    let off = of_channel(&mut client, "faulty").await;
    let lack = "no plugin serves faulty: name its library in plugins.toml";
    assert_eq!(
        (&off["running"], &off["lastError"]),
        (&json!(false), &json!(lack))
    );
    let error = client.refused("send", to("faulty", "too early")).await;
    assert!(error["message"].as_str().unwrap().contains(lack), "{error}");

    write(
        &gateway,
        &[("echo", &echo(), ""), ("faulty", &faulty(), "")],
    );
    assert_eq!(reload(&mut client, "faulty").await["change"], "added");
    client.ok("send", to("faulty", "now")).await;
    let runs = |p: &Value| p["channels"]["faulty"]["running"] == true;
    watcher.event_where("health", runs).await;
    assert_eq!(reload(&mut client, "faulty").await["change"], "unchanged");
}

#[tokio::test]
async fn a_plugin_is_switched_off_and_on_and_goes_while_clients_stay() {
    let gateway = Setup::new()
        .plugin_files(&[("echo", echo()), ("faulty", faulty())])
        .config("/channels/faulty", json!({}))
        .start()
        .await;
    let (mut client, mut watcher) = (gateway.operator().await, gateway.operator().await);
    let runs = |p: &Value| p["channels"]["faulty"]["running"] == true;
    client.ok("send", to("faulty", "before")).await;
    write(
        &gateway,
        &[
            ("echo", &echo(), ""),
            ("faulty", &faulty(), "enabled = false"),
        ],
    );
    let answer = client.ok("plugins.reload", json!({})).await;
    let expected = json!([
        { "name": "echo", "change": "unchanged" },
        { "name": "faulty", "change": "removed" },
    ]);
    assert_eq!(answer["changes"], expected);
    let off = of_channel(&mut client, "faulty").await;
    assert!(
        off["lastError"]
            .as_str()
            .unwrap()
            .contains("plugins enable faulty"),
        "{off}"
    );
    assert_eq!(listed(&mut client, "faulty").await["state"], "disabled");
    watcher.event_where("health", |p| !runs(p)).await;
    let error = client
        .refused("plugins.restart", json!({ "name": "faulty" }))
        .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("plugins enable faulty"),
        "{error}"
    );

    write(
        &gateway,
        &[("echo", &echo(), ""), ("faulty", &faulty(), "")],
    );
    assert_eq!(reload(&mut client, "faulty").await["change"], "added");
    client.ok("send", to("faulty", "again")).await;
    assert_eq!(listed(&mut client, "faulty").await["generation"], 2);

    write(&gateway, &[("echo", &echo(), "")]);
    assert_eq!(reload(&mut client, "faulty").await["change"], "removed");
    let lack = "no plugin serves faulty: name its library in plugins.toml";
    assert_eq!(of_channel(&mut client, "faulty").await["lastError"], lack);
    let error = client
        .refused("plugins.reload", json!({ "name": "faulty" }))
        .await;
    assert_eq!(
        error["message"],
        "unknown plugin \"faulty\": plugins.toml names echo"
    );
    others_work(&mut client).await;
}

#[tokio::test]
async fn a_channel_nobody_configured_comes_and_goes_with_its_plugin() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    write(
        &gateway,
        &[("echo", &echo(), ""), ("faulty", &faulty(), "")],
    );
    assert_eq!(reload(&mut client, "faulty").await["change"], "added");
    assert_eq!(of_channel(&mut client, "faulty").await["configured"], false);
    assert_eq!(listed(&mut client, "faulty").await["state"], "ready");
    let error = client
        .refused("plugins.restart", json!({ "name": "faulty" }))
        .await;
    let text = "plugin faulty serves no account: add channels.faulty to openclaw.json";
    assert_eq!(error["message"], text);
    write(&gateway, &[("echo", &echo(), "")]);
    assert_eq!(reload(&mut client, "faulty").await["change"], "removed");
    let status = client.ok("channels.status", json!({})).await;
    assert_eq!(status["channelOrder"], json!(["echo"]));
}

#[tokio::test]
async fn what_is_wrong_with_a_new_build_leaves_the_old_one_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Setup::new()
        .plugin_files(&[("echo", echo()), ("faulty", faulty())])
        .config("/channels/faulty", json!({}))
        .start()
        .await;
    let mut client = gateway.operator().await;
    client.ok("send", to("faulty", "before")).await;

    let text = folder.path().join("text.so");
    std::fs::write(&text, "just a text").unwrap();
    write(&gateway, &[("echo", &echo(), ""), ("faulty", &text, "")]);
    let change = reload(&mut client, "faulty").await;
    assert_eq!(change["change"], "refused");
    let problem = change["problem"].as_str().unwrap();
    assert!(problem.contains("not a shared library"), "{change}");
    assert!(problem.ends_with("; generation 1 goes on"), "{change}");
    client.ok("send", to("faulty", "after a refusal")).await;

    let sick = sick_build(folder.path());
    write(&gateway, &[("echo", &echo(), ""), ("faulty", &sick, "")]);
    let change = reload(&mut client, "faulty").await;
    let problem = "the new one did not get ready: account default: this build is sick; \
                   generation 1 goes on";
    assert_eq!(
        (&change["change"], &change["problem"]),
        (&json!("kept"), &json!(problem))
    );
    client.ok("send", to("faulty", "after a fall")).await;
    let plugin = listed(&mut client, "faulty").await;
    assert_eq!(
        (&plugin["state"], &plugin["generation"], &plugin["problem"]),
        (&json!("running"), &json!(1), &json!(problem))
    );
    assert_eq!(plugin["path"], json!(faulty()), "what runs is shown");
    assert_eq!(plugin["retired"], 1, "the sick build stays mapped");

    std::fs::write(
        gateway.state_dir().join("plugins.toml"),
        "schema = 1\nplugn = 1\n",
    )
    .unwrap();
    let error = client.refused("plugins.reload", json!({})).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("plugins.toml:2") && message.contains("plugn"),
        "{error}"
    );
    assert!(message.ends_with("; nothing was changed"), "{error}");
    client.ok("send", to("faulty", "after a misspelling")).await;
}

#[tokio::test]
async fn accounts_are_started_anew_one_or_all() {
    let accounts = json!({ "one": {}, "two": {}, "off": { "enabled": false } });
    let gateway = Setup::new()
        .plugin_files(&[("faulty", faulty())])
        .config("/channels/faulty", json!({ "accounts": accounts }))
        .start()
        .await;
    let mut client = gateway.operator().await;
    let restarted = client
        .ok("plugins.restart", json!({ "name": "faulty" }))
        .await;
    assert_eq!(restarted["restarted"], json!(["one", "two"]));
    let one = json!({ "name": "faulty", "accountId": "TWO" });
    let restarted = client.ok("plugins.restart", one).await;
    assert_eq!(restarted["restarted"], json!(["two"]));
    for (params, text) in [
        (
            json!({ "name": "fawlty" }),
            "unknown plugin \"fawlty\": plugins.toml names faulty",
        ),
        (
            json!({ "name": "faulty", "accountId": "three" }),
            "unknown account \"three\" of plugin faulty: it has one, two, off",
        ),
        (
            json!({ "name": "faulty", "accountId": "off" }),
            "account off is switched off: set channels.faulty.accounts.off.enabled to true in \
             openclaw.json",
        ),
        (
            json!({}),
            "invalid plugins.restart params: must have required property 'name'",
        ),
    ] {
        let error = client.refused("plugins.restart", params).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("INVALID_REQUEST"), &json!(text))
        );
    }
}

/// One that gave up is tried again when somebody says so, and says why it still can't.
#[tokio::test]
async fn a_stopped_account_is_tried_again() {
    let gateway = super::beside(json!({ "fault": "auth" })).await;
    let mut client = gateway.operator().await;
    let error = client
        .refused("plugins.restart", json!({ "name": "faulty" }))
        .await;
    assert_eq!(
        error["message"],
        "not started: account default: wrong token"
    );
    assert_eq!(
        error["details"],
        json!({
            "restarted": [], "failed": { "default": "wrong token" },
        })
    );
    let plugin = listed(&mut client, "faulty").await;
    assert_eq!(plugin["state"], "degraded");
    assert_eq!(plugin["accounts"][0]["state"], "stopped");
    assert_eq!(plugin["accounts"][0]["error"], "wrong token");
}

/// Given up after too many falls, shown as such, and freed by a restart.
#[tokio::test]
async fn a_restart_lifts_a_quarantine() {
    let gateway = super::beside(json!({ "fault": "panic" })).await;
    let mut client = gateway.operator().await;
    let port = gateway.port();
    let plugin = support::wait::until("a quarantine", || async move {
        let mut client = Client::connect(port, &support::Login::fresh()).await;
        let plugin = listed(&mut client, "faulty").await;
        (plugin["state"] == "quarantined").then_some(plugin)
    })
    .await;
    let account = &plugin["accounts"][0];
    assert_eq!(
        (&account["state"], &account["restarts"]),
        (&json!("quarantined"), &json!(5))
    );
    let row = of_channel(&mut client, "faulty").await;
    assert_eq!(row["state"], "quarantined");
    // It panics again, and is at its first fall again.
    client
        .refused("plugins.restart", json!({ "name": "faulty" }))
        .await;
    let plugin = listed(&mut client, "faulty").await;
    assert_eq!(plugin["state"], "degraded");
    assert_eq!(plugin["accounts"][0]["state"], "starting");
}
