//! One run: its events, its transcript, its outcome.

use super::*;
use crate::agent::runner::Usage;
use crate::store::sessions::BodyRow;
use gateway_schemas::chat::Message;

#[tokio::test]
async fn echo_answers_without_any_model() {
    let bench = Bench::echo();
    let outcome = bench
        .submit("r1", "hello there", Origin::Agent)
        .done()
        .await;
    assert_eq!(
        (outcome.provider.as_str(), outcome.model.as_str()),
        ("echo", "echo")
    );
    assert!(outcome.text.ends_with("hello there"), "{}", outcome.text);
    let events = bench.events();
    assert_eq!(events.first().unwrap(), "r1 1 start");
    let end = events
        .iter()
        .position(|event| event.ends_with(" end"))
        .unwrap();
    assert!(
        events[end + 1..]
            .iter()
            .all(|event| event.contains(" chat ")),
        "{events:?}"
    );
    let last = format!("chat final {}", outcome.text);
    assert!(events.last().unwrap().ends_with(&last), "{events:?}");
}

#[tokio::test]
async fn events_come_in_the_recorded_order() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "hi", chat(1));
    model.answer(&["Hello", " from", " the model. "]).await;
    let outcome = run.done().await;
    assert_eq!(outcome.text, "Hello from the model.");
    assert_eq!(outcome.stop_reason, Some("stop"));
    let usage = Usage {
        input: 100,
        output: 7,
        cache_read: 20,
        cache_write: 0,
        total: 127,
    };
    assert_eq!(outcome.usage, Some(usage));
    let mut events = bench.events();
    // The spacing of deltas may let one more through on a slow machine.
    events.retain(|event| event != "r1 3 chat delta Hello from");
    // Words that come together after the first are shown together.
    let apart = ["r1 3 says \" from\"", "r1 4 says \" the model.\""].as_slice();
    let (later, end) = if events[3] == apart[0] {
        (apart, 5)
    } else {
        (["r1 3 says \" from the model.\""].as_slice(), 4)
    };
    let end = |what: &str| format!("r1 {end} {what}");
    let mut expected = vec!["r1 1 start".to_owned()];
    expected.extend(["r1 2 says \"Hello\"", "r1 2 chat delta Hello"].map(str::to_owned));
    expected.extend(later.iter().map(|event| (*event).to_owned()));
    expected.push(end("end"));
    expected.push(end("chat delta Hello from the model."));
    expected.push(end("chat final Hello from the model."));
    assert_eq!(events, expected);
}

#[tokio::test]
async fn the_model_reads_envelope_and_history_and_clients_do_not() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let first = bench.submit("r1", "one", chat(1));
    let request = model.answer(&["first"]).await;
    first.done().await;
    assert_eq!(request["model"], "m1");
    assert_eq!(request["stream_options"]["include_usage"], true);
    let asked = request["messages"][0]["content"].as_str().unwrap();
    assert!(
        asked.starts_with("Sender (untrusted metadata):\n```json\n"),
        "{asked}"
    );
    assert!(asked.ends_with(" UTC] one"), "{asked}");
    let second = bench.submit("r2", "two", Origin::Agent);
    let request = model.answer(&["second"]).await;
    second.done().await;
    let roles: Vec<_> = request["messages"].as_array().unwrap().iter().collect();
    assert_eq!(roles.len(), 3);
    assert_eq!(roles[1], &json!({"role": "assistant", "content": "first"}));
    let shown = crate::sessions::transcript::history(&bench.transcript());
    let Message::User(user) = &shown[0] else {
        panic!("{shown:?}")
    };
    assert_eq!(
        serde_json::to_value(&user.content).unwrap(),
        json!([{"type": "text", "text": "one"}])
    );
    assert_eq!(user.sender_label.as_deref(), Some("ui"));
    let row = bench.sessions.get(&bench.key("main")).unwrap().unwrap();
    assert_eq!(
        (row.model.as_deref(), row.context_tokens),
        (Some("m1"), Some(1000))
    );
    assert_eq!(row.tokens.unwrap().input, 100);
}

#[tokio::test]
async fn a_silent_reply_is_decided_on_the_whole_text() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "hi", chat(1));
    model.answer(&["NO", "_REPLY"]).await;
    let outcome = run.done().await;
    assert_eq!(
        (outcome.ending, outcome.payloads()),
        (Ending::Answered, vec![])
    );
    assert_eq!(
        bench.events(),
        ["r1 1 start", "r1 2 end", "r1 2 chat final"]
    );
    let run = bench.submit("r2", "hi", chat(1));
    model.answer(&["NO", " way"]).await;
    assert_eq!(run.done().await.text, "NO way");
    let events = bench.events();
    assert_eq!(events[1], "r2 2 says \"NO way\"");
    let shown = crate::sessions::transcript::history(&bench.transcript());
    assert_eq!(shown.len(), 3, "the silent reply is hidden: {shown:?}");
}

#[tokio::test]
async fn a_heartbeat_has_no_chat_events() {
    let bench = Bench::echo();
    bench
        .submit(
            "r1",
            "HEARTBEAT_OK fine",
            Origin::Heartbeat { ack_max_chars: 300 },
        )
        .done()
        .await;
    let events = bench.events();
    assert!(
        events.iter().all(|event| !event.contains("chat")),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_run_that_was_answered_before_a_crash_is_not_run_again() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("journal-7", "hello", channel());
    model.answer(&["the answer"]).await;
    assert_eq!(run.done().await.reply(), Some("the answer"));
    // Nobody answers this time: the transcript does.
    let again = bench.submit("journal-7", "hello", channel()).done().await;
    assert_eq!(
        (again.reply(), again.ending),
        (Some("the answer"), Ending::Answered)
    );
    assert_eq!(bench.transcript().len(), 2);
}

#[tokio::test]
async fn a_run_that_was_cut_by_the_stop_is_run_again_with_one_message() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("journal-8", "hello", channel());
    let mut exchange = model.request().await;
    exchange.begin().await;
    exchange.text("half an ans").await;
    until("the first text", || {
        bench.events().iter().any(|e| e.contains("half"))
    })
    .await;
    let stopped = bench.tasks.stop(Duration::from_secs(30)).await;
    assert!(stopped);
    assert_eq!(run.done().await.ending, Ending::Interrupted);
    let refused = bench
        .agent
        .submit(bench.turn("x", "x", Origin::Agent))
        .unwrap_err();
    assert_eq!(refused, SubmitError::Stopping);
    assert_eq!(bench.transcript().len(), 1);
    let handle = ConfigHandle::new(bench.config.clone());
    let (sessions, tasks) = (bench.sessions.clone(), Tasks::new("after"));
    let restarted = Agent::new(handle, Clock::system(), Hub::new(), sessions, tasks);
    let run = restarted
        .submit(bench.turn("journal-8", "hello", channel()))
        .unwrap();
    model.answer(&["whole"]).await;
    assert_eq!(run.done().await.reply(), Some("whole"));
    let texts: Vec<_> = bench
        .transcript()
        .iter()
        .map(|row| row.body.clone())
        .collect();
    assert!(
        matches!(&texts[..], [BodyRow::User(_), BodyRow::Assistant(_)]),
        "{texts:?}"
    );
}
