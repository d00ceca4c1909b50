//! The reference's command line and terminal client, unmodified, against our gateway. They find
//! it as they find their own: by the home folder they share.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::gateway::TOKEN;
use support::llm::{Door, Llm, Reply};
use support::{Gateway, Setup};

use crate::reference::{PATIENCE, RELEASE, Reference, reference, skipped};

/// A configuration that the reference's closed schema accepts too.
fn shared_home() -> Setup {
    Setup::new()
        .plugins(&["echo"])
        .config("/channels", json!({}))
        .shared()
}

async fn json_of(reference: &Reference, home: &Path, arguments: &[&str]) -> Value {
    // Its own ten seconds begin before it is done loading; a busy machine needs more.
    let patient = [arguments, &["--json", "--timeout", "120000"]].concat();
    let output = reference.run(home, &patient).await;
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    // It may print warnings of its own in front of the JSON.
    let start = out
        .find(['{', '['])
        .unwrap_or_else(|| panic!("{arguments:?}: {output:?}"));
    let parsed = serde_json::from_str(&out[start..]);
    parsed.unwrap_or_else(|error| panic!("{arguments:?} ({error}): {output:?}"))
}

#[tokio::test]
async fn its_command_line() {
    let Some(reference) = reference() else { return };
    let gateway = shared_home().start().await;
    let home = gateway.home();

    let health = json_of(reference, home, &["health"]).await;
    assert_eq!(
        (&health["ok"], &health["defaultAgentId"]),
        (&json!(true), &json!("main"))
    );

    let listed = json_of(reference, home, &["devices", "list"]).await;
    assert_eq!(listed["pending"], json!([]), "{listed}");
    let paired = listed["paired"].as_array().unwrap();
    assert_eq!(
        paired[0]["clientId"], "cli",
        "release {RELEASE} paired silently: {listed}"
    );

    let params = r#"{"key":"main","label":"From the reference"}"#;
    let call = ["gateway", "call", "sessions.patch", "--params", params];
    let patched = json_of(reference, home, &call).await;
    assert_eq!(patched["entry"]["label"], "From the reference");

    let ask = ["agent", "--agent", "main", "--message", "say this back"];
    let answer = json_of(reference, home, &ask).await;
    let said = answer["result"]["payloads"][0]["text"]
        .as_str()
        .unwrap_or_default();
    assert!(said.contains("say this back"), "{answer}");
    // Unreachable, it would have run the agent by itself and said the same.
    let mut client = gateway.operator().await;
    let list = client.ok("sessions.list", json!({})).await;
    assert!(list.to_string().contains("From the reference"), "{list}");
    assert!(
        client
            .ok("agent.wait", json!({ "runId": answer["runId"] }))
            .await["status"]
            == "ok"
    );

    let every = json!({ "kind": "every", "everyMs": 600_000 });
    let payload = json!({ "kind": "agentTurn", "message": "look around" });
    let job = json!({ "name": "Look", "schedule": every, "sessionTarget": "isolated",
        "payload": payload });
    let job = client.ok("cron.add", job).await;
    let jobs = json_of(reference, home, &["cron", "list"]).await;
    assert_eq!(jobs["jobs"][0]["id"], job["id"], "{jobs}");
    let logs = ["logs", "--limit", "200", "--json", "--timeout", "120000"];
    let logs = reference.run(home, &logs).await;
    let lines = String::from_utf8_lossy(&logs.stdout);
    assert!(lines.contains("gateway ready"), "{logs:?}");

    let status = json_of(reference, home, &["status"]).await;
    // Its probe sends no device to a loopback address, so it has no scopes, and calls any gateway,
    // its own as well, unreachable; that it says why shows that it got through.
    assert_eq!(
        status["gateway"]["error"], "missing scope: operator.read",
        "{status}"
    );
    assert!(status["gateway"]["connectLatencyMs"].is_u64(), "{status}");
}

/// A tmux session of a test's own; ends with it.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(reference: &Reference, home: &Path, arguments: &[&str]) -> Self {
        let socket = format!("gateway-tests-{}", std::process::id());
        let terminal = Self { socket };
        let mut words = vec![
            "env".to_owned(),
            format!("HOME={}", home.display()),
            reference.node().display().to_string(),
            reference.script().display().to_string(),
        ];
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        let line = words
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<_>>()
            .join(" ");
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "40",
            &line,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .output();
        let output = output.expect("tmux can be started");
        assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "0"])
    }

    /// Waits until the screen fits.
    async fn shows(&self, what: &str, fits: impl Fn(&str) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !fits(&self.screen()) {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "never showed {what}:\n{}",
            self.screen()
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A server that is gone already cannot be ended again.
        _ = Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .output();
    }
}

/// A command of the terminal client: its menu may take the first Enter for itself.
async fn command(terminal: &Terminal, text: &str, what: &str, fits: impl Fn(&str) -> bool) {
    terminal.tmux(&["send-keys", "-t", "0", "-l", text]);
    for _ in 0..3 {
        terminal.tmux(&["send-keys", "-t", "0", "Enter"]);
        for _ in 0..20 {
            if fits(&terminal.screen()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    terminal.shows(what, fits).await;
}

#[tokio::test]
async fn its_terminal_client() {
    let Some(reference) = reference() else { return };
    if Command::new("tmux").arg("-V").output().is_err() {
        skipped("tmux not available");
        return;
    }
    let llm = Llm::start().await;
    let gateway: Gateway = Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .start()
        .await;
    // Its own home: what it finds the gateway by is told.
    let home = tempfile::tempdir().unwrap();
    let url = format!("ws://127.0.0.1:{}", gateway.port());
    let arguments = ["tui", "--url", &url, "--token", TOKEN];
    let terminal = Terminal::open(reference, home.path(), &arguments);
    let connected = |screen: &str| screen.contains("connected | idle");
    terminal.shows("that it is connected", connected).await;

    let door = Door::default();
    let rest = vec!["are large.".to_owned()];
    llm.push(Reply::Held(vec!["Whales ".to_owned()], door.clone(), rest));
    let streams = |screen: &str| screen.contains("Whales") && screen.contains("streaming");
    command(&terminal, "tell me", "the answer as it comes", streams).await;
    door.open();
    let whole = |screen: &str| screen.contains("Whales are large.") && connected(screen);
    terminal.shows("the whole answer", whole).await;

    llm.push(Reply::Hang(vec!["Once upon a".to_owned()]));
    let begun = |screen: &str| screen.contains("Once upon a");
    command(&terminal, "a story", "the beginning", begun).await;
    terminal.tmux(&["send-keys", "-t", "0", "Escape"]);
    let aborted = |screen: &str| screen.contains("run aborted");
    terminal.shows("the end of the run", aborted).await;

    let thinks = |screen: &str| screen.contains("thinking set to high");
    command(&terminal, "/think high", "the new level", thinks).await;
    let status = |screen: &str| screen.contains("Default model: m1");
    command(&terminal, "/status", "the gateway's state", status).await;
    let models = |screen: &str| screen.contains("\u{2192} fake/m1");
    command(&terminal, "/model", "the models", models).await;
    terminal.tmux(&["send-keys", "-t", "0", "Escape"]);
    terminal.shows("no list", |screen| !models(screen)).await;
    let sessions = |screen: &str| screen.contains("Filter:");
    command(&terminal, "/sessions", "the sessions", sessions).await;
    terminal.tmux(&["send-keys", "-t", "0", "Escape"]);
    terminal.shows("no list", |screen| !sessions(screen)).await;
    let mut client = gateway.operator().await;
    let row = client.ok("sessions.list", json!({})).await["sessions"][0].clone();
    assert_eq!(
        (&row["thinkingLevel"], &row["abortedLastRun"]),
        (&json!("high"), &json!(true))
    );

    // The key of a reset session stays, its transcript begins anew.
    let before = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let empty = |screen: &str| !screen.contains("Whales") && !screen.contains("Once upon");
    command(&terminal, "/reset", "an empty conversation", empty).await;
    let after = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_ne!(before["sessionId"], after["sessionId"]);
    let new = |screen: &str| screen.contains("new session: tui-");
    command(&terminal, "/new", "a session of its own", new).await;
}
