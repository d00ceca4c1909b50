//! Recorded conversations, played again with our gateway on the other side.
//!
//! The handshakes were recorded one after the other on one gateway, so they are replayed in that
//! order on one gateway: what one of them left behind (a paired device, a pending request, a
//! device token) is what the next one met.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::device::{Version, payload};
use support::transcript::{self, Step};
use support::wait::now_ms;
use support::{Client, Close, Device, Gateway, Setup};

use crate::likeness::{Names, differences};

/// The seed of the device that most recordings use (`id1` of the vectors).
const KNOWN_SEED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// In the order of their recording.
const HANDSHAKES: [&str; 26] = [
    "handshake-operator-silent-pairing",
    "handshake-operator-device-token-reconnect",
    "handshake-operator-retry-with-device-token",
    "handshake-operator-v2-signature",
    "handshake-wrong-token",
    "handshake-wrong-device-token",
    "handshake-no-auth",
    "handshake-no-device-no-auth",
    "handshake-bad-signature",
    "handshake-bad-nonce",
    "handshake-stale-signature",
    "handshake-device-id-mismatch",
    "handshake-wrong-protocol",
    "handshake-invalid-params",
    "handshake-invalid-role",
    "handshake-metadata-upgrade",
    "handshake-role-upgrade",
    "handshake-browser-origin-rejected",
    "handshake-first-frame-not-connect",
    "handshake-first-frame-not-json",
    "handshake-first-frame-not-a-request",
    "handshake-oversize",
    "handshake-no-device-binary-frame",
    "post-handshake-errors",
    "pairing-remote-approve",
    "shutdown",
];

/// The gateway of the recordings had no channel.
fn like_the_recorded_one() -> Setup {
    Setup::new().plugins(&[]).config("/channels", json!({}))
}

#[tokio::test]
async fn all_handshakes_in_their_order() {
    let gateway = like_the_recorded_one().start().await;
    let mut replay = Replay::new();
    for name in HANDSHAKES {
        replay.play(&gateway, name).await;
    }
    replay.finish();
}

#[tokio::test]
async fn the_real_command_line() {
    let gateway = like_the_recorded_one().start().await;
    let mut replay = Replay::new();
    replay.play(&gateway, "real-cli-v3").await;
    replay.finish();
}

/// By itself, because it lasts as long as the gateway waits for a first frame.
#[tokio::test]
async fn a_silent_client() {
    let gateway = like_the_recorded_one().start().await;
    let mut replay = Replay::new();
    replay.play(&gateway, "handshake-timeout").await;
    replay.finish();
}

/// What is not built yet: a node's own methods, and the word that wakes it. And what comes with
/// time alone, which other tests wait for.
fn is_of_nodes(step: &Step) -> bool {
    let (Step::Server(frame) | Step::Client(frame, _)) = step else {
        return false;
    };
    let text = frame.to_string();
    text.contains("node.event")
        || text.contains("node.invoke")
        || text.contains("voicewake")
        || frame["event"] == "tick"
        || frame["event"] == "health"
        || frame["payload"] == json!({ "ok": true })
}

/// The newer command line is told which protocol to come back with; the newer node host is served
/// in its own, and in the older one when it asks for that.
#[tokio::test]
async fn both_newer_clients() {
    let name = "real-v4-clients-against-v3-gateway";
    let gateway = like_the_recorded_one().start().await;
    let mut replay = Replay::new();
    replay.play_some(&gateway, name, |conn, _| conn == 1).await;
    // The recorded gateway spoke no 4.
    assert_eq!(replay.hello(&gateway, name, 3).await["protocol"], 4);
    let gateway = like_the_recorded_one().start().await;
    let older = |conn, step: &Step| conn == 4 && !is_of_nodes(step);
    replay.play_some(&gateway, name, older).await;
    replay.finish();
}

#[tokio::test]
async fn both_older_clients_are_served() {
    let name = "real-v3-clients-against-v4-gateway";
    // One home each: a device that is already an operator needs a person's word to be a node too.
    for conn in [1, 2] {
        let gateway = like_the_recorded_one().start().await;
        let hello = Replay::new().hello(&gateway, name, conn).await;
        assert_eq!(hello["protocol"], 3);
    }
    let gateway = like_the_recorded_one().start().await;
    let mut replay = Replay::new();
    replay
        .play_some(&gateway, "real-node-host-v3", |_, step| !is_of_nodes(step))
        .await;
    replay.finish();
}

struct Replay {
    names: Names,
    devices: HashMap<String, Device>,
    found: Vec<String>,
}

/// One recording while it plays.
struct Turn<'a> {
    name: &'a str,
    recorded_nonce: String,
    recorded_ts: u64,
    client: Client,
}

impl<'a> Turn<'a> {
    /// The header fields that matter are not in the recordings.
    async fn open(gateway: &Gateway, name: &'a str, conn: u64, challenge: &Value) -> Turn<'a> {
        let headers: &[_] = match (name, conn) {
            ("handshake-browser-origin-rejected", _) => &[("origin", "https://elsewhere.example")],
            ("pairing-remote-approve", 2..) => &[("host", "gateway.example")],
            _ => &[],
        };
        Turn {
            name,
            recorded_nonce: challenge["payload"]["nonce"].as_str().unwrap().to_owned(),
            recorded_ts: challenge["payload"]["ts"].as_u64().unwrap(),
            client: Client::open_with(gateway.port(), "/", headers).await,
        }
    }
}

fn recorded(name: &str) -> Vec<(u64, Step)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/transcripts");
    transcript::read(&folder.join(name).with_extension("jsonl"))
}

impl Replay {
    fn new() -> Self {
        let known = Device::from_seed_hex(KNOWN_SEED);
        let devices = HashMap::from([(known.public_key.clone(), known)]);
        Self {
            names: Names::default(),
            devices,
            found: Vec::new(),
        }
    }

    fn finish(self) {
        assert!(
            self.found.is_empty(),
            "differs from the recordings:\n{}",
            self.found.join("\n")
        );
    }

    async fn play(&mut self, gateway: &Gateway, name: &str) {
        self.play_some(gateway, name, |_, _| true).await;
    }

    /// Plays those steps of a recording that are wanted.
    async fn play_some(
        &mut self,
        gateway: &Gateway,
        name: &str,
        wanted: impl Fn(u64, &Step) -> bool,
    ) {
        let mut turns = HashMap::new();
        for (conn, step) in recorded(name) {
            if !wanted(conn, &step) {
                continue;
            }
            match (turns.get_mut(&conn), step) {
                // The client leaves by dropping its socket: what the other side then says is not
                // heard.
                (Some(_), Step::Leave) => _ = turns.remove(&conn),
                // The same end, told by the other side of the recording.
                (None, Step::Leave | Step::Close(..)) => {}
                (Some(turn), step) => self.step(turn, gateway, step).await,
                (None, Step::Server(challenge)) => {
                    _ = turns.insert(conn, Turn::open(gateway, name, conn, &challenge).await);
                }
                (None, step) => panic!("{name}: {step:?} before the challenge"),
            }
        }
    }

    /// What the recorded `connect` of one connection is answered.
    async fn hello(&mut self, gateway: &Gateway, name: &str, conn: u64) -> Value {
        let mut steps = recorded(name).into_iter().filter(|(n, _)| *n == conn);
        let Some((_, Step::Server(challenge))) = steps.next() else {
            panic!("{name}: no challenge")
        };
        let mut turn = Turn::open(gateway, name, conn, &challenge).await;
        let Some((_, Step::Client(mut frame, _))) = steps.next() else {
            panic!("{name}: no connect")
        };
        self.make_ours(&mut frame, &turn);
        turn.client.send(&frame).await;
        let answer = turn.client.response(frame["id"].as_str().unwrap()).await;
        assert_eq!(answer["ok"], true, "{name}, connection {conn}: {answer}");
        answer["payload"].clone()
    }

    async fn step(&mut self, turn: &mut Turn<'_>, gateway: &Gateway, step: Step) {
        match step {
            Step::Client(mut frame, binary) => {
                self.make_ours(&mut frame, turn);
                if binary {
                    turn.client.send_binary(frame.to_string()).await;
                } else {
                    turn.client.send(&frame).await;
                }
            }
            Step::Raw(text) => turn.client.send_text(unfold(&text)).await,
            Step::Server(recorded) => {
                if recorded["event"] == "shutdown" {
                    gateway.signal(Signal::TERM);
                }
                let ours = turn
                    .client
                    .find(&recorded.to_string(), |f| kin(&recorded, f))
                    .await;
                for line in differences(&recorded, &ours, &mut self.names) {
                    self.found.push(format!("{}: {line}", turn.name));
                }
            }
            Step::Close(code, reason) => {
                let (ours, recorded) = (turn.client.closed().await, Close::new(code, &reason));
                if ours != recorded {
                    self.found.push(format!(
                        "{}: recorded {recorded:?}, ours {ours:?}",
                        turn.name
                    ));
                }
            }
            Step::Leave => unreachable!("the turn ends there"),
        }
    }

    /// Puts our nonce, times, device and secrets into a recorded frame, and signs it again when
    /// the recorded signature was right.
    fn make_ours(&mut self, frame: &mut Value, turn: &Turn<'_>) {
        let recorded = frame["params"].clone();
        for field in ["requestId", "deviceId"] {
            if let Some(ours) = recorded[field].as_str().and_then(|t| self.names.ours(t)) {
                frame["params"][field] = json!(ours);
            }
        }
        for field in ["token", "deviceToken"] {
            if let Some(ours) = recorded["auth"][field]
                .as_str()
                .and_then(|t| self.names.ours(t))
            {
                frame["params"]["auth"][field] = json!(ours);
            }
        }
        let Some(key) = recorded["device"]["publicKey"].as_str() else {
            return;
        };
        let device = self.devices.entry(key.to_owned()).or_default();
        let proof = &recorded["device"];
        let (id, nonce) = (
            proof["id"].as_str().unwrap(),
            proof["nonce"].as_str().unwrap(),
        );
        let signed_at = proof["signedAt"].as_u64().unwrap();
        let version = [Version::V3, Version::V2].into_iter().find(|&version| {
            let text = payload(version, id, &recorded, signed_at, nonce);
            verifies(key, proof["signature"].as_str().unwrap(), &text)
        });
        let ours = &mut frame["params"]["device"];
        if device.public_key != key {
            ours["publicKey"] = json!(device.public_key);
            ours["id"] = json!(device.id);
            self.names.set(id, &device.id);
        }
        if nonce == turn.recorded_nonce {
            ours["nonce"] = json!(turn.client.nonce());
        }
        let now = (now_ms() + signed_at).saturating_sub(turn.recorded_ts);
        ours["signedAt"] = json!(now);
        let proof = ours.clone();
        if let Some(version) = version {
            let (id, nonce) = (
                proof["id"].as_str().unwrap(),
                proof["nonce"].as_str().unwrap(),
            );
            let text = payload(version, id, &frame["params"], now, nonce);
            let signature = device.sign(&text);
            frame["params"]["device"]["signature"] = json!(signature);
        }
    }
}

/// Whether our frame is the one that answers to the recorded one.
fn kin(recorded: &Value, ours: &Value) -> bool {
    recorded["type"] == ours["type"]
        && recorded["event"] == ours["event"]
        && recorded["id"] == ours["id"]
}

fn verifies(key: &str, signature: &str, text: &str) -> bool {
    let key: [u8; 32] = URL_SAFE_NO_PAD.decode(key).unwrap().try_into().unwrap();
    let key = VerifyingKey::from_bytes(&key).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    Signature::from_slice(&bytes).is_ok_and(|s| key.verify_strict(text.as_bytes(), &s).is_ok())
}

/// Long texts are recorded as their beginning and their length: `xxx...(65537 chars)`.
fn unfold(text: &str) -> String {
    let folded = text.split_once("...(").and_then(|(start, rest)| {
        let length = rest.strip_suffix(" chars)")?.parse().ok()?;
        Some(start[..1].repeat(length))
    });
    folded.unwrap_or_else(|| text.to_owned())
}
