//! The SDK's conformance checks against a provider of our own, and what this surface alone
//! promises.

#[path = "../examples/provider.rs"]
mod provider;

use gateway_plugin::conformance::Setup;
use gateway_plugin::prelude::*;
use gateway_plugin::testkit::MockHost;
use provider::{Provider, TOKEN};
use serde_json::json;

use my_surface::MySurface;

async fn provider() -> (Provider, Value) {
    let provider = Provider::start("127.0.0.1:0").await.expect("a free port");
    let config = json!({ "server": provider.address(), "token": TOKEN, "retryMs": 1 });
    (provider, config)
}

// A test for each thing every surface must do; each has a provider of its own.
gateway_plugin::conformance!(MySurface, {
    let (provider, config) = provider().await;
    Setup::new(config, "ann").inbound(move |text| {
        provider.write("ann", &text);
        std::future::ready(())
    })
});

/// Takes events until a message comes.
async fn message(host: &MockHost<MySurface>) -> InboundMessage {
    loop {
        if let Event::Message(message) = host.event().await {
            return message;
        }
    }
}

#[tokio::test]
async fn messages_go_both_ways_and_none_is_seen_twice() {
    let (provider, config) = provider().await;
    let host = MockHost::<MySurface>::new();
    host.start(config.clone()).await.expect("it starts");
    provider.write("ann", "hi");
    let hi = message(&host).await;
    assert_eq!((hi.chat.id.as_str(), hi.text.as_str()), ("ann", "hi"));

    let answer = Op::Send(OutboundMessage {
        to: hi.chat.id,
        text: "hello".to_owned(),
        ..OutboundMessage::default()
    });
    let sent = host.request(answer, Media::new()).await;
    sent.expect("it is sent");
    assert_eq!(provider.sent(), [json!({ "chat": "ann", "text": "hello" })]);
    // The position is stored after the event: wait for it before the end.
    while host.kv().get("position").is_none_or(|p| p != "1") {
        tokio::task::yield_now().await;
    }
    host.stop().await;

    provider.write("ann", "again");
    let later = MockHost::<MySurface>::with_kv(host.kv());
    later.start(config).await.expect("it starts");
    assert_eq!(message(&later).await.text, "again");
}

#[tokio::test]
async fn a_wrong_token_is_told_to_the_operator() {
    let (_provider, mut config) = provider().await;
    config["token"] = json!("wrong");
    let host = MockHost::<MySurface>::new();
    host.start(config).await.expect("it starts");
    let Event::Connection(state) = host.event().await else {
        panic!("no connection state")
    };
    assert!(state.detail.expect("a reason").contains("401"));
}
