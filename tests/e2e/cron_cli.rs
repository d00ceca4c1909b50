//! `openclaw cron`, `system` and `wake`: what people and scripts type.

use serde_json::{Value, json};
use support::Gateway;
use support::cli::{Ran, run};

async fn said(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let ran = run(gateway.home(), &[arguments, &["--timeout", "60s"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran
}

async fn json_of(gateway: &Gateway, arguments: &[&str]) -> Value {
    said(gateway, &[arguments, &["--json"]].concat())
        .await
        .json()
}

#[tokio::test]
async fn the_life_of_a_job() {
    let gateway = Gateway::start().await;
    let none = said(&gateway, &["cron", "list"]).await;
    assert!(none.out.contains("openclaw cron add"), "{none:?}");
    let add = [
        "cron",
        "add",
        "--every",
        "1h",
        "--system-event",
        "tea",
        "--name",
        "Tea",
    ];
    let made = json_of(&gateway, &add).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["schedule"]["everyMs"], 3_600_000);
    let once = [
        "cron",
        "add",
        "--at",
        "20m",
        "--message",
        "look",
        "--no-deliver",
    ];
    let once = json_of(&gateway, &once).await;
    assert_eq!(
        (&once["sessionTarget"], &once["name"]),
        (&json!("isolated"), &json!("look"))
    );
    let off = said(&gateway, &["cron", "disable", id]).await;
    assert!(off.out.starts_with("disabled "), "{off:?}");
    let list = json_of(&gateway, &["cron", "list"]).await;
    assert_eq!(list["jobs"], json!([once]));
    said(&gateway, &["cron", "enable", id]).await;
    let edit = [
        "cron",
        "edit",
        id,
        "--name",
        "Coffee",
        "--cron",
        "0 8 * * *",
    ];
    let edited = json_of(&gateway, &edit).await;
    assert_eq!(edited["schedule"]["expr"], "0 8 * * *");
    let table = said(&gateway, &["cron", "list", "--all"]).await;
    assert!(
        table.out.contains("Coffee") && table.out.contains("0 8 * * *"),
        "{table:?}"
    );
}

#[tokio::test]
async fn runs_and_the_end_of_a_job() {
    let gateway = Gateway::start().await;
    let add = ["cron", "add", "--every", "1h", "--system-event", "tea"];
    let made = json_of(&gateway, &add).await;
    let id = made["id"].as_str().unwrap();
    let once = [
        "cron",
        "add",
        "--at",
        "20m",
        "--message",
        "look",
        "--no-deliver",
    ];
    let once = json_of(&gateway, &once).await;
    let ran = said(&gateway, &["cron", "run", id]).await;
    assert!(ran.out.starts_with("runs manual:"), "{ran:?}");
    let due = said(
        &gateway,
        &["cron", "run", once["id"].as_str().unwrap(), "--due"],
    )
    .await;
    assert!(due.out.contains("not-due"), "{due:?}");
    let runs = said(&gateway, &["cron", "runs", id]).await;
    assert!(
        runs.out.contains("ok") && runs.out.contains("tea"),
        "{runs:?}"
    );
    let status = said(&gateway, &["cron", "status"]).await;
    assert!(
        status.out.starts_with("cron on · 2 jobs · next in "),
        "{status:?}"
    );
    let gone = said(&gateway, &["cron", "rm", id]).await;
    assert_eq!(gone.out, format!("removed {id}\n"));
    let wrong = run(gateway.home(), &["cron", "run", "nope", "--timeout", "60s"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.err.contains("unknown cron job id: nope") && wrong.err.contains("openclaw cron list"),
        "{wrong:?}"
    );
    let nothing = run(gateway.home(), &["cron", "edit", "x"]).await;
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
}

#[tokio::test]
async fn what_the_agent_is_told() {
    let gateway = Gateway::start().await;
    let told = json_of(&gateway, &["system", "event", "--text", "the post came"]).await;
    assert_eq!(told, json!({ "ok": true }));
    let words = said(&gateway, &["wake", "--text", "the milk came"]).await;
    assert_eq!(words.out, "told: it is said next time\n");
    let mut client = gateway.operator().await;
    let status = client.ok("status", Value::Null).await;
    assert_eq!(
        status["queuedSystemEvents"],
        json!(["the post came", "the milk came"])
    );
    let off = json_of(&gateway, &["system", "heartbeat", "disable"]).await;
    assert_eq!(off, json!({ "ok": true, "enabled": false }));
    said(&gateway, &["system", "heartbeat", "enable"]).await;
    let last = said(&gateway, &["system", "heartbeat", "last"]).await;
    assert_eq!(last.out, "no heartbeat yet\n");
    let present = json_of(&gateway, &["system", "presence"]).await;
    assert_eq!(present[0]["mode"], "gateway", "{present}");
    let empty = run(gateway.home(), &["wake", "--text", " "]).await;
    assert_eq!(empty.code, Some(2), "{empty:?}");
}
