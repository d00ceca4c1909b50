//! `openclaw plugins list`, `restart` and `logs` as a person runs them.

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::{Gateway, Setup, wait};

use super::{echo, faulty, to};

async fn plugins(gateway: &Gateway, words: &[&str]) -> Ran {
    let words: Vec<&str> = ["plugins"].iter().chain(words).copied().collect();
    run(gateway.home(), &words).await
}

/// Two accounts of the faulty plugin, one of which can't start.
async fn two_accounts() -> Gateway {
    let accounts = json!({ "well": {}, "ill": { "fault": "auth" } });
    Setup::new()
        .plugin_files(&[("echo", echo()), ("ward", faulty())])
        .config("/channels/faulty", json!({ "accounts": accounts }))
        .start()
        .await
}

#[tokio::test]
async fn the_list_is_live_while_a_gateway_runs_and_of_the_files_otherwise() {
    let mut gateway = two_accounts().await;
    gateway.logged("wrong token").await;
    let live = wait::until("both plugins' final states", || async {
        let list = plugins(&gateway, &["list", "--json"]).await.json();
        (list["plugins"][0]["state"] == "running").then_some(list)
    })
    .await;
    let ward = &live["plugins"][1];
    assert_eq!(
        (&ward["state"], &ward["generation"]),
        (&json!("degraded"), &json!(1))
    );
    let error =
        json!({ "accountId": "ill", "state": "stopped", "restarts": 0, "error": "wrong token" });
    assert_eq!(ward["accounts"][0], error);
    assert_eq!(ward["accounts"][1]["state"], "running");
    let shown = plugins(&gateway, &["list", "--wide"]).await;
    assert_eq!(shown.code, Some(0));
    for part in [
        "ill stopped, well running",
        "ill: wrong token",
        "in-process",
    ] {
        assert!(shown.out.contains(part), "{part}: {shown:?}");
    }

    gateway.stop().await;
    let files = plugins(&gateway, &["list", "--json"]).await.json();
    assert_eq!(files["file"], live["file"]);
    let ward = &files["plugins"][1];
    assert_eq!(
        (&ward["state"], &ward["accounts"]),
        (&json!("ready"), &json!([]))
    );
    assert!(ward.get("generation").is_none(), "{ward}");
    assert_eq!(ward["sha256"], live["plugins"][1]["sha256"]);
    let shown = plugins(&gateway, &["list"]).await;
    assert!(shown.out.contains("no gateway was asked"), "{shown:?}");
    // One that is named is meant.
    let named = plugins(
        &gateway,
        &["list", "--url", "ws://127.0.0.1:9", "--token", "t"],
    )
    .await;
    assert_eq!(named.code, Some(1), "{named:?}");
}

#[tokio::test]
async fn a_restart_says_what_runs_again_or_what_to_do() {
    let gateway = two_accounts().await;
    let done = plugins(&gateway, &["restart", "ward/well"]).await;
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), "restarted ward: well\n")
    );
    let done = plugins(&gateway, &["restart", "echo", "--json"]).await;
    assert_eq!(done.json(), json!({ "restarted": ["default"] }));
    let failed = plugins(&gateway, &["restart", "ward"]).await;
    assert_eq!(failed.code, Some(1));
    let text = "error: not started: account ill: wrong token\n  to fix:   see what it says: \
                openclaw plugins logs ward\n";
    assert_eq!(failed.err, text);
    let unknown = plugins(&gateway, &["restart", "wart", "--json"])
        .await
        .json();
    assert_eq!(unknown["error"]["code"], "INVALID_REQUEST");
    assert_eq!(
        unknown["error"]["message"],
        "unknown plugin \"wart\": plugins.toml names echo, ward"
    );
    assert_eq!(plugins(&gateway, &["restart", "ward/"]).await.code, Some(2));
}

#[tokio::test]
async fn the_log_of_one_plugin_is_shown_with_and_without_a_gateway() {
    let mut gateway = two_accounts().await;
    gateway.logged("wrong token").await;
    let mut client = gateway.operator().await;
    let mut send = to("faulty", "log:3");
    send["accountId"] = json!("well");
    client.ok("send", send).await;
    gateway.logged("chatter").await;
    gateway.stop().await;

    let lines = |ran: Ran| -> Vec<Value> {
        let lines = ran.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let all = lines(plugins(&gateway, &["logs", "ward", "--json"]).await);
    let has =
        |lines: &[Value], word: &str| lines.iter().any(|line| line.to_string().contains(word));
    assert!(has(&all, "chatter") && has(&all, "wrong token") && has(&all, "account started"));
    assert!(!has(&all, "\"echo\""), "{all:?}");
    let well = lines(plugins(&gateway, &["logs", "ward/well", "--json"]).await);
    assert!(
        has(&well, "chatter") && !has(&well, "wrong token"),
        "{well:?}"
    );
    assert!(well.iter().all(|line| line["account"] == "well"));
    let last = plugins(&gateway, &["logs", "ward/ill", "--lines", "1"]).await;
    assert_eq!(last.out.lines().count(), 1, "{last:?}");
    assert!(
        last.out
            .contains("ERROR ill: account stopped error=wrong token"),
        "{last:?}"
    );
    let unknown = plugins(&gateway, &["logs", "wart"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("unknown plugin \"wart\""),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_followed_log_goes_on_until_nobody_reads() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let gateway = Gateway::start().await;
    gateway.logged("account started").await;
    let mut command = tokio::process::Command::from(support::gateway::command(gateway.home()));
    command.args(["plugins", "logs", "echo", "--follow", "--lines", "0"]);
    command
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true);
    let mut follower = command.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    // Said again and again, for nobody knows when the follower is there.
    let restart = async {
        loop {
            plugins(&gateway, &["restart", "echo"]).await;
        }
    };
    let line = tokio::select! {
        line = wait::within("a followed line", lines.next_line()) => line.unwrap().unwrap(),
        () = restart => unreachable!("restarts go on"),
    };
    assert!(line.contains("default: "), "{line}");
    drop(lines);
    plugins(&gateway, &["restart", "echo"]).await;
    let status = wait::within("the follower to end", follower.wait())
        .await
        .unwrap();
    assert!(status.success(), "{status}");
}
