//! What works: in, out, channels, nick, services.

use gateway_plugin::message::{ChatKind, ErrorKind, Event, Link, Media, Op, OpResult};
use serde_json::json;

use super::{SECRET, connected, link, message, send, started};
use crate::server::Server;

#[tokio::test]
async fn messages_go_in_and_out() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({ "channels": ["#bench"] })).await;
    assert_eq!(client.line().await, "JOIN #bench");
    client.send(":claw!~claw@host JOIN #bench").await;
    client
        .send("@msgid=m1 :ann!a@h PRIVMSG #Bench :claw: hello")
        .await;
    let said = message(&host).await;
    assert_eq!((said.id.as_str(), said.chat.id.as_str()), ("m1", "#bench"));
    assert_eq!((said.chat.kind, said.mentions_me), (ChatKind::Group, true));

    // The proof is asked for behind the message.
    let (receipt, ()) = tokio::join!(send(&host, &said.chat.id, "hi\nann"), async {
        assert_eq!(client.line().await, "PRIVMSG #bench :hi ann");
        client.settle().await;
    });
    let receipt = receipt.unwrap();
    assert_eq!(receipt.chat.as_deref(), Some("#bench"));
    assert!(!receipt.message_id.is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_ping_is_answered_and_a_notice_is_not() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({})).await;
    client.send(":ann!a@h NOTICE claw :do you hear me?").await;
    client
        .send(":ann!a@h PRIVMSG claw :\u{1}VERSION\u{1}")
        .await;
    client.send("PING :are you there").await;
    assert_eq!(client.line().await, "PONG :are you there");
    client
        .send(":ann!a@h PRIVMSG claw :\u{1}ACTION waves\u{1}")
        .await;
    let said = message(&host).await;
    assert_eq!(
        (said.text.as_str(), said.chat.id.as_str()),
        ("* ann waves", "ann")
    );
    host.stop().await;
    assert_eq!(client.line().await, "QUIT :until later");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn refusals_of_the_server_are_refusals_of_the_send() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({})).await;
    for (number, kind) in [("401", ErrorKind::NotFound), ("404", ErrorKind::Forbidden)] {
        let answer = async {
            client.until("PRIVMSG ").await;
            client
                .send(&format!(":srv {number} claw ghost :No such thing"))
                .await;
            client.settle().await;
        };
        let (sent, ()) = tokio::join!(send(&host, "ghost", "hi"), answer);
        let error = sent.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains("No such thing"), "{error}");
    }
    let error = send(&host, "a,b", "hi").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn long_texts_arrive_whole_through_the_servers_own_limit() {
    let server = Server::start().await;
    let (host, mut client) = connected(&server, json!({ "textChunkLimit": 450 })).await;
    let mask = format!("claw!~claw@{}", "h".repeat(60));
    client.send(&format!(":{mask} JOIN #somewhere")).await;
    client
        .send(":ann!a@h PRIVMSG claw :the line above was read")
        .await;
    message(&host).await;
    let text = "größer 😀 ".repeat(150);
    let (sent, got) = tokio::join!(send(&host, "#bench", &text), async {
        let mut got: Vec<String> = Vec::new();
        while got.concat().len() + got.len() < text.trim().len() {
            let line = client.line().await;
            let relayed = format!(":{mask} {line}\r\n");
            assert!(relayed.len() <= 512, "{}", relayed.len());
            got.push(line.strip_prefix("PRIVMSG #bench :").unwrap().to_owned());
        }
        client.settle().await;
        got
    });
    let receipt = sent.unwrap();
    assert_eq!(receipt.native["lines"], got.len());
    assert_eq!(got.join(" "), text.trim());
}

#[tokio::test]
async fn a_taken_nick_is_followed_by_another_and_taken_back() {
    let server = Server::start().await;
    let more = json!({ "nickserv": { "password": SECRET } });
    let host = started(&server, more).await;
    let mut client = server.accept().await;
    assert_eq!(client.register().await, "claw");
    client
        .send(":srv 433 * claw :Nickname is already in use")
        .await;
    assert_eq!(client.line().await, "NICK claw_");
    client.let_in("claw_").await;
    assert_eq!(
        client.line().await,
        format!("PRIVMSG NickServ :IDENTIFY claw {SECRET}")
    );
    let named = |event| match event {
        Event::Account(account) => account.me.id,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(host.event().await), "claw_");
    link(&host, Link::Connected).await;
    client.send(":claw!x@h QUIT :gone").await;
    assert_eq!(client.line().await, "NICK claw");
    client.send(":claw_!~claw@host NICK :claw").await;
    assert_eq!(named(host.event().await), "claw");
    let (probe, _) = tokio::join!(host.request(Op::Probe, Media::new()), async {
        client.settle().await
    });
    let Ok(OpResult::Probe(report)) = probe else {
        panic!("{probe:?}")
    };
    assert_eq!((report.ok, report.me.unwrap().id.as_str()), (true, "claw"));
}

#[tokio::test]
async fn a_nick_is_registered_once_in_the_accounts_life() {
    let server = Server::start().await;
    let nickserv = json!({ "password": SECRET, "register": true, "registerEmail": "a@b.org" });
    let (host, mut client) = connected(&server, json!({ "nickserv": nickserv })).await;
    assert_eq!(
        client.line().await,
        format!("PRIVMSG NickServ :REGISTER {SECRET} a@b.org")
    );
    client.close().await;
    let mut again = server.welcome().await;
    assert_eq!(
        again.line().await,
        format!("PRIVMSG NickServ :IDENTIFY {SECRET}")
    );
    host.stop().await;
}

#[tokio::test]
async fn channels_are_joined_again_and_what_is_wrong_is_said() {
    let server = Server::start().await;
    let more = json!({ "channels": ["#a", "#b"], "pingSeconds": 1 });
    let (host, mut client) = connected(&server, more).await;
    assert_eq!(client.line().await, "JOIN #a,#b");
    client.send(":claw!~claw@host JOIN #a").await;
    client
        .send(":srv 473 claw #b :Cannot join channel (+i)")
        .await;
    let state = link(&host, Link::Degraded).await;
    assert!(
        state
            .detail
            .unwrap()
            .contains("#b: Cannot join channel (+i) (it needs an invitation")
    );
    client.send(":ann!a@h INVITE claw #b").await;
    assert_eq!(client.line().await, "JOIN #b");
    client.send(":claw!~claw@host JOIN #b").await;
    link(&host, Link::Connected).await;
    client.send(":ann!a@h KICK #a claw :out").await;
    let state = link(&host, Link::Degraded).await;
    assert!(state.detail.unwrap().contains("ann put us out: out"));
    assert_eq!(client.line().await, "JOIN #a");
    client.send(":claw!~claw@host JOIN #a").await;
    link(&host, Link::Connected).await;
    // Nobody may lead us elsewhere.
    client.send(":ann!a@h INVITE claw #elsewhere").await;
    client.settle().await;
}

#[tokio::test]
async fn sasl_before_anybody_sees_us() {
    let server = Server::start().await;
    let more = json!({ "sasl": { "account": "jilles", "password": "sesame" } });
    let host = started(&server, more).await;
    let mut client = server.accept().await;
    assert_eq!(client.line().await, "CAP LS 302");
    client.register().await;
    client.send(":srv CAP * LS * :multi-prefix").await;
    client
        .send(":srv CAP * LS :server-time sasl=PLAIN,EXTERNAL")
        .await;
    assert_eq!(client.line().await, "CAP REQ :server-time sasl");
    client.send(":srv CAP * ACK :server-time sasl").await;
    assert_eq!(client.line().await, "AUTHENTICATE PLAIN");
    client.send("AUTHENTICATE +").await;
    assert_eq!(
        client.line().await,
        "AUTHENTICATE amlsbGVzAGppbGxlcwBzZXNhbWU="
    );
    client
        .send(":srv 903 claw :SASL authentication successful")
        .await;
    assert_eq!(client.line().await, "CAP END");
    client.let_in("claw").await;
    link(&host, Link::Connected).await;
}
