//! The My Surface surface: gives back what it gets, without any provider.
//!
//! A message to `echo:<chat>` comes back as a message written in `<chat>`; one to any other chat
//! is taken and ends there. Replace the inside of `send` by a call to your provider, and emit what
//! it brings.

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_plugin::prelude::*;
use gateway_plugin::tracing;

/// An account's configuration: the keys of `configSchema` in `plugin.json` that this code reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// Put before what is sent back.
    pub greeting: Option<String>,
}

/// One account.
pub struct MySurface {
    cx: Cx,
    greeting: String,
    /// How often this account was started: ids never repeat.
    starts: u64,
    sent: AtomicU64,
}

impl Surface for MySurface {
    type Config = Config;

    async fn start(config: Config, cx: Cx) -> Res<Self> {
        // State lives in the gateway's database, for this account alone.
        let last = cx.kv_get("starts").await?;
        let last = last.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<u64>().ok());
        let starts = last.unwrap_or(0) + 1;
        cx.kv_put("starts", starts.to_string()).await?;
        tracing::info!(account = cx.account(), starts, "started");

        // Beside the start: `emit` waits for the gateway, `start` must not.
        let hello = cx.clone();
        cx.spawn("hello", async move {
            let connected = Event::Connection(ConnectionState::of(Link::Connected));
            if let Err(error) = hello.emit(connected).await {
                tracing::warn!(%error, "the gateway did not take it");
            }
        });
        let greeting = config.greeting.unwrap_or_else(|| "you said: ".to_owned());
        Ok(MySurface {
            cx,
            greeting,
            starts,
            sent: AtomicU64::new(0),
        })
    }

    async fn send(&self, message: OutboundMessage, _media: Media) -> Res<SendReceipt> {
        let receipt = SendReceipt {
            message_id: self.next_id(),
            ..SendReceipt::default()
        };
        if let Some(chat) = message.to.strip_prefix("echo:") {
            let text = format!("{}{}", self.greeting, message.text);
            // Returns once the gateway has it on disk; an error says that it does not.
            self.cx.emit(self.inbound(chat, text)).await?;
        }
        Ok(receipt)
    }

    // Declared as "typing" in plugin.json; what is not declared is never asked for.
    async fn typing(&self, chat: String, _thread_id: Option<String>, on: bool) -> Res<()> {
        tracing::debug!(chat, on, "typing");
        Ok(())
    }
}

impl MySurface {
    fn next_id(&self) -> String {
        let n = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}-{n}", self.starts)
    }

    fn inbound(&self, chat: &str, text: String) -> Event {
        let sender = Peer {
            id: chat.to_owned(),
            ..Peer::default()
        };
        let chat = Chat {
            id: chat.to_owned(),
            ..Chat::default()
        };
        Event::Message(InboundMessage {
            id: self.next_id(),
            chat,
            sender,
            text,
            ..InboundMessage::default()
        })
    }
}

export_plugin!(MySurface, "plugin.json");
