//! Several turns: order, collecting, bounds, stopping.

use super::*;
use crate::store::sessions::BodyRow;

#[tokio::test]
async fn runs_of_a_session_never_overlap_and_keep_their_order() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let runs = ["r1", "r2", "r3"].map(|id| bench.submit(id, id, Origin::Agent));
    for id in ["r1", "r2", "r3"] {
        assert_eq!(bench.agent.active(&bench.key("main")).as_deref(), Some(id));
        let request = model.answer(&[id]).await;
        let asked = request["messages"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        assert!(asked["content"].as_str().unwrap().ends_with(id));
        let run = runs.iter().find(|run| run.run_id() == id).unwrap();
        assert_eq!(run.done().await.text, id);
        until("the next run", || {
            bench.agent.active(&bench.key("main")).as_deref() != Some(id)
        })
        .await;
    }
    let starts: Vec<_> = bench
        .events()
        .into_iter()
        .filter(|e| e.ends_with("start") || e.ends_with("end"))
        .collect();
    assert_eq!(
        starts,
        [
            "r1 1 start",
            "r1 3 end",
            "r2 1 start",
            "r2 3 end",
            "r3 1 start",
            "r3 3 end"
        ]
    );
}

#[tokio::test]
async fn sessions_run_side_by_side() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let mut other = bench.turn("r2", "b", Origin::Agent);
    other.key = bench.key("other");
    let (one, two) = (
        bench.submit("r1", "a", Origin::Agent),
        bench.agent.submit(other).unwrap(),
    );
    let (mut first, mut second) = (model.request().await, model.request().await);
    first.begin().await;
    second.begin().await;
    second.text("2").await;
    second.finish().await;
    first.text("1").await;
    first.finish().await;
    one.done().await;
    two.done().await;
}

#[tokio::test]
async fn messages_during_a_run_are_answered_together() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let first = bench.submit("r1", "first", chat(1));
    let mut exchange = model.request().await;
    exchange.begin().await;
    for (id, text) in [("r2", "second"), ("r3", "third")] {
        let outcome = bench.submit(id, text, chat(1)).done().await;
        assert_eq!(outcome.ending, Ending::Collected);
    }
    let events = bench.events();
    assert!(events.contains(&"r2 1 chat final".to_owned()), "{events:?}");
    exchange.text("one").await;
    exchange.finish().await;
    first.done().await;
    let request = model.answer(&["both"]).await;
    let asked = request["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    let want =
        "[Queued messages while agent was busy]\n\n---\nQueued #1\nsecond\n\n---\nQueued #2\nthird";
    assert!(asked.as_str().unwrap().ends_with(want), "{asked}");
    until("both answers", || bench.transcript().len() == 4).await;
    until("the last final", || {
        bench
            .events()
            .iter()
            .any(|e| e.ends_with("chat final both"))
    })
    .await;
}

#[tokio::test]
async fn one_queued_message_stays_as_it_is() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    bench.submit("r1", "first", chat(1));
    let exchange = model.request().await;
    bench.submit("r2", "second", chat(1));
    let mut exchange = exchange;
    exchange.begin().await;
    exchange.finish().await;
    let request = model.answer(&["x"]).await;
    let asked = request["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert!(asked.as_str().unwrap().ends_with("UTC] second"), "{asked}");
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    bench.submit("r0", "x", Origin::Agent);
    let _held = model.request().await;
    for n in 1..=limits::SESSION_RUNS_WAITING_MAX {
        bench.submit(&format!("r{n}"), "x", Origin::Agent);
    }
    let refused = bench
        .agent
        .submit(bench.turn("more", "x", Origin::Agent))
        .unwrap_err();
    assert_eq!(refused, SubmitError::SessionFull);
    assert!(
        refused.to_string().contains("32 messages wait"),
        "{refused}"
    );
}

#[tokio::test]
async fn abort_keeps_the_partial_text_once_and_closes_the_stream() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "go on", chat(1));
    let mut exchange = model.request().await;
    exchange.begin().await;
    exchange.text("word0 word1 ").await;
    until("the text", || {
        bench.events().iter().any(|e| e.contains("word0"))
    })
    .await;
    let by = AbortBy::Client {
        owner: owner(1),
        admin: false,
    };
    let stopped = bench.agent.abort(&bench.key("main"), Some("r1"), by).await;
    assert_eq!(stopped.unwrap(), ["r1"]);
    exchange.closed().await;
    assert_eq!(run.done().await.ending, Ending::Aborted);
    assert_eq!(bench.events(), ["r1 3 chat aborted word0 word1 rpc"]);
    let rows = bench.transcript();
    let BodyRow::Assistant(said) = &rows[1].body else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (said.text.as_str(), said.stop_reason.as_str()),
        ("word0 word1", "aborted")
    );
    assert_eq!(said.shown_key.as_deref(), Some("r1:assistant"));
    assert_eq!(said.abort.as_ref().unwrap().origin, "rpc");
    assert_eq!(rows.len(), 2);
    // The next run is told of it.
    bench.submit("r2", "again", chat(1));
    let request = model.answer(&["ok"]).await;
    let asked = request["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert!(
        asked
            .as_str()
            .unwrap()
            .starts_with("Note: The previous agent run was aborted")
    );
}

#[tokio::test]
async fn only_the_starter_or_an_admin_may_stop_a_chat_run() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    bench.submit("r1", "x", chat(1));
    let _held = model.request().await;
    let (main, other) = (bench.key("main"), bench.key("other"));
    let by = |conn, admin| AbortBy::Client {
        owner: owner(conn),
        admin,
    };
    let abort = |key, run, by| bench.agent.abort(key, run, by);
    assert_eq!(
        abort(&main, None, by(2, false)).await,
        Err(AbortError::Unauthorized)
    );
    assert_eq!(
        abort(&other, Some("r1"), by(1, false)).await,
        Err(AbortError::OtherSession)
    );
    assert_eq!(abort(&main, Some("nope"), by(1, false)).await, Ok(vec![]));
    assert_eq!(
        abort(&main, None, by(2, true)).await,
        Ok(vec!["r1".to_owned()])
    );
    assert_eq!(abort(&main, None, by(1, false)).await, Ok(vec![]));
}

#[tokio::test]
async fn clients_do_not_stop_agent_runs_but_a_reset_and_a_person_do() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let main = bench.key("main");
    let by = AbortBy::Client {
        owner: owner(1),
        admin: true,
    };
    let first = bench.submit("r1", "x", Origin::Agent);
    let _held = model.request().await;
    assert_eq!(bench.agent.abort(&main, None, by).await, Ok(vec![]));
    assert_eq!(
        bench.agent.abort(&main, None, AbortBy::Person).await,
        Ok(vec!["r1".into()])
    );
    assert_eq!(first.done().await.ending, Ending::Aborted);
    let runs = ["r2", "r3"].map(|id| bench.submit(id, "x", Origin::Agent));
    let _held = model.request().await;
    assert!(bench.agent.quiet(&main, Duration::from_secs(30)).await);
    for run in runs {
        assert_eq!(run.done().await.ending, Ending::Aborted);
    }
}

#[tokio::test]
async fn stop_drops_what_was_collected_but_keeps_it_in_the_transcript() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    bench.submit("r1", "first", chat(1));
    let _held = model.request().await;
    bench.submit("r2", "second", chat(1));
    let by = AbortBy::ClientStopWord {
        owner: owner(1),
        admin: false,
    };
    let stopped = bench.agent.abort(&bench.key("main"), None, by).await;
    assert_eq!(stopped, Ok(vec!["r1".to_owned()]));
    let said: Vec<_> = bench.transcript().into_iter().map(|row| row.body).collect();
    let [BodyRow::User(one), BodyRow::User(two)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!((one.text.as_str(), two.text.as_str()), ("first", "second"));
    until("an idle session", || {
        bench.agent.active(&bench.key("main")).is_none()
    })
    .await;
    assert!(
        bench
            .events()
            .contains(&"r1 2 chat aborted stop".to_owned())
    );
}

#[tokio::test]
async fn waiting_sees_runs_that_come_later_and_runs_that_are_over() {
    let bench = Bench::echo();
    assert!(
        bench
            .agent
            .wait("r1", Duration::from_millis(1))
            .await
            .is_none()
    );
    let agent = bench.agent.clone();
    let later = agent.wait("r1", Duration::from_secs(30));
    let (seen, _) = tokio::join!(later, async { bench.submit("r1", "x", Origin::Agent) });
    assert_eq!(seen.unwrap().ending, Ending::Answered);
    assert!(bench.agent.wait("r1", Duration::ZERO).await.is_some());
}

#[tokio::test]
async fn a_message_sent_on_seeing_the_end_has_a_run_of_its_own() {
    let bench = Bench::echo();
    for n in 0..20 {
        let id = format!("r{n}");
        bench.submit(&id, &id, chat(1));
        let last = format!(" chat final {id}");
        until("the end", || {
            bench.events().iter().any(|event| event.ends_with(&last))
        })
        .await;
    }
    assert_eq!(bench.transcript().len(), 40);
}
