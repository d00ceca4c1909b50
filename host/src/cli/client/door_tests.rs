//! The client against a scripted gateway on a real socket.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::future::join;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::cli::error::CliError;
use crate::cli::output::Vars;

/// What the scripted gateway does after a frame came in.
#[derive(Clone)]
enum Turn {
    /// Sends this frame; `ID` stands for the id of the frame that came in.
    Say(Value),
    /// Closes.
    Close(u16, &'static str),
}

const TOKEN: &str = "given-token";

fn hello() -> Turn {
    Turn::Say(json!({"type": "res", "id": "ID", "ok": true, "payload": {
        "type": "hello-ok", "protocol": 3, "server": {"version": "1.2.3", "connId": "c"},
        "features": {"methods": ["health"], "events": []},
        "snapshot": {"presence": [], "health": {}, "uptimeMs": 5, "configPath": "/c",
            "stateDir": "/s", "authMode": "token"},
        "auth": {"deviceToken": TOKEN, "role": "operator", "scopes": ["operator.read"]}}}))
}

fn refusal(code: &str, message: &str, details: Value) -> [Turn; 2] {
    let error = json!({"code": code, "message": message, "details": details});
    let say = Turn::Say(json!({"type": "res", "id": "ID", "ok": false, "error": error}));
    [say, Turn::Close(1008, "refused")]
}

/// Serves as many connections as there are scripts; answers the frames it got.
async fn play(listener: TcpListener, scripts: Vec<Vec<Turn>>) -> Vec<Value> {
    let mut heard = Vec::new();
    for script in scripts {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let challenge = json!({"type": "event", "event": "connect.challenge",
            "payload": {"nonce": "n-1", "ts": 1}});
        socket
            .send(Message::text(challenge.to_string()))
            .await
            .unwrap();
        let mut id = String::new();
        for turn in script {
            match turn {
                Turn::Say(frame) => {
                    if id.is_empty() || frame["id"] != json!("SAME") {
                        let Some(Ok(Message::Text(text))) = socket.next().await else {
                            break;
                        };
                        let frame: Value = serde_json::from_str(&text).unwrap();
                        id = frame["id"].as_str().unwrap().to_owned();
                        heard.push(frame);
                    }
                    let text = frame.to_string().replace("\"ID\"", &format!("{id:?}"));
                    let text = text.replace("\"SAME\"", &format!("{id:?}"));
                    socket.send(Message::text(text)).await.unwrap();
                }
                Turn::Close(code, reason) => {
                    let frame = CloseFrame {
                        code: code.into(),
                        reason: reason.into(),
                    };
                    socket.close(Some(frame)).await.unwrap();
                }
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
    }
    heard
}

/// Runs `work` on a connection to a gateway that plays these scripts.
fn talk<T>(
    state_dir: &Path,
    token: Option<&str>,
    scripts: Vec<Vec<Turn>>,
    work: impl AsyncFnOnce(&mut Client) -> CliResult<T>,
) -> (CliResult<T>, Vec<Value>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(listener.local_addr().unwrap().port(), token);
        let call = async {
            let patience = Patience::start(Some(Duration::from_secs(20)));
            let mut client = connect(&target, state_dir, patience).await?;
            let done = work(&mut client).await;
            client.line.close().await;
            done
        };
        let (done, heard) = join(call, play(listener, scripts)).await;
        (done, heard)
    })
}

fn target(port: u16, token: Option<&str>) -> Target {
    use crate::cli::client::target::{Flags, Secrets, Settings};
    let nothing: Vars<'_> = &|_| None;
    let local_secrets = Secrets {
        token: token.map(str::to_owned),
        password: None,
    };
    let settings = Settings {
        port: Some((port, "a test")),
        local_secrets,
        ..Settings::default()
    };
    Target::resolve(&Flags::default(), nothing, || Ok(settings)).unwrap()
}

fn error_of<T>(done: (CliResult<T>, Vec<Value>)) -> CliError {
    done.0.err().unwrap()
}

#[test]
fn connects_as_recorded_and_keeps_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let (done, heard) = talk(
        dir.path(),
        Some("secret"),
        vec![vec![hello()]],
        async |client| Ok(client.hello.server.version.clone()),
    );
    assert_eq!(done.unwrap(), "1.2.3");
    let params = &heard[0]["params"];
    assert_eq!(heard[0]["method"], "connect");
    assert_eq!(params["auth"], json!({"token": "secret"}));
    assert_eq!(params["client"]["id"], "cli");
    assert_eq!(params["scopes"], json!(wire::SCOPES));
    assert_eq!(params["device"]["nonce"], "n-1");
    let mut keys: Vec<_> = params.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    let expected = [
        "auth",
        "caps",
        "client",
        "device",
        "maxProtocol",
        "minProtocol",
        "role",
        "scopes",
    ];
    assert_eq!(keys, expected);
    // Without a secret the kept token takes its place.
    let (_, heard) = talk(dir.path(), None, vec![vec![hello()]], async |_| Ok(()));
    assert_eq!(heard[0]["params"]["auth"], json!({"token": TOKEN}));
}

#[test]
fn a_wrong_token_is_tried_once_more_with_the_device_token() {
    let dir = tempfile::tempdir().unwrap();
    talk(dir.path(), Some("old"), vec![vec![hello()]], async |_| {
        Ok(())
    })
    .0
    .unwrap();
    let details = json!({"code": "AUTH_TOKEN_MISMATCH", "canRetryWithDeviceToken": true,
        "recommendedNextStep": "retry_with_device_token"});
    let refused = refusal(
        "INVALID_REQUEST",
        "unauthorized: gateway token mismatch",
        details,
    );
    let scripts = vec![refused.to_vec(), vec![hello()]];
    let (done, heard) = talk(dir.path(), Some("new"), scripts, async |_| Ok(()));
    done.unwrap();
    assert_eq!(
        heard[1]["params"]["auth"],
        json!({"token": "new", "deviceToken": TOKEN})
    );
}

#[test]
fn refusals_name_the_next_command() {
    let check = |message: &str, details: Value, token: Option<&str>, expected: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let script = refusal("INVALID_REQUEST", message, details).to_vec();
        let error = error_of(talk(dir.path(), token, vec![script], async |_| Ok(())));
        let text = error.to_text();
        for part in expected {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!(error.kind().exit_code(), 1);
    };
    let details = json!({"code": "PAIRING_REQUIRED", "requestId": "r-7", "reason": "not-paired"});
    let expected = ["error: pairing required", "openclaw devices approve r-7"];
    check("pairing required", details, Some("s3cret"), &expected);
    check(
        "unauthorized: gateway token missing",
        json!({"code": "AUTH_TOKEN_MISSING"}),
        None,
        &["set gateway.auth.token in openclaw.json", "pass --token"],
    );
    check(
        "unauthorized: gateway token mismatch",
        json!({"code": "AUTH_TOKEN_MISMATCH"}),
        Some("s3cret"),
        &["gateway.auth.token holds another secret than the gateway"],
    );
    let details = json!({"expectedProtocol": 4});
    check(
        "protocol mismatch",
        details,
        None,
        &["speaks protocol 3, the gateway protocol 4"],
    );
}

#[test]
fn the_second_answer_of_a_run_is_the_final_one() {
    let dir = tempfile::tempdir().unwrap();
    let accepted =
        json!({"type": "res", "id": "ID", "ok": true, "payload": {"status": "accepted"}});
    let event = json!({"type": "event", "event": "agent", "payload": {"x": 1}, "id": "SAME"});
    let last = json!({"type": "res", "id": "SAME", "ok": true, "payload": {"status": "ok"}});
    let script = vec![
        hello(),
        Turn::Say(accepted),
        Turn::Say(event),
        Turn::Say(last),
    ];
    let mut events = Vec::new();
    let (done, _) = talk(dir.path(), None, vec![script], async |client| {
        let params = json!({});
        let mut listener = |name: &str, _: &serde_json::value::RawValue| {
            events.push(name.to_owned());
        };
        client.request_final("agent", &params, &mut listener).await
    });
    assert_eq!(done.unwrap().get(), r#"{"status":"ok"}"#);
    assert_eq!(events, ["agent"]);
}

#[test]
fn errors_of_a_method_keep_code_details_and_payload() {
    let dir = tempfile::tempdir().unwrap();
    let answer = json!({"type": "res", "id": "ID", "ok": false,
        "payload": {"runId": "r"}, "error": {"code": "UNAVAILABLE", "message": "Error: no",
        "details": {"why": 1}, "retryable": true, "retryAfterMs": 2000}});
    let script = vec![hello(), Turn::Say(answer)];
    let error = error_of(talk(dir.path(), None, vec![script], async |client| {
        client.request("agent", &json!({})).await
    }));
    let json = serde_json::to_value(error.to_json()).unwrap();
    assert_eq!(json["error"]["type"], "gateway");
    assert_eq!(json["error"]["code"], "UNAVAILABLE");
    assert_eq!(json["error"]["retryable"], true);
    let details = &json["error"]["details"];
    assert_eq!(
        (&details["why"], &details["payload"]["runId"]),
        (&json!(1), &json!("r"))
    );
}

#[test]
fn a_close_instead_of_an_answer_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let event = json!({"type": "event", "event": "shutdown", "payload": {}});
    let script = vec![
        hello(),
        Turn::Say(event),
        Turn::Close(1012, "service restart"),
    ];
    let error = error_of(talk(dir.path(), None, vec![script], async |client| {
        client.request("health", &json!({})).await
    }));
    assert_eq!(
        error.message(),
        "the gateway closed the connection: service restart (1012)"
    );
    let json = serde_json::to_value(error.to_json()).unwrap();
    assert_eq!(json["error"]["retryable"], true);
}

#[test]
fn nobody_there_is_told_with_the_command_that_starts_one() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let target = target(port, None);
        let patience = Patience::start(Some(Duration::from_secs(20)));
        let refused = connect(&target, dir.path(), patience).await.err().unwrap();
        target.explain(refused)
    });
    let text = error.to_text();
    assert!(
        text.contains("nothing listens there (connection refused)"),
        "{text}"
    );
    assert!(
        text.contains("url from: this machine, port from a test"),
        "{text}"
    );
    assert!(
        text.contains("start the gateway: openclaw gateway"),
        "{text}"
    );
}
