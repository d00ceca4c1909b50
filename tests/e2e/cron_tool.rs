//! The tool `cron`: jobs that a model makes, sees and changes, its own alone.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::{Client, Gateway, Setup};

async fn start(llm: &Llm) -> Gateway {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config("/tools/alsoAllow", json!(["cron"]))
        .config(
            "/agents/list",
            json!([{ "id": "main", "default": true }, { "id": "beta" }]),
        )
        .start()
        .await
}

/// Lets the model of an agent call the tool once; gives what it was answered.
async fn call(llm: &Llm, client: &mut Client, agent: &str, arguments: Value) -> String {
    llm.forget();
    llm.push(Reply::call("c1", "cron", arguments));
    llm.push(Reply::text("done"));
    let key = format!("k-{}", support::Device::new().id);
    let params = json!({ "message": "x", "agentId": agent, "idempotencyKey": key });
    let id = client.request("agent", params).await;
    client.response(&id).await;
    client.response(&id).await;
    // The job that it lets run asks as well.
    let asked = llm.asked();
    let told = asked.iter().rfind(|asked| {
        let messages = asked.body["messages"].as_array();
        messages
            .and_then(|list| list.last())
            .is_some_and(|last| last["role"] == "tool")
    });
    told.unwrap_or_else(|| panic!("no tool was answered: {asked:?}"))
        .newest()
        .to_owned()
}

fn job() -> Value {
    json!({
        "name": "Tea", "schedule": { "kind": "every", "everyMs": "3600000" },
        "message": "Is the tea ready?", "deliver": false,
    })
}

#[tokio::test]
async fn a_model_keeps_its_jobs() {
    let llm = Llm::start().await;
    let gateway = start(&llm).await;
    let mut client = gateway.operator().await;
    let read = |text: &str| -> Value {
        serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    };
    let add = json!({ "action": "add", "job": job() });
    let made = read(&call(&llm, &mut client, "main", add).await);
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(made["schedule"]["everyMs"], 3_600_000);
    assert_eq!(
        (&made["agentId"], &made["sessionKey"]),
        (&json!("main"), &json!("agent:main:main"))
    );
    let list = read(&call(&llm, &mut client, "main", json!({ "action": "list" })).await);
    assert_eq!(
        (list["total"].as_u64(), &list["jobs"][0]["id"]),
        (Some(1), &json!(id))
    );
    // The same that clients see.
    let jobs = client.ok("cron.list", json!({})).await;
    assert_eq!(jobs["jobs"][0]["name"], "Tea");
    let patch = json!({ "action": "update", "jobId": id, "patch": { "enabled": "false" } });
    let changed = read(&call(&llm, &mut client, "main", patch).await);
    assert_eq!(changed["enabled"], false);
    let off = read(&call(&llm, &mut client, "main", json!({ "action": "list" })).await);
    assert_eq!(off["total"], 0);
    let ran = call(
        &llm,
        &mut client,
        "main",
        json!({ "action": "run", "id": id }),
    )
    .await;
    assert_eq!(read(&ran)["ok"], true);
    let finished = |p: &Value| p["action"] == "finished" && p["jobId"] == id.as_str();
    client.event_where("cron", finished).await;
    let runs = read(
        &call(
            &llm,
            &mut client,
            "main",
            json!({ "action": "runs", "id": id }),
        )
        .await,
    );
    assert_eq!(runs["entries"].as_array().unwrap().len(), 1);
    let gone = read(
        &call(
            &llm,
            &mut client,
            "main",
            json!({ "action": "remove", "id": id }),
        )
        .await,
    );
    assert_eq!(gone["removed"], true);
    let status = read(&call(&llm, &mut client, "main", json!({ "action": "status" })).await);
    assert_eq!(status["jobs"], 0);
}

#[tokio::test]
async fn the_jobs_of_others_are_out_of_reach_and_bad_input_is_explained() {
    let llm = Llm::start().await;
    let gateway = start(&llm).await;
    let mut client = gateway.operator().await;
    let mut theirs = job();
    theirs["agentId"] = json!("main");
    let made = client.ok("cron.add", theirs.clone()).await;
    let id = made["id"].as_str().unwrap();
    let reminder = json!({ "schedule": { "at": "2099-01-01T00:00:00Z" }, "text": "x" });
    for (arguments, why) in [
        (json!({ "action": "list" }), "\"total\":0"),
        (json!({ "action": "remove", "jobId": id }), "of yours"),
        (json!({ "action": "run", "jobId": id }), "of yours"),
        (json!({ "action": "runs", "jobId": id }), "of yours"),
        (json!({ "action": "runs" }), "name the job"),
        (json!({ "action": "add", "job": theirs }), "you are beta"),
        (json!({ "action": "add", "job": reminder }), "you are beta"),
        (
            json!({ "action": "add", "job": { "name": "x" } }),
            "must have required property",
        ),
        (json!({ "action": "burn" }), "is not supported"),
        (json!({ "action": 5 }), "the arguments don't fit at action"),
    ] {
        let told = call(&llm, &mut client, "beta", arguments.clone()).await;
        assert!(told.contains(why), "{arguments}: {told}");
    }
    assert_eq!(
        client.ok("cron.list", json!({})).await["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
