//! `cron.*`: made, listed, changed, run by the clock and by hand, delivered, and not lost.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::wait::now_ms;
use support::{Client, Gateway, Setup};

/// A gateway whose agent never looks around by itself.
pub fn house(llm: &Llm) -> Setup {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config("/agents/defaults/heartbeat", json!({ "every": "12h" }))
}

pub fn reminder(schedule: Value) -> Value {
    json!({ "name": "Reminder", "schedule": schedule, "sessionTarget": "main",
        "wakeMode": "next-heartbeat", "payload": { "kind": "systemEvent", "text": "hello" } })
}

pub fn turn(schedule: Value, delivery: Value) -> Value {
    json!({ "name": "Iso", "description": "d", "schedule": schedule, "sessionTarget": "isolated",
        "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "daily hello" },
        "delivery": delivery })
}

pub fn soon(ms: u64) -> Value {
    json!({ "kind": "at", "atMs": now_ms() + ms })
}

/// The next event of this kind.
pub async fn cron(client: &mut Client, action: &str) -> Value {
    let event = client.event_where("cron", |p| p["action"] == action);
    event.await["payload"].clone()
}

pub async fn jobs(client: &mut Client) -> Value {
    let list = client
        .ok("cron.list", json!({ "includeDisabled": true }))
        .await;
    list["jobs"].clone()
}

#[tokio::test]
async fn a_life_of_jobs() {
    let gateway = house(&Llm::start().await).start().await;
    let mut client = gateway.operator().await;
    let status = client.ok("cron.status", json!({})).await;
    let path = status["storePath"].as_str().unwrap();
    assert!(path.ends_with("/cron/jobs.json"), "{path}");
    assert_eq!(
        status,
        json!({ "enabled": true, "storePath": path, "jobs": 0, "nextWakeAtMs": null })
    );
    let every = json!({ "kind": "every", "everyMs": 3_600_000 });
    let first = client.ok("cron.add", reminder(every)).await;
    let (id, made) = (first["id"].clone(), first["createdAtMs"].as_u64().unwrap());
    assert_eq!(
        first,
        json!({ "id": id, "name": "Reminder", "enabled": true, "createdAtMs": made,
            "updatedAtMs": made,
            "schedule": { "kind": "every", "everyMs": 3_600_000, "anchorMs": made },
            "sessionTarget": "main", "wakeMode": "next-heartbeat",
            "payload": { "kind": "systemEvent", "text": "hello" },
            "state": { "nextRunAtMs": made + 3_600_000 } })
    );
    let added = cron(&mut client, "added").await;
    assert_eq!(
        added,
        json!({ "jobId": id, "action": "added", "nextRunAtMs": made + 3_600_000 })
    );
    let daily = json!({ "kind": "cron", "expr": "0 9 * * *", "tz": "UTC" });
    let second = client
        .ok("cron.add", turn(daily, json!({ "mode": "none" })))
        .await;
    assert_eq!(
        second["state"]["nextRunAtMs"].as_u64().unwrap() % 86_400_000,
        32_400_000
    );
    let once = client.ok("cron.add", reminder(soon(60_000))).await;
    assert_eq!(
        (&once["deleteAfterRun"], &once["schedule"]["kind"]),
        (&json!(true), &json!("at"))
    );
    let list = client.ok("cron.list", json!({})).await;
    let names = ["total", "offset", "limit", "hasMore", "nextOffset"];
    assert_eq!(
        names.map(|name| list[name].clone()),
        [json!(3), json!(0), json!(3), json!(false), json!(null)]
    );
    assert_eq!(list["jobs"][0], once, "what runs next comes first");
    let page = client
        .ok(
            "cron.list",
            json!({ "limit": 1, "offset": 1, "sortBy": "name" }),
        )
        .await;
    assert_eq!(
        (&page["hasMore"], &page["nextOffset"]),
        (&json!(true), &json!(2))
    );
    let found = client.ok("cron.list", json!({ "query": "ISO" })).await;
    assert_eq!(found["jobs"], json!([second]));
}

#[tokio::test]
async fn a_job_is_switched_off_and_removed() {
    let gateway = house(&Llm::start().await).start().await;
    let mut client = gateway.operator().await;
    let every = json!({ "kind": "every", "everyMs": 3_600_000 });
    let id = client.ok("cron.add", reminder(every)).await["id"].clone();
    let off = json!({ "id": id, "patch": { "enabled": false } });
    let changed = client.ok("cron.update", off).await;
    assert_eq!(
        (&changed["enabled"], &changed["state"]),
        (&json!(false), &json!({}))
    );
    let updated = cron(&mut client, "updated").await;
    assert_eq!(updated, json!({ "jobId": id, "action": "updated" }));
    let disabled = client
        .ok("cron.list", json!({ "enabled": "disabled" }))
        .await;
    assert_eq!(disabled["jobs"], json!([changed]));
    assert_eq!(client.ok("cron.status", json!({})).await["jobs"], 1);

    for removed in [true, false] {
        let answer = client.ok("cron.remove", json!({ "jobId": id })).await;
        assert_eq!(answer, json!({ "ok": true, "removed": removed }));
    }
    let gone = cron(&mut client, "removed").await;
    assert_eq!(gone, json!({ "jobId": id, "action": "removed" }));
}

#[tokio::test]
async fn refusals() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let isolated = json!({ "name": "M", "schedule": { "kind": "every", "everyMs": 60_000 },
        "sessionTarget": "isolated", "payload": { "kind": "systemEvent", "text": "x" } });
    for (method, params, code, message) in [
        (
            "cron.add",
            json!({ "name": "x" }),
            "INVALID_REQUEST",
            "invalid cron.add params: must have required property 'schedule'; must have required \
             property 'sessionTarget'; must have required property 'payload'",
        ),
        (
            "cron.add",
            isolated,
            "UNAVAILABLE",
            "Error: isolated cron jobs require payload.kind=\"agentTurn\"",
        ),
        (
            "cron.update",
            json!({ "id": "nope", "patch": { "enabled": false } }),
            "UNAVAILABLE",
            "Error: unknown cron job id: nope",
        ),
        (
            "cron.run",
            json!({ "id": "nope" }),
            "UNAVAILABLE",
            "Error: unknown cron job id: nope",
        ),
        (
            "cron.run",
            json!({}),
            "INVALID_REQUEST",
            "invalid cron.run params: must have required property 'id'; must have required \
             property 'jobId'; must match a schema in anyOf",
        ),
        (
            "cron.status",
            json!({ "x": 1 }),
            "INVALID_REQUEST",
            "invalid cron.status params: at root: unexpected property 'x'",
        ),
    ] {
        let error = client.refused(method, params).await;
        assert_eq!(
            error,
            json!({ "code": code, "message": message }),
            "{method}"
        );
    }
    let past = reminder(json!({ "kind": "at", "at": "2020-01-01T00:00:00Z" }));
    let error = client.refused("cron.add", past).await;
    let text = error["message"].as_str().unwrap();
    assert!(
        text.starts_with("schedule.at is in the past: 2020-01-01T00:00:00.000Z (")
            && text.contains(" minutes ago). Current time: "),
        "{text}"
    );
    assert_eq!(error["code"], "INVALID_REQUEST");
}

/// The recorded order of events, and what the run log keeps of them.
#[tokio::test]
async fn a_reminder_by_hand() {
    let llm = Llm::start().await;
    llm.push(Reply::text("Hello from the fake model."));
    let gateway = house(&llm).start().await;
    let mut client = gateway.operator().await;
    let mut params = reminder(json!({ "kind": "every", "everyMs": 3_600_000 }));
    params["wakeMode"] = json!("now");
    let id = client.ok("cron.add", params).await["id"].clone();
    let not_due = client
        .ok("cron.run", json!({ "id": id, "mode": "due" }))
        .await;
    assert_eq!(
        not_due,
        json!({ "ok": true, "ran": false, "reason": "not-due" })
    );
    let answer = client
        .ok("cron.run", json!({ "id": id, "mode": "force" }))
        .await;
    assert_eq!(
        (&answer["ok"], &answer["enqueued"]),
        (&json!(true), &json!(true))
    );
    let run_id = answer["runId"].as_str().unwrap();
    assert!(
        run_id.starts_with(&format!("manual:{}:", id.as_str().unwrap())),
        "{run_id}"
    );
    let started = cron(&mut client, "started").await;
    assert_eq!(
        started,
        json!({ "jobId": id, "action": "started", "runAtMs": started["runAtMs"] })
    );
    let finished = cron(&mut client, "finished").await;
    let mut expected = json!({ "jobId": id, "action": "finished", "status": "ok",
        "summary": "hello", "deliveryStatus": "not-requested", "runAtMs": started["runAtMs"],
        "durationMs": finished["durationMs"], "nextRunAtMs": finished["nextRunAtMs"] });
    assert_eq!(finished, expected);
    let beat = client.event("heartbeat").await["payload"].clone();
    assert_eq!(
        (&beat["status"], &beat["reason"], &beat["preview"]),
        (
            &json!("skipped"),
            &json!("target-none"),
            &json!("Hello from the fake model.")
        )
    );
    let asked = llm.asked();
    assert!(
        asked[0].newest().contains("] hello\n"),
        "{}",
        asked[0].newest()
    );
    let runs = client.ok("cron.runs", json!({ "id": id })).await;
    expected["ts"] = runs["entries"][0]["ts"].clone();
    assert_eq!(runs["entries"], json!([expected]));
    assert_eq!((&runs["total"], &runs["limit"]), (&json!(1), &json!(50)));
    let all = client
        .ok("cron.runs", json!({ "scope": "all", "limit": 5 }))
        .await;
    assert_eq!(all["entries"][0]["jobName"], "Reminder");
    let none = client
        .ok("cron.runs", json!({ "statuses": ["error"] }))
        .await;
    assert_eq!(none["total"], 0);
}

#[tokio::test]
async fn a_turn_by_hand() {
    let llm = Llm::start().await;
    llm.push(Reply::text("Hello from the fake model."));
    let gateway = house(&llm).start().await;
    let mut client = gateway.operator().await;
    let daily = json!({ "kind": "cron", "expr": "0 9 * * *", "tz": "UTC" });
    let made = client
        .ok("cron.add", turn(daily, json!({ "mode": "none" })))
        .await;
    let id = made["id"].as_str().unwrap().to_owned();
    client.ok("cron.run", json!({ "id": id })).await;
    let finished = cron(&mut client, "finished").await;
    let session = finished["sessionId"].as_str().unwrap().to_owned();
    let expected = json!({ "jobId": id, "action": "finished", "status": "ok",
        "summary": "Hello from the fake model.", "delivered": false,
        "deliveryStatus": "not-delivered", "sessionId": session,
        "sessionKey": format!("agent:main:cron:{id}:run:{session}"),
        "runAtMs": finished["runAtMs"], "durationMs": finished["durationMs"],
        "nextRunAtMs": made["state"]["nextRunAtMs"], "model": "m1", "provider": "fake",
        "usage": finished["usage"] });
    assert_eq!(finished, expected);
    assert!(finished["usage"]["input_tokens"].is_u64(), "{finished}");
    let newest = llm.asked()[0].newest().to_owned();
    assert!(
        newest.starts_with(&format!("[cron:{id} Iso] daily hello\nCurrent time: ")),
        "{newest}"
    );
    let key = format!("agent:main:cron:{id}");
    let chat = client.event_where("chat", |p| p["state"] == "final").await["payload"].clone();
    assert_eq!(
        (&chat["sessionKey"], &chat["runId"]),
        (&json!(key), &json!(session)),
        "isolated runs show their chat"
    );
    let history = client
        .ok("chat.history", json!({ "sessionKey": key }))
        .await;
    assert_eq!(history["messages"][0]["content"][0]["text"], "daily hello");
    let list = client.ok("sessions.list", json!({})).await;
    let keys: Vec<_> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["key"])
        .collect();
    assert_eq!(
        keys,
        [&json!(key)],
        "the copy under the run's own key is not listed"
    );
    let state = &jobs(&mut client).await[0]["state"];
    assert_eq!(
        (
            &state["lastRunStatus"],
            &state["lastStatus"],
            &state["consecutiveErrors"]
        ),
        (&json!("ok"), &json!("ok"), &json!(0))
    );
}

#[tokio::test]
async fn jobs_run_by_the_clock_and_once() {
    let llm = Llm::start().await;
    let gateway = house(&llm).start().await;
    let mut client = gateway.operator_with(&["operator.admin"]).await;
    let once = client.ok("cron.add", reminder(soon(300))).await;
    let second = json!({ "kind": "cron", "expr": "* * * * * *" });
    let often = client.ok("cron.add", reminder(second)).await;
    for _ in 0..3 {
        client
            .event_where("cron", |p| {
                p["action"] == "finished" && p["jobId"] == often["id"]
            })
            .await;
    }
    let ended = client.event_where("cron", |p| {
        p["action"] == "finished" && p["jobId"] == once["id"]
    });
    ended.await;
    let gone = client.event_where("cron", |p| {
        p["action"] == "removed" && p["jobId"] == once["id"]
    });
    gone.await;
    let runs = client.ok("cron.runs", json!({ "id": once["id"] })).await;
    assert_eq!(runs["total"], 1);
    let queued = client.ok("status", Value::Null).await["queuedSystemEvents"].clone();
    assert!(
        queued.as_array().unwrap().len() >= 4,
        "each reminder waits: {queued}"
    );
    client.ok("cron.remove", json!({ "id": often["id"] })).await;
}

#[tokio::test]
async fn an_answer_is_announced() {
    let llm = Llm::start().await;
    llm.push(Reply::text("Good morning."));
    llm.push(Reply::text("HEARTBEAT_OK"));
    llm.push(Reply::text("To nobody."));
    llm.push(Reply::text("To where?"));
    let gateway = house(&llm).start().await;
    gateway
        .account("echo", "echo to run", |a| a["running"] == true)
        .await;
    let mut client = gateway.operator().await;
    let every = json!({ "kind": "every", "everyMs": 3_600_000 });
    let to = json!({ "mode": "announce", "channel": "echo", "to": "alice" });
    let id = client.ok("cron.add", turn(every.clone(), to)).await["id"].clone();
    let mut ends = Vec::new();
    for _ in 0..2 {
        client.ok("cron.run", json!({ "id": id })).await;
        let end = cron(&mut client, "finished").await;
        ends.push(json!([
            end["status"],
            end["delivered"],
            end["deliveryStatus"]
        ]));
    }
    assert_eq!(
        ends,
        [
            json!(["ok", true, "delivered"]),
            json!(["ok", false, "not-delivered"])
        ],
        "an acknowledgement is not announced"
    );
    for (delivery, status, why) in [
        (
            json!({ "mode": "announce" }),
            "ok",
            "no chat to announce to",
        ),
        (
            json!({ "mode": "announce", "channel": "nowhere", "to": "x" }),
            "error",
            "unsupported channel: nowhere",
        ),
    ] {
        let id = client.ok("cron.add", turn(every.clone(), delivery)).await["id"].clone();
        client.ok("cron.run", json!({ "id": id })).await;
        let end = cron(&mut client, "finished").await;
        assert_eq!(
            (&end["status"], &end["deliveryStatus"]),
            (&json!(status), &json!("not-delivered"))
        );
        let told = end["deliveryError"].as_str().unwrap();
        assert!(told.starts_with(why), "{told}");
    }
}

#[tokio::test]
async fn what_is_off_stays_off() {
    let llm = Llm::start().await;
    let gateway = house(&llm)
        .config("/cron/enabled", json!(false))
        .start()
        .await;
    let mut client = gateway.operator().await;
    client.ok("cron.add", reminder(soon(0))).await;
    let status = client.ok("cron.status", json!({})).await;
    assert_eq!(
        (&status["enabled"], &status["nextWakeAtMs"]),
        (&json!(false), &json!(null))
    );
    let id = jobs(&mut client).await[0]["id"].clone();
    client.ok("cron.run", json!({ "id": id })).await;
    cron(&mut client, "finished").await;
}
