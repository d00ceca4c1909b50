//! `openclaw sessions …` as people and scripts use it.

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::{Client, Gateway};

async fn talk(client: &mut Client, session: &str, message: &str) {
    let key = format!("{session} {message}");
    let params = json!({ "sessionKey": session, "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await;
    client
        .event_where("chat", |p| {
            p["runId"] == key.as_str() && p["state"] == "final"
        })
        .await;
}

async fn sessions(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let arguments = [&["sessions"], arguments, &["--timeout", "60s"]].concat();
    run(gateway.home(), &arguments).await
}

async fn json_of(gateway: &Gateway, arguments: &[&str]) -> Value {
    let ran = sessions(gateway, &[arguments, &["--json"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran.json()
}

#[tokio::test]
async fn looking_at_them() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let empty = sessions(&gateway, &["list"]).await;
    assert_eq!((empty.code, empty.out.as_str()), (Some(0), "no session\n"));
    talk(&mut client, "main", "first words").await;
    talk(&mut client, "demo", "other words").await;
    let list = sessions(&gateway, &["list", "--wide"]).await;
    assert!(list.out.contains("agent:main:demo"), "{list:?}");
    assert!(list.out.contains("just now"), "{list:?}");
    let list = json_of(&gateway, &["list", "--search", "demo", "--limit", "5"]).await;
    assert_eq!(list["count"], 1);
    let preview = sessions(&gateway, &["preview", "main", "nosuch"]).await;
    assert!(preview.out.contains("user  first words"), "{preview:?}");
    assert!(preview.out.contains("missing"), "{preview:?}");
    let preview = json_of(&gateway, &["preview", "main", "--limit", "1"]).await;
    assert_eq!(preview["previews"][0]["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn exporting_one() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "main", "keep this").await;
    let ran = sessions(&gateway, &["export", "main"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert_eq!(
        (&lines[0]["type"], &lines[1]["message"]["role"]),
        (&json!("session"), &json!("user"))
    );
    let file = gateway.home().join("main.jsonl");
    let path = file.display().to_string();
    let done = json_of(&gateway, &["export", "main", "--output", &path]).await;
    assert_eq!(done, json!({ "ok": true, "file": path, "messages": 2 }));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ran.out);
    for (arguments, text) in [
        (vec!["export", "main", "-o", &path], "does not exist yet"),
        (
            vec!["export", "nosuch"],
            "No session found: agent:main:nosuch",
        ),
    ] {
        let refused = sessions(&gateway, &arguments).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(text), "{refused:?}");
    }
}

#[tokio::test]
async fn taking_them_away() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "demo", "one").await;
    talk(&mut client, "demo", "two").await;
    let short = sessions(&gateway, &["compact", "demo"]).await;
    assert!(short.out.contains("short enough: 4 messages"), "{short:?}");
    let cut = json_of(&gateway, &["compact", "demo", "--keep", "2"]).await;
    assert_eq!((&cut["compacted"], &cut["kept"]), (&json!(true), &json!(2)));
    let reset = sessions(&gateway, &["reset", "demo"]).await;
    assert!(
        reset.out.contains("agent:main:demo begins anew"),
        "{reset:?}"
    );
    talk(&mut client, "demo", "three").await;
    let gone = sessions(&gateway, &["delete", "demo"]).await;
    assert!(gone.out.contains("its transcript is kept in"), "{gone:?}");
    let none = sessions(&gateway, &["delete", "demo"]).await;
    assert!(
        none.out.contains("there is no session agent:main:demo"),
        "{none:?}"
    );
    let refused = sessions(&gateway, &["delete", "main"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("Cannot delete the main session"),
        "{refused:?}"
    );
}
