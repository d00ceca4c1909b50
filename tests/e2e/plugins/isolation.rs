//! Where a plugin runs: the same faults in the gateway's own process and in one of the plugin's
//! own, while another plugin's messages flow; and what only a process can survive.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, Gateway, Setup, wait};
use tokio::sync::Notify;

use super::live::listed;
use super::{echo, faulty, to};

const IN_PROCESS: &str = "in-process";
const CHILD: &str = "process";

/// What every place contains.
const FAULTS: [&str; 10] = [
    "panic",
    "bomb",
    "thread-panic",
    "task-panic",
    "garbage:20",
    "huge:40",
    "flood:500",
    "answer",
    "log:10000",
    "block:1500",
];

/// What ends a process, and how the gateway tells it.
const FATAL: [(&str, &str); 6] = [
    ("exit", "exited with code 7"),
    ("abort", "signal 6 (SIGABRT)"),
    ("segv", "signal 11 (SIGSEGV)"),
    ("overflow", "signal 11 (SIGSEGV)"),
    ("hog", "memory allocation of 1048576 bytes failed"),
    ("spin", "3 pings in a row were not answered"),
];

/// Messages of the well-behaved plugin before and while the other misbehaves.
const CALM: usize = 200;

async fn house(isolation: &str, account: Value) -> Gateway {
    let mut text = String::from("schema = 1\n[trust]\ndevelopment = true\n");
    for (name, path) in [("echo", echo()), ("faulty", faulty())] {
        text += &format!(
            "[[plugin]]\nname = \"{name}\"\npath = {path:?}\nisolation = \"{isolation}\"\n"
        );
    }
    Setup::new()
        .plugins_text(Some(&text))
        .config("/channels/faulty", account)
        .start()
        .await
}

/// Sends through the echo plugin until told to stop, at least so many; how long each took.
async fn flow(gateway: &Gateway, name: &str, least: usize, stop: &Notify) -> Vec<Duration> {
    let mut client = gateway.operator().await;
    let stopped = stop.notified();
    tokio::pin!(stopped);
    let (mut took, mut done) = (Vec::new(), false);
    while !done || took.len() < least {
        let key = format!("{name} {}", took.len());
        let params =
            json!({ "channel": "echo", "to": name, "message": key, "idempotencyKey": key });
        let began = Instant::now();
        client.ok("send", params).await;
        took.push(began.elapsed());
        done = done || futures_util::poll!(&mut stopped).is_ready();
    }
    took.sort();
    took
}

fn p99(took: &[Duration]) -> Duration {
    took[(took.len() * 99 / 100).min(took.len() - 1)]
}

/// One fault after the other, each on an instance without a past.
async fn misbehave(gateway: &Gateway, isolation: &str) {
    let mut client = gateway.operator().await;
    for fault in FAULTS {
        // What the send itself says does not matter here, only that it ends.
        client.call("send", to("faulty", fault)).await;
        client
            .ok("plugins.restart", json!({ "name": "faulty" }))
            .await;
    }
    if isolation == IN_PROCESS {
        return;
    }
    for (fault, how) in FATAL {
        let error = client
            .refused("send", to("faulty", fault))
            .await
            .to_string();
        assert!(error.contains(how), "{fault}: {error}");
        let told = |row: &Value| row["lastError"].as_str().is_some_and(|e| e.contains(how));
        gateway
            .account("faulty", "the reason in lastError", told)
            .await;
        client
            .ok("plugins.restart", json!({ "name": "faulty" }))
            .await;
    }
}

#[allow(clippy::print_stderr)] // the figure is what the test is about
async fn others_do_not_notice(isolation: &str) {
    let gateway = house(isolation, json!({})).await;
    let stop = Notify::new();
    stop.notify_one();
    let calm = p99(&flow(&gateway, "calm", CALM, &stop).await);
    let storm = Notify::new();
    let (took, ()) = tokio::join!(flow(&gateway, "storm", CALM, &storm), async {
        misbehave(&gateway, isolation).await;
        storm.notify_one();
    });
    let (count, storm) = (took.len(), p99(&took));
    eprintln!(
        "{isolation}: p99 of another plugin {storm:?} over {count} messages, {calm:?} before"
    );
    // A plugin that held it up would do so for seconds.
    assert!(
        storm < Duration::from_secs(1) + 5 * calm,
        "{storm:?} against {calm:?}"
    );
    let mut client = gateway.operator().await;
    client.ok("send", to("faulty", "well again")).await;
}

#[tokio::test]
async fn others_do_not_notice_faults_in_process() {
    others_do_not_notice(IN_PROCESS).await;
}

#[tokio::test]
async fn others_do_not_notice_faults_in_a_child() {
    others_do_not_notice(CHILD).await;
}

/// Five restarts in half an hour, then it is left alone, and whoever waits is told at once.
#[tokio::test]
async fn a_child_that_keeps_crashing_is_given_up() {
    let gateway = house(CHILD, json!({ "fault": "exit" })).await;
    let mut client = gateway.operator().await;
    let waiting = client.request("send", to("faulty", "held")).await;
    let port = gateway.port();
    let plugin = wait::until("a quarantine", || async move {
        let mut client = Client::connect(port, &support::Login::fresh()).await;
        let plugin = listed(&mut client, "faulty").await;
        (plugin["state"] == "quarantined").then_some(plugin)
    })
    .await;
    assert_eq!(plugin["isolation"], "process");
    assert_eq!(plugin["accounts"][0]["restarts"], 5);
    let why = plugin["accounts"][0]["error"].to_string();
    assert!(why.contains("exited with code 7"), "{why}");
    let began = Instant::now();
    let answer = client.response(&waiting).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it waits for nothing"
    );
    let text = answer["error"]["message"].to_string();
    assert!(text.contains("the channel is not running: "), "{answer}");
    let row = gateway
        .account("faulty", "the quarantine", |row| {
            row["state"] == "quarantined"
        })
        .await;
    assert!(row["lastError"].to_string().contains("code 7"), "{row}");
    gateway.logged("phase=Quarantined").await;
}

/// The processes that this one started and that still run a plugin.
fn runners(of: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            after_name.split_whitespace().nth(1) == Some(&of.to_string()) && is_runner(*pid)
        })
        .collect()
}

fn is_runner(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(b"plugin-runner")
}

async fn none_is_left(pids: &[u32]) {
    wait::until("no process to be left", || async {
        let gone = |pid: &u32| !is_runner(*pid) && !is_waiting_to_be_reaped(*pid);
        pids.iter().all(gone).then_some(())
    })
    .await;
}

/// Its command line is gone by then, its entry is not.
fn is_waiting_to_be_reaped(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// However the gateway ends, and whatever its plugins are doing then.
#[tokio::test]
async fn no_process_outlives_the_gateway() {
    let mut gateway = house(CHILD, json!({})).await;
    for crash in [true, false] {
        let served = |row: &Value| row["running"] == true;
        let row = gateway
            .account("faulty", "the account to serve", served)
            .await;
        assert!(row["process"]["pid"].is_u64(), "{row}");
        let held = row["process"]["confined"].as_str().unwrap_or_default();
        assert!(held.contains("system calls"), "{row}");
        let running = runners(gateway.pid());
        assert_eq!(running.len(), 2, "one for each account");
        let mut client = gateway.operator().await;
        // Busy for ever, so that it hears no goodbye.
        client
            .request("send", to("faulty", &format!("spin:{crash}")))
            .await;
        if crash {
            gateway.crash().await;
            none_is_left(&running).await;
            gateway.restart().await;
        } else {
            let began = Instant::now();
            assert_eq!(gateway.stop().await.code(), Some(0));
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "in the stop's own time"
            );
            none_is_left(&running).await;
        }
    }
}

/// A surface that talks to a provider does so from within its confinement.
#[tokio::test]
async fn a_provider_is_reached_from_a_child() {
    let library = support::binaries::library("gateway-plugin-telegram");
    let text = format!(
        "schema = 1\n[trust]\ndevelopment = true\n[[plugin]]\nname = \"telegram\"\n\
         path = {library:?}\nisolation = \"process\"\n[[plugin]]\nname = \"echo\"\n\
         path = {:?}\n",
        echo()
    );
    let house = crate::telegram::House::start_with(|setup| setup.plugins_text(Some(&text))).await;
    for n in 0..5 {
        house.round_trip(&format!("message {n}")).await;
    }
    assert_eq!(runners(house.gateway.pid()).len(), 1);
}
