//! The surface as the gateway drives it, against a server that does what each test says: what a
//! real server does rarely, it does here at once.
//!
//! No test depends on time: delays are a millisecond, and every wait is for a line or an event.
#![allow(clippy::unwrap_used)]

mod server;
mod faults;
mod talk;
mod tls;

use gateway_plugin::message::{
    ConnectionState, Event, InboundMessage, Link, Media, Op, OpResult, OutboundMessage, SendReceipt,
};
use gateway_plugin::surface::Res;
use gateway_plugin::testkit::MockHost;
use gateway_plugin_irc::Irc;
use serde_json::{Value, json};
use server::{Client, Server};

/// Must never be seen outside the line it belongs in.
const SECRET: &str = "sEcReT-of-claw";

type Host = MockHost<Irc>;

fn config(server: &Server, more: Value) -> Value {
    let mut config = json!({
        "host": "127.0.0.1", "port": server.port(), "tls": false, "nick": "claw",
        "flood": { "burst": 100, "intervalMs": 0 },
        "reconnect": { "initialMs": 1, "maxMs": 1, "factor": 1, "jitter": 0 },
    });
    let all = config.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    config
}

/// An account whose first event was taken.
async fn started(server: &Server, more: Value) -> Host {
    let host = Host::new();
    host.start(config(server, more)).await.unwrap();
    link(&host, Link::Connecting).await;
    host
}

/// An account that is connected, and the server's side of it.
async fn connected(server: &Server, more: Value) -> (Host, Client) {
    let host = started(server, more).await;
    let client = server.welcome().await;
    link(&host, Link::Connected).await;
    (host, client)
}

/// Takes events until the connection is in this state.
async fn link(host: &Host, wanted: Link) -> ConnectionState {
    loop {
        match host.event().await {
            Event::Connection(state) if state.state == wanted => return state,
            _ => {}
        }
    }
}

/// Takes events until a message comes.
async fn message(host: &Host) -> InboundMessage {
    loop {
        if let Event::Message(message) = host.event().await {
            return message;
        }
    }
}

async fn send(host: &Host, to: &str, text: &str) -> Res<SendReceipt> {
    let message = OutboundMessage {
        to: to.to_owned(),
        text: text.to_owned(),
        ..OutboundMessage::default()
    };
    match host.request(Op::Send(message), Media::new()).await? {
        OpResult::Sent(receipt) => Ok(receipt),
        other => panic!("{other:?}"),
    }
}
