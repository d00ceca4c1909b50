//! The SDK's conformance checks, and what this surface alone promises.

use gateway_plugin::conformance::Setup;
use gateway_plugin::prelude::*;
use gateway_plugin::testkit::MockHost;
use gateway_plugin::tokio;
use serde_json::json;

use my_surface::MySurface;

// One line: a test for each thing every surface must do.
gateway_plugin::conformance!(MySurface, {
    let config = json!({});
    Setup::new(config, "echo:ann")
});

fn message(to: &str, text: &str) -> Op {
    Op::Send(OutboundMessage {
        to: to.to_owned(),
        text: text.to_owned(),
        ..OutboundMessage::default()
    })
}

#[tokio::test]
async fn what_is_sent_comes_back() {
    let host = MockHost::<MySurface>::new();
    host.start(json!({ "greeting": "I heard " }))
        .await
        .expect("it starts");
    assert!(matches!(host.event().await, Event::Connection(_)));
    let (sent, back) = tokio::join!(
        host.request(message("echo:ann", "hi"), Media::new()),
        host.event(),
    );
    sent.expect("it is sent");
    let Event::Message(back) = back else {
        panic!("no message came back")
    };
    assert_eq!(
        (back.chat.id.as_str(), back.text.as_str()),
        ("ann", "I heard hi")
    );
    host.stop().await;
}
