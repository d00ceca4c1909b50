//! What becomes of messages that arrive during a run, in each mode.

use super::*;
use crate::store::sessions::BodyRow;

async fn bench(model: &FakeModel, mode: &'static str) -> Bench {
    let bench = Bench::model(model, &[]);
    let set = move |row: &mut crate::sessions::SessionRow| {
        let words = &mut row.settings.words;
        words.insert(queue_mode::SETTING.to_owned(), mode.to_owned());
    };
    bench
        .sessions
        .change(&bench.key("main"), set)
        .await
        .unwrap();
    bench
}

/// Who said what, in the transcript.
fn said(bench: &Bench) -> Vec<String> {
    let text = |row: MessageRow| match row.body {
        BodyRow::User(user) => format!("user {}", user.text),
        BodyRow::Assistant(said) => format!("agent {}", said.text),
        BodyRow::Tool(tool) => format!("tool {}", tool.text),
    };
    bench.transcript().into_iter().map(text).collect()
}

fn newest(request: &Value) -> String {
    let messages = request["messages"].as_array().unwrap();
    let content = messages.last().unwrap()["content"].as_str();
    content.unwrap().to_owned()
}

#[tokio::test]
async fn followup_gives_each_its_own_run() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "followup").await;
    let runs = ["r1", "r2", "r3"].map(|id| bench.submit(id, id, chat(1)));
    for run in &runs {
        let request = model.answer(&[run.run_id()]).await;
        assert!(newest(&request).ends_with(run.run_id()));
        let outcome = run.done().await;
        assert_eq!(
            (outcome.ending, outcome.text.as_str()),
            (Ending::Answered, run.run_id())
        );
    }
}

#[tokio::test]
async fn interrupt_stops_the_run_and_begins_the_next() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "interrupt").await;
    let first = bench.submit("r1", "first", chat(1));
    let mut exchange = model.request().await;
    exchange.begin().await;
    exchange.text("half ").await;
    until("the text", || {
        bench.events().iter().any(|e| e.contains("half"))
    })
    .await;
    let second = bench.submit("r2", "second", chat(2));
    assert_eq!(first.done().await.ending, Ending::Aborted);
    exchange.closed().await;
    let request = model.answer(&["done"]).await;
    assert!(newest(&request).ends_with("UTC] second"), "{request}");
    assert_eq!(second.done().await.text, "done");
    let expected = ["user first", "agent half", "user second", "agent done"];
    assert_eq!(said(&bench), expected);
}

/// A run that no client may stop goes on.
#[tokio::test]
async fn interrupt_leaves_runs_of_others_alone() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "interrupt").await;
    let first = bench.submit("r1", "first", Origin::Agent);
    let mut exchange = model.request().await;
    let second = bench.submit("r2", "second", chat(1));
    exchange.begin().await;
    exchange.text("one").await;
    exchange.finish().await;
    assert_eq!(first.done().await.ending, Ending::Answered);
    model.answer(&["two"]).await;
    assert_eq!(second.done().await.text, "two");
}

#[tokio::test]
async fn steer_puts_a_message_into_the_run() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "steer").await;
    let first = bench.submit("r1", "first", chat(1));
    let mut exchange = model.request().await;
    exchange.begin().await;
    exchange.text("one").await;
    let outcome = bench.submit("r2", "second", chat(1)).done().await;
    assert_eq!(outcome.ending, Ending::Collected);
    exchange.finish().await;
    let request = model.answer(&["two"]).await;
    assert!(newest(&request).ends_with("UTC] second"), "{request}");
    assert_eq!(first.done().await.ending, Ending::Answered);
    let expected = ["user first", "agent one", "user second", "agent two"];
    assert_eq!(said(&bench), expected);
    let events = bench.events();
    assert!(events.contains(&"r2 1 chat final".to_owned()), "{events:?}");
    let ends = events
        .iter()
        .filter(|e| e.contains("r1") && e.ends_with(" end"));
    assert_eq!(ends.count(), 1, "{events:?}");
    assert!(
        events
            .iter()
            .any(|e| e.starts_with("r1") && e.ends_with("chat final onetwo")),
        "{events:?}"
    );
}

#[tokio::test]
async fn steer_and_backlog_answers_it_again() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "steer-backlog").await;
    bench.submit("r1", "first", chat(1));
    let mut exchange = model.request().await;
    exchange.begin().await;
    let second = bench.submit("r2", "second", chat(1));
    exchange.text("one").await;
    exchange.finish().await;
    model.answer(&["steered"]).await;
    model.answer(&["again"]).await;
    assert_eq!(second.done().await.text, "again");
}

/// Stopping the run stops what was put into it too; it stays in the transcript.
#[tokio::test]
async fn a_stopped_run_takes_what_was_put_into_it_along() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "steer").await;
    let first = bench.submit("r1", "first", chat(1));
    let _held = model.request().await;
    bench.submit("r2", "second", chat(1));
    let by = AbortBy::Client {
        owner: owner(1),
        admin: false,
    };
    let stopped = bench.agent.abort(&bench.key("main"), None, by).await;
    assert_eq!(stopped, Ok(vec!["r1".to_owned()]));
    assert_eq!(first.done().await.ending, Ending::Aborted);
    assert_eq!(said(&bench), ["user first", "user second"]);
    until("an idle session", || {
        bench.agent.active(&bench.key("main")).is_none()
    })
    .await;
}

/// What comes while collected messages wait for more joins them, though no run is active.
#[tokio::test]
async fn collect_waits_for_more() {
    let model = FakeModel::start().await;
    let bench = bench(&model, "collect").await;
    let first = bench.submit("r1", "first", chat(1));
    let mut exchange = model.request().await;
    exchange.begin().await;
    bench.submit("r2", "second", chat(1));
    exchange.finish().await;
    first.done().await;
    until("no run", || {
        bench.agent.active(&bench.key("main")).is_none()
    })
    .await;
    let third = bench.submit("r3", "third", chat(1)).done().await;
    assert_eq!(third.ending, Ending::Collected);
    let request = model.answer(&["both"]).await;
    let asked = newest(&request);
    assert!(
        asked.contains("Queued #1\nsecond") && asked.ends_with("Queued #2\nthird"),
        "{asked}"
    );
}
