//! The tool `exec`: nothing runs that is not allowed, what is approved runs to the letter, and an
//! abort ends all of it.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::wait::until;
use support::{Client, Gateway, Login, Setup};

/// A gateway whose agent may ask for commands, with these approvals.
async fn gateway(llm: &Llm, approvals: Value) -> Gateway {
    let gateway = Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config("/tools/alsoAllow", json!(["exec"]))
        .environment("ANTHROPIC_API_KEY", "sk-not-for-commands")
        .start()
        .await;
    gateway.allow(&approvals);
    gateway
}

/// A client that sees tools at work and what they answer, and can approve.
async fn person(gateway: &Gateway) -> Client {
    let login = Login::fresh().set("caps", json!(["tool-events"]));
    let mut client = gateway.connect(&login).await;
    let verbose = json!({ "key": "main", "verboseLevel": "full" });
    client.ok("sessions.patch", verbose).await;
    client
}

async fn say(client: &mut Client, run: &str) {
    let params = json!({ "sessionKey": "main", "message": "go", "idempotencyKey": run });
    client.ok("chat.send", params).await;
}

/// What the tool answered: its text and whether it failed.
async fn answered(client: &mut Client) -> (String, bool) {
    let is_result = |p: &Value| p["stream"] == "tool" && p["data"]["phase"] == "result";
    let event = client.event_where("agent", is_result).await;
    let data = &event["payload"]["data"];
    let text = data["result"]["content"][0]["text"].as_str().unwrap();
    (text.to_owned(), data["isError"] == true)
}

async fn asked(client: &mut Client) -> Value {
    client.event("exec.approval.requested").await["payload"].clone()
}

async fn decide(client: &mut Client, id: &Value, decision: &str) {
    let params = json!({ "id": id, "decision": decision });
    client.ok("exec.approval.resolve", params).await;
}

fn full() -> Value {
    json!({ "defaults": { "security": "full", "ask": "off" } })
}

#[tokio::test]
async fn nothing_runs_unless_somebody_says_so() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm, json!({})).await;
    let mut client = person(&gateway).await;
    llm.push(Reply::call(
        "c1",
        "exec",
        json!({ "command": "touch made" }),
    ));
    llm.push(Reply::text("no"));
    say(&mut client, "r1").await;
    let (text, failed) = answered(&mut client).await;
    assert_eq!(text, "Error: commands are not allowed here (security deny)");
    assert!(failed);
    let asked = llm.wait_asked(2).await;
    let tools = asked.tools();
    assert!(!tools.contains(&"exec"), "not even offered: {tools:?}");
    // On the allowlist, without asking: what is on it runs, nothing else does.
    let list = json!([{ "pattern": "/usr/bin/printf" }, { "pattern": "/bin/printf" }]);
    gateway.allow(&json!({ "agents": { "main": { "ask": "off", "allowlist": list } } }));
    let workspace = gateway.state_dir().join("workspace");
    for (command, expected) in [
        ("printf 'a b'", Ok("a b")),
        (
            "touch made",
            Err("Error: the command is not on the allowlist"),
        ),
        (
            "printf x > made",
            Err("Error: the command is not on the allowlist"),
        ),
    ] {
        llm.push(Reply::call("c2", "exec", json!({ "command": command })));
        llm.push(Reply::text("so"));
        say(&mut client, command).await;
        let (text, failed) = answered(&mut client).await;
        assert_eq!(
            (text.as_str(), failed),
            match expected {
                Ok(text) => (text, false),
                Err(text) => (text, true),
            }
        );
        client
            .event_where("chat", |p| p["state"] == "final" && p["runId"] == command)
            .await;
    }
    assert!(!workspace.join("made").exists());
    let with_variables = json!({ "command": "printf x", "env": { "LANG": "C" } });
    llm.push(Reply::call("c3", "exec", with_variables));
    llm.push(Reply::text("so"));
    say(&mut client, "r3").await;
    assert_eq!(
        answered(&mut client).await.0,
        "Error: the command is not on the allowlist"
    );
    let file: Value = client.ok("exec.approvals.get", json!({})).await["file"].clone();
    let listed = file["agents"]["main"]["allowlist"].as_array().unwrap();
    assert!(
        listed.iter().any(|entry| entry["lastUsedAt"].is_u64()),
        "its use is noted: {file}"
    );
}

#[tokio::test]
async fn what_is_approved_is_what_runs() {
    let llm = Llm::start().await;
    let approvals = json!({ "defaults": { "security": "allowlist", "ask": "on-miss" } });
    let gateway = gateway(&llm, approvals).await;
    let mut client = person(&gateway).await;
    let state = std::fs::canonicalize(gateway.state_dir()).unwrap();
    let workspace = state.join("workspace");
    let command = json!({ "command": "umask 077; echo one > made; pwd; echo $MINE", "env": { "MINE": "yes" } });
    llm.push(Reply::call("c1", "exec", command));
    llm.push(Reply::text("done"));
    say(&mut client, "r1").await;
    let question = asked(&mut client).await;
    let request = &question["request"];
    assert_eq!(
        request["command"],
        "umask 077; echo one > made; pwd; echo $MINE"
    );
    assert_eq!(
        request["commandArgv"],
        json!([
            "/bin/sh",
            "-c",
            "umask 077; echo one > made; pwd; echo $MINE"
        ])
    );
    let folder = workspace.display().to_string();
    assert_eq!(request["cwd"], folder);
    assert_eq!(
        (&request["host"], &request["agentId"]),
        (&json!("gateway"), &json!("main"))
    );
    assert_eq!(request["sessionKey"], "agent:main:main");
    assert_eq!(request["envKeys"], json!(["MINE"]));
    assert!(
        !workspace.join("made").exists(),
        "not before it is approved"
    );
    decide(&mut client, &question["id"], "allow-once").await;
    assert_eq!(
        answered(&mut client).await,
        (format!("{folder}\nyes\n"), false)
    );
    assert!(workspace.join("made").exists());
}

#[tokio::test]
async fn once_is_once_and_always_is_that_text_alone() {
    let llm = Llm::start().await;
    let approvals = json!({ "defaults": { "security": "allowlist", "ask": "on-miss" } });
    let gateway = gateway(&llm, approvals).await;
    let mut client = person(&gateway).await;
    for (run, decision) in [("r1", "deny"), ("r2", "allow-once"), ("r3", "allow-always")] {
        llm.push(Reply::call(
            "c2",
            "exec",
            json!({ "command": "echo two | cat" }),
        ));
        llm.push(Reply::text("done"));
        say(&mut client, run).await;
        let question = asked(&mut client).await;
        decide(&mut client, &question["id"], decision).await;
        let expected = match decision {
            "deny" => ("Error: the command was denied".to_owned(), true),
            _ => ("two\n".to_owned(), false),
        };
        assert_eq!(answered(&mut client).await, expected);
        client
            .event_where("chat", |p| p["state"] == "final" && p["runId"] == run)
            .await;
    }
    llm.push(Reply::call(
        "c4",
        "exec",
        json!({ "command": "echo two | cat" }),
    ));
    llm.push(Reply::call(
        "c5",
        "exec",
        json!({ "command": "echo three | cat" }),
    ));
    llm.push(Reply::text("done"));
    say(&mut client, "r4").await;
    assert_eq!(answered(&mut client).await, ("two\n".to_owned(), false));
    let question = asked(&mut client).await;
    assert_eq!(question["request"]["command"], "echo three | cat");
    decide(&mut client, &question["id"], "deny").await;
    answered(&mut client).await;
}

#[tokio::test]
async fn an_abort_takes_the_question_back_and_ends_the_command() {
    let llm = Llm::start().await;
    let gateway = gateway(
        &llm,
        json!({ "defaults": { "security": "full", "ask": "always" } }),
    )
    .await;
    let mut client = person(&gateway).await;
    let line = "umask 077; sleep 600 & echo $! > child; wait";
    llm.push(Reply::call("c1", "exec", json!({ "command": line })));
    say(&mut client, "r1").await;
    let question = asked(&mut client).await;
    let stop = json!({ "sessionKey": "main" });
    assert_eq!(client.ok("chat.abort", stop.clone()).await["aborted"], true);
    let taken_back = client.event("exec.approval.resolved").await;
    assert_eq!(taken_back["payload"]["decision"], "deny");
    let late = json!({ "id": question["id"], "decision": "allow-once" });
    let late = client.refused("exec.approval.resolve", late).await;
    assert_eq!(late["message"], "unknown or expired approval id");
    gateway.allow(&full());
    llm.push(Reply::call("c2", "exec", json!({ "command": line })));
    say(&mut client, "r2").await;
    let file = gateway.state_dir().join("workspace/child");
    let child = async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let child = until("the command runs", child).await;
    assert_eq!(client.ok("chat.abort", stop).await["aborted"], true);
    let stat = format!("/proc/{child}/stat");
    let gone = async || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        Some(()).filter(|()| stat.is_empty() || stat.contains(") Z "))
    };
    until("what it started is gone", gone).await;
}

#[tokio::test]
async fn time_and_output_are_bounded_and_secrets_stay() {
    let llm = Llm::start().await;
    let gateway = gateway(&llm, full()).await;
    let mut client = person(&gateway).await;
    let calls = [
        json!({ "command": "env" }),
        json!({ "command": "echo begun; sleep 600", "timeout": 1 }),
        json!({ "command": "seq 1 100000" }),
        json!({ "command": "echo bad >&2; exit 3" }),
        json!({ "command": "sleep 600 & echo left" }),
        json!({ "command": "no-such-program-here" }),
        json!({ "command": "id", "workdir": "/no/such/folder" }),
        json!({ "command": "id", "host": "node" }),
        json!({ "command": "id", "env": { "LD_PRELOAD": "/tmp/x.so" } }),
    ];
    for (n, call) in calls.iter().enumerate() {
        llm.push(Reply::call(&format!("c{n}"), "exec", call.clone()));
    }
    llm.push(Reply::text("done"));
    say(&mut client, "r1").await;
    let (env, failed) = answered(&mut client).await;
    assert!(
        !failed && env.contains("PATH=") && env.contains("HOME="),
        "{env}"
    );
    for secret in ["sk-not-for-commands", "OPENCLAW_", "throwaway-token"] {
        assert!(!env.contains(secret), "{env}");
    }
    assert_eq!(
        answered(&mut client).await,
        ("begun\n(ended after 1 seconds)".to_owned(), true)
    );
    let (long, failed) = answered(&mut client).await;
    assert!(
        !failed && long.starts_with("1\n2\n3\n") && long.ends_with("99999\n100000\n"),
        "{long}"
    );
    assert!(long.contains("bytes left out)...") && long.len() < 30_000);
    assert_eq!(
        answered(&mut client).await,
        ("bad\n(exit code 3)".to_owned(), true)
    );
    assert_eq!(answered(&mut client).await, ("left\n".to_owned(), false));
    let (unknown, failed) = answered(&mut client).await;
    assert!(failed && unknown.contains("exit code 127"), "{unknown}");
    let (folder, _) = answered(&mut client).await;
    assert!(
        folder.starts_with("Error: there is no folder /no/such/folder"),
        "{folder}"
    );
    let (host, _) = answered(&mut client).await;
    assert!(host.contains("host must be gateway"), "{host}");
    let (variable, _) = answered(&mut client).await;
    assert_eq!(
        variable,
        "Error: the variable \"LD_PRELOAD\" may not be set for a command"
    );
}

#[tokio::test]
async fn without_approvers_the_answer_is_no_at_once() {
    let llm = Llm::start().await;
    let approvals = json!({ "defaults": { "security": "full", "ask": "always" } });
    let gateway = gateway(&llm, approvals).await;
    let login = Login::fresh().set("caps", json!(["tool-events"]));
    let login = login.scopes(&["operator.read", "operator.write"]);
    let mut client = gateway.connect(&login).await;
    llm.push(Reply::call("c1", "exec", json!({ "command": "id" })));
    llm.push(Reply::text("no"));
    let params = json!({ "sessionKey": "main", "message": "go", "idempotencyKey": "r1" });
    client.ok("chat.send", params).await;
    client.event_where("chat", |p| p["state"] == "final").await;
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let text = &history["messages"][2]["content"][0]["text"];
    assert_eq!(
        *text,
        "Error: the command needs an approval, and nobody who may approve it is connected"
    );
}
