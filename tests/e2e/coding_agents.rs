//! Coding agents over the Agent Client Protocol: answers, tools, permissions, abort, fallbacks.

use serde_json::{Value, json};
use support::coding_agent::CodingAgent;
use support::llm::{Llm, Reply};
use support::wait::until;
use support::{Client, Gateway, Login, Setup};

fn setup(agent: &CodingAgent, more: Value) -> Setup {
    let mut backend = json!({ "command": agent.path(), "args": ["--acp"] });
    backend
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Setup::new()
        .config("/agents/defaults/acpBackends/mine", backend)
        .config("/agents/defaults/model", json!("mine/default"))
        .config("/agents/defaults/systemPrompt", json!("be kind"))
        .environment("ANTHROPIC_API_KEY", "sk-not-for-programs")
}

async fn person(gateway: &Gateway) -> Client {
    let login = Login::fresh().set("caps", json!(["tool-events"]));
    let mut client = gateway.connect(&login).await;
    let verbose = json!({ "key": "main", "verboseLevel": "full" });
    client.ok("sessions.patch", verbose).await;
    client
}

async fn say(client: &mut Client, run: &str, message: &str) {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": run });
    client.ok("chat.send", params).await;
}

async fn end(client: &mut Client, run: &str) -> Value {
    let ended = |p: &Value| p["runId"] == run && p["state"] != "delta";
    client.event_where("chat", ended).await["payload"].clone()
}

fn text(end: &Value) -> &str {
    end["message"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
}

/// The messages of this method that the program was sent.
fn told(agent: &CodingAgent, method: &str) -> Vec<Value> {
    let lines = agent.note("lines");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["method"] == method).collect()
}

#[tokio::test]
async fn a_conversation_goes_on_where_it_was_left() {
    let agent = CodingAgent::new();
    let mut gateway = setup(&agent, json!({ "env": { "MINE": "yes" } }))
        .start()
        .await;
    let mut client = gateway.operator().await;
    say(&mut client, "r1", "hello").await;
    let delta = client.event_where("chat", |p| p["state"] == "delta").await;
    assert!(text(&delta["payload"]).starts_with("Hello"), "{delta}");
    assert_eq!(text(&end(&mut client, "r1").await), "Hello you.");
    let prompt = told(&agent, "session/prompt")[0]["params"]["prompt"][0]["text"].clone();
    let prompt = prompt.as_str().unwrap();
    assert!(
        prompt.starts_with("be kind\n\n") && prompt.ends_with("] hello"),
        "{prompt}"
    );
    let workspace = gateway.state_dir().join("workspace").display().to_string();
    assert_eq!(agent.note("pwd").trim(), workspace);
    let new = &told(&agent, "session/new")[0]["params"];
    assert_eq!(*new, json!({ "cwd": workspace, "mcpServers": [] }));
    let hello = &told(&agent, "initialize")[0]["params"];
    assert_eq!(hello["clientCapabilities"]["terminal"], false);
    let env = agent.note("env");
    assert!(
        env.contains("MINE=yes") && !env.contains("sk-not-for-programs"),
        "{env}"
    );
    gateway.stop().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    say(&mut client, "r2", "again").await;
    assert_eq!(
        text(&end(&mut client, "r2").await),
        "Hello you.",
        "without words of the past"
    );
    assert_eq!(
        told(&agent, "session/load")[0]["params"]["sessionId"],
        "s-1"
    );
    let second = &told(&agent, "session/prompt")[1]["params"]["prompt"][0]["text"];
    assert!(!second.as_str().unwrap().contains("be kind"), "{second}");
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(history["messages"][1]["api"], "acp");
    assert_eq!(history["messages"][1]["usage"]["totalTokens"], 7);
    assert_eq!(agent.note("starts"), "--acp\n--acp\n");
}

#[tokio::test]
async fn what_it_wants_to_do_is_asked_for() {
    let agent = CodingAgent::new();
    let gateway = setup(&agent, json!({}))
        .config("/tools/exec", json!({ "security": "allowlist" }))
        .start()
        .await;
    let mut client = person(&gateway).await;
    for (run, decision, option, failed, last) in [
        ("r1", "allow-once", "yes", false, "It says a b."),
        ("r2", "allow-always", "ever", false, "It says a b."),
        ("r3", "deny", "no", true, "I may not."),
    ] {
        say(&mut client, run, "run it").await;
        let question = client.event("exec.approval.requested").await["payload"].clone();
        let request = &question["request"];
        assert_eq!(
            (&request["command"], &request["commandArgv"]),
            (&json!("ls -la"), &json!(["ls", "-la"]))
        );
        assert_eq!(
            (&request["agentId"], &request["sessionKey"]),
            (&json!("main"), &json!("agent:main:main"))
        );
        let start = client
            .event_where("agent", |p| {
                p["data"]["phase"] == "start" && p["stream"] == "tool"
            })
            .await;
        let data = &start["payload"]["data"];
        assert_eq!(
            (&data["name"], &data["toolCallId"]),
            (&json!("execute"), &json!("t1"))
        );
        let params = json!({ "id": question["id"], "decision": decision });
        client.ok("exec.approval.resolve", params).await;
        let result = client
            .event_where("agent", |p| p["data"]["phase"] == "result")
            .await;
        assert_eq!(result["payload"]["data"]["isError"], failed);
        let said = format!("Let me see.\n\n{last}");
        assert_eq!(text(&end(&mut client, run).await), said);
        let lines = agent.note("lines");
        let answer = lines
            .lines()
            .rfind(|line| line.contains("\"id\":77"))
            .unwrap();
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["result"]["outcome"]["optionId"], option);
        let refused = lines
            .lines()
            .rfind(|line| line.contains("\"id\":78"))
            .unwrap();
        assert!(refused.contains("-32601"), "{refused}");
    }
}

#[tokio::test]
async fn without_a_word_about_it_nothing_is_permitted() {
    let agent = CodingAgent::new();
    let gateway = setup(&agent, json!({})).start().await;
    let mut client = gateway.operator().await;
    say(&mut client, "r1", "run it").await;
    assert_eq!(
        text(&end(&mut client, "r1").await),
        "Let me see.\n\nI may not."
    );
    let seen = client.settle().await;
    assert!(
        !seen.iter().any(|f| f["event"] == "exec.approval.requested"),
        "nobody is asked"
    );
    let full = json!({ "version": 1, "defaults": { "security": "full", "ask": "off" } });
    gateway.allow(&full);
    say(&mut client, "r2", "run it").await;
    assert_eq!(
        text(&end(&mut client, "r2").await),
        "Let me see.\n\nIt says a b."
    );
}

#[tokio::test]
async fn an_abort_is_told_and_ends_all_it_started() {
    let agent = CodingAgent::new();
    let gateway = setup(&agent, json!({})).start().await;
    let mut client = gateway.operator().await;
    say(&mut client, "r1", "hang").await;
    let runs = async || Some(()).filter(|()| !agent.note("child").trim().is_empty());
    until("the program works", runs).await;
    client.event_where("chat", |p| p["state"] == "delta").await;
    let stopped = client
        .ok("chat.abort", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(stopped["aborted"], true);
    let ended = end(&mut client, "r1").await;
    assert_eq!(
        (&ended["state"], text(&ended)),
        (&json!("aborted"), "Working")
    );
    let stat = format!("/proc/{}/stat", agent.note("child").trim());
    let gone = async || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        Some(()).filter(|()| stat.is_empty() || stat.contains(") Z "))
    };
    until("the program's child is gone", gone).await;
    assert_eq!(agent.note("cancelled").trim(), "yes");
    // The conversation goes on.
    say(&mut client, "r2", "hello").await;
    assert_eq!(text(&end(&mut client, "r2").await), "Hello you.");
}

#[tokio::test]
async fn a_failure_is_told_in_one_line_or_another_model_answers() {
    let agent = CodingAgent::new();
    let gateway = setup(&agent, json!({})).start().await;
    let mut client = gateway.operator().await;
    for (run, message, expected) in [
        ("r1", "die", "mine ended in the middle (exit status: 4)"),
        ("r2", "fail", "mine: log in first"),
    ] {
        say(&mut client, run, message).await;
        let ended = end(&mut client, run).await;
        assert_eq!(ended["errorMessage"], expected, "{ended}");
    }
    gateway.logged("out of paper").await;
    let llm = Llm::start().await;
    let model = json!({ "primary": "mine/default", "fallbacks": ["fake/m1"] });
    let gateway = setup(&agent, json!({}))
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", model)
        .start()
        .await;
    let mut client = gateway.operator().await;
    llm.push(Reply::text("from the model"));
    say(&mut client, "r1", "fail").await;
    assert_eq!(text(&end(&mut client, "r1").await), "from the model");
}

#[tokio::test]
async fn what_cannot_work_is_said() {
    let agent = CodingAgent::new();
    for (more, model, expected) in [
        (
            json!({ "env": { "VERSION": "9" } }),
            "mine/default",
            "mine speaks another version of its protocol",
        ),
        (json!({}), "mine/c", "mine has no model \"c\": use a, b"),
        (
            json!({ "command": "/no/such/program" }),
            "mine/default",
            "mine can't be run",
        ),
        (
            json!({ "args": 7 }),
            "mine/default",
            "agents.defaults.acpBackends.mine.args: invalid type: integer `7`, expected a sequence",
        ),
    ] {
        let gateway = setup(&agent, more)
            .config("/agents/defaults/model", json!(model))
            .start()
            .await;
        let mut client = gateway.operator().await;
        say(&mut client, "r1", "hello").await;
        let ended = end(&mut client, "r1").await;
        assert_eq!(ended["errorMessage"], expected, "{ended}");
    }
    // A model that it offers is chosen; an agent may name the program instead of a model.
    let runtime = json!([{ "id": "main", "runtime": { "type": "acp", "acp": { "agent": "mine", "cwd": agent.path().parent().unwrap() } } }]);
    let gateway = setup(&agent, json!({}))
        .config("/agents/defaults/model", json!("echo/echo"))
        .config("/agents/list", runtime)
        .start()
        .await;
    let mut client = gateway.operator().await;
    say(&mut client, "r1", "hello").await;
    assert_eq!(text(&end(&mut client, "r1").await), "Hello you.");
    let folder = std::fs::canonicalize(agent.path().parent().unwrap()).unwrap();
    assert_eq!(
        std::fs::canonicalize(agent.note("pwd").trim()).unwrap(),
        folder
    );
    for (env, method, name) in [
        (json!({}), "session/set_model", "modelId"),
        (
            json!({ "NEWER": "1" }),
            "session/set_config_option",
            "value",
        ),
    ] {
        let gateway = setup(&agent, json!({ "env": env }))
            .config("/agents/defaults/model", json!("mine/b"))
            .start()
            .await;
        let mut client = gateway.operator().await;
        say(&mut client, "r1", "hello").await;
        end(&mut client, "r1").await;
        assert_eq!(told(&agent, method)[0]["params"][name], "b");
    }
}
