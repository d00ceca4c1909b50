//! What becomes of messages from a channel that arrive while their session has a run.

use serde_json::json;
use support::llm::{Door, Llm, Reply};

use crate::telegram::{CHAT, House, SENDER, times};

async fn house(llm: &Llm, mode: &str) -> House {
    let queue = json!({ "byChannel": { "telegram": mode }, "debounceMs": 300, "cap": 3 });
    House::start_with(|setup| {
        setup
            .config("/models/providers/fake", llm.provider("m1"))
            .config("/agents/defaults/model", json!("fake/m1"))
            .config("/messages/queue", queue)
    })
    .await
}

/// The first message is being answered, the others have arrived.
async fn busy(house: &House, llm: &Llm, others: &[&str]) -> Door {
    let door = Door::default();
    let held = Reply::Held(vec!["the ".into()], door.clone(), vec!["first".into()]);
    llm.push(held);
    house.bot.push_text(CHAT, SENDER, "one");
    llm.wait_asked(1).await;
    for text in others {
        house.bot.push_text(CHAT, SENDER, text);
    }
    house.bot.wait_confirmed().await;
    door
}

#[tokio::test]
async fn what_waits_is_answered_together() {
    let llm = Llm::start().await;
    let house = house(&llm, "collect").await;
    let door = busy(&house, &llm, &["two", "three"]).await;
    llm.push(Reply::text("both of them"));
    door.open();
    let asked = llm.wait_asked(2).await;
    let list =
        "[Queued messages while agent was busy]\n\n---\nQueued #1\ntwo\n\n---\nQueued #2\nthree";
    assert!(asked.newest().ends_with(list), "{}", asked.newest());
    house.answered("both of them").await;
    house.round_trip("after").await;
    assert_eq!(llm.asked().len(), 3);
    assert_eq!(
        (
            times(&house.bot, "the first"),
            times(&house.bot, "both of them")
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn what_is_too_much_is_summarised() {
    let llm = Llm::start().await;
    let house = house(&llm, "collect").await;
    let door = busy(&house, &llm, &["two", "three", "four", "five"]).await;
    door.open();
    let asked = llm.wait_asked(2).await;
    let text = asked.newest();
    assert!(
        text.contains("Dropped 1 message due to cap.\nSummary:\n- two"),
        "{text}"
    );
    assert!(
        text.ends_with("Queued #1\nthree\n\n---\nQueued #2\nfour\n\n---\nQueued #3\nfive"),
        "{text}"
    );
}

#[tokio::test]
async fn each_its_own_answer() {
    let llm = Llm::start().await;
    let house = house(&llm, "followup").await;
    let door = busy(&house, &llm, &["two", "three"]).await;
    llm.push(Reply::text("the second"));
    llm.push(Reply::text("the third"));
    door.open();
    house.answered("the third").await;
    assert_eq!(
        house.bot.texts(CHAT),
        ["the first", "the second", "the third"]
    );
}

#[tokio::test]
async fn a_newer_message_stops_the_run() {
    let llm = Llm::start().await;
    let house = house(&llm, "interrupt").await;
    llm.push(Reply::Hang(vec!["never ends".into()]));
    house.bot.push_text(CHAT, SENDER, "one");
    llm.wait_asked(1).await;
    llm.push(Reply::text("the second"));
    house.bot.push_text(CHAT, SENDER, "two");
    house.answered("the second").await;
    assert_eq!(llm.asked().len(), 2);
}

#[tokio::test]
async fn a_crash_keeps_those_together_that_were() {
    let llm = Llm::start().await;
    let mut house = house(&llm, "collect").await;
    let door = busy(&house, &llm, &["two", "three"]).await;
    llm.push(Reply::Hang(vec!["cut".into()]));
    door.open();
    llm.wait_asked(2).await;
    house.gateway.crash().await;
    llm.push(Reply::text("both of them"));
    house.gateway.restart().await;
    house.answered("both of them").await;
    let asked = llm.wait_asked(3).await;
    assert!(
        asked.newest().contains("Queued #2\nthree"),
        "{}",
        asked.newest()
    );
    house.round_trip("after").await;
    assert_eq!(
        (
            times(&house.bot, "both of them"),
            times(&house.bot, "the first")
        ),
        (1, 1)
    );
    assert_eq!(llm.asked().len(), 4);
}
