//! What the plugin boundary costs, in both places a plugin may run: inspecting, opening, a frame
//! there and back, events, memory, a restart, a faulty neighbour. `cargo bench -p gateway-tests --bench plugins`.
//!
//! Measured inside the host's own library, because sockets of clients would hide it. Beside the
//! round trips stand a bare function call and a bare socketpair, in the same run; see [`awake`] for
//! the machine's share of them. Over a promised limit the exit code is 1.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod awake;
mod neighbour;
#[allow(dead_code)]
mod report;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use awake::Awake;
use bytes::Bytes;
use gateway_host::plugins::{
    AccountStart, Inbound, Instance, KvError, KvStore, KvWrite, Plugin, Plugins, inspect,
};
use gateway_host::shutdown::Tasks;
use gateway_plugin::message::{Op, OpResult, OutboundMessage, StopReason};
use report::{Limit, Row, median};
use serde_json::{Value, json};
use support::binaries;

const PATIENCE: Duration = Duration::from_secs(30);
const OPENS: usize = 9;
const PINGS: usize = 20_000;
const EVENTS: u64 = 100_000;
const RESTARTS: usize = 51;

fn main() -> ExitCode {
    _ = binaries::built();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    // On a thread of the runtime, as accounts are.
    let rows = runtime.block_on(async { tokio::spawn(measure()).await.unwrap() });
    if report::print(&rows) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Where a plugin runs, and what may be promised there.
struct Place {
    name: &'static str,
    isolation: &'static str,
    open_ms: f64,
    trip_us: f64,
    events: f64,
    memory_mb: f64,
}

const PLACES: [Place; 2] = [
    Place {
        name: "in process",
        isolation: "in-process",
        open_ms: 1.0,
        trip_us: 15.0,
        events: 200_000.0,
        memory_mb: 0.3,
    },
    Place {
        name: "child",
        isolation: "process",
        open_ms: 10.0,
        trip_us: 30.0,
        events: 120_000.0,
        memory_mb: 1.5,
    },
];

async fn measure() -> Vec<Row> {
    let mut rows = vec![inspected()];
    for place in &PLACES {
        rows.extend(opened(place).await);
    }
    for place in &PLACES {
        let house = House::new("gateway-plugin-echo", place, 0);
        rows.push(round_trip(place, &house, Limit::None, "processors asleep").await);
        let awake = Awake::keep();
        let how = awake
            .as_ref()
            .map_or("no chrt here", |_| "processors awake");
        rows.push(round_trip(place, &house, Limit::Most(place.trip_us), how).await);
        rows.push(restarted(place, &house).await);
        drop(awake);
        rows.push(events(place).await);
        rows.push(neighbour::neighbour(place).await);
    }
    rows
}

fn inspected() -> Row {
    let file = std::fs::File::open(binaries::library("gateway-plugin-telegram")).unwrap();
    let figures = (0..101).map(|_| {
        let start = Instant::now();
        black_box(inspect::inspect_file(&file).unwrap());
        start.elapsed().as_secs_f64() * 1e3
    });
    let name = "inspect the telegram plugin's file".to_owned();
    Row::alone(name, "ms", median(figures.collect()), Limit::Most(1.0))
}

/// A `plugins.toml` with one plugin, and what it needs to run.
struct House {
    plugins: Plugins,
    tasks: Tasks,
    channel: String,
    _folder: tempfile::TempDir,
}

impl House {
    /// `salt` more bytes make another file of it, which the system loads anew.
    fn new(package: &str, place: &Place, salt: usize) -> House {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("plugin.so");
        let mut bytes = std::fs::read(binaries::library(package)).unwrap();
        bytes.extend(std::iter::repeat_n(b' ', salt));
        std::fs::write(&library, bytes).unwrap();
        let toml = folder.path().join("plugins.toml");
        let text = format!(
            "schema = 1\n[trust]\ndevelopment = true\n[[plugin]]\nname = \"p\"\n\
             path = \"plugin.so\"\nisolation = \"{}\"\n",
            place.isolation
        );
        std::fs::write(&toml, text).unwrap();
        let (plugins, problems) = Plugins::load(&toml, &folder.path().join("store")).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let channel = plugins.iter().next().unwrap().manifest().id.clone();
        House {
            plugins,
            tasks: Tasks::new("bench"),
            channel,
            _folder: folder,
        }
    }

    fn plugin(&self) -> &Arc<Plugin> {
        self.plugins.get(&self.channel).unwrap()
    }

    fn open(&self) -> (Instance, Inbound) {
        let start = AccountStart {
            account_id: "bench".to_owned(),
            config: json!({}),
            log_level: "error".to_owned(),
        };
        self.plugin()
            .open(start, Arc::new(Memory::default()), &self.tasks)
            .unwrap()
    }

    async fn started(&self) -> (Instance, Inbound) {
        let mut opened = self.open();
        start(&mut opened).await;
        opened
    }
}

/// Starts an instance; what it tells meanwhile is taken.
async fn start((instance, inbound): &mut (Instance, Inbound)) {
    let starting = instance.start(PATIENCE);
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return started.unwrap(),
            Some(event) = inbound.next() => event.ack.done(),
        }
    }
}

/// Opening files the system has not loaded yet, and what each instance keeps for itself.
async fn opened(place: &Place) -> Vec<Row> {
    let houses: Vec<House> = (0..OPENS)
        .map(|n| House::new("gateway-plugin-echo", place, n + 1))
        .collect();
    let before = own_dirty(std::process::id());
    let (mut opens, mut answers, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for house in &houses {
        let start = Instant::now();
        let mut opened = house.open();
        opens.push(start.elapsed().as_secs_f64() * 1e3);
        opened.0.ping(PATIENCE).await.unwrap();
        answers.push(start.elapsed().as_secs_f64() * 1e3);
        self::start(&mut opened).await;
        held.push(opened);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = own_dirty(std::process::id()).saturating_sub(before);
    let children = held.iter().filter_map(|(instance, _)| instance.state().pid);
    let children: Vec<f64> = children.map(|pid| own_dirty(pid) as f64).collect();
    let each = grown as f64 / OPENS as f64 + children.iter().sum::<f64>() / OPENS as f64;
    for (instance, _) in held {
        instance.stop(StopReason::Shutdown, PATIENCE).await;
    }
    // A child is open when it answers; in process the call itself returns it open.
    let (open, until) = if children.is_empty() {
        (opens, "open")
    } else {
        (answers, "open, until it answers")
    };
    let name = |what: &str| format!("{what}, {}", place.name);
    vec![
        Row::alone(name(until), "ms", median(open), Limit::Most(place.open_ms)),
        Row::alone(
            name("memory of its own, idle plugin"),
            "MB",
            each / 1e6,
            Limit::Most(place.memory_mb),
        ),
    ]
}

/// Memory that is only this process's and was written to, bytes.
fn own_dirty(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Private_Dirty:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

async fn round_trip(place: &Place, house: &House, limit: Limit, how: &str) -> Row {
    let (instance, _inbound) = house.started().await;
    let mut figures = Vec::with_capacity(PINGS);
    for n in 0..PINGS + PINGS / 10 {
        let start = Instant::now();
        instance.ping(PATIENCE).await.unwrap();
        if n >= PINGS / 10 {
            figures.push(start.elapsed().as_nanos() as f64 / 1e3);
        }
    }
    figures.sort_by(f64::total_cmp);
    let p99 = figures[PINGS * 99 / 100];
    instance.stop(StopReason::Shutdown, PATIENCE).await;
    let (floor, beside) = if place.isolation == "process" {
        (socketpair_us(), "socketpair")
    } else {
        (function_us(), "function call")
    };
    Row {
        name: format!(
            "round trip p50 (p99 {p99:.0}), {}, {how}; {beside}",
            place.name
        ),
        unit: "µs",
        ours: figures[PINGS / 2],
        floor: Some(floor),
        limit,
    }
}

/// A bare call through a C function pointer.
fn function_us() -> f64 {
    extern "C" fn bare(a: u64) -> u64 {
        a.wrapping_add(1)
    }
    let call: extern "C" fn(u64) -> u64 = black_box(bare);
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..1_000_000 {
        sum = black_box(call(sum));
    }
    start.elapsed().as_secs_f64()
}

/// Sixty-four bytes to another thread and back, both blocking.
fn socketpair_us() -> f64 {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let mirror = std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while there.read_exact(&mut bytes).is_ok() {
            there.write_all(&bytes).unwrap();
        }
    });
    let mut bytes = [7; 64];
    let figures = (0..PINGS).map(|_| {
        let start = Instant::now();
        here.write_all(&bytes).unwrap();
        here.read_exact(&mut bytes).unwrap();
        start.elapsed().as_nanos() as f64 / 1e3
    });
    let middle = median(figures.collect());
    drop(here);
    mirror.join().unwrap();
    middle
}

/// Events under credit, each acknowledged, as many at a time as the plugin may have under way.
async fn events(place: &Place) -> Row {
    let house = House::new("gateway-faulty-plugin", place, 0);
    let (instance, mut inbound) = house.started().await;
    let mut figures = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let sent = burst(&instance);
        let taken = async {
            for _ in 0..EVENTS {
                inbound.next().await.unwrap().ack.done();
            }
        };
        let (sent, ()) = tokio::join!(sent, taken);
        assert_eq!(sent, json!(EVENTS));
        figures.push(EVENTS as f64 / start.elapsed().as_secs_f64());
    }
    instance.stop(StopReason::Shutdown, PATIENCE).await;
    let name = format!("events with acknowledgement, {}", place.name);
    Row::alone(name, "/s", median(figures), Limit::Least(place.events))
}

async fn burst(instance: &Instance) -> Value {
    let op = Op::Send(OutboundMessage {
        to: "bench".to_owned(),
        text: format!("burst:{EVENTS}"),
        ..OutboundMessage::default()
    });
    match instance.request(op, Bytes::new(), PATIENCE).await.unwrap() {
        OpResult::Sent(receipt) => receipt.native,
        other => panic!("{other:?}"),
    }
}

/// From the order to stop to the first answer of the next instance.
async fn restarted(place: &Place, house: &House) -> Row {
    let mut figures = Vec::new();
    let mut running = house.started().await;
    for _ in 0..RESTARTS {
        let start = Instant::now();
        running.0.stop(StopReason::Restart, PATIENCE).await;
        running = house.started().await;
        running.0.ping(PATIENCE).await.unwrap();
        figures.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("restart of an instance, {}", place.name);
    Row::alone(name, "ms", median(figures), Limit::Most(5.0))
}

/// An account's state in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl KvStore for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, KvError> {
        let all = self.0.lock().unwrap();
        let keys = all.keys().filter(|key| key.starts_with(prefix));
        Ok(keys.cloned().collect())
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> KvWrite<'a> {
        let mut all = self.0.lock().unwrap();
        all.insert(key.to_owned(), value.to_vec());
        Box::pin(async { Ok(()) })
    }

    fn del<'a>(&'a self, key: &'a str) -> KvWrite<'a> {
        self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }
}
