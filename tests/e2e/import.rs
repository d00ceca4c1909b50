//! `openclaw import`: a real state folder of the reference, taken in once and for all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::{Device, Gateway, Login, Setup};

/// The key of the device that is paired in the recorded folder.
const DEVICE_SEED: &str = "b50d71f8b73ecd8c80a1e9cfaf984ef65acfb99dfd3e5eb42f37dc868dec08b7";
const DEMO: &str = "4cf9424b-7efc-472c-bd59-338c03780d46";

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/reference-state")
}

/// Every file below a folder and its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

/// A copy that a test may change.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in files(folder) {
        let to = copy.path().join(path.strip_prefix(folder).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
    copy
}

async fn import(gateway: &Gateway, folder: &Path, more: &[&str]) -> Ran {
    let folder = folder.display().to_string();
    let arguments = [&["import", folder.as_str()], more].concat();
    run(gateway.home(), &arguments).await
}

async fn imported(gateway: &Gateway, folder: &Path, more: &[&str]) -> Value {
    let ran = import(gateway, folder, &[more, &["--json"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran.json()
}

fn tally(imported: u64, unchanged: u64) -> Value {
    json!({ "imported": imported, "unchanged": unchanged })
}

#[tokio::test]
async fn a_recorded_state_folder() {
    let before = files(&recorded());
    let mut gateway = Setup::new().start().await;
    let refused = import(&gateway, &recorded(), &[]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("stop the gateway"), "{refused:?}");
    gateway.stop().await;

    let dry = imported(&gateway, &recorded(), &["--dry-run"]).await;
    assert_eq!(dry["dryRun"], true);
    let done = imported(&gateway, &recorded(), &[]).await;
    for report in [&dry, &done] {
        assert_eq!(report["sessions"], tally(4, 0), "{report}");
        // Two sessions of the cron job share a transcript.
        assert_eq!(report["messages"], tally(6, 2), "{report}");
        assert_eq!(report["devices"], tally(1, 0), "{report}");
        assert_eq!(report["cronJobs"], tally(2, 0), "{report}");
        let skipped = report["skipped"].as_array().unwrap();
        let reasons: Vec<_> = skipped
            .iter()
            .map(|s| s["reason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons.len(), 2, "{report}");
        assert!(reasons[0].contains("before a reset"), "{report}");
        assert!(reasons[1].contains("finished runs"), "{report}");
    }
    let again = imported(&gateway, &recorded(), &[]).await;
    assert_eq!(again["sessions"], tally(0, 4), "{again}");
    assert_eq!(again["messages"], tally(0, 8), "{again}");
    assert_eq!(again["devices"], tally(0, 1), "{again}");
    assert_eq!(again["cronJobs"], tally(0, 2), "{again}");
    assert_eq!(files(&recorded()), before, "the source is as it was");

    gateway.launch();
    gateway.ready().await;
    sees_everything(&gateway).await;
}

async fn sees_everything(gateway: &Gateway) {
    // Its old token, and nothing else, lets the device in.
    let paired = std::fs::read_to_string(recorded().join("devices/paired.json")).unwrap();
    let paired: Value = serde_json::from_str(&paired).unwrap();
    let device = Device::from_seed_hex(DEVICE_SEED);
    let token = paired[device.id.as_str()]["tokens"]["operator"]["token"].clone();
    let login = Login::operator(&device).auth(json!({ "deviceToken": token, "token": token }));
    let mut client = gateway.connect(&login).await;
    let given = client.hello["auth"]["deviceToken"].clone();
    assert!(given.is_string() && given != token, "{}", client.hello);

    let list = client.ok("sessions.list", json!({})).await;
    let demo = list["sessions"].as_array().unwrap().iter();
    let demo = demo
        .filter(|s| s["key"] == "agent:main:demo")
        .collect::<Vec<_>>()[0];
    assert_eq!(
        (&demo["sessionId"], &demo["label"], &demo["thinkingLevel"]),
        (&json!(DEMO), &json!("Demo"), &json!("low"))
    );
    assert_eq!(
        (&demo["updatedAt"], &demo["inputTokens"]),
        (&json!(1_795_410_257_371_u64), &json!(11))
    );
    let history = client
        .ok("chat.history", json!({ "sessionKey": "demo" }))
        .await;
    let messages = history["messages"].as_array().unwrap();
    let texts: Vec<_> = messages
        .iter()
        .map(|m| m["content"][0]["text"].as_str().unwrap())
        .collect();
    let answer = "Hello from the model.";
    assert_eq!(texts, ["what is new?", answer, "and now?", answer]);
    assert_eq!(messages[0]["senderLabel"], "cli");
    // What the model was told is there as well, word for word.
    let raw = client
        .ok("sessions.get", json!({ "key": "demo", "limit": 10 }))
        .await;
    let original =
        std::fs::read_to_string(recorded().join(format!("agents/main/sessions/{DEMO}.jsonl")));
    let original: Vec<Value> = original
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let said = original.iter().filter(|line| line["type"] == "message");
    let said: Vec<_> = said.map(|line| &line["message"]["content"]).collect();
    let told = raw["messages"].as_array().unwrap().iter();
    assert_eq!(told.map(|m| &m["content"]).collect::<Vec<_>>(), said);

    let jobs = client.ok("cron.list", json!({})).await;
    let names: Vec<_> = jobs["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| &j["name"])
        .collect();
    assert!(
        names.contains(&&json!("Daily")) && names.contains(&&json!("Reminder")),
        "{jobs}"
    );
}

#[tokio::test]
async fn what_goes_on_there_and_here() {
    let source = copy(&recorded());
    let mut gateway = Setup::new().start().await;
    gateway.stop().await;
    imported(&gateway, source.path(), &[]).await;
    // The person went on with the reference.
    let file = source
        .path()
        .join(format!("agents/main/sessions/{DEMO}.jsonl"));
    let mut text = std::fs::read_to_string(&file).unwrap();
    let say = |id: &str, parent: &str| {
        let message = json!({ "role": "user", "content": "still there?", "timestamp": 1_795_410_300_000_u64 });
        let line = json!({ "type": "message", "id": id, "parentId": parent,
            "timestamp": "2026-11-23T05:05:00.000Z", "message": message });
        format!("{line}\n")
    };
    text.push_str(&say("00000001", "f5e29eb3"));
    std::fs::write(&file, &text).unwrap();
    let more = imported(&gateway, source.path(), &[]).await;
    assert_eq!(more["messages"]["imported"], 1, "{more}");
    // Then with this gateway.
    gateway.launch();
    gateway.ready().await;
    let mut client = gateway.operator().await;
    client
        .ok(
            "chat.inject",
            json!({ "sessionKey": "demo", "message": "ours" }),
        )
        .await;
    let history = client
        .ok("chat.history", json!({ "sessionKey": "demo" }))
        .await;
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        6,
        "{history}"
    );
    gateway.stop().await;
    text.push_str(&say("00000002", "00000001"));
    std::fs::write(&file, &text).unwrap();
    let both = imported(&gateway, source.path(), &[]).await;
    assert_eq!(both["messages"]["imported"], 0, "{both}");
    let reasons = both["skipped"].to_string();
    assert!(reasons.contains("went on both there and here"), "{reasons}");
}

#[tokio::test]
async fn what_is_broken_is_named_and_the_rest_comes_in() {
    let source = copy(&recorded());
    let at = |name: &str| source.path().join(name);
    let edit = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut value = serde_json::from_str(&std::fs::read_to_string(at(name)).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(at(name), value.to_string()).unwrap();
    };
    edit("agents/main/sessions/sessions.json", &|sessions| {
        sessions["agent:main:bad"] = json!({ "sessionId": "../../etc/passwd", "updatedAt": 1 });
        sessions["agent:main:worse"] = json!(7);
    });
    edit("devices/paired.json", &|devices| {
        let mut stranger = devices
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        stranger["deviceId"] = json!("0000");
        devices["0000"] = stranger;
    });
    edit("cron/jobs.json", &|file| {
        file["jobs"][0]["schedule"] = json!({ "kind": "cron", "expr": "every day" });
    });
    let mut gateway = Setup::new().start().await;
    gateway.stop().await;
    let done = imported(&gateway, source.path(), &[]).await;
    assert_eq!(done["sessions"]["imported"], 4, "{done}");
    assert_eq!(
        (&done["devices"]["imported"], &done["cronJobs"]["imported"]),
        (&json!(1), &json!(1))
    );
    let skipped = done["skipped"].to_string();
    for name in ["agent:main:bad", "agent:main:worse", "\"0000\"", "cron job"] {
        assert!(skipped.contains(name), "{name}: {skipped}");
    }
    let words = import(&gateway, source.path(), &[]).await;
    assert!(words.out.contains("here already"), "{words:?}");
    let empty = tempfile::tempdir().unwrap();
    for folder in [empty.path(), Path::new("/nosuch")] {
        let refused = import(&gateway, folder, &[]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
    }
    std::fs::write(at("cron/jobs.json"), "{ half").unwrap();
    let broken = imported(&gateway, source.path(), &[]).await;
    assert!(
        broken["skipped"].to_string().contains("jobs.json"),
        "{broken}"
    );
}

#[tokio::test]
async fn not_while_a_gateway_writes_to_the_source() {
    let source = Gateway::start().await;
    let mut gateway = Gateway::start().await;
    gateway.stop().await;
    let refused = import(&gateway, &source.state_dir(), &[]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("a gateway runs on"), "{refused:?}");
}
