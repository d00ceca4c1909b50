//! IRC as a surface of the gateway: a small client of its own, over TCP or TLS.
//!
//! The map: `config` is what an account is told; `line` the protocol's lines, `text` what their
//! texts are made of; `wire` the way to a server, `register` getting in, `rooms` the channels,
//! `inbound` what others write, `outbox` what we say (`chunk` how long a line may be, `pace` how
//! fast they go, `refusal` what the server's numbers mean), `session` one connection with all of
//! that, `link` one connection after the other, `board` where operations find it. Set-up and limits are in the README beside this
//! crate. It is written against the public SDK alone.

pub mod line;
pub mod text;
pub mod target;
pub mod config;
pub mod chunk;
pub mod pace;
pub mod outbox;
pub mod board;
pub mod refusal;
pub mod register;
pub mod rooms;
pub mod inbound;
pub mod wire;
pub mod session;
pub mod link;

use std::sync::Arc;
use std::time::Duration;

use gateway_plugin::prelude::*;
use gateway_plugin::tracing;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::board::{Ask, Board};
use crate::config::Config;
use crate::inbound::Ids;
use crate::link::EVENTS_MAX;
use crate::outbox::Say;

/// The gateway waits a second for a goodbye; the server gets half of it.
const GOODBYE: Duration = Duration::from_millis(500);

/// One account: a nick on a server.
#[derive(Debug)]
pub struct Irc {
    config: Arc<Config>,
    board: Arc<Board>,
    /// Says which message a receipt is about. A server gives no ids for what we send.
    sent: std::sync::Mutex<Ids>,
}

impl Surface for Irc {
    type Config = Config;

    /// Checks the configuration and begins to connect. How that goes is told by events.
    async fn start(config: Config, cx: Cx) -> Res<Self> {
        config.check()?;
        if config.shows_secrets() {
            tracing::warn!("tls is false: passwords cross the network readable");
        }
        let ids = || Ids::new().map_err(|e| SurfaceError::new(ErrorKind::Transient, e.to_string()));
        let (config, board) = (Arc::new(config), Arc::new(Board::default()));
        let (told, events) = mpsc::channel(EVENTS_MAX);
        cx.spawn(
            "forward",
            link::forward(cx.clone(), events, config.backoff()),
        );
        let run = link::run(config.clone(), cx.clone(), board.clone(), told, ids()?);
        cx.spawn("link", run);
        Ok(Irc {
            config,
            board,
            sent: std::sync::Mutex::new(ids()?),
        })
    }

    async fn send(&self, message: OutboundMessage, _media: Media) -> Res<SendReceipt> {
        if !message.attachments.is_empty() || message.poll.is_some() {
            return Err(SurfaceError::unsupported("sending files and polls"));
        }
        let target = target::parse(&message.to)?;
        let say = |reply: oneshot::Sender<_>| {
            Ask::Say(Say {
                target: target.clone(),
                text: message.text,
                reply,
            })
        };
        // What is sent while the account connects need not come again.
        let said = self.board.ask(self.config.timeout(), say).await??;
        let mut native = json!({ "chatId": target, "lines": said.lines });
        if said.cut_bytes > 0 {
            tracing::warn!(
                to = target,
                bytes = said.cut_bytes,
                "the end of a text was left out"
            );
            native["cutBytes"] = json!(said.cut_bytes);
        }
        let mut ids = self
            .sent
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(SendReceipt {
            message_id: ids.next_id(),
            chat: Some(target),
            at_ms: 0,
            native,
        })
    }

    /// Asks the server whether it is there.
    async fn probe(&self) -> Res<ProbeReport> {
        let server = self.config.server();
        let (_, nick) = self.board.session()?;
        let answer = tokio::time::timeout(
            self.config.timeout(),
            self.board.ask(Duration::ZERO, Ask::Ping),
        )
        .await;
        let error = match answer {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.message),
            Err(_) => Some(format!("{server} does not answer")),
        };
        let me = Peer {
            id: nick.clone(),
            handle: Some(nick),
            ..Peer::default()
        };
        Ok(ProbeReport {
            ok: error.is_none(),
            me: Some(me),
            error,
            native: json!({ "server": server }),
        })
    }

    async fn stop(&self, _why: StopReason) {
        // Without a connection there is nobody to say goodbye to.
        tokio::time::timeout(GOODBYE, self.board.ask(Duration::ZERO, Ask::Quit))
            .await
            .ok();
    }
}

export_plugin!(Irc, "plugin.json");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gateway_plugin::manifest::Manifest;
    use gateway_plugin::testkit;

    fn manifest() -> Manifest {
        testkit::check_manifest::<Irc>(include_str!("../plugin.json")).unwrap()
    }

    #[test]
    fn the_manifest_fits_the_plugin() {
        assert_eq!(manifest().version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_schema_takes_its_examples_and_names_what_it_does_not() {
        let manifest = manifest();
        let schema = jsonschema::validator_for(&manifest.config_schema).unwrap();
        let examples = manifest.config_schema["examples"].as_array().unwrap();
        assert!(examples.len() >= 3);
        for example in examples {
            let told = schema.validate(example).map_err(|e| e.to_string());
            assert_eq!(told, Ok(()), "{example}");
            serde_json::from_value::<Config>(example.clone())
                .unwrap()
                .check()
                .unwrap();
        }
        let refused = |value: Value| schema.validate(&value).unwrap_err().to_string();
        assert!(refused(json!({ "nick": "a" })).contains("host"));
        assert!(refused(json!({ "host": "h", "nick": "a", "chanels": [] })).contains("chanels"));
        assert!(refused(json!({ "host": "h", "nick": "a", "port": 0 })).contains('0'));
        assert!(refused(json!({ "host": "h", "nick": "a", "channels": ["c"] })).contains("\"c\""));
    }
}
