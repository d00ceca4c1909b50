//! Thousands of sockets that never say hello, and somebody who is served meanwhile.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use support::flood::{Stop, resident, socket};
use support::wait::within;
use support::{Client, Gateway, Login};
use tokio::net::TcpStream;

use crate::report::{Limit, Row, median};

/// As many as were promised; fewer where the system gives fewer descriptors.
const SOCKETS: usize = 10_000;
/// Of one address: what the gateway gives it, so that its bound in all is what is met.
const OF_ONE_ADDRESS: usize = 256;
const ASKED: usize = 2_000;
/// MB; the gateway has other things to do meanwhile than to be flooded.
const LEFT_OVER_MAX: f64 = 2.0;

/// All the rows of the group.
pub async fn flood() -> Vec<Row> {
    let gateway = Gateway::start().await;
    let mut known = gateway.operator().await;
    asked(&mut known).await;
    let before = asked(&mut known).await;
    let memory_before = resident(gateway.pid());
    let descriptors_before = descriptors_of(&gateway);
    let sockets = SOCKETS.min(descriptors().saturating_sub(200));
    let flood = send(&gateway, sockets).await;
    let during = asked(&mut known).await;
    let memory_during = resident(gateway.pid());
    let held = descriptors_of(&gateway).saturating_sub(descriptors_before);
    // The flood has every place: a newcomer waits until some of it have given up.
    let start = Instant::now();
    within("a new client", newcomer(&gateway)).await;
    let waited = start.elapsed().as_secs_f64() * 1e3;
    drop(flood);
    let after = asked(&mut known).await;
    let memory_after = settled(&gateway, memory_before).await;

    let grown = memory_during.saturating_sub(memory_before) as f64 / 1024.0;
    let left = memory_after.saturating_sub(memory_before) as f64 / 1e6;
    let mut rows = vec![
        Row::alone(
            format!("flood: of {sockets} sockets held"),
            "",
            held as f64,
            Limit::Most(1_024.0),
        ),
        Row::alone(
            "flood: memory for each held",
            "KiB",
            grown / held as f64,
            Limit::Most(20.0),
        ),
        Row::alone(
            "flood: memory that stays",
            "MB",
            left,
            Limit::Most(LEFT_OVER_MAX),
        ),
        Row::alone(
            "flood: a new client waits",
            "ms",
            waited,
            Limit::Most(30_000.0),
        ),
    ];
    for (when, figures) in [("before", before), ("during", during), ("after", after)] {
        rows.extend(waits(when, figures));
    }
    rows
}

/// How long somebody waits who was there before.
fn waits(when: &str, (p50, p99): (f64, f64)) -> [Row; 2] {
    let name = |what: &str| format!("health {what} {when} the flood");
    [
        Row::alone(name("p50"), "us", p50, Limit::None),
        Row::alone(name("p99"), "us", p99, Limit::None),
    ]
}

/// A third of each kind, from as many addresses as it takes.
async fn send(gateway: &Gateway, sockets: usize) -> Vec<TcpStream> {
    let mut flood = Vec::with_capacity(sockets);
    for first in (0..sockets).step_by(OF_ONE_ADDRESS) {
        let wave = (first..sockets.min(first + OF_ONE_ADDRESS)).map(|number| {
            let address = u8::try_from(2 + number / OF_ONE_ADDRESS).unwrap_or(u8::MAX);
            let stop = [Stop::Silent, Stop::HalfHead, Stop::Upgraded][number % 3];
            socket(Ipv4Addr::new(127, 0, 0, address), gateway.port(), stop)
        });
        // One that is turned away while it speaks is as good as turned away.
        flood.extend(join_all(wave).await.into_iter().flatten());
    }
    flood
}

/// Resident memory once it was given back, or when nobody waits any longer.
async fn settled(gateway: &Gateway, before: u64) -> u64 {
    for _ in 0..300 {
        if resident(gateway.pid()) < before + 1_000_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    resident(gateway.pid())
}

async fn newcomer(gateway: &Gateway) {
    loop {
        if support::client::upgrade(gateway.port(), "/", &[])
            .await
            .is_ok()
        {
            Client::connect(gateway.port(), &Login::fresh()).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The middle and the 99th of a hundred answers to `health`, µs.
async fn asked(client: &mut Client) -> (f64, f64) {
    let mut figures = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let start = Instant::now();
        client.ok("health", json!({})).await;
        figures.push(start.elapsed().as_secs_f64() * 1e6);
        // What else it hears, such as ticks, is not kept.
        client.take_waiting();
    }
    let p50 = median(figures.clone());
    figures.sort_by(f64::total_cmp);
    (p50, figures[figures.len() * 99 / 100])
}

fn descriptors_of(gateway: &Gateway) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()));
    folder.expect("a live process").count()
}

fn descriptors() -> usize {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
