//! The router over a real store, agent and channels; nothing answers but the embedded echo.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::{Config, Paths};
use crate::hub::Hub;
use crate::plugins::Plugins;
use crate::store::journal::{ChatKind, Entry};
use crate::store::outbox;

/// A configuration of defaults in a folder.
pub(super) fn config(dir: &Path) -> Config {
    Config::empty(Paths {
        config_file: dir.join("openclaw.json"),
        state_dir: dir.to_path_buf(),
        plugins_file: dir.join("plugins.toml"),
    })
}

/// Everything around the router, on a folder that survives it.
struct House {
    store: Store,
    channels: Channels,
    routing: Tasks,
    owners: Tasks,
}

impl House {
    /// Opens the folder and starts routing, as `gateway` does.
    fn open(dir: &Path) -> House {
        let mut config = config(dir);
        let block = json!({
            "allowFrom": ["777"], "groupPolicy": "open", "responsePrefix": "bot:",
        });
        config.channels.insert("echo".into(), block);
        std::fs::write(dir.join("plugins.toml"), "schema = 1\n").unwrap();
        let plugins = Plugins::load(&dir.join("plugins.toml"), &dir.join("store"));
        let (plugins, _) = plugins.unwrap();
        let store = Store::open(&dir.join("gateway.redb")).unwrap();
        let (clock, owners) = (Clock::system(), Tasks::new("owners"));
        let config = ConfigHandle::new(config);
        let channels = Channels::new(crate::channels::Parts {
            config: config.clone(),
            plugins: &plugins,
            store: store.clone(),
            clock,
            tasks: &owners,
        });
        let sessions = Sessions::new(store.clone(), clock, config.clone());
        let runs = owners.child("runs");
        let agent = Agent::new(config.clone(), clock, Hub::new(), sessions.clone(), runs);
        let routing = Tasks::new("router");
        let parts = Parts {
            config,
            clock,
            store: store.clone(),
            channels: channels.clone(),
            sessions,
            agent,
        };
        start(parts, &routing);
        House {
            store,
            channels,
            routing,
            owners,
        }
    }

    async fn receive(&self, id: &str, change: impl FnOnce(&mut Entry)) {
        receive(&self.store, id, change).await;
        self.channels.inbound_bell().notify_one();
    }

    /// Waits until the journal is empty; gives what is to be sent, in order.
    async fn settled(&self) -> Vec<String> {
        while self.store.read(journal::open_count).unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let open = self.store.read(outbox::open).unwrap();
        open.into_iter().map(|(_, entry)| entry.text).collect()
    }

    /// Ends it without a word, as `kill -9` does.
    async fn crash(self) {
        self.routing.stop(Duration::ZERO).await;
        self.owners.stop(Duration::ZERO).await;
        self.store.close().await;
    }
}

async fn receive(store: &Store, id: &str, change: impl FnOnce(&mut Entry)) {
    let mut entry = journal::tests::entry(id, id);
    entry.channel = "echo".into();
    change(&mut entry);
    store
        .write(move |txn| journal::append(txn, &entry))
        .await
        .unwrap();
}

fn stranger(entry: &mut Entry) {
    entry.message.sender_id = "stranger".into();
    entry.message.chat_id = "stranger".into();
}

fn in_group(entry: &mut Entry) {
    entry.message.chat_kind = ChatKind::Group;
    entry.message.chat_id = "team".into();
}

#[tokio::test]
async fn what_came_before_the_start_is_answered_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
    for id in ["one", "two", "three"] {
        receive(&store, id, |_| {}).await;
    }
    store.close().await;
    drop(store);

    let house = House::open(dir.path());
    let texts = house.settled().await;
    assert_eq!(texts.len(), 3, "{texts:?}");
    for (text, word) in texts.iter().zip(["one", "two", "three"]) {
        assert!(text.starts_with("bot: ") && text.contains(word), "{text}");
    }
    house.crash().await;

    let house = House::open(dir.path());
    // The provider delivers one again: it is known.
    house.receive("two", |_| {}).await;
    house.receive("four", |_| {}).await;
    assert_eq!(house.settled().await.len(), 4);
}

#[tokio::test]
async fn a_crash_at_any_moment_answers_once() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let house = House::open(dir.path());
        house.receive(&format!("round {round}."), |_| {}).await;
        // Not a wait for anything: another moment each time is the point.
        tokio::time::sleep(Duration::from_millis(round)).await;
        house.crash().await;
    }
    let house = House::open(dir.path());
    let texts = house.settled().await;
    assert_eq!(texts.len(), 10, "{texts:?}");
    for (round, text) in texts.iter().enumerate() {
        assert!(text.contains(&format!("round {round}.")), "{texts:?}");
    }
}

#[tokio::test]
async fn a_stranger_is_told_once_and_reaches_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path());
    house.receive("let me in", stranger).await;
    house.receive("please", stranger).await;
    let texts = house.settled().await;
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(
        texts[0].contains("Your echo user id: stranger"),
        "{texts:?}"
    );
    assert!(texts[0].ends_with("channels.echo.allowFrom"), "{texts:?}");
    house.crash().await;

    let house = House::open(dir.path());
    house.receive("hello again", stranger).await;
    assert_eq!(house.settled().await.len(), 1, "told twice");
}

#[tokio::test]
async fn in_a_group_only_a_mention_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path());
    house.receive("just talking", in_group).await;
    let mentioned = |entry: &mut Entry| {
        in_group(entry);
        entry.message.mentions_me = true;
    };
    house.receive("are you there", mentioned).await;
    let texts = house.settled().await;
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("are you there"), "{texts:?}");
}

#[tokio::test]
async fn a_stop_word_without_a_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path());
    house.receive("stop", |_| {}).await;
    assert_eq!(house.settled().await, ["Nothing is running."]);
}
