//! kill -9 at each step of a message's way: nothing that the provider was told we have is lost,
//! and every message is answered once.

use serde_json::json;
use support::bot_api::{Fault, Gate};
use support::llm::{Door, Llm, Reply};

use crate::telegram::{CHAT, House, SENDER, times};

#[tokio::test]
async fn what_came_while_the_gateway_was_away_is_answered() {
    let mut house = House::start().await;
    house.round_trip("before").await;
    house.gateway.stop().await;
    house.bot.push_text(CHAT, SENDER, "meanwhile");
    house.gateway.restart().await;
    house.round_trip("after").await;
    for text in ["before", "meanwhile", "after"] {
        assert_eq!(
            times(&house.bot, text),
            1,
            "{text}: {:?}",
            house.bot.texts(CHAT)
        );
    }
}

#[tokio::test]
async fn a_crash_after_the_update_was_fetched() {
    let mut house = House::start().await;
    house.round_trip("before").await;
    // The provider hands the update out; whatever the gateway has done by then, it dies.
    let polls = house.bot.calls(Some("getUpdates")).len();
    house.bot.push_text(CHAT, SENDER, "crash one");
    house.bot.wait_calls("getUpdates", polls + 1).await;
    house.gateway.crash().await;
    house.gateway.restart().await;
    house.round_trip("after").await;
    assert_eq!(
        times(&house.bot, "crash one"),
        1,
        "{:?}",
        house.bot.texts(CHAT)
    );
}

#[tokio::test]
async fn a_crash_before_the_answer_left() {
    let mut house = House::start().await;
    house.round_trip("before").await;
    // The answer cannot leave yet: Telegram asks to wait for longer than the plugin waits by
    // itself, so it lies in the outbox when the gateway dies.
    house.bot.fault("sendMessage", &Fault::too_many(3), 1);
    house.bot.push_text(CHAT, SENDER, "crash two");
    house.gateway.logged("it will be sent again").await;
    house.gateway.crash().await;
    house.gateway.restart().await;
    house.round_trip("after").await;
    assert_eq!(
        times(&house.bot, "crash two"),
        1,
        "{:?}",
        house.bot.texts(CHAT)
    );
}

#[tokio::test]
async fn a_crash_after_the_answer_left_and_before_its_receipt() {
    let mut house = House::start().await;
    house.round_trip("before").await;
    let gate = Gate::shut();
    house
        .bot
        .fault("sendMessage", &Fault::Hold(gate.clone()), 1);
    house.bot.push_text(CHAT, SENDER, "crash three");
    house.bot.wait_texts(CHAT, 2).await;
    house.gateway.crash().await;
    gate.open();
    house.gateway.restart().await;
    house.round_trip("after").await;
    assert_eq!(
        times(&house.bot, "crash three"),
        1,
        "{:?}",
        house.bot.texts(CHAT)
    );
}

#[tokio::test]
async fn a_crash_while_the_model_speaks() {
    let llm = Llm::start().await;
    let (provider, door) = (llm.provider("m1"), Door::default());
    let mut house = House::start_with(|setup| {
        setup
            .config("/models/providers/fake", provider)
            .config("/agents/defaults/model", json!("fake/m1"))
    })
    .await;
    let half = vec!["half of it".to_owned()];
    llm.push(Reply::Held(half, door, vec![" and the rest".to_owned()]));
    llm.push(Reply::text("the whole of it"));
    house.bot.push_text(CHAT, SENDER, "crash four");
    llm.wait_asked(1).await;
    house.gateway.crash().await;
    house.gateway.restart().await;
    house.answered("the whole of it").await;
    house.round_trip("after").await;
    assert_eq!(times(&house.bot, "the whole of it"), 1);
    assert_eq!(
        times(&house.bot, "half of it"),
        0,
        "{:?}",
        house.bot.texts(CHAT)
    );
}

/// Many crashes at moments that nobody chose. Nobody can know whether a message reached the
/// provider that was being sent when the gateway died: it is named in the log and not sent again.
/// Any other is answered once.
#[tokio::test]
async fn crashes_at_any_moment() {
    let mut house = House::start().await;
    for round in 0..6 {
        let text = format!("round {round}.");
        house.bot.push_text(CHAT, SENDER, &text);
        // Not a wait for anything: a different moment each time is the point.
        tokio::time::sleep(std::time::Duration::from_millis(round * 4)).await;
        house.gateway.crash().await;
        house.gateway.restart().await;
    }
    house.round_trip("the end").await;
    let texts = house.bot.texts(CHAT);
    let counts: Vec<usize> = (0..6)
        .map(|round| times(&house.bot, &format!("round {round}.")))
        .collect();
    assert!(counts.iter().all(|count| *count <= 1), "{texts:?}");
    let log = house.gateway.log().text();
    let given_up = log.matches("delivery unknown: the gateway stopped while sending");
    let missing = counts.iter().filter(|count| **count == 0).count();
    assert!(missing <= given_up.count(), "lost in silence: {texts:?}");
}
