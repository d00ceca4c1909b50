//! A fake Telegram, a bot, and a host without a gateway.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use gateway_plugin::message::{
    ConnectionState, Event, InboundMessage, Link, Media, Op, OpResult, OutboundMessage, SendReceipt,
};
use gateway_plugin::surface::Res;
use gateway_plugin::testkit::MockHost;
use gateway_plugin_telegram::Telegram;
use serde_json::{Value, json};
use support::bot_api::{Bot, BotApi};

/// The part of the token that must never be seen.
pub const SECRET: &str = "AAxSECRETxAA";
/// The person who writes.
pub const ANN: i64 = 42;

/// Everything any test of this process logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The text so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Catches every log line of every library at the finest level.
pub static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    log
});

pub struct World {
    pub api: BotApi,
    pub bot: Bot,
}

impl World {
    pub async fn new() -> World {
        LazyLock::force(&LOG);
        let api = BotApi::start().await;
        let bot = api.add_bot(&format!("7:{SECRET}"), "seven_bot");
        bot.open_chat(ANN);
        World { api, bot }
    }

    /// A configuration whose delays do not matter, with `extra` keys.
    pub fn config(&self, extra: Value) -> Value {
        let mut config = json!({
            "botToken": self.bot.token(), "apiRoot": self.api.root(), "pollSeconds": 50,
            "reconnect": { "initialMs": 1, "maxMs": 1, "factor": 1, "jitter": 0 },
            "retry": { "attempts": 3, "minDelayMs": 1, "maxDelayMs": 5000, "jitter": 0 }
        });
        config
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        config
    }

    /// An account that was started and has not been listened to.
    pub async fn started(&self, kv: BTreeMap<String, Media>, extra: Value) -> MockHost<Telegram> {
        let host = MockHost::with_kv(kv);
        host.start(self.config(extra)).await.unwrap();
        host
    }

    /// An account that is connected.
    pub async fn connected(&self) -> MockHost<Telegram> {
        let host = self.started(BTreeMap::new(), json!({})).await;
        link(&host, Link::Connected).await;
        host
    }
}

/// Takes events until the connection is in this state.
pub async fn link(host: &MockHost<Telegram>, wanted: Link) -> ConnectionState {
    loop {
        match host.event().await {
            Event::Connection(state) if state.state == wanted => return state,
            _ => {}
        }
    }
}

/// Takes events until a message comes.
pub async fn message(host: &MockHost<Telegram>) -> InboundMessage {
    loop {
        if let Event::Message(message) = host.event().await {
            return message;
        }
    }
}

pub fn text(to: &str, text: &str) -> OutboundMessage {
    OutboundMessage {
        to: to.into(),
        text: text.into(),
        ..OutboundMessage::default()
    }
}

pub async fn send(host: &MockHost<Telegram>, message: OutboundMessage) -> Res<SendReceipt> {
    match host.request(Op::Send(message), Media::new()).await? {
        OpResult::Sent(receipt) => Ok(receipt),
        other => panic!("{other:?}"),
    }
}

/// Waits until this many events were handed over and wait to be taken.
pub async fn handed_over(host: &MockHost<Telegram>, count: usize) {
    while host.waiting() < count {
        tokio::task::yield_now().await;
    }
}
