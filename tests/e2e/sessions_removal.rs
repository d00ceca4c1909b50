//! `sessions.delete`, `sessions.compact`: what is taken away, and what is kept of it.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::{Client, Gateway, Login, Setup};

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

/// The lines of a file of JSON lines.
fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[tokio::test]
async fn a_session_is_deleted_and_kept_as_a_file() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "main", "stays").await;
    talk(&mut client, "w1", "goes away").await;
    let error = client
        .refused("sessions.delete", json!({ "key": "main" }))
        .await;
    let message = "Cannot delete the main session (agent:main:main).";
    assert_eq!(
        error,
        json!({ "code": "INVALID_REQUEST", "message": message })
    );
    let done = client.ok("sessions.delete", json!({ "key": "w1" })).await;
    let file = done["archived"][0].as_str().unwrap().to_owned();
    assert_eq!(
        done,
        json!({ "ok": true, "key": "agent:main:w1", "deleted": true, "archived": [&file] })
    );
    assert!(file.contains(".jsonl.deleted."), "{file}");
    let kept = lines(&file);
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert_eq!(
        (&kept[0]["type"], &kept[0]["version"]),
        (&json!("session"), &json!(3))
    );
    assert_eq!(kept[2]["parentId"], kept[1]["id"]);
    let said = kept[1]["message"]["content"][0]["text"].as_str().unwrap();
    assert!(said.ends_with("goes away"), "{said}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let again = client.ok("sessions.delete", json!({ "key": "w1" })).await;
    assert_eq!(
        again,
        json!({ "ok": true, "key": "agent:main:w1", "deleted": false, "archived": [] })
    );
    let history = client
        .ok("chat.history", json!({ "sessionKey": "w1" }))
        .await;
    assert_eq!(history["messages"], json!([]));
}

/// Its transcript is found again by its id.
#[tokio::test]
async fn a_session_is_deleted_without_its_transcript() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "w2", "words stay").await;
    let id = client
        .ok("chat.history", json!({ "sessionKey": "w2" }))
        .await["sessionId"]
        .clone();
    let params = json!({ "key": "w2", "deleteTranscript": false });
    let done = client.ok("sessions.delete", params).await;
    assert_eq!(
        (&done["deleted"], &done["archived"]),
        (&json!(true), &json!([]))
    );
    let params = json!({ "message": "more", "sessionId": id, "idempotencyKey": "again" });
    let run = client.request("agent", params).await;
    client.response(&run).await;
    client.response(&run).await;
    let found = client
        .ok("sessions.resolve", json!({ "sessionId": id }))
        .await;
    let params = json!({ "sessionKey": found["key"] });
    let history = client.ok("chat.history", params).await;
    assert_eq!(history["messages"][0]["content"][0]["text"], "words stay");
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        4,
        "{history}"
    );
}

#[tokio::test]
async fn a_chat_page_deletes_no_session() {
    let gateway = Gateway::start().await;
    let login = Login::fresh().client("webchat", "webchat");
    let origin = format!("http://127.0.0.1:{}", gateway.port());
    let mut page = Client::open_with(gateway.port(), "/", &[("origin", &origin)]).await;
    page.log_in(&login).await;
    let error = page
        .refused("sessions.delete", json!({ "key": "w1" }))
        .await;
    let message =
        "webchat clients cannot delete sessions; use chat.send for session-scoped updates";
    assert_eq!(error["message"], message);
}

/// What runs is stopped and waited for first.
#[tokio::test]
async fn a_running_session_is_stopped_before_it_goes() {
    let llm = Llm::start().await;
    let gateway = Setup::new()
        .config("/models/providers/fake", llm.provider("m"))
        .config("/agents/defaults/model", json!("fake/m"))
        .start()
        .await;
    let mut client = gateway.operator().await;
    for (number, method) in ["sessions.reset", "sessions.delete"].iter().enumerate() {
        llm.push(Reply::Hang(vec!["half an answer".into()]));
        let run = format!("hangs{number}");
        let params = json!({ "sessionKey": "w1", "message": "go", "idempotencyKey": run });
        client.ok("chat.send", params).await;
        llm.wait_asked(number + 1).await;
        let answer = client.ok(method, json!({ "key": "w1" })).await;
        assert_eq!(answer["key"], "agent:main:w1");
        let end = client
            .event_where("chat", |p| {
                p["runId"] == run.as_str() && p["state"] != "delta"
            })
            .await;
        assert_eq!(end["payload"]["state"], "aborted", "{method}");
        let history = client
            .ok("chat.history", json!({ "sessionKey": "w1" }))
            .await;
        assert_eq!(history["messages"], json!([]), "{method}");
    }
    let list = client.ok("sessions.list", json!({})).await;
    assert_eq!(list["count"], 0, "{list}");
}

#[tokio::test]
async fn a_session_is_shortened() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for number in 0..3 {
        talk(&mut client, "w1", &format!("message {number}")).await;
    }
    let short = client.ok("sessions.compact", json!({ "key": "w1" })).await;
    assert_eq!(
        short,
        json!({ "ok": true, "key": "agent:main:w1", "compacted": false, "kept": 6 })
    );
    let params = json!({ "key": "w1", "maxLines": 3 });
    let cut = client.ok("sessions.compact", params).await;
    let file = cut["archived"].as_str().unwrap().to_owned();
    assert_eq!(
        cut,
        json!({ "ok": true, "key": "agent:main:w1", "compacted": true, "archived": &file, "kept": 3 })
    );
    assert!(file.contains(".jsonl.bak."), "{file}");
    assert_eq!(lines(&file).len(), 7);
    let params = json!({ "sessionKey": "w1" });
    let history = client.ok("chat.history", params).await;
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[1]["content"][0]["text"], "message 2");
    let list = client.ok("sessions.list", json!({})).await;
    assert_eq!(list["sessions"][0]["totalTokensFresh"], false, "{list}");
    for (key, reason) in [("none", "no sessionId"), ("w1", "no transcript")] {
        if key == "w1" {
            client.ok("sessions.reset", json!({ "key": key })).await;
        }
        let answer = client.ok("sessions.compact", json!({ "key": key })).await;
        let expected = json!({ "ok": true, "key": format!("agent:main:{key}"), "compacted": false, "reason": reason });
        assert_eq!(answer, expected);
    }
}
