//! `skills.*`: folders of instructions, from the disk to the model and its programs; and
//! `openclaw skills …`.

use std::path::Path;

use serde_json::{Value, json};
use support::cli::run;
use support::llm::{Llm, Reply};
use support::{Client, Gateway, Login, Setup};

fn put(folder: &Path, name: &str, head: &str) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!("---\nname: {name}\n{head}\n---\nStart with {{baseDir}}/go.\n");
    std::fs::write(folder.join("SKILL.md"), text).unwrap();
}

/// Three skills: one that works anywhere, one that wants a key, one that wants what is nowhere.
async fn gateway(llm: &Llm) -> Gateway {
    let setup = Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"));
    let shared = setup.state_dir().join("skills");
    put(
        &shared,
        "weather",
        "description: Look at the sky\nhomepage: https://sky.example",
    );
    let keyed = "description: Ask the oracle\nmetadata: {\"openclaw\": {\"emoji\": \"🔮\", \
        \"primaryEnv\": \"GW_ORACLE_KEY\", \"requires\": {\"env\": [\"GW_ORACLE_KEY\"]}}}";
    put(&shared, "oracle", keyed);
    let needy = "description: Never\nmetadata: {\"openclaw\": {\"os\": [\"plan9\"], \
        \"requires\": {\"bins\": [\"zzz-none\"], \"anyBins\": [\"zzz-a\", \"zzz-b\"]}}}";
    put(&shared, "needy", needy);
    // Skills are written by people, with modes of their own.
    setup.shared().start().await
}

async fn ask(client: &mut Client, text: &str) {
    let params = json!({ "message": text, "agentId": "main", "idempotencyKey": text });
    let id = client.request("agent", params).await;
    client.response(&id).await;
    client.response(&id).await;
}

async fn skill(client: &mut Client, name: &str) -> Value {
    let status = client.ok("skills.status", json!({})).await;
    let skills = status["skills"].as_array().unwrap();
    skills
        .iter()
        .find(|skill| skill["name"] == name)
        .unwrap()
        .clone()
}

#[tokio::test]
async fn how_each_stands() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm).await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let status = client
        .ok("skills.status", json!({ "agentId": "main" }))
        .await;
    let shared = gateway.state_dir().join("skills");
    assert_eq!(status["managedSkillsDir"], shared.display().to_string());
    assert_eq!(status["skills"].as_array().unwrap().len(), 3);
    let none = json!({ "bins": [], "anyBins": [], "env": [], "config": [], "os": [] });
    let folder = shared.join("weather").display().to_string();
    assert_eq!(
        skill(&mut client, "weather").await,
        json!({
            "name": "weather", "description": "Look at the sky", "source": "openclaw-managed",
            "bundled": false, "filePath": format!("{folder}/SKILL.md"), "baseDir": folder,
            "skillKey": "weather", "homepage": "https://sky.example", "always": false,
            "disabled": false, "blockedByAllowlist": false, "eligible": true,
            "requirements": none, "missing": none, "configChecks": [], "install": [],
        })
    );
    let needy = skill(&mut client, "needy").await;
    assert_eq!(
        (&needy["eligible"], &needy["missing"]),
        (&json!(false), &needy["requirements"])
    );
    let refused = client
        .refused("skills.status", json!({ "agentId": "zzz" }))
        .await;
    assert_eq!(refused["message"], "unknown agent id \"zzz\"");
    // The agent's own one counts before that of all, at once.
    let own = status["workspaceDir"].as_str().unwrap();
    put(
        &Path::new(own).join("skills"),
        "weather",
        "description: Mine",
    );
    let mine = skill(&mut client, "weather").await;
    assert_eq!(
        (&mine["source"], &mine["description"]),
        (&json!("openclaw-workspace"), &json!("Mine"))
    );
}

#[tokio::test]
async fn settings_of_one() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm).await;
    let mut client = gateway.operator().await;
    assert_eq!(
        skill(&mut client, "oracle").await["missing"]["env"],
        json!(["GW_ORACLE_KEY"])
    );
    let key = json!({ "skillKey": "oracle", "apiKey": "of-tests-oracle", "enabled": true });
    let updated = client.ok("skills.update", key).await;
    let hidden = "__OPENCLAW_REDACTED__";
    assert_eq!(
        updated,
        json!({ "ok": true, "skillKey": "oracle", "config": { "apiKey": hidden, "enabled": true } })
    );
    let oracle = skill(&mut client, "oracle").await;
    assert_eq!(
        (&oracle["eligible"], &oracle["emoji"]),
        (&json!(true), &json!("🔮"))
    );
    let config = client.ok("config.get", json!({})).await;
    assert_eq!(
        config["config"]["skills"]["entries"]["oracle"]["apiKey"],
        hidden
    );
    let off = json!({ "skillKey": "oracle", "enabled": false, "apiKey": "" });
    let off = client.ok("skills.update", off).await;
    assert_eq!(off["config"], json!({ "enabled": false }));
    assert_eq!(skill(&mut client, "oracle").await["disabled"], true);
    let file = std::fs::read_to_string(gateway.config_file()).unwrap();
    assert!(!file.contains("of-tests-oracle"), "{file}");
    for (params, why) in [
        (
            json!({ "skillKey": " " }),
            "at /skillKey: must NOT have fewer than 1 characters",
        ),
        (
            json!({ "skillKey": "oracle", "env": { "LD_PRELOAD": "x.so" } }),
            "at /env: \"LD_PRELOAD\" is no variable that a skill may set",
        ),
    ] {
        let refused = client.refused("skills.update", params).await;
        assert_eq!(
            refused["message"],
            format!("invalid skills.update params: {why}")
        );
    }
    let refused = client
        .refused(
            "skills.install",
            json!({ "name": "needy", "installId": "brew" }),
        )
        .await;
    assert_eq!(refused["code"], "UNAVAILABLE");
}

#[tokio::test]
async fn a_model_is_told_and_reads_one() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm).await;
    let mut client = gateway.operator().await;
    llm.push(Reply::call("c1", "skill", json!({ "name": "weather" })));
    llm.push(Reply::call("c2", "skill", json!({ "name": "needy" })));
    ask(&mut client, "what is above?").await;
    let asked = llm.asked();
    let told = asked[0].system();
    assert!(
        told.contains("- weather (") && told.contains("): Look at the sky"),
        "{told}"
    );
    assert!(
        !told.contains("oracle") && !told.contains("needy"),
        "{told}"
    );
    assert!(asked[0].tools().contains(&"skill"));
    let folder = gateway.state_dir().join("skills/weather");
    let read = asked[1].newest();
    assert!(
        read.contains(&format!("Start with {}/go.", folder.display())),
        "{read}"
    );
    assert!(
        asked[2]
            .newest()
            .contains("there is no such skill; there are: weather")
    );
    // An agent may be given fewer.
    gateway.edit_config("/agents/list", json!([{ "id": "main", "skills": [] }]));
    gateway.logged("another configuration is in force").await;
    llm.forget();
    ask(&mut client, "and now?").await;
    let asked = llm.wait_asked(1).await;
    assert!(!asked.system().contains("weather") && !asked.tools().contains(&"skill"));
}

#[tokio::test]
async fn a_node_asks_for_the_programs() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm).await;
    let login = Login::fresh().node();
    let mut admin = gateway.operator().await;
    let mut node = gateway.open().await;
    let answer = node.try_log_in(&login).await;
    if answer["ok"] != true {
        let request = answer["error"]["details"]["requestId"].clone();
        admin
            .ok("device.pair.approve", json!({ "requestId": request }))
            .await;
        node = gateway.connect(&login).await;
    }
    let bins = node.ok("skills.bins", json!({})).await;
    assert_eq!(bins, json!({ "bins": ["zzz-a", "zzz-b", "zzz-none"] }));
}

#[tokio::test]
async fn on_the_command_line() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm).await;
    let list = run(gateway.home(), &["skills", "list", "--wide"]).await;
    assert!(
        list.out.contains("weather") && list.out.contains("program zzz-none"),
        "{list:?}"
    );
    let usable = run(gateway.home(), &["skills", "list", "--usable", "--json"]).await;
    assert_eq!(usable.json()["skills"].as_array().unwrap().len(), 1);
    let info = run(gateway.home(), &["skills", "info", "needy"]).await;
    assert!(
        info.out.contains("system plan9") && info.code == Some(0),
        "{info:?}"
    );
    let unknown = run(gateway.home(), &["skills", "info", "zzz"]).await;
    assert!(
        unknown.err.contains("there is no skill zzz") && unknown.code == Some(1),
        "{unknown:?}"
    );
    let check = run(gateway.home(), &["skills", "check"]).await;
    assert!(
        check.out.contains("1 of 3 skills are usable") && check.code == Some(1),
        "{check:?}"
    );
}
