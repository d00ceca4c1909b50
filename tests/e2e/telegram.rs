//! The main job, from a Telegram user's message to the answer in the same chat, with clients
//! watching; and everything that can go wrong on the way.

use serde_json::{Value, json};
use support::bot_api::{Bot, BotApi, Fault};
use support::{Client, Gateway, Setup};

const TOKEN: &str = "1001:secret";
pub const CHAT: i64 = 42;
pub const SENDER: i64 = 7;

/// A gateway with both plugins, a bot that answers everybody, and quick retries.
pub struct House {
    api: BotApi,
    pub bot: Bot,
    pub gateway: Gateway,
}

impl House {
    pub async fn start() -> Self {
        Self::start_with(|setup| setup).await
    }

    pub async fn start_with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let api = BotApi::start().await;
        let bot = api.add_bot(TOKEN, "house_bot");
        bot.open_chat(CHAT);
        let account = json!({
            "botToken": TOKEN, "apiRoot": api.root(), "dmPolicy": "open", "allowFrom": ["*"],
            "retry": { "minDelayMs": 10, "maxDelayMs": 2_000 },
            "reconnect": { "initialMs": 20, "maxMs": 100 },
        });
        let setup = Setup::new()
            .plugins(&["echo", "telegram"])
            .config("/channels/telegram", account);
        let gateway = change(setup).start().await;
        bot.wait_calls("getUpdates", 1).await;
        Self { api, bot, gateway }
    }

    /// A message and its answer: when it is through, everything before it in this chat is too.
    pub async fn round_trip(&self, text: &str) {
        self.bot.push_text(CHAT, SENDER, text);
        self.answered(text).await;
    }

    /// Waits until a text that holds this one was sent to the chat.
    pub async fn answered(&self, text: &str) {
        let mut count = 0;
        while times(&self.bot, text) == 0 {
            count = self.bot.wait_texts(CHAT, count + 1).await.len();
        }
    }
}

/// How often the fake accepted a message with this text.
pub fn times(bot: &Bot, text: &str) -> usize {
    bot.texts(CHAT)
        .iter()
        .filter(|sent| sent.contains(text))
        .count()
}

/// Follows one run at a client: the agent events in order, then the chat's end.
async fn watch_run(client: &mut Client) -> (String, Value) {
    let start = client
        .event_where("agent", |p| {
            p["stream"] == "lifecycle" && p["data"]["phase"] == "start"
        })
        .await;
    let run = start["payload"]["runId"].as_str().unwrap().to_owned();
    assert_eq!(start["payload"]["sessionKey"], "agent:main:main");
    let of_run = |p: &Value| p["runId"] == run.as_str();
    client
        .event_where("agent", |p| of_run(p) && p["stream"] == "assistant")
        .await;
    client
        .event_where("agent", |p| of_run(p) && p["data"]["phase"] == "end")
        .await;
    let end = client
        .event_where("chat", |p| of_run(p) && p["state"] == "final")
        .await;
    (run, end["payload"].clone())
}

#[tokio::test]
async fn a_message_is_answered_and_clients_see_it_happen() {
    let house = House::start().await;
    let mut admin = house.gateway.operator().await;
    let mut reader = house.gateway.operator_with(&["operator.read"]).await;
    let mut outsider = house.gateway.operator_with(&["operator.pairing"]).await;

    house.bot.push_text(CHAT, SENDER, "hello there");
    let (run, end) = watch_run(&mut admin).await;
    let (same_run, _) = watch_run(&mut reader).await;
    assert_eq!(run, same_run);
    let said = end["message"]["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(said.contains("hello there"), "{end}");

    let texts = house.bot.wait_texts(CHAT, 1).await;
    assert_eq!(texts, [said.as_str()]);
    house.bot.wait_confirmed().await;
    let typed = house.bot.with(|bot| bot.actions.clone());
    assert!(
        typed.contains(&(CHAT, None, "typing".to_owned())),
        "{typed:?}"
    );

    // In the session, without what the model was told around it.
    let history = reader
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let messages = history["messages"].as_array().unwrap();
    let roles: Vec<_> = messages
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant"]);
    assert_eq!(messages[0]["content"][0]["text"], "hello there");
    assert_eq!(messages[1]["content"][0]["text"], json!(said));

    let seen = outsider.settle().await;
    let leaked = |frame: &&Value| frame["event"] == "agent" || frame["event"] == "chat";
    assert_eq!(seen.iter().filter(leaked).count(), 0, "{seen:?}");
}

#[tokio::test]
async fn messages_of_one_chat_keep_their_order() {
    let house = House::start().await;
    for word in ["one", "two", "three", "four"] {
        house.bot.push_text(CHAT, SENDER, word);
    }
    // Waiting messages may be answered together; none is lost, none overtakes another.
    house.answered("four").await;
    let all = house.bot.texts(CHAT).join("\n");
    let places: Vec<_> = ["one", "two", "three", "four"]
        .map(|w| all.find(w))
        .into_iter()
        .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{all}"
    );
}

#[tokio::test]
async fn a_stranger_is_told_once_how_to_get_in() {
    let house = House::start_with(|setup| {
        setup
            .config("/channels/telegram/dmPolicy", json!("pairing"))
            .config("/channels/telegram/allowFrom", json!([SENDER.to_string()]))
    })
    .await;
    let mut admin = house.gateway.operator().await;
    house.bot.open_chat(99);
    house.bot.push_text(99, 99, "let me in");
    let told = house.bot.wait_texts(99, 1).await;
    assert!(told[0].contains("99"), "{told:?}");
    house.bot.push_text(99, 99, "please");
    // The friend is answered; the stranger is told nothing more and reaches no model.
    house.round_trip("hello").await;
    house.bot.wait_confirmed().await;
    assert_eq!(house.bot.texts(99).len(), 1);
    let history = admin
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert!(!history.to_string().contains("please"), "{history}");
}

#[tokio::test]
async fn in_a_group_only_a_mention_is_answered() {
    let house =
        House::start_with(|setup| setup.config("/channels/telegram/groupPolicy", json!("open")))
            .await;
    let group = json!({ "id": -100, "type": "supergroup", "title": "Team" });
    let say = |text: &str| {
        let fields = json!({ "chat": group, "text": text });
        house.bot.push_message(-100, SENDER, fields)
    };
    say("just talking");
    say("@house_bot are you there");
    let texts = house.bot.wait_texts(-100, 1).await;
    assert!(texts[0].contains("are you there"), "{texts:?}");
    house.bot.wait_confirmed().await;
    assert_eq!(
        house.bot.texts(-100).len(),
        1,
        "{:?}",
        house.bot.texts(-100)
    );
    let mut admin = house.gateway.operator().await;
    let list = admin.ok("sessions.list", json!({})).await;
    let keys: Vec<_> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["key"])
        .collect();
    assert_eq!(keys, [&json!("agent:main:telegram:group:-100")]);
}

#[tokio::test]
async fn a_clients_send_arrives_exactly_once() {
    let house = House::start().await;
    let params = json!({
        "channel": "telegram", "to": CHAT.to_string(), "message": "a **b**", "idempotencyKey": "k1",
    });
    let (mut one, mut two) = (
        house.gateway.operator().await,
        house.gateway.operator().await,
    );
    let (first, second) = tokio::join!(
        one.ok("send", params.clone()),
        two.ok("send", params.clone())
    );
    assert_eq!(first, second);
    assert_eq!(first["runId"], "k1");
    assert_eq!(first["channel"], "telegram");
    assert_eq!(first["chatId"], "42");
    assert!(first["messageId"].is_string());
    assert_eq!(one.ok("send", params).await, first);
    let calls = house.bot.calls(Some("sendMessage"));
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].body["text"], "a <b>b</b>");
    assert_eq!(calls[0].body["parse_mode"], "HTML");

    // What was sent is part of the session.
    let history = one
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let mirror = history["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&mirror["provider"], &mirror["model"]),
        (&json!("openclaw"), &json!("delivery-mirror"))
    );
}

#[tokio::test]
async fn a_refused_send_stays_refused_for_its_key() {
    let house = House::start().await;
    let mut client = house.gateway.operator().await;
    let params = |key: &str| json!({ "channel": "telegram", "to": "77", "message": "x", "idempotencyKey": key });
    let error = client.refused("send", params("k")).await;
    assert_eq!(error["code"], "UNAVAILABLE", "{error}");
    assert!(
        error["message"].as_str().unwrap().starts_with("Error: "),
        "{error}"
    );
    house.bot.open_chat(77);
    assert_eq!(client.refused("send", params("k")).await, error);
    client.ok("send", params("another")).await;
}

#[tokio::test]
async fn a_long_answer_goes_in_parts() {
    let house = House::start().await;
    let mut client = house.gateway.operator().await;
    let word = "word ".repeat(1_000);
    let params = json!({
        "channel": "telegram", "to": "42", "message": word.repeat(2), "idempotencyKey": "long",
    });
    client.ok("send", params).await;
    let texts = house.bot.texts(CHAT);
    assert_eq!(texts.len(), 3);
    assert!(
        texts
            .iter()
            .all(|text| text.encode_utf16().count() <= 4_000)
    );
}

/// Telegram asks to wait, breaks, or is not there at all: each message is answered once.
#[tokio::test]
async fn faults_of_the_provider_lose_and_double_nothing() {
    let mut house = House::start().await;
    house.bot.fault("sendMessage", &Fault::too_many(1), 1);
    house.round_trip("after a pause").await;
    house.bot.fault("getUpdates", &Fault::internal(), 3);
    house.round_trip("after three breakdowns").await;
    house.bot.fault("getUpdates", &Fault::Malformed, 1);
    house.round_trip("after nonsense").await;
    house.bot.fault("getUpdates", &Fault::CutAfter, 2);
    house.round_trip("after lost answers").await;
    house.bot.fault(
        "sendMessage",
        &Fault::answer(400, "Bad Request: can't parse entities: x"),
        1,
    );
    house.round_trip("without markup").await;
    house.bot.fault("getUpdates", &Fault::answer(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"), 2);
    house.round_trip("after the other one left").await;
    house.api.go_down().await;
    house.bot.push_text(CHAT, SENDER, "while nobody was there");
    house.api.come_back().await;
    house.round_trip("back again").await;
    for text in [
        "after a pause",
        "after three breakdowns",
        "after nonsense",
        "after lost answers",
        "without markup",
        "after the other one left",
        "while nobody was there",
        "back again",
    ] {
        assert_eq!(
            times(&house.bot, text),
            1,
            "{text}: {:?}",
            house.bot.texts(CHAT)
        );
    }
}

/// The connection broke after Telegram took the message: nobody knows, so it is not sent again,
/// and the client is told.
#[tokio::test]
async fn an_unknown_outcome_is_told_and_not_repeated() {
    let house = House::start().await;
    let mut client = house.gateway.operator().await;
    house.bot.fault("sendMessage", &Fault::CutAfter, 1);
    let params = json!({
        "channel": "telegram", "to": "42", "message": "perhaps", "idempotencyKey": "u",
    });
    let error = client.refused("send", params.clone()).await;
    assert_eq!(error["code"], "UNAVAILABLE");
    assert_eq!(client.refused("send", params).await, error);
    house.round_trip("go on").await;
    assert_eq!(times(&house.bot, "perhaps"), 1);
}

#[tokio::test]
async fn a_revoked_token_stops_the_account_and_nothing_else() {
    let house = House::start().await;
    let mut client = house.gateway.operator().await;
    house.bot.with(|bot| bot.revoked = true);
    house.bot.push_text(CHAT, SENDER, "anybody there");
    let account = support::wait::until("the account to stop", || {
        // Asked by a client of its own each time: the closure may not borrow the other.
        let port = house.gateway.port();
        async move {
            let mut client = Client::connect(port, &support::Login::fresh()).await;
            let status = client.ok("channels.status", json!({})).await;
            let account = status["channelAccounts"]["telegram"][0].clone();
            (account["running"] == false).then_some(account)
        }
    })
    .await;
    let error = account["lastError"].as_str().unwrap();
    assert!(!error.is_empty() && !error.contains("secret"), "{error}");
    let params = json!({
        "channel": "echo", "to": "x", "message": "still here", "idempotencyKey": "e",
    });
    client.ok("send", params).await;
    assert!(
        !house.gateway.log().text().contains(TOKEN),
        "a token is in the log"
    );
}

/// Two accounts of one channel do not mix.
#[tokio::test]
async fn two_accounts_stay_apart() {
    let api = BotApi::start().await;
    let (first, second) = (
        api.add_bot(TOKEN, "first_bot"),
        api.add_bot("2002:other", "second_bot"),
    );
    for bot in [&first, &second] {
        bot.open_chat(CHAT);
    }
    let gateway = Setup::new()
        .plugins(&["echo", "telegram"])
        .config(
            "/channels/telegram",
            json!({
                "apiRoot": api.root(), "dmPolicy": "open", "allowFrom": ["*"],
                "accounts": {
                    "one": { "botToken": TOKEN },
                    "two": { "botToken": "2002:other", "allowFrom": ["*"] },
                },
            }),
        )
        .start()
        .await;
    let mut client = gateway.operator().await;
    first.push_text(CHAT, SENDER, "to the first");
    second.push_text(CHAT, SENDER, "to the second");
    assert!(first.wait_texts(CHAT, 1).await[0].contains("to the first"));
    assert!(second.wait_texts(CHAT, 1).await[0].contains("to the second"));
    let params = json!({
        "channel": "telegram", "accountId": "two", "to": "42", "message": "chosen",
        "idempotencyKey": "c",
    });
    client.ok("send", params).await;
    assert_eq!(second.texts(CHAT).last().unwrap(), "chosen");
    let status = client.ok("channels.status", json!({})).await;
    let ids: Vec<_> = status["channelAccounts"]["telegram"]
        .as_array()
        .unwrap()
        .iter()
        .map(|account| account["accountId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["one", "two"]);
}
