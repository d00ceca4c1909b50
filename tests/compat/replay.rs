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
const HANDSHAKES: [&str; 25] = [
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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/transcripts");
        let mut steps = transcript::read(&folder.join(name).with_extension("jsonl")).into_iter();
        let Some(Step::Server(challenge)) = steps.next() else {
            panic!("{name}: no challenge")
        };
        // The one recording whose header fields matter does not hold them.
        let origin = [("origin", "https://elsewhere.example")];
        let headers = if name.contains("browser-origin") {
            &origin[..]
        } else {
            &[]
        };
        let mut turn = Turn {
            name,
            recorded_nonce: challenge["payload"]["nonce"].as_str().unwrap().to_owned(),
            recorded_ts: challenge["payload"]["ts"].as_u64().unwrap(),
            client: Client::open_with(gateway.port(), "/", headers).await,
        };
        for step in steps {
            // The client leaves by dropping its socket: what the other side then says is not heard.
            if matches!(step, Step::Leave) {
                return;
            }
            self.step(&mut turn, gateway, step).await;
        }
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
