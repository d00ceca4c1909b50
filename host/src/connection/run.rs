//! The life of a connection after hello-ok: one loop, everything written in one place.

use std::sync::Arc;

use futures_util::StreamExt;

use super::link::{Incoming, Link};
use super::request::{self, Requests};
use crate::hub::{Client, Closing};
use crate::methods::Parts;

/// Frames handled before what they caused is written: a client that sends many at once gets
/// their answers in one write, and one that never stops sending still gets them.
const FRAMES_PER_TURN: usize = 16;

/// Reads, answers and writes until either side ends it.
pub(super) async fn run(link: &mut Link, client: &Arc<Client>, parts: &Arc<Parts>) {
    let mut requests = Requests::default();
    let mut items = Vec::new();
    loop {
        let ended = tokio::select! {
            biased;
            incoming = link.recv() => turn(incoming, link, client, parts, &mut requests),
            Some(done) = requests.running.next(), if !requests.running.is_empty() => {
                request::finish(client, done);
                None
            }
            () = client.queue.changed() => None,
        };
        if matches!(ended, Some(End::Gone)) {
            return;
        }
        client.queue.take(&mut items);
        if !items.is_empty() && !link.write(&mut items, &client.queue).await {
            tracing::info!(conn = client.caller.conn.0, "client takes nothing any more");
            return;
        }
        let too_large = ended.map(|_| Closing {
            code: 1009,
            reason: String::new(),
        });
        if let Some(closing) = too_large.or_else(|| client.queue.closing()) {
            let conn = client.caller.conn.0;
            tracing::info!(
                conn,
                code = closing.code,
                reason = closing.reason,
                "closing"
            );
            return link.close(&closing).await;
        }
    }
}

/// Why reading is over.
enum End {
    Gone,
    TooLarge,
}

/// Handles a frame and those that came with it.
fn turn(
    first: Incoming,
    link: &mut Link,
    client: &Arc<Client>,
    parts: &Arc<Parts>,
    requests: &mut Requests,
) -> Option<End> {
    let mut next = Some(first);
    for left in (0..FRAMES_PER_TURN).rev() {
        match next? {
            Incoming::Frame(frame) => {
                if let Some(text) = frame.text() {
                    request::start(text, client, parts, requests);
                }
            }
            Incoming::TooLarge => return Some(End::TooLarge),
            Incoming::Gone => return Some(End::Gone),
        }
        next = if left > 0 { link.recv_ready() } else { None };
    }
    None
}
