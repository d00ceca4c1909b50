//! The suite finds what is wrong: surfaces with one fault each, and the check that must tell.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "a lock that is never given back is the fault"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_plugin::conformance::{Check, Checked, Mocked, Outcome, Setup, run};
use gateway_plugin::prelude::*;
use gateway_plugin::tokio;
use serde_json::json;

const MANIFEST: &str = r#"{ "id": "flawed", "name": "Flawed", "version": "1", "api": "1.0",
    "capabilities": ["direct", "typing", "actions:conformance.panic"],
    "configSchema": { "type": "object", "properties": { "fault": {} } } }"#;

#[derive(Deserialize)]
struct Config {
    fault: String,
}

/// Gives back what it is sent, with one fault.
struct Flawed {
    fault: String,
    cx: Cx,
    sent: AtomicU64,
    asleep: tokio::sync::Mutex<()>,
}

/// Handles that outlive their accounts.
static LEAKED: Mutex<Vec<Cx>> = Mutex::new(Vec::new());
static ROUNDS: AtomicU64 = AtomicU64::new(0);

impl Surface for Flawed {
    type Config = Config;

    async fn start(config: Config, cx: Cx) -> Res<Self> {
        let hello = Event::Connection(ConnectionState::of(Link::Connected));
        match config.fault.as_str() {
            "waits in start" => cx.emit(hello).await?,
            "leaks" => LEAKED.lock().unwrap().push(cx.clone()),
            "tires" if ROUNDS.fetch_add(1, Ordering::SeqCst) > 10 => {
                return Err(SurfaceError::new(ErrorKind::Other, "tired"));
            }
            "dies" => cx.spawn("doomed", async { panic!("in the background") }),
            _ => {}
        }
        let (fault, sent, asleep) = (config.fault, AtomicU64::new(0), Default::default());
        Ok(Flawed {
            fault,
            cx,
            sent,
            asleep,
        })
    }

    async fn send(&self, message: OutboundMessage, _: Media) -> Res<SendReceipt> {
        let n = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = self.fault.as_str();
        if fault == "one at a time" {
            let _turn = self.asleep.lock().await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        if fault == "stuck after cancel" {
            std::mem::forget(self.asleep.lock().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let id = match fault {
            "one id" => "same".to_owned(),
            "twice" => format!("{}", n / 2),
            _ => n.to_string(),
        };
        let text = match fault {
            "forgets" => "?".to_owned(),
            _ => message.text,
        };
        let back = Event::Message(InboundMessage {
            id: format!("in {id}"),
            chat: Chat {
                id: "c".to_owned(),
                ..Chat::default()
            },
            text,
            ..InboundMessage::default()
        });
        match fault {
            "drops refused" => drop(self.cx.emit(back).await),
            "ignores credits" => {
                let body = serde_json::to_vec(&back).unwrap();
                self.cx.raw_frame(5, 0, &body);
            }
            _ => self.cx.emit(back).await?,
        }
        Ok(SendReceipt {
            message_id: if fault == "no id" { String::new() } else { id },
            ..SendReceipt::default()
        })
    }

    async fn typing(&self, _: String, _: Option<String>, _: bool) -> Res<()> {
        match self.fault.as_str() {
            "declares too much" => Err(SurfaceError::unsupported("typing")),
            _ => Ok(()),
        }
    }

    async fn edit(&self, _: Edit) -> Res<()> {
        match self.fault.as_str() {
            "declares too little" => Ok(()),
            _ => Err(SurfaceError::unsupported("edit")),
        }
    }

    async fn action(&self, name: String, _: Value) -> Res<Value> {
        match (name.as_str(), self.fault.as_str()) {
            ("conformance.panic", "swallows its panic") => Ok(Value::Null),
            ("conformance.panic", _) => panic!("asked for"),
            _ => Err(SurfaceError::unsupported("action")),
        }
    }

    async fn stop(&self, _: StopReason) {
        if self.fault == "never stops" {
            std::future::pending().await
        }
    }
}

async fn checked(fault: &str, check: Check) -> Checked {
    let mut setup = Setup::new(json!({ "fault": fault }), "ann");
    setup.patience = Duration::from_secs(2);
    run(check, &Mocked::<Flawed>::new(MANIFEST), &setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_fault_all_pass() {
    for check in Check::ALL {
        let checked = checked("none", *check).await;
        assert_eq!(checked.outcome, Outcome::Passed, "{checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_fault_is_found_and_told() {
    let mut running = tokio::task::JoinSet::new();
    for (fault, check, words) in [
        ("waits in start", Check::Start, "move that into cx.spawn"),
        (
            "leaks",
            Check::Ping,
            "something of the account is still there",
        ),
        (
            "tires",
            Check::Restart,
            "after 12 starts: start failed: other: tired",
        ),
        ("dies", Check::Ping, "asked to be started anew"),
        (
            "one at a time",
            Check::SideBySide,
            "no answer from the plugin",
        ),
        (
            "stuck after cancel",
            Check::Cancel,
            "after 8 operations that were cancelled",
        ),
        (
            "one id",
            Check::Send,
            "two messages have the same messageId",
        ),
        ("one id", Check::Events, "came twice in chat \"c\""),
        ("twice", Check::SideBySide, "different messageIds"),
        ("forgets", Check::Events, "in this order, and came in as"),
        ("drops refused", Check::RefusedEvent, "it is lost"),
        ("ignores credits", Check::BackPressure, "came in"),
        ("no id", Check::Send, "has no messageId"),
        (
            "declares too much",
            Check::Declared,
            "is declared in the manifest",
        ),
        (
            "declares too little",
            Check::Undeclared,
            "edit, which the manifest does not declare",
        ),
        ("swallows its panic", Check::Panic, "the action that panics"),
        ("never stops", Check::Stop, "stop did not end within"),
    ] {
        // Side by side: most of them wait until patience is over.
        running.spawn(async move {
            let checked = checked(fault, check).await;
            assert_eq!(checked.outcome, Outcome::Failed, "{fault}: {checked:?}");
            let found = checked.found.unwrap();
            assert!(found.contains(words), "{fault}: {found}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_skipped_and_says_what_it_takes() {
    struct Mute;
    impl Surface for Mute {
        type Config = Value;
        async fn start(_: Value, _: Cx) -> Res<Self> {
            Ok(Mute)
        }
        async fn send(&self, _: OutboundMessage, _: Media) -> Res<SendReceipt> {
            let message_id = "1".to_owned();
            Ok(SendReceipt {
                message_id,
                ..SendReceipt::default()
            })
        }
    }
    let manifest =
        r#"{ "id": "mute", "name": "M", "version": "1", "api": "1.0", "configSchema": {} }"#;
    let (subject, setup) = (Mocked::<Mute>::new(manifest), Setup::new(json!({}), "ann"));
    for (check, words) in [
        (Check::Events, "give a target that gives back what it gets"),
        (Check::ConfigRefused, "does not say type: object"),
        (Check::Panic, "offers no action"),
    ] {
        let checked = run(check, &subject, &setup).await;
        assert_eq!(checked.outcome, Outcome::Skipped, "{checked:?}");
        assert!(checked.found.unwrap().contains(words));
    }
}
