//! The My Surface surface: asks its provider for what is new, again and again.
//!
//! `api.rs` is the provider's wire; everything about not losing a message is here: the position is
//! stored only after the gateway has a message on disk, and a message that it refused is asked for
//! again.

mod api;

use std::time::Duration;

use gateway_plugin::prelude::*;
use gateway_plugin::tracing;

use api::{Api, Update};

/// Where the position in the provider's stream is kept.
const POSITION: &str = "position";

/// An account's configuration: the keys of `configSchema` in `plugin.json` that this code reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Host and port of the provider.
    pub server: String,
    /// The account's token.
    pub token: Secret,
    /// How long to wait after a failure.
    #[serde(default = "two_seconds")]
    pub retry_ms: u64,
}

fn two_seconds() -> u64 {
    2_000
}

/// One account.
pub struct MySurface {
    api: Api,
}

impl Surface for MySurface {
    type Config = Config;

    async fn start(config: Config, cx: Cx) -> Res<Self> {
        let api = Api::new(config.server, config.token);
        let retry = Duration::from_millis(config.retry_ms);
        // What lasts goes into a task of the account; it ends with it.
        cx.spawn("poll", poll(api.clone(), cx.clone(), retry));
        Ok(MySurface { api })
    }

    async fn send(&self, message: OutboundMessage, _media: Media) -> Res<SendReceipt> {
        let message_id = self.api.send(&message.to, &message.text).await?;
        Ok(SendReceipt {
            message_id,
            ..SendReceipt::default()
        })
    }
}

/// Asks for updates for as long as the account lives.
async fn poll(api: Api, cx: Cx, retry: Duration) {
    let mut told = None;
    loop {
        let state = match round(&api, &cx).await {
            Ok(()) => ConnectionState::of(Link::Connected),
            // The account ends: so does this task, at its next `.await`.
            Err(error) if error.kind == ErrorKind::Cancelled => return,
            Err(error) => ConnectionState::of(Link::Connecting).because(error.to_string()),
        };
        let failed = state.state != Link::Connected;
        // Told once for each change, not once for each round.
        if told.as_ref() != Some(&state) && cx.emit(Event::Connection(state.clone())).await.is_ok()
        {
            told = Some(state);
        }
        if failed {
            tokio::time::sleep(retry).await;
        }
    }
}

/// One question to the provider, and what it brought.
async fn round(api: &Api, cx: &Cx) -> Res<()> {
    let kept = cx.kv_get(POSITION).await?;
    let kept = kept.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<u64>().ok());
    let position = kept.unwrap_or(0);
    for update in api.updates(position).await? {
        let number = update.number;
        // An error leaves the position where it is: the same update is asked for again.
        cx.emit(inbound(update)).await?;
        cx.kv_put(POSITION, number.to_string()).await?;
    }
    tracing::trace!(position, "asked");
    Ok(())
}

fn inbound(update: Update) -> Event {
    let chat = Chat {
        id: update.chat,
        ..Chat::default()
    };
    let sender = Peer {
        id: update.from,
        ..Peer::default()
    };
    Event::Message(InboundMessage {
        id: update.number.to_string(),
        chat,
        sender,
        text: update.text,
        ..InboundMessage::default()
    })
}

export_plugin!(MySurface, "plugin.json");
