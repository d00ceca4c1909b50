//! From Telegram to the host: start, offsets, trouble.

use std::collections::BTreeMap;

use gateway_plugin::message::{ErrorKind, Event, Link, Media, Op, OpResult};
use serde_json::{Value, json};
use support::bot_api::Fault;

use crate::world::{ANN, LOG, SECRET, World, handed_over, link, message, send, text};

fn methods(world: &World) -> Vec<String> {
    world
        .bot
        .calls(None)
        .into_iter()
        .map(|call| call.method)
        .collect()
}

fn offset(kv: &BTreeMap<String, Media>) -> Value {
    kv.get("update-offset")
        .map_or(Value::Null, |value| serde_json::from_slice(value).unwrap())
}

#[tokio::test]
async fn the_start_introduces_the_bot_and_polls() {
    let world = World::new().await;
    let host = world.started(BTreeMap::new(), json!({})).await;
    let Event::Connection(first) = host.event().await else {
        panic!()
    };
    assert_eq!(first.state, Link::Connecting);
    let Event::Account(account) = host.event().await else {
        panic!()
    };
    assert_eq!(
        (account.me.id.as_str(), account.me.handle.as_deref()),
        ("7", Some("seven_bot"))
    );
    link(&host, Link::Connected).await;
    let polls = world.bot.wait_calls("getUpdates", 2).await;
    assert_eq!(
        methods(&world),
        ["getMe", "getWebhookInfo", "getUpdates", "getUpdates"]
    );
    assert_eq!(
        (&polls[0].body["timeout"], &polls[1].body["timeout"]),
        (&json!(0), &json!(50))
    );
    assert!(polls[1].body.get("offset").is_none());
    host.stop().await;
}

#[tokio::test]
async fn a_webhook_is_removed_and_nothing_waiting_is_dropped() {
    let world = World::new().await;
    world
        .bot
        .with(|bot| bot.webhook = "https://example.org/hook".into());
    world.bot.push_text(ANN, ANN, "early");
    let host = world.started(BTreeMap::new(), json!({})).await;
    assert_eq!(message(&host).await.text, "early");
    let removed = world.bot.calls(Some("deleteWebhook"));
    assert_eq!(removed[0].body, json!({ "drop_pending_updates": false }));
}

#[tokio::test]
async fn messages_arrive_in_order_with_all_that_is_known() {
    let world = World::new().await;
    let host = world.connected().await;
    world.bot.push_text(ANN, ANN, "one");
    world.bot.push_text(-100, ANN, "@Seven_bot two");
    world.bot.push_message(
        -100,
        8,
        json!({ "text": "x", "from": { "id": 8, "is_bot": true } }),
    );
    world.bot.push_message(-100, ANN, json!({ "photo": [{}] }));
    let (one, two, three) = (
        message(&host).await,
        message(&host).await,
        message(&host).await,
    );
    assert_eq!((one.text.as_str(), one.chat.id.as_str()), ("one", "42"));
    assert_eq!((one.sender.id.as_str(), one.mentions_me), ("42", false));
    assert_eq!((two.chat.id.as_str(), two.mentions_me), ("-100", true));
    assert_eq!(three.text, "<media:image>");
    world.bot.wait_confirmed().await;
}

#[tokio::test]
async fn nothing_is_confirmed_before_the_host_has_it() {
    let world = World::new().await;
    let host = world.connected().await;
    let update = world.bot.push_text(ANN, ANN, "precious");
    handed_over(&host, 1).await;
    // The plugin has handed it over, the host has not said that it is on disk.
    let polls = world.bot.wait_calls("getUpdates", 2).await;
    assert!(polls.iter().all(|poll| poll.body.get("offset").is_none()));
    host.stop().await;
    assert_eq!(offset(&host.kv()), Value::Null);

    // After a restart it comes again; once taken, it is stored and confirmed.
    let again = world.started(host.kv(), json!({})).await;
    assert_eq!(message(&again).await.text, "precious");
    world.bot.wait_confirmed().await;
    let stored = json!({ "version": 2, "lastUpdateId": update, "botId": 7 });
    assert_eq!(offset(&again.kv()), stored);
    again.stop().await;

    // And it does not come a third time, even if Telegram never heard the confirmation.
    let lost = json!({ "update_id": update, "message": {
        "message_id": 1, "date": 1, "text": "precious",
        "from": { "id": ANN }, "chat": { "id": ANN, "type": "private" } } });
    world.bot.with(|bot| bot.put_again(update, lost));
    world.bot.push_text(ANN, ANN, "next");
    let third = world.started(again.kv(), json!({})).await;
    assert_eq!(message(&third).await.text, "next");
}

#[tokio::test]
async fn another_bots_offset_is_not_used() {
    let world = World::new().await;
    world.bot.push_text(ANN, ANN, "hello");
    let stored = json!({ "version": 2, "lastUpdateId": 9_999_999, "botId": 8 });
    let kv = BTreeMap::from([(
        "update-offset".to_owned(),
        stored.to_string().into_bytes().into(),
    )]);
    let host = world.started(kv, json!({})).await;
    assert_eq!(message(&host).await.text, "hello");
}

#[tokio::test]
async fn what_the_host_refuses_is_offered_again() {
    let world = World::new().await;
    let host = world.connected().await;
    world.bot.push_text(ANN, ANN, "one");
    world.bot.push_text(ANN, ANN, "two");
    assert!(matches!(host.refuse_event().await, Event::Message(refused) if refused.text == "one"));
    let trouble = link(&host, Link::Degraded).await;
    assert_eq!(trouble.reconnect_attempt, Some(1));
    assert_eq!(message(&host).await.text, "one");
    assert_eq!(message(&host).await.text, "two");
    world.bot.wait_confirmed().await;
}

#[tokio::test]
async fn another_poller_is_named_and_outlived() {
    let world = World::new().await;
    let host = world.connected().await;
    world.bot.wait_calls("getUpdates", 2).await;
    // Another program begins to poll: ours is the older one and loses.
    world.bot.with(|bot| bot.poll += 1);
    let trouble = link(&host, Link::Degraded).await;
    assert_eq!(
        (trouble.status_code, trouble.reconnect_attempt),
        (Some(409), Some(1))
    );
    assert!(trouble.detail.unwrap().contains("another program polls"));
    // Connected again only after a whole poll went well.
    let polls = world.bot.wait_calls("getUpdates", 3).await;
    assert_eq!(polls[2].body["timeout"], 50);
    world.bot.push_text(ANN, ANN, "still here");
    link(&host, Link::Connected).await;
    assert_eq!(message(&host).await.text, "still here");
}

#[tokio::test]
async fn a_refused_token_ends_polling_and_says_what_to_do() {
    let world = World::new().await;
    world.bot.with(|bot| bot.revoked = true);
    let host = world.started(BTreeMap::new(), json!({})).await;
    let state = link(&host, Link::LoggedOut).await;
    assert_eq!(
        (state.status_code, state.logged_out),
        (Some(401), Some(true))
    );
    assert!(state.detail.unwrap().contains("@BotFather"));
    let error = send(&host, text("42", "x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(methods(&world), ["getMe", "sendMessage"]);
    assert_eq!(host.waiting(), 0);
}

#[tokio::test]
async fn bad_answers_and_lost_connections_are_outlived() {
    for fault in [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Malformed,
        Fault::internal(),
        Fault::too_many(0),
        Fault::answer(
            409,
            "Conflict: can't use getUpdates method while webhook is active",
        ),
    ] {
        for method in ["getMe", "getWebhookInfo", "getUpdates"] {
            let world = World::new().await;
            world.bot.fault(method, &fault, 2);
            world.bot.push_text(ANN, ANN, "through");
            let host = world.started(BTreeMap::new(), json!({})).await;
            assert_eq!(message(&host).await.text, "through", "{method} {fault:?}");
            world.bot.wait_confirmed().await;
            host.stop().await;
        }
    }
}

#[tokio::test]
async fn it_comes_back_when_telegram_does() {
    let mut world = World::new().await;
    let host = world.connected().await;
    world.bot.wait_calls("getUpdates", 2).await;
    world.api.go_down().await;
    let state = loop {
        let state = link(&host, Link::Connecting).await;
        if state.reconnect_attempt > Some(2) {
            break state;
        }
    };
    assert!(state.detail.unwrap().contains("telegram cannot be reached"));
    world.bot.push_text(ANN, ANN, "meanwhile");
    world.api.come_back().await;
    link(&host, Link::Connected).await;
    assert_eq!(message(&host).await.text, "meanwhile");
}

#[tokio::test]
async fn an_update_that_cannot_be_read_does_not_hold_up_the_next() {
    let world = World::new().await;
    let host = world.connected().await;
    world
        .bot
        .push_update("message", json!({ "message_id": "not a number" }));
    world.bot.push_text(ANN, ANN, "fine");
    assert_eq!(message(&host).await.text, "fine");
    world.bot.wait_confirmed().await;
}

#[tokio::test]
async fn the_probe_tells_who_the_bot_is_or_what_is_wrong() {
    let world = World::new().await;
    let host = world.connected().await;
    let probe = || host.request(Op::Probe, Media::new());
    let OpResult::Probe(good) = probe().await.unwrap() else {
        panic!()
    };
    assert!(good.ok && good.me.unwrap().handle.as_deref() == Some("seven_bot"));
    world.bot.with(|bot| bot.revoked = true);
    let OpResult::Probe(bad) = probe().await.unwrap() else {
        panic!()
    };
    assert!(!bad.ok && bad.error.unwrap().contains("401"));
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_at_start() {
    let world = World::new().await;
    let refused = async |extra: Value| {
        let host = gateway_plugin::testkit::MockHost::<gateway_plugin_telegram::Telegram>::new();
        host.start(world.config(extra)).await.unwrap_err()
    };
    for extra in [
        json!({ "botToken": "" }),
        json!({ "botToken": "x" }),
        json!({ "apiRoot": "x" }),
    ] {
        assert_eq!(refused(extra).await.kind, ErrorKind::Config);
    }
    assert!(world.bot.calls(None).is_empty());
}

#[tokio::test]
async fn the_token_is_in_no_event_error_or_log_line() {
    let mut world = World::new().await;
    let host = world.connected().await;
    let mut seen = String::new();
    world.bot.fault("sendMessage", &Fault::CutBefore, 1);
    world.bot.fault("sendMessage", &Fault::Malformed, 1);
    let echo = format!("Bad Request: /bot7:{SECRET}/sendMessage is odd");
    world
        .bot
        .fault("sendMessage", &Fault::answer(400, &echo), 1);
    for _ in 0..3 {
        seen += &format!("{:?}", send(&host, text("42", "x")).await.unwrap_err());
    }
    world.bot.wait_calls("getUpdates", 2).await;
    world.api.go_down().await;
    seen += &format!("{:?}", send(&host, text("42", "x")).await.unwrap_err());
    seen += &format!("{:?}", link(&host, Link::Connecting).await);
    seen += &format!("{:?}", host.request(Op::Probe, Media::new()).await);
    assert!(!seen.contains(SECRET), "{seen}");
    let log = LOG.text();
    assert!(log.contains("polling failed"), "the log was not caught");
    let line = log.lines().find(|line| line.contains(SECRET));
    assert_eq!(line, None);
}
