//! Upgrades under load: nothing lost, nothing twice, no client disturbed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use support::bot_api::{Bot, BotApi, Fault};
use support::{Client, Gateway, Setup, binaries};

use super::live::{build, listed, reload, sick_build, write};
use super::{faulty, to};

/// Connections that send, each at its own pace.
const SENDERS: usize = 4;
/// Between two messages of one connection: 200 a second in all.
const SPACING: Duration = Duration::from_millis(20);
/// Requests that one connection leaves unanswered: fewer than the gateway allows it. While an
/// upgrade takes longer than this many messages, its senders wait as any client would.
const IN_FLIGHT: usize = 48;
/// Good builds that follow each other.
const UPGRADES: usize = 10;
/// A private chat of the fake Telegram.
const CHAT: i64 = 42;

/// A gateway whose faulty plugin writes each text it takes to a file in the folder.
async fn with_ledger() -> (tempfile::TempDir, PathBuf, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let gateway = Setup::new()
        .plugin_files(&[("faulty", faulty())])
        .config("/channels/faulty", json!({ "ledger": ledger }))
        .start()
        .await;
    (folder, ledger, gateway)
}

/// Sends until told to stop; gives the texts whose answers all said delivered.
async fn send_on(gateway: &Gateway, sender: usize, stop: &tokio::sync::Notify) -> Vec<String> {
    let mut client = gateway.operator().await;
    let mut pace = tokio::time::interval(SPACING);
    let stopped = stop.notified();
    tokio::pin!(stopped);
    let (mut texts, mut asked) = (Vec::new(), VecDeque::new());
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            _ = pace.tick() => {}
        }
        let (number, text) = (texts.len(), format!("{sender}/{}", texts.len()));
        let params = json!({
            "channel": "faulty", "to": format!("chat {}", number % 8), "message": text,
            "idempotencyKey": text,
        });
        if asked.len() == IN_FLIGHT {
            delivered(&mut client, asked.pop_front()).await;
        }
        asked.push_back(client.request("send", params).await);
        texts.push(text);
    }
    // One socket for all of it: an answer for each request.
    while let Some(id) = asked.pop_front() {
        delivered(&mut client, Some(id)).await;
    }
    texts
}

async fn delivered(client: &mut Client, id: Option<String>) {
    let answer = client.response(&id.unwrap()).await;
    assert_eq!(answer["ok"], true, "{answer}");
}

/// Ten upgrades and a broken one, one after the other; gives how long each took.
async fn upgrade(gateway: &Gateway, builds: &[PathBuf], sick: &Path) -> Vec<Duration> {
    let mut client = gateway.operator().await;
    let mut took = Vec::new();
    for (number, build) in builds.iter().enumerate() {
        if number == UPGRADES / 2 {
            write(gateway, &[("faulty", sick, "")]);
            assert_eq!(reload(&mut client, "faulty").await["change"], "kept");
        }
        write(gateway, &[("faulty", build, "")]);
        let began = Instant::now();
        let change = reload(&mut client, "faulty").await;
        took.push(began.elapsed());
        assert_eq!(change, json!({ "name": "faulty", "change": "replaced" }));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let plugin = listed(&mut client, "faulty").await;
    assert_eq!(plugin["generation"], UPGRADES + 1, "{plugin}");
    assert_eq!(
        plugin["retired"],
        UPGRADES + 1,
        "the sick one too: {plugin}"
    );
    took
}

#[tokio::test]
async fn nothing_is_lost_or_sent_twice_while_builds_follow_each_other() {
    let (folder, ledger, gateway) = with_ledger().await;
    // Made before the clock runs: this thread is the senders' too.
    let builds: Vec<_> = (1..=UPGRADES)
        .map(|number| build(folder.path(), &faulty(), number))
        .collect();
    let sick = sick_build(folder.path());
    let stop = tokio::sync::Notify::new();
    let began = Instant::now();
    let work = async {
        let took = upgrade(&gateway, &builds, &sick).await;
        stop.notify_waiters();
        (took, began.elapsed())
    };
    let senders = (0..SENDERS).map(|sender| send_on(&gateway, sender, &stop));
    let (sent, (mut took, lasted)) = tokio::join!(futures_util::future::join_all(senders), work);
    let mut sent = sent.concat();
    let mut taken: Vec<String> = std::fs::read_to_string(&ledger)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    took.sort();
    #[allow(clippy::print_stdout, reason = "the numbers of the run")]
    {
        println!(
            "{} messages in {lasted:?}; upgrades took {:?} in the middle, {:?} at most",
            sent.len(),
            took[took.len() / 2],
            took[took.len() - 1]
        );
    }
    sent.sort();
    taken.sort();
    assert_eq!(sent, taken);
}

/// A send under way when the plugin is changed ends as it would have; what comes meanwhile waits.
#[tokio::test]
async fn a_send_in_flight_ends_before_its_plugin_goes() {
    let (folder, ledger, gateway) = with_ledger().await;
    let (mut client, mut admin) = (gateway.operator().await, gateway.operator().await);
    let slow = client.request("send", to("faulty", "wait:1500")).await;
    gateway.logged("asked to wait").await;
    write(
        &gateway,
        &[("faulty", &build(folder.path(), &faulty(), 1), "")],
    );
    let change = admin
        .request("plugins.reload", json!({ "name": "faulty" }))
        .await;
    gateway.logged("account drains").await;
    let status = client.ok("channels.status", json!({})).await;
    assert_eq!(status["channelAccounts"]["faulty"][0]["state"], "draining");
    let later = client.request("send", to("faulty", "later")).await;
    for id in [&slow, &later] {
        assert_eq!(client.response(id).await["ok"], true);
    }
    let change = admin.response(&change).await;
    assert_eq!(change["payload"]["changes"][0]["change"], "replaced");
    let lines = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(lines, "wait:1500\nlater\n");
}

/// Whoever waits for a plugin that goes is told at once; what nobody waits for, such as an answer,
/// stays in the outbox until the plugin is back.
#[tokio::test]
async fn the_outbox_is_kept_while_its_plugin_is_gone() {
    let api = BotApi::start().await;
    let (bot, setup) = telegram(&api);
    let gateway = setup
        .config("/channels/telegram/retry", json!({ "attempts": 1 }))
        .start()
        .await;
    bot.wait_calls("getUpdates", 1).await;
    let mut client = gateway.operator().await;
    bot.fault("sendMessage", &Fault::too_many(2), 1);
    bot.push_text(CHAT, 7, "question");
    bot.wait_calls("sendMessage", 1).await;
    write(&gateway, &[]);
    assert_eq!(reload(&mut client, "telegram").await["change"], "removed");
    let params = json!({
        "channel": "telegram", "to": "42", "message": "now", "idempotencyKey": "1",
    });
    let error = client.refused("send", params).await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("no plugin serves telegram"), "{error}");
    assert_eq!(bot.texts(CHAT), Vec::<String>::new());

    let library = binaries::library("gateway-plugin-telegram");
    write(&gateway, &[("telegram", &library, "")]);
    assert_eq!(reload(&mut client, "telegram").await["change"], "added");
    let sent = bot.wait_texts(CHAT, 1).await;
    assert!(sent[0].contains("question"), "{sent:?}");
    // A round trip later it was sent once all the same.
    bot.push_text(CHAT, 7, "the end");
    let sent = bot.wait_texts(CHAT, 2).await;
    assert!(sent[1].contains("the end"), "{sent:?}");
}

/// A bot with one chat, and a gateway that serves it.
fn telegram(api: &BotApi) -> (Bot, Setup) {
    let bot = api.add_bot("1001:secret", "house_bot");
    bot.open_chat(CHAT);
    let account = json!({
        "botToken": "1001:secret", "apiRoot": api.root(), "dmPolicy": "open", "allowFrom": ["*"],
        "retry": { "minDelayMs": 10, "maxDelayMs": 2_000 },
        "reconnect": { "initialMs": 20, "maxMs": 100 },
    });
    let setup = Setup::new()
        .plugin_files(&[("telegram", binaries::library("gateway-plugin-telegram"))])
        .config("/channels/telegram", account);
    (bot, setup)
}

/// In a process of its own a former generation really goes.
#[tokio::test]
async fn a_child_is_replaced_and_a_sick_one_gives_its_place_back() {
    const CHILD: &str = "isolation = \"process\"";
    let folder = tempfile::tempdir().unwrap();
    let gateway = Setup::new()
        .plugin_files(&[("faulty", faulty())])
        .config("/channels/faulty", json!({}))
        .start()
        .await;
    let mut client = gateway.operator().await;
    client.ok("send", to("faulty", "inside")).await;
    // The same library elsewhere is another generation.
    write(&gateway, &[("faulty", &faulty(), CHILD)]);
    assert_eq!(reload(&mut client, "faulty").await["change"], "replaced");
    client.ok("send", to("faulty", "outside")).await;
    let next = build(folder.path(), &faulty(), 1);
    write(&gateway, &[("faulty", &next, CHILD)]);
    assert_eq!(reload(&mut client, "faulty").await["change"], "replaced");
    client.ok("send", to("faulty", "the next")).await;
    write(&gateway, &[("faulty", &sick_build(folder.path()), CHILD)]);
    let kept = reload(&mut client, "faulty").await;
    assert_eq!(kept["change"], "kept", "{kept}");
    client.ok("send", to("faulty", "the one before")).await;
    let plugin = listed(&mut client, "faulty").await;
    assert_eq!(
        (
            &plugin["isolation"],
            &plugin["generation"],
            &plugin["retired"]
        ),
        (&json!("process"), &json!(3), &json!(1)),
        "only the one inside is still mapped: {plugin}"
    );
}

/// What comes in while builds follow each other is answered once, each.
#[tokio::test]
async fn what_comes_in_meanwhile_is_answered_once() {
    let folder = tempfile::tempdir().unwrap();
    let api = BotApi::start().await;
    let (bot, setup) = telegram(&api);
    let library = binaries::library("gateway-plugin-telegram");
    let gateway = setup.start().await;
    bot.wait_calls("getUpdates", 1).await;
    let mut client = gateway.operator().await;
    let mut pushed = Vec::new();
    for number in 1..=3 {
        for _ in 0..5 {
            let text = format!("question-{}-", pushed.len());
            bot.push_text(CHAT, 7, &text);
            pushed.push(text);
        }
        write(
            &gateway,
            &[("telegram", &build(folder.path(), &library, number), "")],
        );
        assert_eq!(reload(&mut client, "telegram").await["change"], "replaced");
    }
    let answered = |text: &String| {
        let answers = bot.texts(CHAT);
        answers
            .iter()
            .filter(|answer| answer.contains(text.as_str()))
            .count()
    };
    support::wait::until("every answer", || {
        let all = pushed.iter().all(|text| answered(text) > 0);
        async move { all.then_some(()) }
    })
    .await;
    // Another round trip: whatever would come twice has come.
    bot.push_text(CHAT, 7, "the end");
    support::wait::until("the last answer", || {
        let ended = answered(&"the end".to_owned()) > 0;
        async move { ended.then_some(()) }
    })
    .await;
    let counts: Vec<usize> = pushed.iter().map(answered).collect();
    assert_eq!(counts, vec![1; pushed.len()]);
    let plugin = listed(&mut client, "telegram").await;
    assert_eq!(plugin["generation"], 4, "{plugin}");
    assert_eq!(plugin["accounts"][0]["restarts"], 0, "{plugin}");
}
