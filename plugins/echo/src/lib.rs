//! The smallest surface: a loopback without any provider, for first steps and for tests.
//!
//! Whatever is sent to a chat is taken and answered with a receipt. Sent to `echo:<chat>`, the
//! same text (and files) also comes back as a message written in `<chat>`; an answer goes to
//! `<chat>` and ends there. Ids never repeat, not even after a restart.

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_plugin::prelude::*;
use gateway_plugin::tracing;

/// What begins a target that is echoed.
const ECHOED: &str = "echo:";
/// Under which key the number of starts is kept.
const STARTS: &str = "starts";
/// Under which key it is kept that the greeting was said.
const GREETED: &str = "greeted";

/// An account's configuration; the gateway reads the other keys of the schema.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// Said once in the account's life, as a message from chat `greeting`.
    pub greeting: Option<String>,
}

/// One account.
pub struct Echo {
    cx: Cx,
    starts: u64,
    sent: AtomicU64,
}

impl Surface for Echo {
    type Config = Config;

    async fn start(config: Config, cx: Cx) -> Res<Self> {
        let last = cx.kv_get(STARTS).await?;
        let last = last.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<u64>().ok());
        let starts = last.unwrap_or(0) + 1;
        cx.kv_put(STARTS, starts.to_string()).await?;
        tracing::info!(starts, "echo account started");
        let echo = Echo {
            cx,
            starts,
            sent: AtomicU64::new(0),
        };
        // Beside the start: the gateway takes events only once it knows the account.
        let (cx, id) = (echo.cx.clone(), echo.next_id());
        echo.cx.spawn("greeting", greet(cx, id, config.greeting));
        Ok(echo)
    }

    async fn send(&self, message: OutboundMessage, media: Media) -> Res<SendReceipt> {
        let (chat, echoed) = match message.to.strip_prefix(ECHOED) {
            Some(chat) => (chat, true),
            None => (message.to.as_str(), false),
        };
        if chat.is_empty() {
            let text = format!("no chat in target {:?}, write echo:<chat>", message.to);
            return Err(SurfaceError::new(ErrorKind::InvalidRequest, text));
        }
        let receipt = SendReceipt {
            message_id: self.next_id(),
            chat: Some(chat.to_owned()),
            ..SendReceipt::default()
        };
        if echoed {
            let mut back = inbound(self.next_id(), chat, message.text);
            back.attachments = message.attachments;
            back.reply_to = message.reply_to;
            self.cx.emit_with(Event::Message(back), media).await?;
        }
        Ok(receipt)
    }

    async fn typing(&self, chat: String, _thread_id: Option<String>, on: bool) -> Res<()> {
        tracing::debug!(chat, on, "typing");
        Ok(())
    }

    async fn probe(&self) -> Res<ProbeReport> {
        let me = Peer {
            id: "echo".to_owned(),
            ..Peer::default()
        };
        Ok(ProbeReport {
            ok: true,
            me: Some(me),
            ..ProbeReport::default()
        })
    }
}

impl Echo {
    fn next_id(&self) -> String {
        format!(
            "{}-{}",
            self.starts,
            self.sent.fetch_add(1, Ordering::Relaxed) + 1
        )
    }
}

async fn greet(cx: Cx, id: String, greeting: Option<String>) {
    let told = tell(&cx, id, greeting).await;
    if let Err(error) = told {
        tracing::warn!(%error, "the account's first events were not taken");
    }
}

async fn tell(cx: &Cx, id: String, greeting: Option<String>) -> Res<()> {
    cx.emit(Event::Connection(ConnectionState::of(Link::Connected)))
        .await?;
    if let (Some(text), None) = (greeting, cx.kv_get(GREETED).await?) {
        cx.emit(Event::Message(inbound(id, "greeting", text)))
            .await?;
        cx.kv_put(GREETED, "yes").await?;
    }
    Ok(())
}

fn inbound(id: String, chat: &str, text: String) -> InboundMessage {
    InboundMessage {
        id,
        chat: Chat {
            id: chat.to_owned(),
            ..Chat::default()
        },
        sender: Peer {
            id: chat.to_owned(),
            name: Some("Echo".to_owned()),
            ..Peer::default()
        },
        text,
        ..InboundMessage::default()
    }
}

export_plugin!(Echo, "plugin.json");

#[cfg(test)]
gateway_plugin::conformance!(
    Echo,
    gateway_plugin::conformance::Setup::new(serde_json::json!({}), "echo:ann")
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gateway_plugin::testkit::{MockHost, check_manifest};
    use serde_json::json;

    fn to(chat: &str, text: &str) -> Op {
        let message = OutboundMessage {
            to: chat.to_owned(),
            text: text.to_owned(),
            ..Default::default()
        };
        Op::Send(message)
    }

    async fn started(config: Value) -> MockHost<Echo> {
        let host = MockHost::new();
        host.start(config).await.unwrap();
        let connected = Event::Connection(ConnectionState::of(Link::Connected));
        assert_eq!(host.event().await, connected);
        host
    }

    #[test]
    fn the_manifest_and_the_config_agree() {
        let manifest = check_manifest::<Echo>(include_str!("../plugin.json")).unwrap();
        assert_eq!(manifest.id, "echo");
    }

    #[tokio::test]
    async fn what_is_sent_to_echo_comes_back_once_the_host_has_it() {
        let host = started(json!({})).await;
        let (sent, back) = tokio::join!(
            host.request(to("echo:ann", "hi"), Media::from_static(b"file")),
            host.event_with_media(),
        );
        let OpResult::Sent(receipt) = sent.unwrap() else {
            panic!("no receipt")
        };
        assert_eq!(receipt.chat.as_deref(), Some("ann"));
        let (Event::Message(back), media) = back else {
            panic!("no message")
        };
        assert_eq!((back.chat.id.as_str(), back.text.as_str()), ("ann", "hi"));
        assert_eq!(back.sender.id, "ann");
        assert_ne!(back.id, receipt.message_id);
        assert_eq!(&media[..], b"file");
        host.stop().await;
    }

    #[tokio::test]
    async fn an_event_the_host_refuses_is_a_failed_send() {
        let host = started(json!({})).await;
        let (sent, _) = tokio::join!(
            host.request(to("echo:ann", "hi"), Media::new()),
            host.refuse_event(),
        );
        assert_eq!(sent.unwrap_err().kind, ErrorKind::Transient);
    }

    #[tokio::test]
    async fn an_answer_ends_in_its_chat() {
        let host = started(json!({})).await;
        host.request(to("ann", "hi"), Media::new()).await.unwrap();
        host.request(Op::Probe, Media::new()).await.unwrap();
        assert_eq!(host.waiting(), 0);
        let refused = host
            .request(to("echo:", "hi"), Media::new())
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidRequest);
    }

    #[tokio::test]
    async fn the_greeting_is_said_once_and_ids_go_on_after_a_restart() {
        let host = started(json!({ "greeting": "hello" })).await;
        let Event::Message(greeting) = host.event().await else {
            panic!("no greeting")
        };
        assert_eq!(
            (greeting.id.as_str(), greeting.text.as_str()),
            ("1-1", "hello")
        );
        host.stop().await;
        let again = MockHost::<Echo>::with_kv(host.kv());
        again.start(json!({ "greeting": "hello" })).await.unwrap();
        assert!(matches!(again.event().await, Event::Connection(_)));
        let OpResult::Sent(receipt) = again.request(to("a", "b"), Media::new()).await.unwrap()
        else {
            panic!("no receipt")
        };
        assert_eq!(receipt.message_id, "2-2");
        assert_eq!(again.waiting(), 0);
    }
}
