//! Programs that answer for the agent: how they are called, what they see, how they end.

use serde_json::{Value, json};
use support::program::Program;
use support::wait::until;
use support::{Client, Gateway, Setup};

const CLAUDE: &str = r#"printf '{"type":"result","is_error":false,"result":"said %s","session_id":"%s","usage":{"input_tokens":3,"output_tokens":4}}' "$(wc -l < "$NOTES/calls")" "s-1""#;
const CODEX: &str = r#"echo '{"type":"thread.started","thread_id":"t-1"}'
echo '{"type":"item.completed","item":{"type":"agent_message","text":"from codex"}}'
echo '{"type":"turn.completed","usage":{"input_tokens":10,"cached_input_tokens":4,"output_tokens":2}}'"#;

async fn with(id: &str, program: &Program, more: Value) -> Gateway {
    let mut backend = json!({ "command": program.path() });
    if let (Some(all), Some(more)) = (backend.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    Setup::new()
        .config(&format!("/agents/defaults/cliBackends/{id}"), backend)
        .config("/agents/defaults/model", json!(format!("{id}/m1")))
        .config("/agents/defaults/systemPrompt", json!("be kind"))
        .environment("ANTHROPIC_API_KEY", "sk-not-for-programs")
        .start()
        .await
}

async fn ask(client: &mut Client, run: &str, message: &str) -> Value {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": run });
    let id = client.request("agent", params).await;
    client.response(&id).await;
    client.response(&id).await["payload"]["result"].clone()
}

#[tokio::test]
async fn a_conversation_goes_on_under_the_programs_own_id() {
    let program = Program::new(CLAUDE);
    let gateway = with("claude-cli", &program, json!({ "env": { "MINE": "yes" } })).await;
    let mut client = gateway.operator().await;
    let result = ask(&mut client, "r1", "--dangerous").await;
    assert_eq!(result["payloads"][0]["text"], "said 1");
    let meta = &result["meta"]["agentMeta"];
    assert_eq!(
        (&meta["provider"], &meta["usage"]["total"]),
        (&json!("claude-cli"), &json!(7))
    );
    assert_eq!(
        ask(&mut client, "r2", "again").await["payloads"][0]["text"],
        "said 2"
    );
    let calls = program.calls();
    let options = "-p|--output-format|json|--permission-mode|default|";
    assert!(
        calls[0].starts_with(&format!("{options}--session-id|")),
        "{calls:?}"
    );
    assert!(
        calls[0].contains("--append-system-prompt|be kind"),
        "{calls:?}"
    );
    assert!(
        calls[1].starts_with(&format!("{options}--resume|s-1|--model|m1|[")),
        "{calls:?}"
    );
    let env = program.note("env");
    assert!(env.contains("MINE=yes") && env.contains("HOME="), "{env}");
    for secret in ["ANTHROPIC_API_KEY", "OPENCLAW_", "sk-not-for-programs"] {
        assert!(!env.contains(secret), "{env}");
    }
    let workspace = gateway.state_dir().join("workspace");
    assert_eq!(program.note("pwd").trim(), workspace.display().to_string());
    // A reset begins anew, and so does a program that forgot.
    client.ok("sessions.reset", json!({ "key": "main" })).await;
    ask(&mut client, "r3", "fresh").await;
    assert!(program.calls()[2].contains("--session-id|"));
}

#[tokio::test]
async fn lines_of_json_are_read_and_the_id_outlives_a_restart() {
    let program = Program::new(CODEX);
    let mut gateway = with("codex-cli", &program, json!({})).await;
    let mut client = gateway.operator().await;
    let result = ask(&mut client, "r1", "hello").await;
    assert_eq!(result["payloads"][0]["text"], "from codex");
    assert_eq!(result["meta"]["agentMeta"]["usage"]["cacheRead"], 4);
    gateway.stop().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    ask(&mut client, "r2", "more").await;
    assert!(
        program.calls()[1].contains("|resume|t-1|["),
        "{:?}",
        program.calls()
    );
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(history["messages"][1]["api"], "cli");
}

#[tokio::test]
async fn an_abort_ends_the_program_and_all_it_started() {
    let program = Program::new("sleep 600 & echo $! > \"$NOTES/child\"; wait");
    let gateway = with("claude-cli", &program, json!({})).await;
    let mut client = gateway.operator().await;
    let params = json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "c1" });
    client.ok("chat.send", params).await;
    let runs = async || Some(()).filter(|()| !program.note("child").trim().is_empty());
    until("the program runs", runs).await;
    let stopped = client
        .ok("chat.abort", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(stopped["aborted"], true);
    let child = format!("/proc/{}/stat", program.note("child").trim());
    // Its parent is gone: whoever reaps it may take a moment, but it does nothing any more.
    let gone = async || {
        let stat = std::fs::read_to_string(&child).unwrap_or_default();
        Some(()).filter(|()| stat.is_empty() || stat.contains(") Z "))
    };
    until("the program's child is gone", gone).await;
}

#[tokio::test]
async fn a_program_that_fails_is_told_in_one_line_and_its_words_are_logged() {
    let program = Program::new("echo 'no such account: please log in' >&2; exit 3");
    let gateway = with(
        "mine",
        &program,
        json!({ "output": "text", "input": "stdin" }),
    )
    .await;
    let mut client = gateway.operator().await;
    let result = ask(&mut client, "r1", "hello").await;
    assert_eq!(result["payloads"][0]["text"], "mine failed: exit status: 3");
    gateway.logged("no such account: please log in").await;
    let input = program.note("input");
    assert!(
        input.starts_with("be kind\n\n[") && input.ends_with("] hello"),
        "{input}"
    );
    let refused = with("mine", &program, json!({ "output": "smoke" })).await;
    let mut client = refused.operator().await;
    let text = ask(&mut client, "r1", "x").await["payloads"][0]["text"].to_string();
    assert!(
        text.contains("agents.defaults.cliBackends.mine.output"),
        "{text}"
    );
}

#[tokio::test]
async fn a_program_that_forgot_is_told_what_was_said() {
    let script = format!("case \"$*\" in *--resume*) echo gone >&2; exit 1;; esac\n{CLAUDE}");
    let program = Program::new(&script);
    let gateway = with("claude-cli", &program, json!({})).await;
    let mut client = gateway.operator().await;
    ask(&mut client, "r1", "the first").await;
    let result = ask(&mut client, "r2", "the second").await;
    assert_eq!(result["payloads"][0]["text"], "said 3");
    let last = program.calls().pop().unwrap();
    for part in [
        "The conversation so far",
        "the first",
        "You: said 1",
        "the second",
    ] {
        assert!(last.contains(part), "{last}");
    }
}
