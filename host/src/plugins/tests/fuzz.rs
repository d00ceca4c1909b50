//! Bytes that nobody meant: mutated libraries for the inspector and the loader, mutated bodies for
//! whatever reads a plugin's frames. No panic, nothing loaded. A failure names its seed; a run of
//! that seed alone repeats it. (The frame decoder of a child has its own in `child/wire.rs`.)

use std::panic::{AssertUnwindSafe, catch_unwind};

use gateway_plugin::abi::{ABI_MAJOR, ENTRY_SYMBOL, FINGERPRINT, MAGIC, SECTION, rc};
use gateway_plugin::manifest::API_MINOR;
use gateway_plugin::message::{HostCall, HostReply, LogRecord, StartRequest};

use super::*;
use crate::plugins::inspect::{inspect, inspect_file, inspect_for};
use crate::plugins::intake::Intake;

/// How many libraries and bodies are tried.
const ROUNDS: u64 = 20_000;

/// A small deterministic source of numbers.
struct Random(u64);

impl Random {
    fn of(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// Changes a few bytes, or the length.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const LOUD: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'\\'];
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => {
                    let piece = bytes[at..bytes.len().min(at + self.below(64))].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                2..=4 if !bytes.is_empty() => bytes[at] = LOUD[self.below(LOUD.len())],
                _ if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                _ => {}
            }
        }
    }
}

/// Runs one seed and names it if it panics.
fn seeded(what: &str, seed: u64, run: impl FnOnce()) {
    let ended = catch_unwind(AssertUnwindSafe(run));
    assert!(ended.is_ok(), "{what}: seed {seed} panics");
}

/// A shared object of 2 KiB that the inspector takes: all that it reads, and nothing to load.
fn small_library() -> Vec<u8> {
    let manifest = json!({
        "id": "tiny", "name": "Tiny", "version": "1.0.0", "api": "1.0",
        "capabilities": ["direct"], "configSchema": { "type": "object" },
    })
    .to_string();
    let mut plugin = MAGIC.to_vec();
    plugin.extend(ABI_MAJOR.to_le_bytes());
    plugin.extend(API_MINOR.to_le_bytes());
    plugin.extend(0_u32.to_le_bytes());
    plugin.extend(FINGERPRINT.to_le_bytes());
    plugin.extend((manifest.len() as u64).to_le_bytes());
    plugin.extend(manifest.as_bytes());
    let strings = [b"\0", ENTRY_SYMBOL.as_bytes(), b"\0GLIBC_2.17\0libc.so.6\0"].concat();
    let mut symbols = vec![0; 24];
    // Name 1, global function in section 1, at 0x1000, 16 bytes.
    symbols.extend([1, 0, 0, 0, 0x12, 0, 1, 0]);
    symbols.extend(0x1000_u64.to_le_bytes());
    symbols.extend(16_u64.to_le_bytes());
    let mut dynamic = Vec::new();
    for (tag, value) in [(5_u64, 0x200_u64), (6, 0x300), (10, 64), (30, 0), (0, 0)] {
        dynamic.extend(tag.to_le_bytes());
        dynamic.extend(value.to_le_bytes());
    }
    // Name, type, linked section, size of one entry, content.
    let sections: [(&str, u32, u32, u64, &[u8]); 5] = [
        (SECTION, 1, 0, 0, &plugin),
        (".dynstr", 3, 0, 0, &strings),
        (".dynsym", 11, 2, 24, &symbols),
        (".dynamic", 6, 2, 16, &dynamic),
        (".comment", 1, 0, 0, b"rustc version 1.95.0\0"),
    ];
    let mut names = vec![0];
    let mut content = Vec::new();
    let mut headers = vec![0; 64];
    for (name, kind, link, each, bytes) in sections {
        let at = names.len() as u32;
        names.extend([name.as_bytes(), b"\0"].concat());
        headers.extend(section(
            at,
            kind,
            64 + content.len(),
            bytes.len(),
            link,
            each,
        ));
        content.extend_from_slice(bytes);
    }
    let at = names.len() as u32;
    names.extend(b".shstrtab\0");
    headers.extend(section(at, 3, 64 + content.len(), names.len(), 0, 0));
    content.extend(names);
    let mut file = head(64 + content.len() as u64, 7);
    file.extend(content);
    file.extend(headers);
    file
}

/// An ELF header of this machine's kind, with its section table there.
fn head(table: u64, sections: u16) -> Vec<u8> {
    let machine: u16 = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(3_u16.to_le_bytes());
    out.extend(machine.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    out.extend([0; 16]);
    out.extend(table.to_le_bytes());
    out.extend([0; 4]);
    for half in [64, 56, 0, 64, sections, sections - 1] {
        out.extend(u16::to_le_bytes(half));
    }
    out
}

fn section(name: u32, kind: u32, at: usize, size: usize, link: u32, each: u64) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(name.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend([0; 16]);
    out.extend((at as u64).to_le_bytes());
    out.extend((size as u64).to_le_bytes());
    out.extend(link.to_le_bytes());
    // Symbols: the first that is not local.
    out.extend(u32::from(kind == 11).to_le_bytes());
    out.extend(1_u64.to_le_bytes());
    out.extend(each.to_le_bytes());
    out
}

#[test]
fn mutated_libraries_never_panic_in_the_inspector() {
    let whole = small_library();
    let told = inspect_for(&whole, Some("2.36")).expect("the unchanged one is a plugin");
    assert_eq!(
        (told.manifest.id.as_str(), told.glibc.as_deref()),
        ("tiny", Some("2.17"))
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.so");
    let mut refused = 0;
    for seed in 0..ROUNDS {
        let mut bytes = whole.clone();
        Random::of(seed).mutate(&mut bytes);
        seeded("inspect", seed, || {
            let told = inspect_for(&bytes, Some("2.36"));
            refused += usize::from(told.is_err());
            // Of a file only parts are read: the same must come out.
            if seed % 16 == 0 {
                std::fs::write(&path, &bytes).unwrap();
                let file = std::fs::File::open(&path).unwrap();
                let of_file = inspect_file(&file).map(|i| i.manifest);
                assert_eq!(of_file.is_ok(), inspect(&bytes).is_ok());
            }
        });
    }
    // Most changes hit what counts; the others are caught by the digest, below.
    assert!(refused > ROUNDS as usize / 4, "{refused} were refused");
}

/// Through the loader with the digest of the whole one: whatever was changed, nothing is taken.
#[test]
fn no_mutated_library_is_loaded() {
    let whole = small_library();
    let dir = tempfile::tempdir().unwrap();
    let (path, store) = (dir.path().join("a.so"), dir.path().join("store"));
    let plugins = dir.path().join("plugins.toml");
    let text = format!(
        "schema = 1\n[trust]\nallow_unsigned = true\n[[plugin]]\nname = \"a\"\n\
         path = \"a.so\"\nsha256 = \"{}\"\n",
        digest(&whole)
    );
    std::fs::write(&plugins, text).unwrap();
    std::fs::write(&path, &whole).unwrap();
    let (_, problems) = Plugins::load(&plugins, &store).unwrap();
    assert!(problems.is_empty(), "the unchanged one: {problems:?}");
    for seed in 0..ROUNDS {
        let mut bytes = whole.clone();
        Random::of(seed).mutate(&mut bytes);
        if bytes == whole {
            continue;
        }
        std::fs::write(&path, &bytes).unwrap();
        let (loaded, problems) = Plugins::load(&plugins, &store).unwrap();
        assert_eq!(loaded.iter().count(), 0, "seed {seed} was taken");
        let refusal = &problems[0].refusal;
        assert!(
            matches!(refusal, Refusal::Digest { .. }),
            "seed {seed}: {refusal}"
        );
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(
        !maps.contains(dir.path().to_str().unwrap()),
        "nothing was mapped"
    );
}

/// Bodies as plugins send them, each really one of its kind.
fn bodies() -> Vec<(u32, Vec<u8>)> {
    use gateway_plugin::abi::kind;
    fn one<T>(kind: u32, body: Value) -> (u32, Vec<u8>)
    where
        T: serde::de::DeserializeOwned + serde::Serialize,
    {
        let value: T = serde_json::from_value(body).unwrap();
        (kind, serde_json::to_vec(&value).unwrap())
    }
    let message = json!({ "type": "message", "id": "7", "atMs": 1_700_000_000_000_u64,
        "chat": { "id": "c", "kind": "group", "title": "t" }, "text": "h\u{e9} \u{1f642}",
        "sender": { "id": "u", "name": "n" }, "mentions": ["a"], "attachments": [
            { "mime": "image/png", "size": 4, "inline": [0, 4] }], "native": { "deep": [[[1]]] } });
    let deleted = json!({ "type": "deleted", "chat": "c", "messageId": "7" });
    let error = json!({ "kind": "rate_limited", "message": "later", "retryAfterMs": 1_000 });
    let sent = json!({ "result": "sent", "messageId": "1" });
    let record = json!({ "level": 3, "target": "t", "message": "m", "fields": [["a", "b"]] });
    vec![
        one::<Event>(kind::EVENT, message.clone()),
        one::<Event>(kind::EVENT, message),
        one::<Event>(kind::EVENT, deleted),
        one::<HostCall>(kind::REQUEST, json!({ "op": "kv.get", "key": "k" })),
        one::<OpResult>(kind::RESPONSE, sent),
        one::<SurfaceError>(kind::RESPONSE, error.clone()),
        one::<LogRecord>(kind::LOG, record),
        one::<SurfaceError>(kind::FATAL, error),
    ]
}

/// Everything a body of a frame is read as, on the host's side and on the plugin's.
fn read_all(body: &[u8]) {
    fn one<T: serde::de::DeserializeOwned + serde::Serialize>(body: &[u8]) {
        if let Ok(value) = serde_json::from_slice::<T>(body) {
            // What was read can be written again.
            serde_json::to_vec(&value).unwrap();
        }
    }
    one::<Event>(body);
    if let Ok(Event::Message(message)) = serde_json::from_slice(body) {
        let blob = Bytes::from_static(b"blob");
        for file in &message.attachments {
            // Where it says its bytes are need not be inside of what came.
            assert!(
                file.bytes(&blob)
                    .is_none_or(|bytes| bytes.len() <= blob.len())
            );
        }
    }
    one::<Op>(body);
    one::<OpResult>(body);
    one::<HostCall>(body);
    one::<HostReply>(body);
    one::<SurfaceError>(body);
    one::<StartRequest>(body);
    one::<LogRecord>(body);
}

#[test]
fn mutated_bodies_never_panic() {
    let bodies = bodies();
    let codes = [rc::OK, rc::BUSY, rc::CLOSED, rc::BAD_FRAME, rc::UNSUPPORTED];
    let (intake, mut events, mut calls) = Intake::new("fuzz", "main");
    for seed in 0..ROUNDS {
        let mut random = Random::of(seed);
        let (kind, mut body) = bodies[random.below(bodies.len())].clone();
        random.mutate(&mut body);
        // Now and then another kind of frame than the body was made for, or none at all.
        let kind = if random.below(4) == 0 {
            random.below(12) as u32
        } else {
            kind
        };
        let (id, status) = (random.below(4) as u64, random.below(3) as i32 - 1);
        let blob = Bytes::from(vec![0; random.below(8)]);
        seeded("a body", seed, || {
            read_all(&body);
            let code = intake.take(kind, id, status, &body, blob);
            assert!(codes.contains(&code), "answered {code}");
            // What the host takes from the queues makes room for the next.
            while events.try_recv().is_ok() {}
            while calls.try_recv().is_ok() {}
        });
    }
}
