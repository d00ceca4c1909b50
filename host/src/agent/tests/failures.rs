//! Models that refuse, break, hang or lie.

use super::*;
use crate::store::sessions::BodyRow;

fn error_body(text: &str) -> Value {
    json!({"error": {"message": text}})
}

#[tokio::test]
async fn a_refusal_is_told_as_recorded() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "x", chat(1));
    let exchange = model.request().await;
    assert!(
        exchange
            .head
            .contains("authorization: bearer sk-secret-key")
    );
    exchange
        .refuse("400 Bad Request", "", error_body("bench bad request"))
        .await;
    let outcome = run.done().await;
    assert_eq!(outcome.payloads(), ["HTTP 400: bench bad request"]);
    assert_eq!(outcome.reply(), Some(outcome::NEUTRAL_ERROR));
    assert_eq!(
        bench.events(),
        [
            "r1 1 start",
            "r1 2 errorHTTP 400: bench bad request",
            "r1 2 chat error HTTP 400: bench bad request",
        ]
    );
    let rows = bench.transcript();
    let BodyRow::Assistant(said) = &rows[1].body else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (said.text.as_str(), said.stop_reason.as_str()),
        ("", "error")
    );
}

#[tokio::test]
async fn busy_servers_are_asked_again_and_the_key_is_never_told() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "x", Origin::Agent);
    let busy = error_body("key sk-secret-key is over its limit");
    for _ in 0..limits::MODEL_ATTEMPTS_MAX {
        let exchange = model.request().await;
        exchange
            .refuse("429 Too Many Requests", "retry-after: 0\r\n", busy.clone())
            .await;
    }
    let outcome = run.done().await;
    assert_eq!(outcome.payloads(), ["HTTP 429: key *** is over its limit"]);
}

#[tokio::test]
async fn a_retry_may_succeed_and_a_long_retry_after_is_not_waited_for() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "x", Origin::Agent);
    model
        .request()
        .await
        .refuse("503 Unavailable", "", json!({}))
        .await;
    model.answer(&["fine"]).await;
    assert_eq!(run.done().await.text, "fine");
    let run = bench.submit("r2", "x", Origin::Agent);
    model
        .request()
        .await
        .refuse("429 No", "retry-after: 3600\r\n", error_body("later"))
        .await;
    assert_eq!(run.done().await.payloads(), ["HTTP 429: later"]);
}

#[tokio::test]
async fn a_server_that_does_not_know_stream_options_is_asked_without() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let run = bench.submit("r1", "x", Origin::Agent);
    let exchange = model.request().await;
    exchange
        .refuse(
            "400 Bad Request",
            "",
            error_body("unknown field stream_options"),
        )
        .await;
    let request = model.answer(&["ok"]).await;
    assert!(request.get("stream_options").is_none());
    assert_eq!(run.done().await.text, "ok");
}

#[tokio::test]
async fn a_fallback_answers_when_the_first_model_does_not() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &["nowhere/x", "fake/m2"]);
    let run = bench.submit("r1", "x", Origin::Agent);
    model
        .request()
        .await
        .refuse("404 Not Found", "", error_body("no such model"))
        .await;
    let request = model.answer(&["from the second"]).await;
    assert_eq!(request["model"], "m2");
    let outcome = run.done().await;
    assert_eq!(
        (outcome.model.as_str(), outcome.text.as_str()),
        ("m2", "from the second")
    );
}

#[tokio::test]
async fn a_cut_in_the_middle_is_an_error_with_the_partial_text_kept() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &["fake/m2"]);
    let run = bench.submit("r1", "x", channel());
    let mut exchange = model.request().await;
    exchange.begin().await;
    exchange.text("half an").await;
    drop(exchange);
    let outcome = run.done().await;
    assert_eq!(
        (outcome.ending, outcome.text.as_str()),
        (Ending::Failed, "half an")
    );
    assert_eq!(outcome.reply(), Some(outcome::NEUTRAL_ERROR));
    let rows = bench.transcript();
    let BodyRow::Assistant(said) = &rows[1].body else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (said.text.as_str(), said.stop_reason.as_str()),
        ("half an", "error")
    );
}

#[tokio::test]
async fn rubbish_and_errors_in_the_stream_end_the_run() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    for (event, expected) in [
        (
            "{not json",
            "the model provider sent an event that can't be read",
        ),
        (r#"{"error":{"message":"overloaded"}}"#, "overloaded"),
    ] {
        let run = bench.submit(&format!("r-{expected}"), "x", Origin::Agent);
        let mut exchange = model.request().await;
        exchange.begin().await;
        exchange.text("a").await;
        exchange.event(event).await;
        assert_eq!(run.done().await.payloads(), [expected]);
    }
}

#[tokio::test]
async fn a_time_limit_cuts_with_the_recorded_text() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let mut turn = bench.turn("r1", "x", Origin::Agent);
    turn.timeout = Some(Duration::from_millis(1_500));
    let run = bench.agent.submit(turn).unwrap();
    let mut exchange = model.request().await;
    exchange.begin().await;
    exchange.text("word0").await;
    let outcome = run.done().await;
    assert_eq!(
        (outcome.ending, outcome.payloads()),
        (Ending::TimedOut, vec![outcome::TIMED_OUT])
    );
    exchange.closed().await;
    let events = bench.events();
    assert_eq!(
        events[events.len() - 2..],
        ["r1 3 end aborted", "r1 3 chat final word0"]
    );
}

#[tokio::test]
async fn wrong_settings_name_the_key_to_change() {
    let cases = [
        (
            json!({"defaults": {"model": "lost/m"}}),
            "unknown model provider \"lost\"",
        ),
        (
            json!({"defaults": {"model": "other/m"}}),
            "\"google-generative-ai\" is not supported",
        ),
    ];
    let models = json!({"providers": {"other": {
        "baseUrl": "http://127.0.0.1:9", "api": "google-generative-ai"}}});
    for (agents, expected) in cases {
        let bench = Bench::with(agents, models.clone());
        let outcome = bench.submit("r1", "x", Origin::Agent).done().await;
        let told = outcome.payloads()[0].to_owned();
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn pictures_go_only_to_models_that_see() {
    let model = FakeModel::start().await;
    let bench = Bench::model(&model, &[]);
    let mut turn = bench.turn("r1", "look", Origin::Agent);
    turn.images = vec![runner::Image {
        mime_type: "image/png",
        base64: "QUJD".into(),
        bytes: 3,
    }];
    let again = Turn {
        run_id: "r2".into(),
        ..turn.clone()
    };
    let run = bench.agent.submit(turn).unwrap();
    let request = model.answer(&["blind"]).await;
    assert!(request["messages"][0]["content"].is_string());
    run.done().await;
    let set = |row: &mut crate::sessions::SessionRow| {
        row.settings.model_override = Some("m2".into());
    };
    bench
        .sessions
        .change(&bench.key("main"), set)
        .await
        .unwrap();
    let run = bench.agent.submit(again).unwrap();
    let request = model.answer(&["seen"]).await;
    let content = &request["messages"].as_array().unwrap().last().unwrap()["content"];
    assert_eq!(content[1]["image_url"]["url"], "data:image/png;base64,QUJD");
    run.done().await;
}
