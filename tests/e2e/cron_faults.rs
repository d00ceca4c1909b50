//! Cron jobs and the world: web servers, failures, kill -9.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use support::llm::{Door, Llm, Reply};
use support::wait::until;
use tokio::task::JoinSet;

use crate::cron::{cron, house, jobs, reminder, soon, turn};

/// What a web server was sent: authorization and body.
type Told = Arc<Mutex<Vec<(String, Value)>>>;

async fn web_server() -> (String, Told, JoinSet<()>) {
    async fn take(State(told): State<Told>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let body = serde_json::from_slice(&body).unwrap();
        let mut told = told.lock().unwrap();
        told.push((bearer.unwrap_or_default().to_owned(), body));
        StatusCode::NO_CONTENT
    }
    let told = Told::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/hook", axum::routing::post(take))
        .with_state(told.clone());
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, told, serving)
}

#[tokio::test]
async fn a_web_server_is_told_unless_it_is_this_host() {
    let llm = Llm::start().await;
    let (url, told, _serving) = web_server().await;
    let every = json!({ "kind": "every", "everyMs": 3_600_000 });
    for allowed in [false, true] {
        llm.push(Reply::text("Good morning."));
        let mut setup = house(&llm).config("/cron/webhookToken", json!("hook-secret-of-tests"));
        if allowed {
            setup = setup.config("/cron/webhookAllowedHosts", json!(["127.0.0.1"]));
        }
        let gateway = setup.start().await;
        let mut client = gateway.operator().await;
        let delivery = json!({ "mode": "webhook", "to": url });
        let id = client.ok("cron.add", turn(every.clone(), delivery)).await["id"].clone();
        client.ok("cron.run", json!({ "id": id })).await;
        let end = cron(&mut client, "finished").await;
        assert_eq!(end["delivered"], allowed, "{end}");
        if !allowed {
            let why = end["error"].as_str().unwrap();
            assert!(why.contains("cron.webhookAllowedHosts"), "{why}");
            assert!(told.lock().unwrap().is_empty());
        }
    }
    let told = told.lock().unwrap();
    let (bearer, body) = &told[0];
    assert_eq!(
        (told.len(), bearer.as_str()),
        (1, "Bearer hook-secret-of-tests")
    );
    assert_eq!(
        (&body["summary"], &body["status"]),
        (&json!("Good morning."), &json!("ok"))
    );
}

#[tokio::test]
async fn failures_are_told() {
    let llm = Llm::start().await;
    for _ in 0..3 {
        llm.push(Reply::Refuse(400, "no such thing".into(), None));
    }
    let (url, told, _serving) = web_server().await;
    let gateway = house(&llm)
        .config("/cron/webhookAllowedHosts", json!(["127.0.0.1"]))
        .start()
        .await;
    let mut client = gateway.operator().await;
    let mut params = turn(
        json!({ "kind": "every", "everyMs": 3_600_000 }),
        json!({ "mode": "none" }),
    );
    params["failureAlert"] = json!({ "after": 2, "mode": "webhook", "to": url });
    let id = client.ok("cron.add", params).await["id"].clone();
    for errors in 1..=3 {
        client.ok("cron.run", json!({ "id": id })).await;
        let end = cron(&mut client, "finished").await;
        assert_eq!(end["status"], "error", "{end}");
        assert_eq!(
            jobs(&mut client).await[0]["state"]["consecutiveErrors"],
            errors
        );
    }
    until("an alert", || async {
        (!told.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    let told = told.lock().unwrap();
    let text = told[0].1["message"].as_str().unwrap();
    assert!(
        text.starts_with("Cron job \"Iso\" failed 2 times\nLast error: "),
        "{text}"
    );
    assert_eq!(told.len(), 1, "not again within the hour");
}

/// kill -9 while the model speaks: the run is begun again under its id, and said once.
#[tokio::test]
async fn a_crash_in_the_middle_of_a_run() {
    let llm = Llm::start().await;
    llm.push(Reply::Held(vec!["half".into()], Door::default(), vec![]));
    llm.push(Reply::text("the whole of it"));
    let mut gateway = house(&llm).start().await;
    let mut client = gateway.operator().await;
    let made = client
        .ok("cron.add", turn(soon(100), json!({ "mode": "none" })))
        .await;
    llm.wait_asked(1).await;
    gateway.crash().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    let id = &made["id"];
    let runs = until("the run to end", || {
        let gateway = &gateway;
        async move {
            let mut client = gateway.operator().await;
            let runs = client.ok("cron.runs", json!({ "id": id })).await;
            (runs["total"] == 1).then_some(runs)
        }
    })
    .await;
    let entry = &runs["entries"][0];
    assert_eq!(
        (&entry["status"], &entry["summary"]),
        (&json!("ok"), &json!("the whole of it"))
    );
    assert_eq!(llm.asked().len(), 2);
    let key = format!("agent:main:cron:{}", id.as_str().unwrap());
    let history = client
        .ok("chat.history", json!({ "sessionKey": key }))
        .await;
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        2,
        "asked once, answered once"
    );
    assert_eq!(
        jobs(&mut client).await,
        json!([]),
        "a job of one moment is gone"
    );
}

/// kill -9 before and after a reminder: a job is not lost, and its text is told once.
#[tokio::test]
async fn crashes_around_a_reminder() {
    let llm = Llm::start().await;
    let mut gateway = house(&llm).start().await;
    let mut client = gateway.operator().await;
    client.ok("cron.add", reminder(soon(1_500))).await;
    gateway.crash().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    until("the reminder", || {
        let gateway = &gateway;
        async move {
            let mut client = gateway.operator().await;
            let status = client.ok("status", Value::Null).await;
            (status["queuedSystemEvents"] == json!(["hello"])).then_some(())
        }
    })
    .await;
    assert_eq!(jobs(&mut client).await, json!([]));
    gateway.crash().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    let status = client.ok("status", Value::Null).await;
    assert_eq!(
        status["queuedSystemEvents"],
        json!(["hello"]),
        "it still waits"
    );
    let say = json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "k" });
    client.ok("chat.send", say).await;
    client.event_where("chat", |p| p["state"] == "final").await;
    assert!(llm.asked()[0].newest().contains("] hello\n"));
    gateway.crash().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    let status = client.ok("status", Value::Null).await;
    assert_eq!(status["queuedSystemEvents"], json!([]), "told once");
}
