//! The reference's command line and terminal client, unmodified, against our gateway. They find
//! it as they find their own: by the home folder they share.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
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

#[tokio::test]
async fn its_terminal_client_shows_a_streamed_answer() {
    let Some(reference) = reference() else { return };
    if Command::new("tmux").arg("-V").output().is_err() {
        skipped("tmux not available");
        return;
    }
    let gateway: Gateway = shared_home().start().await;
    let terminal = Terminal::open(reference, gateway.home(), &["tui"]);
    terminal
        .shows("that it is connected", |screen| {
            screen.contains("connected | idle")
        })
        .await;
    terminal.tmux(&["send-keys", "-t", "0", "-l", "tell me about whales"]);
    terminal.tmux(&["send-keys", "-t", "0", "Enter"]);
    // Once as the question, once as the echo's answer.
    let twice = |screen: &str| screen.matches("tell me about whales").count() >= 2;
    terminal.shows("the answer", twice).await;
    let mut client = gateway.operator().await;
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        2,
        "{history}"
    );
}
