//! `agents.create`, `agents.update`, `agents.delete`, `agents.files.*`, and what a model is told of
//! those files.

use serde_json::{Value, json};
use support::llm::Llm;
use support::{Client, Gateway, Setup};

/// A configuration written by a person, with words of their own in it.
fn written(llm: &Llm, port: u16) -> String {
    let provider = llm.provider("m1");
    format!(
        "// my gateway\n{{\n  gateway: {{ mode: 'local', port: {port}, // the usual\n    \
         auth: {{ mode: 'token', token: 'throwaway-token' }} }},\n  \
         models: {{ providers: {{ fake: {provider} }} }},\n  \
         agents: {{ defaults: {{ model: 'fake/m1' }} }}, // one for all\n}}\n"
    )
}

async fn hand_written(llm: &Llm) -> Gateway {
    let setup = Setup::new();
    let text = written(llm, setup.port_number());
    setup.config_text(&text).start().await
}

fn file(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.state_dir().join("openclaw.json")).unwrap()
}

async fn ask(client: &mut Client, params: Value) {
    let id = client.request("agent", params).await;
    client.response(&id).await;
    client.response(&id).await;
}

/// The folder of an agent that is gone lies in the trash.
fn discarded(gateway: &Gateway, folder: &str) {
    assert!(!std::path::Path::new(folder).exists());
    let trash = std::fs::read_dir(gateway.state_dir().join("trash")).unwrap();
    let kept: Vec<_> = trash.map(|entry| entry.unwrap().path()).collect();
    assert!(
        kept.len() == 1 && kept[0].join("IDENTITY.md").exists(),
        "{kept:?}"
    );
}

#[tokio::test]
async fn an_agent_is_made_changed_and_deleted() {
    let llm = Llm::start().await;
    let gateway = hand_written(&llm).await;
    let mut client = gateway.operator().await;
    let folder = gateway.home().join("ws-ops").display().to_string();
    let new = json!({ "name": "Ops Bot", "workspace": folder, "emoji": "🛠" });
    let made = client.ok("agents.create", new.clone()).await;
    let id = json!({ "ok": true, "agentId": "ops-bot", "name": "Ops Bot", "workspace": folder });
    assert_eq!(made, id);
    // It is there at once, and the one without an entry stays the default.
    let list = client.ok("agents.list", json!({})).await;
    assert_eq!(list["defaultId"], "main");
    assert_eq!(list["agents"][1]["id"], "ops-bot");
    assert_eq!(list["agents"][1]["identity"]["emoji"], "🛠");
    let text = file(&gateway);
    let comments = ["// my gateway", "// the usual", "// one for all"];
    assert!(comments.iter().all(|c| text.contains(c)), "{text}");
    for (params, why) in [
        (new, "agent \"ops-bot\" already exists"),
        (
            json!({ "name": "Main", "workspace": folder }),
            "\"main\" is reserved",
        ),
    ] {
        assert_eq!(
            client.refused("agents.create", params).await["message"],
            why
        );
    }
    let change = json!({ "agentId": "ops-bot", "name": "Ops", "model": "fake/m1" });
    let changed = client.ok("agents.update", change).await;
    assert_eq!(changed, json!({ "ok": true, "agentId": "ops-bot" }));
    let list = client.ok("agents.list", json!({})).await;
    assert_eq!(list["agents"][1]["name"], "Ops");
    let unknown = json!({ "agentId": "zzz" });
    let refused = client.refused("agents.update", unknown.clone()).await;
    assert_eq!(refused["message"], "agent \"zzz\" not found");
    // It answers, as who it is.
    ask(
        &mut client,
        json!({ "agentId": "ops-bot", "message": "who?", "idempotencyKey": "a1" }),
    )
    .await;
    let asked = llm.wait_asked(1).await;
    assert!(
        asked.system().contains("- Name: Ops Bot\n- Emoji: 🛠"),
        "{}",
        asked.system()
    );

    let refused = client.refused("agents.delete", unknown).await;
    assert_eq!(refused["message"], "agent \"zzz\" not found");
    let main = json!({ "agentId": "main" });
    let refused = client.refused("agents.delete", main).await;
    assert_eq!(refused["message"], "\"main\" cannot be deleted");
    let gone = client
        .ok("agents.delete", json!({ "agentId": "ops-bot" }))
        .await;
    assert_eq!(
        gone,
        json!({ "ok": true, "agentId": "ops-bot", "removedBindings": 0 })
    );
    let list = client.ok("agents.list", json!({})).await;
    assert_eq!(list["agents"].as_array().unwrap().len(), 1);
    discarded(&gateway, &folder);
}

#[tokio::test]
async fn files_are_listed_written_and_told_to_the_model() {
    let llm = Llm::start().await;
    let gateway = hand_written(&llm).await;
    let mut client = gateway.operator().await;
    let folder = gateway.state_dir().join("workspace");
    let listed = client
        .ok("agents.files.list", json!({ "agentId": "main" }))
        .await;
    assert_eq!(listed["workspace"], json!(folder));
    let names: Vec<_> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["name"])
        .collect();
    let want = [
        "AGENTS.md",
        "SOUL.md",
        "TOOLS.md",
        "IDENTITY.md",
        "USER.md",
        "HEARTBEAT.md",
        "MEMORY.md",
    ];
    assert_eq!(names, want);
    assert_eq!(listed["files"][0]["missing"], true);
    let soul = json!({ "agentId": "main", "name": "SOUL.md", "content": "# Soul\n" });
    let set = client.ok("agents.files.set", soul).await;
    assert_eq!(
        (&set["ok"], &set["file"]["size"]),
        (&json!(true), &json!(7))
    );
    let memory = json!({ "agentId": "main", "name": "MEMORY.md" });
    let got = client.ok("agents.files.get", memory).await;
    let want = json!({ "name": "MEMORY.md", "path": folder.join("MEMORY.md"), "missing": true });
    assert_eq!(got["file"], want);
    let soul = json!({ "agentId": "main", "name": "SOUL.md" });
    let got = client.ok("agents.files.get", soul).await;
    assert_eq!(got["file"]["content"], "# Soul\n");
    ask(
        &mut client,
        json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "a1" }),
    )
    .await;
    let asked = llm.wait_asked(1).await;
    assert!(
        asked.system().contains("## SOUL.md\n\n# Soul"),
        "{}",
        asked.system()
    );
}

#[tokio::test]
async fn files_that_lead_elsewhere_are_refused() {
    // The agent's programs write there, with modes of their own.
    let gateway = Setup::new().shared().start().await;
    let mut client = gateway.operator().await;
    let folder = gateway.state_dir().join("workspace");
    std::fs::create_dir_all(&folder).unwrap();
    let secret = gateway.state_dir().join("not-for-the-agent.txt");
    std::fs::write(&secret, "private").unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("SOUL.md")).unwrap();
    std::fs::hard_link(&secret, folder.join("USER.md")).unwrap();
    for (name, why) in [
        (
            "SOUL.md",
            "unsafe workspace file \"SOUL.md\" (symbolic link)",
        ),
        ("USER.md", "unsafe workspace file \"USER.md\" (hard link)"),
        ("../x", "unsupported file \"../x\""),
    ] {
        let params = json!({ "agentId": "main", "name": name });
        let refused = client.refused("agents.files.get", params.clone()).await;
        assert_eq!(refused["message"], why);
        let mut params = params;
        params["content"] = json!("x");
        let refused = client.refused("agents.files.set", params).await;
        assert_eq!(refused["message"], why);
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "private");
    let params: Value = json!({ "agentId": "zzz" });
    let refused = client.refused("agents.files.list", params).await;
    assert_eq!(refused["message"], "unknown agent id");
}
