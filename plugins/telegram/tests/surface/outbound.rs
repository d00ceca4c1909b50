//! From the host to Telegram: texts, refusals, uncertainty.

use gateway_plugin::message::{Edit, ErrorKind, Media, Op, OutboundMessage, TextFormat};
use serde_json::json;
use support::bot_api::Fault;

use crate::world::{ANN, World, send, text};

#[tokio::test]
async fn markdown_goes_out_as_html() {
    let world = World::new().await;
    let host = world.connected().await;
    let receipt = send(&host, text("42", "a **b**")).await.unwrap();
    let calls = world.bot.calls(Some("sendMessage"));
    let wanted = json!({ "chat_id": "42", "text": "a <b>b</b>", "parse_mode": "HTML" });
    assert_eq!(calls[0].body, wanted);
    assert_eq!(world.bot.texts(ANN), ["a b"]);
    assert_eq!(
        (receipt.chat.as_deref(), &receipt.native["chatId"]),
        (Some("42"), &json!("42"))
    );
    assert!(receipt.at_ms > 0 && receipt.message_id.parse::<i64>().is_ok());

    let plain = OutboundMessage {
        format: TextFormat::Plain,
        ..text("42", "a **b** <")
    };
    send(&host, plain).await.unwrap();
    assert_eq!(world.bot.texts(ANN)[1], "a **b** <");
    assert!(
        world.bot.calls(Some("sendMessage"))[1]
            .body
            .get("parse_mode")
            .is_none()
    );
}

#[tokio::test]
async fn refused_markup_goes_out_plain() {
    let world = World::new().await;
    let host = world.connected().await;
    let refusal = "Bad Request: can't parse entities: Unsupported start tag \"b\"";
    world
        .bot
        .fault("sendMessage", &Fault::answer(400, refusal), 1);
    send(&host, text("42", "a **b** < c")).await.unwrap();
    assert_eq!(world.bot.texts(ANN), ["a b < c"]);
    let calls = world.bot.calls(Some("sendMessage"));
    assert_eq!(calls[1].body, json!({ "chat_id": "42", "text": "a b < c" }));
}

#[tokio::test]
async fn long_texts_become_parts_that_telegram_takes() {
    let world = World::new().await;
    let host = world.connected().await;
    let first = world
        .bot
        .push_message(ANN, ANN, json!({ "text": "question" }));
    assert!(first > 0);
    let code = format!("intro\n```\n{}```", "😀 < line of code\n".repeat(700));
    let message = OutboundMessage {
        reply_to: Some("1".into()),
        ..text("42", &code)
    };
    let receipt = send(&host, message).await.unwrap();
    let calls = world.bot.calls(Some("sendMessage"));
    assert!(calls.len() > 2);
    for call in &calls {
        let html = call.body["text"].as_str().unwrap();
        assert_eq!(
            html.matches("<pre>").count(),
            html.matches("</pre>").count()
        );
    }
    assert!(
        world
            .bot
            .texts(ANN)
            .iter()
            .all(|text| text.encode_utf16().count() <= 4000)
    );
    assert_eq!(calls[0].body["reply_parameters"]["message_id"], 1);
    assert!(calls[1].body.get("reply_parameters").is_none());
    let ids = receipt.native["messageIds"].as_array().unwrap();
    assert_eq!(
        (ids.len(), ids.last().unwrap()),
        (calls.len(), &json!(receipt.message_id))
    );
}

#[tokio::test]
async fn a_failure_after_some_parts_says_so_and_cannot_be_repeated() {
    let world = World::new().await;
    let host = world.connected().await;
    world.bot.fault("sendMessage", &Fault::Pass, 1);
    world.bot.fault("sendMessage", &Fault::too_many(3600), 1);
    let error = send(&host, text("42", &"word ".repeat(2000)))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("part 2 of 3 was not sent"),
        "{error}"
    );
    assert!(!error.retryable() && error.kind == ErrorKind::Other);
    assert_eq!(world.bot.texts(ANN).len(), 1);
}

#[tokio::test]
async fn a_request_to_wait_is_obeyed_or_handed_on() {
    let world = World::new().await;
    let host = world.connected().await;
    world.bot.fault("sendMessage", &Fault::too_many(0), 2);
    send(&host, text("42", "patient")).await.unwrap();
    assert_eq!(world.bot.calls(Some("sendMessage")).len(), 3);
    world.bot.fault("sendMessage", &Fault::too_many(3600), 1);
    let error = send(&host, text("42", "impatient")).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry_after_ms),
        (ErrorKind::RateLimited, Some(3_600_000))
    );
    assert_eq!(world.bot.texts(ANN), ["patient"]);
}

#[tokio::test]
async fn what_is_uncertain_is_never_sent_twice() {
    for (fault, arrived) in [
        (Fault::CutBefore, 0),
        (Fault::CutAfter, 1),
        (Fault::Malformed, 1),
        (Fault::internal(), 0),
    ] {
        let world = World::new().await;
        let host = world.connected().await;
        world.bot.fault("sendMessage", &fault, 1);
        let error = send(&host, text("42", "once")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{fault:?}");
        assert!(error.message.contains("may have happened"), "{error}");
        assert_eq!(world.bot.calls(Some("sendMessage")).len(), 1);
        assert_eq!(world.bot.texts(ANN).len(), arrived);
    }
}

#[tokio::test]
async fn a_server_that_was_not_reached_is_certain() {
    let mut world = World::new().await;
    let host = world.connected().await;
    world.bot.wait_calls("getUpdates", 2).await;
    world.api.go_down().await;
    let error = send(&host, text("42", "x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotConnected);
    world.api.come_back().await;
    send(&host, text("42", "y")).await.unwrap();
    assert_eq!(world.bot.texts(ANN), ["y"]);
}

#[tokio::test]
async fn topics_are_named_where_telegram_wants_it() {
    let world = World::new().await;
    let host = world.connected().await;
    world.bot.with(|bot| bot.chat_or_new(-100).topics.insert(7));
    send(&host, text("-100:topic:7", "in seven")).await.unwrap();
    send(&host, text("-100:topic:1", "in general"))
        .await
        .unwrap();
    let gone = OutboundMessage {
        thread_id: Some("9".into()),
        ..text("-100", "to the chat")
    };
    send(&host, gone).await.unwrap();
    let calls = world.bot.calls(Some("sendMessage"));
    let threads: Vec<_> = calls
        .iter()
        .map(|call| call.body.get("message_thread_id"))
        .collect();
    assert_eq!(threads, [Some(&json!(7)), None, Some(&json!(9)), None]);
    assert_eq!(world.bot.texts(-100).len(), 3);

    for thread in ["1", "7"] {
        let op = Op::Typing {
            chat: "-100".into(),
            thread_id: Some(thread.into()),
            on: true,
        };
        host.request(op, Media::new()).await.unwrap();
    }
    let off = Op::Typing {
        chat: "-100".into(),
        thread_id: None,
        on: false,
    };
    host.request(off, Media::new()).await.unwrap();
    let typing = |thread| (-100, Some(thread), "typing".to_owned());
    assert_eq!(
        world.bot.with(|bot| bot.actions.clone()),
        [typing(1), typing(7)]
    );
}

#[tokio::test]
async fn names_are_resolved_and_moved_groups_followed() {
    let world = World::new().await;
    let host = world.connected().await;
    let news = json!({ "id": -1005, "type": "channel", "title": "News", "username": "the_news" });
    world.bot.with(|bot| bot.put_chat(news));
    let receipt = send(&host, text("t.me/the_news", "hello")).await.unwrap();
    assert_eq!(receipt.chat.as_deref(), Some("-1005"));
    let error = send(&host, text("@nobody_here", "hello"))
        .await
        .unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.message.contains("@nobody_here"));

    world.bot.open_chat(-200);
    let moved = Fault::Answer {
        code: 400,
        description: "Bad Request: group chat was upgraded to a supergroup chat".into(),
        parameters: Some(json!({ "migrate_to_chat_id": -200 })),
    };
    world.bot.fault("sendMessage", &moved, 1);
    assert_eq!(
        send(&host, text("-5", "hi")).await.unwrap().chat.as_deref(),
        Some("-200")
    );
}

#[tokio::test]
async fn refusals_explain_themselves() {
    let world = World::new().await;
    let host = world.connected().await;
    let mut kinds = Vec::new();
    for (to, body) in [("9", "x"), ("42", " \n"), ("no chat", "x")] {
        kinds.push(send(&host, text(to, body)).await.unwrap_err().kind);
    }
    assert_eq!(
        kinds,
        [
            ErrorKind::NotFound,
            ErrorKind::InvalidRequest,
            ErrorKind::InvalidRequest
        ]
    );
    let blocked = Fault::answer(403, "Forbidden: bot was blocked by the user");
    world.bot.fault("sendMessage", &blocked, 1);
    let error = send(&host, text("42", "x")).await.unwrap_err();
    assert_eq!(
        (error.kind, error.provider_code.as_deref()),
        (ErrorKind::Forbidden, Some("403"))
    );
}

#[tokio::test]
async fn edits_change_a_sent_message_and_may_be_repeated() {
    let world = World::new().await;
    let host = world.connected().await;
    let sent = send(&host, text("42", "one")).await.unwrap();
    let edit = |text: &str| {
        let edit = Edit {
            chat: "42".into(),
            message_id: sent.message_id.clone(),
            text: text.into(),
            format: TextFormat::Markdown,
        };
        host.request(Op::Edit(edit), Media::new())
    };
    world.bot.fault("editMessageText", &Fault::CutAfter, 1);
    edit("**two**").await.unwrap();
    assert_eq!(world.bot.texts(ANN), ["two"]);
    edit("**two**").await.unwrap();
    let error = edit(&"long ".repeat(2000)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
}
