//! `config.*` and `secrets.reload`: clients see and change the file, secrets stay where they are.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use support::{Client, Gateway, Login, Setup};

const TEXT: &str = r#"// Our gateway.
{
  gateway: {
    mode: "local", port: PORT, // the usual one
    auth: { mode: "token", token: "throwaway-token" },
  },
  channels: { echo: {} }, /* more to come */
  session: { dmScope: "main" },
  models: { providers: { local: { baseUrl: "http://127.0.0.1:1/v1", apiKey: "k3y-of-the-model" } } },
  hooks: { token: "not-for-us-but-secret" },
}
"#;

async fn start() -> Gateway {
    let setup = Setup::new();
    let port = support::gateway::free_port();
    let setup = setup.port(port);
    setup
        .config_text(&TEXT.replace("PORT", &port.to_string()))
        .start()
        .await
}

fn text(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.config_file()).unwrap()
}

async fn hash(client: &mut Client) -> Value {
    client.ok("config.get", json!({})).await["hash"].clone()
}

async fn refusal(client: &mut Client, method: &str, params: Value) -> (String, String) {
    let error = client.refused(method, params).await;
    let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (part("code"), part("message"))
}

#[tokio::test]
async fn what_is_seen_holds_no_secret() {
    let gateway = start().await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let got = client.ok("config.get", json!({})).await;
    let whole = got.to_string();
    for secret in ["throwaway-token", "k3y-of-the-model", "not-for-us"] {
        assert!(!whole.contains(secret), "{secret}: {whole}");
    }
    assert_eq!(got["valid"], true);
    assert_eq!(got["exists"], true);
    assert_eq!(
        got["parsed"]["gateway"]["auth"]["token"],
        "__OPENCLAW_REDACTED__"
    );
    assert_eq!(
        got["resolved"]["models"]["providers"]["local"]["apiKey"],
        "__OPENCLAW_REDACTED__"
    );
    let raw = got["raw"].as_str().unwrap();
    assert!(
        raw.contains("// the usual one") && raw.contains("/* more to come */"),
        "{raw}"
    );
    let health = client.ok("health", json!({})).await;
    assert_eq!(health["configHash"], got["hash"]);

    // A broken file is shown as such; its text isn't, for it can't be searched.
    std::fs::write(
        gateway.config_file(),
        "{ gateway: { auth: { token: 'throwaway-token' ",
    )
    .unwrap();
    let got = client.ok("config.get", json!({})).await;
    assert_eq!((&got["valid"], &got["raw"]), (&json!(false), &Value::Null));
    assert!(
        got["issues"][0]["message"]
            .as_str()
            .unwrap()
            .contains("JSON5"),
        "{got}"
    );
    assert!(!got.to_string().contains("throwaway-token"));
}

#[tokio::test]
async fn a_text_is_refused_in_the_words_of_the_wire() {
    let gateway = start().await;
    let mut client = gateway.operator().await;
    let before = text(&gateway);
    let base = hash(&mut client).await;
    let with = |raw: &str| json!({ "raw": raw, "baseHash": base });
    let need = "config base hash required; re-run config.get and retry";
    let stale = "config changed since last load; re-run config.get and retry";
    for method in ["config.set", "config.apply", "config.patch"] {
        let refused = refusal(&mut client, method, json!({ "raw": "{}" })).await;
        assert_eq!(refused, ("INVALID_REQUEST".into(), need.into()));
        let refused = refusal(&mut client, method, json!({ "raw": "{}", "baseHash": "x" })).await;
        assert_eq!(refused.1, stale);
        let refused = refusal(&mut client, method, with("{")).await;
        assert_eq!(refused.1, "SyntaxError: JSON5: invalid end of input at 1:2");
    }
    let error = client
        .refused("config.set", with(r#"{"gateway":{"port":"abc"}}"#))
        .await;
    let why = "Invalid input: expected number, received string";
    assert_eq!(
        error["message"],
        format!("invalid config: gateway.port: {why}")
    );
    let issues = json!([{ "path": "gateway.port", "message": why }]);
    assert_eq!(error["details"], json!({ "issues": issues }));
    // What a plugin says of its account counts as well.
    let refused = refusal(
        &mut client,
        "config.patch",
        with("{ channels: { echo: { greeting: 5 } } }"),
    )
    .await;
    assert!(
        refused.1.starts_with("invalid config: channels.echo"),
        "{refused:?}"
    );
    let remote = refusal(
        &mut client,
        "config.patch",
        with("{ gateway: { mode: 'remote' } }"),
    )
    .await;
    assert!(remote.1.contains("gateway.mode is remote"), "{remote:?}");
    let placeholder = "{ gateway: { auth: { password: '__OPENCLAW_REDACTED__' } } }";
    let refused = refusal(&mut client, "config.patch", with(placeholder)).await;
    assert!(
        refused.1.contains("in key gateway.auth.password"),
        "{refused:?}"
    );
    assert_eq!(text(&gateway), before);
}

/// As the Control UI does: what was read is sent back with a change.
#[tokio::test]
async fn a_text_that_was_read_comes_back_and_counts_at_once() {
    let gateway = start().await;
    let mut client = gateway.operator().await;
    let got = client.ok("config.get", json!({})).await;
    let raw = got["raw"].as_str().unwrap();
    let params = json!({ "raw": raw, "baseHash": got["hash"] });
    let set = client.ok("config.set", params).await;
    assert_eq!(set["ok"], true);
    assert_eq!(set["config"], got["config"]);
    let changed = raw.replace(
        "channels: { echo: {} }",
        "channels: { echo: { name: \"Ed\" } }",
    );
    let params = json!({ "raw": changed, "baseHash": hash(&mut client).await, "note": "a name" });
    let applied = client.ok("config.apply", params).await;
    assert_eq!(applied["restart"], Value::Null);
    assert_eq!(applied["sentinel"]["payload"]["kind"], "config-apply");
    assert_eq!(applied["sentinel"]["payload"]["message"], "a name");
    let now = text(&gateway);
    for kept in [
        "throwaway-token",
        "k3y-of-the-model",
        "not-for-us",
        "// the usual one",
    ] {
        assert!(now.contains(kept), "{kept}: {now}");
    }
    gateway
        .account("echo", "the name", |a| a["name"] == "Ed")
        .await;
    gateway.operator().await;
    // The former text is kept; nobody else may read either.
    let backup = gateway.state_dir().join("openclaw.json.bak");
    assert!(
        std::fs::read_to_string(&backup)
            .unwrap()
            .contains("echo: {} }")
    );
    for file in [backup, gateway.config_file()] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_keeps_the_rest() {
    let gateway = start().await;
    let mut client = gateway.operator().await;
    let mut patch = async |raw: &str| {
        let params = json!({ "raw": raw, "baseHash": hash(&mut client).await, "sessionKey": "agent:main:main" });
        client.ok("config.patch", params).await
    };
    let done = patch(r#"{"session":{"dmScope":"per-channel-peer"},"hooks":null}"#).await;
    assert_eq!(done["restart"], Value::Null);
    assert_eq!(done["sentinel"]["path"], Value::Null);
    assert_eq!(done["sentinel"]["payload"]["sessionKey"], "agent:main:main");
    assert_eq!(done["config"]["session"]["dmScope"], "per-channel-peer");
    let now = text(&gateway);
    assert!(
        now.starts_with("// Our gateway.\n") && now.contains("// the usual one"),
        "{now}"
    );
    assert!(!now.contains("hooks"), "{now}");
    patch("{ agents: { list: [{ id: 'a', name: 'Ada' }] } }").await;
    let done = patch("{ agents: { list: [{ id: 'b' }, { id: 'a', name: 'Eve' }] } }").await;
    let list = json!([{ "id": "a", "name": "Eve" }, { "id": "b" }]);
    assert_eq!(done["config"]["agents"]["list"], list);
    // What takes a restart is said, and none is pretended.
    let done = patch("{ logging: { level: 'debug' } }").await;
    assert_eq!(done["restart"]["ok"], false, "{done}");
    let reason = done["restart"]["reason"].as_str().unwrap();
    assert!(reason.contains("logging.level"), "{reason}");
    client.ok("health", json!({})).await;
}

/// A port that can't be had: the file goes back, the gateway stays where it is.
#[tokio::test]
async fn what_cannot_be_opened_is_rolled_back() {
    let gateway = start().await;
    let taken = Gateway::start().await;
    let mut client = gateway.operator().await;
    let before = text(&gateway);
    let raw = format!("{{ gateway: {{ port: {} }} }}", taken.port());
    let params = json!({ "raw": raw, "baseHash": hash(&mut client).await });
    let refused = refusal(&mut client, "config.patch", params).await;
    assert_eq!(refused.0, "UNAVAILABLE");
    assert!(refused.1.contains("already listening"), "{refused:?}");
    assert_eq!(text(&gateway), before);
    gateway.operator().await;
}

#[tokio::test]
async fn the_schema_names_every_key_with_its_help() {
    let gateway = start().await;
    let mut client = gateway.operator().await;
    let answer = client.ok("config.schema", json!({})).await;
    let echo = &answer["schema"]["properties"]["channels"]["properties"]["echo"];
    assert_eq!(echo["properties"]["greeting"]["type"], "string", "{echo}");
    let hints = &answer["uiHints"];
    assert_eq!(hints["gateway.auth.token"]["sensitive"], true);
    assert_eq!(hints["gateway.port"]["label"], "Gateway Port");
    assert!(hints["gateway.port"]["help"].is_string());
    assert_eq!(answer["schema"]["additionalProperties"], false);
    let mut reader = gateway.operator_with(&["operator.read"]).await;
    let params = json!({ "path": "gateway.auth" });
    let auth = reader.ok("config.schema.lookup", params).await;
    assert_eq!(
        auth["schema"],
        json!({ "type": "object", "additionalProperties": false })
    );
    let keys: Vec<&str> = auth["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["key"].as_str().unwrap())
        .collect();
    assert!(
        keys.contains(&"rateLimit") && keys.contains(&"token"),
        "{keys:?}"
    );
    for (path, words) in [
        ("nope.x", "config schema path not found"),
        ("a b", "invalid config.schema.lookup params"),
    ] {
        let refused = refusal(&mut reader, "config.schema.lookup", json!({ "path": path })).await;
        assert!(refused.1.starts_with(words), "{refused:?}");
    }
}

#[tokio::test]
async fn secrets_are_read_again() {
    let setup = Setup::new().state_file("secret", "one");
    let path = setup.state_dir().join("secret");
    let provider = json!({ "source": "file", "path": path, "mode": "singleValue" });
    let gateway = setup
        .config("/secrets/providers/mine", provider)
        .config(
            "/gateway/auth/token",
            json!({ "source": "file", "provider": "mine", "id": "value" }),
        )
        .start()
        .await;
    let with = |token: &str| Login::fresh().auth(json!({ "token": token }));
    let mut client = gateway.connect(&with("one")).await;
    let params = json!({});
    std::fs::write(&path, "two").unwrap();
    let got = client.ok("config.get", json!({})).await;
    assert_eq!(got["config"]["gateway"]["auth"]["token"]["id"], "value");
    client.request("secrets.reload", params).await;
    assert_eq!(client.closed().await.code, 1008);
    let mut client = gateway.connect(&with("two")).await;
    let answer = client.ok("secrets.reload", json!({})).await;
    assert_eq!(answer, json!({ "ok": true, "warningCount": 0 }));
}
