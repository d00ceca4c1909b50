//! The socket of one connection: frames in, texts out, each write with a deadline.

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt};
use gateway_schemas::connect::Challenge;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::{CLOSE_WAIT, Meter};
use crate::hub::{Closing, Event, Item, Queue};
use crate::limits::{CLOSE_REASON_BYTES_MAX, SOCKET_WRITE_CHUNK_BYTES, SOCKET_WRITE_TIMEOUT};

/// One frame of the client, text or binary alike.
pub(super) enum Frame {
    Text(Utf8Bytes),
    Binary(Bytes),
}

impl Frame {
    /// Its text; `None` for bytes that aren't UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Frame::Text(text) => Some(text.as_str()),
            Frame::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }
}

/// What came from the socket.
pub(super) enum Incoming {
    Frame(Frame),
    /// Larger than allowed: answer 1009.
    TooLarge,
    /// Closed or broken.
    Gone,
}

pub(super) struct Link {
    socket: WebSocket,
    meter: Meter,
}

impl Link {
    pub(super) fn new(socket: WebSocket, meter: Meter) -> Link {
        Link { socket, meter }
    }

    /// The next frame. Safe to cancel.
    pub(super) async fn recv(&mut self) -> Incoming {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => return Incoming::Frame(Frame::Text(text)),
                Some(Ok(Message::Binary(bytes))) => return Incoming::Frame(Frame::Binary(bytes)),
                // Pings are answered below us.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Incoming::Gone,
                Some(Err(error)) => return self.broken(error),
            }
        }
    }

    /// The next frame if one is here already.
    pub(super) fn recv_ready(&mut self) -> Option<Incoming> {
        self.recv().now_or_never()
    }

    fn broken(&self, error: axum::Error) -> Incoming {
        let too_large = self.meter.is_exhausted()
            || matches!(
                error.into_inner().downcast_ref::<tungstenite::Error>(),
                Some(tungstenite::Error::Capacity(_))
            );
        if too_large {
            Incoming::TooLarge
        } else {
            Incoming::Gone
        }
    }

    /// The first frame of every connection. False when the client is gone already.
    pub(super) async fn send_challenge(&mut self, nonce: &str, ts: u64) -> bool {
        let challenge = Challenge {
            nonce: nonce.to_owned(),
            ts,
        };
        self.send(Event::new("connect.challenge", &challenge).text(None))
            .await
    }

    /// Writes one text. False when it didn't go out in time.
    pub(super) async fn send(&mut self, text: String) -> bool {
        let sent = self.socket.send(Message::Text(text.into()));
        matches!(timeout(SOCKET_WRITE_TIMEOUT, sent).await, Ok(Ok(())))
    }

    /// Writes all items, in pieces that bound our own buffer. Gives the rest up when `queue` asks
    /// to close. False when the client takes nothing any more.
    pub(super) async fn write(&mut self, items: &mut Vec<Item>, queue: &Queue) -> bool {
        let mut unflushed = 0;
        for item in items.drain(..) {
            let text = match item {
                Item::Event { event, seq } => event.text(seq),
                Item::Text(text) => text,
            };
            unflushed += text.len();
            let fed = self.socket.feed(Message::Text(text.into()));
            if !matches!(timeout(SOCKET_WRITE_TIMEOUT, fed).await, Ok(Ok(()))) {
                return false;
            }
            if unflushed >= SOCKET_WRITE_CHUNK_BYTES {
                unflushed = 0;
                if !self.flush().await {
                    return false;
                }
                if queue.is_overrun() {
                    break;
                }
            }
        }
        unflushed == 0 || self.flush().await
    }

    async fn flush(&mut self) -> bool {
        matches!(
            timeout(SOCKET_WRITE_TIMEOUT, self.socket.flush()).await,
            Ok(Ok(()))
        )
    }

    /// Sends the close frame and waits a moment for the client's.
    pub(super) async fn close(&mut self, closing: &Closing) {
        if closing.code == 1009 {
            self.meter.linger();
        }
        let reason = cut(&closing.reason, CLOSE_REASON_BYTES_MAX);
        let frame = CloseFrame {
            code: closing.code,
            reason: reason.into(),
        };
        let sent = self.socket.send(Message::Close(Some(frame)));
        if matches!(timeout(SOCKET_WRITE_TIMEOUT, sent).await, Ok(Ok(()))) {
            let answered = async { while let Incoming::Frame(_) = self.recv().await {} };
            timeout(CLOSE_WAIT, answered).await.ok();
        }
    }
}

/// The longest start of `text` with at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(cut("abc", 120), "abc");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
