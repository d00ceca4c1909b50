//! The agent with a model in the test's hands: order of events, queue, abort, replay, failures.

#![allow(clippy::unwrap_used)]

mod failures;
mod fake_model;
mod queue_modes;
mod queueing;
mod runs;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::{AgentsConfig, Config, ConfigHandle, ModelsConfig, Paths};
use crate::hub::{Caller, Client, Item};
use crate::sessions::MessageRow;
use crate::store::Store;
use fake_model::FakeModel;

/// An agent over a fresh store, with one watching client.
struct Bench {
    agent: Agent,
    sessions: Sessions,
    watcher: Arc<Client>,
    tasks: Tasks,
    config: Config,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// Answers by the embedded echo runner.
    fn echo() -> Bench {
        Bench::with(json!({}), json!({}))
    }

    /// Answers by `model`, reached as `fake/m1`, with `fallbacks`.
    fn model(model: &FakeModel, fallbacks: &[&str]) -> Bench {
        let agents = json!({"defaults": {
            "model": {"primary": "fake/m1", "fallbacks": fallbacks}, "userTimezone": "UTC"}});
        let models = json!({"providers": {"fake": {
            "baseUrl": model.url, "apiKey": "sk-secret-key",
            "models": [{"id": "m1", "contextWindow": 1000}, {"id": "m2", "input": ["image"]}]}}});
        Bench::with(agents, models)
    }

    fn with(agents: Value, models: Value) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let paths = Paths {
            config_file: file("openclaw.json"),
            state_dir: dir.path().to_path_buf(),
            plugins_file: file("plugins.toml"),
        };
        let config = Config {
            agents: serde_json::from_value::<AgentsConfig>(agents).unwrap(),
            models: serde_json::from_value::<ModelsConfig>(models).unwrap(),
            ..Config::empty(paths)
        };
        let store = Store::open(&file("gateway.redb")).unwrap();
        let (clock, hub) = (Clock::system(), Hub::new());
        let watcher = hub.register(Arc::new(Caller::for_tests(
            hub.next_id(),
            "operator",
            &["operator.read"],
        )));
        let handle = ConfigHandle::new(config.clone());
        let sessions = Sessions::new(store, clock, handle.clone());
        let tasks = Tasks::new("test");
        let agent = Agent::new(handle, clock, hub, sessions.clone(), tasks.clone());
        Bench {
            agent,
            sessions,
            watcher,
            tasks,
            config,
            _dir: dir,
        }
    }

    fn key(&self, text: &str) -> SessionKey {
        SessionKey::resolve(text, &self.config).unwrap()
    }

    fn turn(&self, run_id: &str, text: &str, origin: Origin) -> Turn {
        Turn::new(run_id, self.key("main"), text, origin)
    }

    fn submit(&self, run_id: &str, text: &str, origin: Origin) -> Run {
        self.agent.submit(self.turn(run_id, text, origin)).unwrap()
    }

    /// The transcript as `(text, stop reason or sender)`.
    fn transcript(&self) -> Vec<MessageRow> {
        self.sessions.history(&self.key("main"), 100).unwrap()
    }

    /// The events so far in short: `agent 1 start`, `chat 2 delta Hello` …
    fn events(&self) -> Vec<String> {
        let mut items = Vec::new();
        self.watcher.queue.take(&mut items);
        items
            .into_iter()
            .filter_map(|item| match item {
                Item::Event { event, seq } => serde_json::from_str(&event.text(seq)).ok(),
                Item::Text(_) => None,
            })
            .map(|frame: Value| short(&frame))
            .collect()
    }
}

fn short(frame: &Value) -> String {
    let payload = &frame["payload"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (run, seq) = (text(&payload["runId"]), &payload["seq"]);
    let what = match text(&frame["event"]).as_str() {
        "agent" if payload["stream"] == "assistant" => {
            format!("says {:?}", text(&payload["data"]["delta"]))
        }
        "agent" => {
            let data = &payload["data"];
            let cut = if data["aborted"] == true {
                " aborted"
            } else {
                ""
            };
            format!("{}{cut}{}", text(&data["phase"]), text(&data["error"]))
        }
        _ => {
            let parts = [
                text(&payload["state"]),
                text(&payload["message"]["content"][0]["text"]),
                text(&payload["errorMessage"]),
                text(&payload["stopReason"]),
            ];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!("chat {}", parts.join(" "))
        }
    };
    assert_eq!(payload["sessionKey"], "agent:main:main", "{frame}");
    format!("{run} {seq} {what}")
}

fn owner(conn: u64) -> Owner {
    Owner {
        conn: ConnId(conn),
        device_id: None,
    }
}

fn chat(conn: u64) -> Origin {
    Origin::Chat {
        owner: owner(conn),
        label: "ui".into(),
        id: "ui".into(),
        display_name: None,
        collect: true,
    }
}

fn channel() -> Origin {
    let facts = vec![Facts::new(
        "Sender (untrusted metadata):",
        [("name", json!("Ann"))],
    )];
    Origin::Channel {
        facts,
        sender_label: Some("Ann".into()),
    }
}

/// Waits for something that is about to happen.
async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if seen() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
