//! A bounded fuzz loop over the texts a stranger may send: recorded frames with bytes, pieces and
//! whole values exchanged. Nothing panics, and the hand-written reader agrees with the law.

#![allow(clippy::unwrap_used)]

use serde_json::Value;

use crate::error::{ErrorCode, ErrorShape};
use crate::frame::{self, FrameError};
use crate::{law, validate};

const ROUNDS: u32 = 30_000;
/// What may stand where something else stood.
const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "\u{e9}",
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "1.5",
    "\"\"",
    "{}",
    "\"req\"",
    "\"id\":",
    "\"type\":\"event\"",
    " ",
];

/// Small, fast and the same everywhere for one seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn frames_are_read_as_the_law_says() {
    let law = law::schema("frames.json#/$defs/RequestFrame").unwrap();
    let law = jsonschema::draft202012::options()
        .build(&law.to_value())
        .unwrap();
    let seeds = [
        r#"{"type":"req","id":"1","method":"health","params":{"timeout":15000}}"#,
        r#"{"type":"req","id":"\u00e9\n","method":"m","params":null,"traceparent":"00-a"}"#,
        r#"{"method":"send","id":7,"type":"req","expectedProfileId":"p","params":[1,{"a":[]}]}"#,
        r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":3}"#,
    ];
    mutate(&seeds, |text| {
        let tree = serde_json::from_str::<Value>(text);
        match (frame::read_request(text), tree) {
            (Ok(_), Ok(tree)) => assert!(law.is_valid(&tree), "taken against the law: {text}"),
            (Err(FrameError::NotJson), Err(_)) => {}
            (Err(FrameError::Invalid { id, message }), Ok(tree)) => {
                assert!(!law.is_valid(&tree), "refused against the law: {text}");
                assert!(!message.is_empty(), "refused without a reason: {text}");
                let error = ErrorShape::new(ErrorCode::InvalidRequest, message);
                let answer = frame::response_err(&id, &error, None);
                serde_json::from_str::<Value>(&answer).expect("an answer is JSON");
            }
            // A number too large for the tree, or half of a surrogate pair: the reader looks at
            // neither where it needs no value of them.
            (Ok(_) | Err(FrameError::Invalid { .. }), Err(_)) => {}
            (Err(FrameError::NotJson), Ok(_)) => panic!("JSON, but not read: {text}"),
        }
    });
}

#[test]
fn params_are_refused_with_a_reason_or_taken() {
    let seeds = [
        include_str!("../examples/ConnectParams/valid-real-tui-v3.json"),
        include_str!("../examples/ConnectParams/valid-pairing-remote-approve.json"),
        include_str!("../examples/ConnectParams/valid-node-connect-and-invoke.json"),
    ];
    mutate(&seeds, |text| {
        if let Err(reason) = validate::connect(text) {
            assert!(!reason.is_empty(), "refused without a reason: {text}");
        } else if let Ok(tree) = serde_json::from_str::<Value>(text) {
            // What the law takes, its type can read.
            let read = serde_json::from_value::<crate::connect::ConnectParams>(tree);
            assert!(
                read.is_ok() || text.trim() == "null",
                "taken but not read: {text}"
            );
        }
    });
}

/// Calls `check` with each seed and with many texts made of them.
fn mutate(seeds: &[&str], check: impl Fn(&str)) {
    seeds.iter().for_each(|seed| check(seed));
    let mut random = Random(0x5eed_0f5e_ed0f_5eed);
    for _ in 0..ROUNDS {
        let mut text = seeds[random.below(seeds.len())].as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len().max(1)).min(text.len());
            let end = (at + random.below(9)).min(text.len());
            match random.below(4) {
                0 if at < text.len() => text[at] = random.below(256) as u8,
                1 => drop(text.splice(at..end, *b"")),
                2 => {
                    let again = text[at..end].to_vec();
                    drop(text.splice(at..at, again));
                }
                _ => {
                    let piece = PIECES[random.below(PIECES.len())];
                    drop(text.splice(at..end, piece.bytes()));
                }
            }
        }
        check(&String::from_utf8_lossy(&text));
    }
}
