//! `sessions.usage`, its series and logs, `usage.cost`, `usage.status`: tokens and their price.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::{Client, Gateway, Setup};

/// A gateway whose model has the recorded prices, and the model's server.
async fn priced() -> (Gateway, Llm) {
    let llm = Llm::start().await;
    let mut provider = llm.provider("echo-1");
    provider["models"][0]["cost"] = json!({ "input": 1, "output": 2, "cacheRead": 0 });
    let models = provider["models"].as_array_mut().unwrap();
    models.push(json!({ "id": "unpriced" }));
    let gateway = Setup::new()
        .config("/models/providers/fake", provider)
        .config("/agents/defaults/model", json!("fake/echo-1"))
        .start()
        .await;
    (gateway, llm)
}

async fn talk(client: &mut Client, session: &str, message: &str) {
    let key = format!("{session} {message}");
    let params = json!({ "sessionKey": session, "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await;
    client
        .event_where("chat", |p| {
            p["runId"] == key.as_str() && p["state"] != "delta"
        })
        .await;
}

/// What the recorded answer used, in the words of a totals block.
fn recorded(answers: u64) -> Value {
    let n = answers as f64;
    json!({
        "input": 100 * answers, "output": 7 * answers, "cacheRead": 20 * answers, "cacheWrite": 0,
        "totalTokens": 127 * answers, "totalCost": 0.000114 * n, "inputCost": 0.0001 * n,
        "outputCost": 0.000014 * n, "cacheReadCost": 0, "cacheWriteCost": 0,
        "missingCostEntries": 0,
    })
}

/// Compares numbers with what adding floats leaves.
#[track_caller]
fn alike(found: &Value, expected: &Value) {
    for (name, expected) in expected.as_object().unwrap() {
        let (found, expected) = (found[name].as_f64().unwrap(), expected.as_f64().unwrap());
        assert!(
            (found - expected).abs() < 1e-12,
            "{name}: {found} {expected}"
        );
    }
}

#[tokio::test]
async fn of_sessions() {
    let (gateway, llm) = priced().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "w1", "one").await;
    talk(&mut client, "w2", "two").await;
    llm.push(Reply::Refuse(400, "no".into(), None));
    talk(&mut client, "w2", "fails").await;
    let answer = client.ok("sessions.usage", json!({ "limit": 1 })).await;
    let rows = answer["sessions"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "only the newest: {answer}");
    assert_eq!(rows[0]["key"], "agent:main:w2");
    let usage = &rows[0]["usage"];
    alike(usage, &recorded(1));
    alike(&answer["totals"], &recorded(1));
    assert_eq!(
        usage["messageCounts"],
        json!({ "total": 4, "user": 2, "assistant": 2, "toolCalls": 0, "toolResults": 0, "errors": 1 })
    );
    assert_eq!(usage["modelUsage"][0]["provider"], "fake");
    assert_eq!(usage["latency"]["count"], 2);
    assert_eq!(usage["activityDates"], json!([answer["endDate"]]));
    assert_eq!(usage["dailyBreakdown"][0]["tokens"], 127);

    let both = client.ok("sessions.usage", json!({})).await;
    alike(&both["totals"], &recorded(2));
    let sums = &both["aggregates"];
    assert_eq!(sums["messages"]["total"], 6);
    alike(&sums["byAgent"][0]["totals"], &recorded(2));
    alike(&sums["byProvider"][0]["totals"], &recorded(2));
    assert_eq!(sums["byModel"][0]["model"], "echo-1");
    assert_eq!(sums["daily"][0]["messages"], 6);
    let one = client.ok("sessions.usage", json!({ "key": "w1" })).await;
    assert_eq!(one["sessions"][0]["usage"]["totalTokens"], 127);
    let old = json!({ "startDate": "2020-01-01", "endDate": "2020-01-31" });
    let old = client.ok("sessions.usage", old).await;
    assert_eq!(old["startDate"], "2020-01-01");
    assert_eq!(old["totals"]["totalTokens"], 0);
    for (params, text) in [
        (
            json!({ "startDate": "x", "endDate": "2020-01-31" }),
            "at /startDate: must match pattern \"^\\d{4}-\\d{2}-\\d{2}$\"",
        ),
        (
            json!({ "mode": "moon" }),
            "at /mode: must be equal to constant; at /mode: must match a schema in anyOf",
        ),
    ] {
        let error = client.refused("sessions.usage", params).await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("invalid sessions.usage params: {text}")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn over_time_and_line_by_line() {
    let (gateway, _llm) = priced().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "demo", "one").await;
    talk(&mut client, "demo", "two").await;
    let note = json!({ "sessionKey": "demo", "message": "injected note", "label": "ops" });
    client.ok("chat.inject", note).await;
    let params = json!({ "key": "demo" });
    let series = client.ok("sessions.usage.timeseries", params.clone()).await;
    let points = series["points"].as_array().unwrap();
    assert_eq!(points.len(), 3, "{series}");
    let last = &points[2];
    assert_eq!(
        (&last["totalTokens"], &last["cumulativeTokens"]),
        (&json!(0), &json!(254))
    );
    alike(last, &json!({ "cost": 0, "cumulativeCost": 0.000228 }));
    let logs = client
        .ok("sessions.usage.logs", json!({ "key": "demo", "limit": 2 }))
        .await;
    let logs = logs["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 2);
    assert_eq!(
        (&logs[0]["role"], &logs[0]["tokens"]),
        (&json!("assistant"), &json!(127))
    );
    assert_eq!(logs[1]["content"], "[ops]\n\ninjected note");
    assert_eq!(
        (&logs[1]["tokens"], &logs[1]["cost"]),
        (&json!(0), &json!(0))
    );

    let history = client
        .ok("chat.history", json!({ "sessionKey": "demo" }))
        .await;
    alike(
        &history["messages"][1]["usage"]["cost"],
        &json!({ "total": 0.000114 }),
    );
    for (method, params, message) in [
        (
            "sessions.usage.timeseries",
            json!({}),
            "key is required for timeseries",
        ),
        ("sessions.usage.logs", json!({}), "key is required for logs"),
        (
            "sessions.usage.timeseries",
            json!({ "key": "none" }),
            "No transcript found for session: agent:main:none",
        ),
    ] {
        let error = client.refused(method, params).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST", "message": message })
        );
    }
    let none = client
        .ok("sessions.usage.logs", json!({ "key": "none" }))
        .await;
    assert_eq!(none, json!({ "logs": [] }));
}

#[tokio::test]
async fn what_it_cost() {
    let (gateway, _llm) = priced().await;
    let mut client = gateway.operator_with(&["operator.admin"]).await;
    talk(&mut client, "w1", "one").await;
    talk(&mut client, "w2", "two").await;
    let params = json!({ "key": "w3", "model": "fake/unpriced" });
    client.ok("sessions.patch", params).await;
    talk(&mut client, "w3", "no price").await;
    let cost = client.ok("usage.cost", json!({ "days": 3 })).await;
    assert_eq!(cost["days"], 4, "one more than asked");
    assert_eq!(cost["daily"].as_array().unwrap().len(), 1, "{cost}");
    let mut expected = recorded(2);
    for (name, answers) in [
        ("input", 300),
        ("output", 21),
        ("cacheRead", 60),
        ("totalTokens", 381),
    ] {
        expected[name] = json!(answers);
    }
    expected["missingCostEntries"] = json!(1);
    alike(&cost["totals"], &expected);
    alike(&cost["daily"][0], &expected);
    let month = client
        .ok("usage.cost", json!({ "mode": "gateway", "other": 1 }))
        .await;
    assert_eq!(month["days"], 31);
    let status = client.ok("usage.status", json!({})).await;
    assert_eq!(status["providers"], json!([]));
    assert!(status["updatedAt"].is_u64());
}
