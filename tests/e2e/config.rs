//! What the gateway says when it cannot start, or only in part: the message names the file, the
//! line or key, and the fix; the exit code is 78 for configuration and 1 otherwise.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use support::{Gateway, Login, Setup, binaries};

/// Starts it and expects it to end with this code, saying all of this.
pub(crate) async fn ends(setup: Setup, code: i32, words: &[&str]) {
    let mut gateway = setup.spawn();
    let status = gateway.exit().await;
    said(&gateway, words).await;
    assert_eq!(status.code(), Some(code), "{}", gateway.log().text());
}

async fn said(gateway: &Gateway, words: &[&str]) {
    for word in words {
        gateway.logged(word).await;
    }
}

#[tokio::test]
async fn a_missing_plugins_file() {
    ends(Setup::new().plugins_text(None), 78, &["plugins.toml"]).await;
}

#[tokio::test]
async fn a_broken_plugins_file() {
    let broken = "schema = 1\n[[plugin]]\nname = \n";
    ends(
        Setup::new().plugins_text(Some(broken)),
        78,
        &["plugins.toml:3"],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_key_in_the_plugins_file() {
    let text = "schema = 1\n[trust]\ndevelopment = true\n[[plugin]]\nname = \"echo\"\n\
                path = \"x.so\"\ncolour = \"blue\"\n";
    ends(
        Setup::new().plugins_text(Some(text)),
        78,
        &["plugins.toml:7", "colour"],
    )
    .await;
}

#[tokio::test]
async fn a_configuration_that_is_no_json5() {
    let setup = Setup::new();
    std::fs::create_dir_all(setup.state_dir()).unwrap();
    let setup = setup.config_text("{\n  gateway: {\n    port: }\n}\n");
    ends(setup, 78, &["openclaw.json"]).await;
}

#[tokio::test]
async fn a_value_of_the_wrong_kind() {
    let setup = Setup::new().config("/gateway/port", json!("many"));
    ends(setup, 78, &["openclaw.json", "gateway.port"]).await;
    let setup = Setup::new().config("/gateway/auth/mode", json!("trust me"));
    ends(setup, 78, &["openclaw.json", "gateway.auth.mode"]).await;
    let setup = Setup::new().config("/gateway/auth/token", json!("${NO_SUCH_VARIABLE}"));
    ends(setup, 78, &["openclaw.json", "NO_SUCH_VARIABLE"]).await;
}

#[tokio::test]
async fn two_secrets_without_a_mode() {
    let auth = json!({ "token": "a", "password": "b" });
    ends(
        Setup::new().config("/gateway/auth", auth),
        78,
        &["gateway.auth.mode"],
    )
    .await;
}

#[tokio::test]
async fn half_an_authentication() {
    let mode = |mode: &str| Setup::new().config("/gateway/auth", json!({ "mode": mode }));
    ends(mode("password"), 78, &["OPENCLAW_GATEWAY_PASSWORD"]).await;
    let funnel = Setup::new().config("/gateway/tailscale/mode", json!("funnel"));
    ends(funnel, 78, &["funnel", "gateway.auth.mode to password"]).await;
    let serve = Setup::new()
        .config("/gateway/tailscale/mode", json!("serve"))
        .config("/gateway/bind", json!("lan"));
    ends(serve, 78, &["gateway.bind to loopback"]).await;
}

/// A flag wins over the mode of the file.
#[tokio::test]
async fn the_mode_from_the_command_line() {
    let gateway = Setup::new().arguments(&["--auth", "none"]).start().await;
    let client = gateway.operator().await;
    assert_eq!(client.hello["snapshot"]["authMode"], "none");
    ends(
        Setup::new().arguments(&["--auth", "password"]),
        78,
        &["gateway.auth.password"],
    )
    .await;
}

#[tokio::test]
async fn an_open_address_without_a_secret() {
    let setup = Setup::new()
        .config("/gateway/auth", json!({ "mode": "none" }))
        .config("/gateway/bind", json!("lan"));
    ends(setup, 78, &["refusing to bind gateway to"]).await;
}

#[tokio::test]
async fn where_it_listens() {
    // Every mode that works on a host without a tailnet; with a secret, as the setup has one.
    for (mode, host) in [("auto", None), ("lan", None), ("custom", Some("127.0.0.1"))] {
        let setup = Setup::new()
            .config("/gateway/bind", json!(mode))
            .config("/gateway/customBindHost", json!(host.unwrap_or("unused")));
        let gateway = setup.start().await;
        gateway.operator().await;
    }
    let custom = Setup::new().config("/gateway/bind", json!("custom"));
    let named = custom.config("/gateway/customBindHost", json!("gw.example"));
    ends(named, 78, &["gateway.customBindHost", "gw.example"]).await;
    let serve = Setup::new()
        .config("/gateway/bind", json!("lan"))
        .config("/gateway/tailscale/mode", json!("serve"));
    ends(
        serve,
        78,
        &[
            "refusing to bind gateway to 0.0.0.0",
            "gateway.tailscale.mode",
        ],
    )
    .await;
    let funnel = Setup::new().config("/gateway/tailscale/mode", json!("funnel"));
    ends(funnel, 78, &["funnel", "gateway.auth.mode"]).await;
}

#[tokio::test]
async fn a_busy_port() {
    let first = Gateway::start().await;
    let port = first.port().to_string();
    ends(Setup::new().port(first.port()), 78, &[&port]).await;
    first.operator().await;
}

#[tokio::test]
async fn a_second_gateway_on_the_same_state_folder() {
    let first = Gateway::start().await;
    let state = first.state_dir();
    let setup = Setup::new().arguments(&["--state-dir", state.to_str().unwrap()]);
    let pid = format!("pid {}, since 20", first.pid());
    let url = format!("ws://127.0.0.1:{}", first.port());
    let words = ["gateway already running", &pid, &url];
    ends(setup, 78, &words).await;
    first.operator().await;
}

#[tokio::test]
async fn a_state_file_that_cannot_be_read() {
    let mut gateway = Setup::new()
        .state_file("gateway.redb", "not a database at all")
        .spawn();
    assert_eq!(
        gateway.exit().await.code(),
        Some(1),
        "{}",
        gateway.log().text()
    );
    said(&gateway, &["gateway.redb"]).await;
    let kept = std::fs::read(gateway.state_dir().join("gateway.redb")).unwrap();
    assert_eq!(
        kept, b"not a database at all",
        "what cannot be read is not overwritten"
    );
}

/// One plugin that must not be loaded leaves the rest alone.
#[tokio::test]
async fn a_wrong_digest() {
    let echo = binaries::library("gateway-plugin-echo");
    let telegram = binaries::library("gateway-plugin-telegram");
    let digest = "0".repeat(64);
    let text = format!(
        "schema = 1\n[trust]\ndevelopment = true\n[[plugin]]\nname = \"telegram\"\n\
         path = {telegram:?}\nsha256 = \"{digest}\"\n[[plugin]]\nname = \"echo\"\npath = {echo:?}\n"
    );
    let gateway = Setup::new().plugins_text(Some(&text)).start().await;
    said(&gateway, &["telegram", &digest[..12]]).await;
    let mut client = gateway.operator().await;
    let params = json!({ "channel": "echo", "to": "x", "message": "m", "idempotencyKey": "k" });
    client.ok("send", params).await;
    let params = json!({ "channel": "telegram", "to": "1", "message": "m", "idempotencyKey": "t" });
    client.refused("send", params).await;
}

/// An account that its plugin's schema refuses does not start; the others do.
#[tokio::test]
async fn an_account_that_is_configured_wrongly() {
    let gateway = Setup::new()
        .plugins(&["echo", "telegram"])
        .config("/channels/telegram", json!({ "botToken": 7 }))
        .start()
        .await;
    said(&gateway, &["channels.telegram", "botToken"]).await;
    let mut client = gateway.operator().await;
    client.sees_running("echo").await;
    let status = client.ok("channels.status", json!({})).await;
    let account = &status["channelAccounts"]["telegram"][0];
    assert_eq!(account["running"], false, "{account}");
    assert!(
        account["lastError"].as_str().unwrap().contains("botToken"),
        "{account}"
    );
    assert_eq!(
        status["channelAccounts"]["echo"][0]["running"], true,
        "{status}"
    );
}

/// Keys of other programs stay as they are, and are named once.
#[tokio::test]
async fn keys_that_nobody_here_knows() {
    let mut gateway = Setup::new()
        .config("/browser/enabled", json!(true))
        .config("/gateway/tailscale/mode", json!("off"))
        .start()
        .await;
    said(&gateway, &["browser"]).await;
    gateway.stop().await;
    let text = std::fs::read_to_string(gateway.state_dir().join("openclaw.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["browser"]["enabled"], true);
}

/// Without a secret the gateway makes one and keeps it.
#[tokio::test]
async fn a_first_start_makes_a_token() {
    let mut gateway = Setup::new()
        .config("/gateway/auth", json!({}))
        .start()
        .await;
    let path = gateway.state_dir().join("openclaw.json");
    let read = || -> Value {
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let token = read()["gateway"]["auth"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        token.len() == 48 && token.chars().all(|c| c.is_ascii_hexdigit()),
        "{token}"
    );
    gateway
        .connect(&Login::fresh().auth(json!({ "token": token })))
        .await;
    gateway.stop().await;
    gateway.restart().await;
    assert_eq!(read()["gateway"]["auth"]["token"], json!(token));
    assert!(
        !gateway.log().text().contains(&token),
        "the token is in the log"
    );
    assert!(
        !gateway.log().text().contains("restart only"),
        "what was made at the start is taken for a change"
    );
}

#[tokio::test]
async fn nobody_else_may_read_the_state() {
    let gateway = Gateway::start().await;
    gateway.operator().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&gateway.state_dir()), 0o700);
    let mut folders = vec![gateway.state_dir()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // These two the test wrote itself.
            let ours = path.ends_with("openclaw.json") || path.ends_with("plugins.toml");
            assert!(
                ours || mode(&path) & 0o077 == 0,
                "{}: {:o}",
                path.display(),
                mode(&path)
            );
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
}

/// Flags win over the environment, the environment over the file.
#[tokio::test]
async fn where_the_port_and_the_token_come_from() {
    let port = support::gateway::free_port().to_string();
    let mut gateway = Setup::new()
        .arguments(&["--port", &port, "--token", "from a flag"])
        .environment("OPENCLAW_GATEWAY_PORT", "1")
        .spawn();
    gateway.listens_on(port.parse().unwrap());
    gateway.ready().await;
    gateway
        .connect(&Login::fresh().auth(json!({ "token": "from a flag" })))
        .await;
    let refused = gateway.open().await.try_log_in(&Login::fresh()).await;
    assert_eq!(refused["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH");
}
