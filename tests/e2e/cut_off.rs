//! Ten conversations at once, with queues, stops and a kill -9 in the middle: each accepted message
//! is answered or its end is told, in order, once.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::{Client, Gateway, Setup};

/// Conversations whose model hangs when the gateway is killed.
const CUT: usize = 9;

async fn say(client: &mut Client, session: usize, message: &str) {
    let key = format!("s{session} {message}");
    let session = format!("s{session}");
    let params = json!({ "sessionKey": session, "message": message, "idempotencyKey": key });
    let answer = client.ok("chat.send", params).await;
    assert_eq!(answer["status"], "started", "{answer}");
}

async fn ended(client: &mut Client, session: usize, message: &str) -> Value {
    let key = format!("s{session} {message}");
    let end = client
        .event_where("chat", |p| {
            p["runId"] == key.as_str() && p["state"] != "delta"
        })
        .await;
    end["payload"].clone()
}

/// The conversation in short: what people said, `answer` or `cut off`.
async fn told(client: &mut Client, session: usize) -> Vec<String> {
    let params = json!({ "sessionKey": format!("s{session}") });
    let history = client.ok("chat.history", params).await;
    let messages = history["messages"].as_array().unwrap().iter();
    let text = |message: &Value| match message["role"].as_str() {
        Some("user") => message["content"][0]["text"].as_str().unwrap().to_owned(),
        _ if message["stopReason"] == "error" => {
            let why = message["errorMessage"].as_str().unwrap();
            assert!(why.contains("was stopped before this message"), "{message}");
            "cut off".to_owned()
        }
        _ => "answer".to_owned(),
    };
    messages.map(text).collect()
}

async fn gateway_with(llm: &Llm) -> Gateway {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m"))
        .config("/agents/defaults/model", json!("fake/m"))
        .start()
        .await
}

/// Nine models hang, one has answered; more messages wait; two conversations are stopped.
async fn talk_until_the_crash(client: &mut Client, llm: &Llm) {
    for session in 0..CUT {
        llm.push(Reply::Hang(vec!["half".into()]));
        say(client, session, "first").await;
        llm.wait_asked(session + 1).await;
    }
    say(client, CUT, "first").await;
    ended(client, CUT, "first").await;
    say(client, 2, "/queue followup").await;
    say(client, 3, "/queue steer").await;
    for session in 0..CUT {
        for message in ["second", "third"] {
            say(client, session, message).await;
        }
    }
    // Two are stopped: what waited in them was said, and their end was told.
    for session in [0, 1] {
        let params = json!({ "sessionKey": format!("s{session}") });
        let stopped = client.ok("chat.abort", params).await;
        assert_eq!(stopped["aborted"], true, "{stopped}");
        let end = ended(client, session, "first").await;
        assert_eq!(end["state"], "aborted");
    }
}

#[tokio::test]
async fn no_accepted_message_is_lost_or_told_twice() {
    let llm = Llm::start().await;
    let mut gateway = gateway_with(&llm).await;
    let mut client = gateway.operator().await;
    talk_until_the_crash(&mut client, &llm).await;
    // Nothing of it is told again at another start.
    for round in ["once", "twice"] {
        gateway.crash().await;
        gateway.restart().await;
        client = gateway.operator().await;
        for session in 0..=CUT {
            let expected: &[&str] = match session {
                0 | 1 => &["first", "answer", "second", "third"],
                2 => &[
                    "first",
                    "/queue followup",
                    "answer",
                    "cut off",
                    "second",
                    "cut off",
                    "third",
                    "cut off",
                ],
                3 => &[
                    "first",
                    "/queue steer",
                    "answer",
                    "cut off",
                    "second",
                    "cut off",
                    "third",
                    "cut off",
                ],
                CUT => &["first", "answer"],
                _ => &["first", "cut off", "second", "cut off", "third", "cut off"],
            };
            // Told soon after the start, which waits for nothing.
            let mut found = told(&mut client, session).await;
            for _ in 0..1_500 {
                if found.len() >= expected.len() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                found = told(&mut client, session).await;
            }
            assert_eq!(found, expected, "{round}: {session}");
        }
    }
    // And the conversations go on.
    for session in 0..=CUT {
        say(&mut client, session, "again").await;
        let end = ended(&mut client, session, "again").await;
        assert_eq!(end["state"], "final", "{end}");
    }
}
