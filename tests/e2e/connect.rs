//! The handshake: what is let in, what is refused, and how the connection ends.

use support::{Gateway, Login};

#[tokio::test]
async fn an_operator_on_the_same_machine_is_let_in() {
    let gateway = Gateway::start().await;
    let client = gateway.connect(&Login::fresh()).await;
    assert_eq!(client.hello["type"], "hello-ok");
    assert_eq!(client.hello["protocol"], 3);
}
