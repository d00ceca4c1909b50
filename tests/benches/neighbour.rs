//! What a plugin notices of another one that fails all the time: its round trips, quiet and beside
//! panics, garbage, blocking and, in a child, crashes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_host::plugins::Instance;
use gateway_plugin::message::{Op, OutboundMessage, StopReason};

use super::report::{Limit, Row};
use super::{House, PATIENCE, Place};

/// Round trips, one each [`PACE`].
const TRIPS: usize = 6_000;
/// Messages come one after the other, not as fast as a loop can send.
const PACE: Duration = Duration::from_millis(1);
/// Between two faults: each but the garbage costs the plugin its instance, and no sooner is it
/// started again.
const FAULT_PAUSE: Duration = gateway_host::limits::PLUGIN_BACKOFF_FIRST;

/// The 99th of a hundred round trips of a plugin beside a faulty one; the floor is without it.
pub async fn neighbour(place: &Place) -> Row {
    let house = House::new("gateway-plugin-echo", place, 0);
    let (instance, _inbound) = house.started().await;
    trips(&instance).await;
    let quiet = trips(&instance).await;
    let during = tokio::select! {
        during = trips(&instance) => during,
        never = trouble(place) => match never {},
    };
    instance.stop(StopReason::Shutdown, PATIENCE).await;
    Row {
        name: format!("p99 beside a plugin that fails, {}", place.name),
        unit: "µs",
        ours: during,
        floor: Some(quiet),
        limit: Limit::Floors(2.0),
    }
}

async fn trips(instance: &Instance) -> f64 {
    let mut figures = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        tokio::time::sleep(PACE).await;
        let start = Instant::now();
        instance.ping(PATIENCE).await.unwrap();
        figures.push(start.elapsed().as_nanos() as f64 / 1e3);
    }
    figures.sort_by(f64::total_cmp);
    figures[TRIPS * 99 / 100]
}

/// One fault after the other, for ever.
async fn trouble(place: &Place) -> std::convert::Infallible {
    let faults: &[&str] = match place.isolation {
        "process" => &["panic", "garbage:5", "block:5", "segv"],
        _ => &["panic", "garbage:5", "block:5"],
    };
    let house = House::new("gateway-faulty-plugin", place, 0);
    loop {
        for fault in faults {
            let (instance, _inbound) = house.started().await;
            let op = Op::Send(OutboundMessage {
                to: "bench".to_owned(),
                text: (*fault).to_owned(),
                ..OutboundMessage::default()
            });
            // Most of them end without an answer.
            _ = instance.request(op, Bytes::new(), PATIENCE).await;
            instance.stop(StopReason::Restart, PATIENCE).await;
            tokio::time::sleep(FAULT_PAUSE).await;
        }
    }
}
