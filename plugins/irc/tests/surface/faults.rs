//! Servers on a bad day.

use gateway_plugin::message::{ErrorKind, Event, Link};
use serde_json::json;

use super::{Host, SECRET, config, connected, link, message, send, started};
use crate::server::Server;

#[tokio::test]
async fn what_only_a_person_can_mend_stops_the_account_and_shows_no_secret() {
    let more = json!({ "password": SECRET, "sasl": { "password": SECRET } });
    for (line, word) in [
        (
            ":srv 464 * :Password incorrect",
            "does not accept the password",
        ),
        (
            "ERROR :Access denied: Bad password?",
            "does not accept the password",
        ),
        (
            ":srv 904 * :SASL authentication failed",
            "sasl account or password",
        ),
        (":srv 465 * :K-lined", "banned"),
        (":srv 432 * claw :Erroneous Nickname", "nick \"claw\""),
    ] {
        let server = Server::start().await;
        let host = started(&server, more.clone()).await;
        let mut client = server.accept().await;
        assert_eq!(client.line().await, format!("PASS :{SECRET}"));
        client.register().await;
        client.send(line).await;
        let state = link(&host, Link::LoggedOut).await;
        let detail = state.detail.unwrap();
        assert!(
            detail.contains(word) && !detail.contains(SECRET),
            "{detail}"
        );
        assert_eq!(state.logged_out, Some(true));
        let error = send(&host, "#c", "hi").await.unwrap_err();
        assert!(
            error.kind == ErrorKind::NotConnected && error.message.contains(word),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_at_the_start() {
    let server = Server::start().await;
    let error = Host::new()
        .start(config(&server, json!({ "nick": "1x" })))
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Config && error.message.contains("nick"),
        "{error}"
    );
}

#[tokio::test]
async fn nicks_that_are_all_taken_do_not_make_a_loop() {
    let server = Server::start().await;
    let host = started(&server, json!({})).await;
    let mut client = server.accept().await;
    client.register().await;
    let mut tried = 0;
    client
        .send(":srv 433 * claw :Nickname is already in use")
        .await;
    while let Some(line) = client.next().await {
        assert!(line.starts_with("NICK "), "{line}");
        tried += 1;
        client
            .send(":srv 433 * x :Nickname is already in use")
            .await;
    }
    assert!((3..10).contains(&tried), "{tried}");
    let state = link(&host, Link::Connecting).await;
    assert_eq!(state.reconnect_attempt, Some(1));
    server.welcome().await;
    link(&host, Link::Connected).await;
}

#[tokio::test]
async fn a_connection_that_ends_inside_a_line_is_made_anew() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({ "channels": ["#bench"] })).await;
    client.until("JOIN").await;
    client.bytes(b":ann!a@h PRIVMSG claw :half a li").await;
    client.close().await;
    let state = link(&host, Link::Connecting).await;
    assert!(state.detail.unwrap().contains("closed the connection"));
    let mut again = server.welcome().await;
    assert_eq!(again.line().await, "JOIN #bench");
    link(&host, Link::Connected).await;
    again.send(":ann!a@h PRIVMSG claw :whole").await;
    assert_eq!(message(&host).await.text, "whole");
}

#[tokio::test]
async fn being_thrown_out_for_flooding_says_what_is_certain() {
    let server = Server::start().await;
    let (host, mut client) = connected(
        &server,
        json!({ "chunkMode": "newline", "timeoutSeconds": 1 }),
    )
    .await;
    client.answers = false;
    let thrown_out = async {
        client.until("PRIVMSG #c").await;
        client
            .send("ERROR :Closing Link: claw (Excess Flood)")
            .await;
        client.close().await;
    };
    let (sent, ()) = tokio::join!(send(&host, "#c", "one\ntwo\nthree"), thrown_out);
    let error = sent.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.message.contains("may have arrived"), "{error}");
    let state = link(&host, Link::Connecting).await;
    assert!(state.detail.unwrap().contains("Excess Flood"));
    let error = send(&host, "#c", "too early").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotConnected, "{error}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({ "pingSeconds": 1 })).await;
    client.answers = false;
    assert!(client.line().await.starts_with("PING gw-"));
    let state = link(&host, Link::Connecting).await;
    assert!(state.detail.unwrap().contains("does not answer any more"));
    server.welcome().await;
    link(&host, Link::Connected).await;
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_left() {
    let server = Server::start().await;
    let host = started(&server, json!({ "timeoutSeconds": 1 })).await;
    let _silent = server.accept_raw().await;
    let state = link(&host, Link::Connecting).await;
    assert!(state.detail.unwrap().contains("did not let us in"));
}

#[tokio::test]
async fn what_is_sent_while_it_connects_goes_out_once_it_has() {
    let server = Server::start().await;
    let host = started(&server, json!({})).await;
    let (sent, ()) = tokio::join!(send(&host, "ann", "early"), async {
        let mut client = server.welcome().await;
        assert_eq!(client.line().await, "PRIVMSG ann early");
        client.settle().await;
    });
    sent.unwrap();
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::start().await;
    let port = server.port();
    drop(server);
    let host = Host::new();
    let config = json!({
        "host": "127.0.0.1", "port": port, "tls": false, "nick": "claw",
        "reconnect": { "initialMs": 1, "maxMs": 1 },
    });
    host.start(config).await.unwrap();
    link(&host, Link::Connecting).await;
    for attempt in 1..4 {
        let state = link(&host, Link::Connecting).await;
        assert_eq!(state.reconnect_attempt, Some(attempt));
        assert!(state.detail.unwrap().contains("cannot be reached"));
    }
}

#[tokio::test]
async fn garbage_is_left_out() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({ "channels": ["#c"] })).await;
    let mut seed: u32 = 11;
    let words = [
        "PRIVMSG", "JOIN", "KICK", "NICK", "005", "401", "PONG", "353", ":", "@", "claw", "#c",
    ];
    for _ in 0..2_000 {
        let mut line = String::new();
        for _ in 0..6 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            line.push_str(words[(seed >> 16) as usize % words.len()]);
            line.push_str(if seed & 0x1000 == 0 { " " } else { "\u{1}!é" });
        }
        client.send(&line).await;
    }
    client.bytes(b"\0\xff\xfe\r\r\n\n :\r\n").await;
    client.bytes(&[b'x'; 40_000]).await;
    client.bytes(b"\r\n").await;
    client.send(":ann!a@h PRIVMSG #c :through").await;
    loop {
        if let Event::Message(message) = host.event().await
            && message.text == "through"
        {
            break;
        }
    }
    host.stop().await;
}

/// The gateway takes nothing for a while; the server is answered all the same, and nothing is
/// lost when it takes again.
#[tokio::test]
async fn a_slow_gateway_does_not_cost_the_connection() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({})).await;
    for n in 0..200 {
        client.send(&format!(":ann!a@h PRIVMSG claw :m{n}")).await;
    }
    client.settle().await;
    host.refuse_event().await;
    for n in 0..200 {
        assert_eq!(message(&host).await.text, format!("m{n}"));
    }
}
