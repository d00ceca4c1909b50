//! What is refused before any code of a plugin runs, and in which words.

use gateway_plugin::abi::section::HEADER_SIZE;
use gateway_plugin::abi::{FINGERPRINT, MAGIC};

use super::*;
use crate::plugins::inspect::{inspect, inspect_for};

/// Is this file mapped into our process?
fn mapped(path: &Path) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.contains(path.to_str().unwrap())
}

/// Where the plugin section begins in a library.
fn section_at(bytes: &[u8]) -> usize {
    let found = bytes
        .windows(HEADER_SIZE)
        .position(|w| w.starts_with(&MAGIC) && w[24..32] == FINGERPRINT.to_le_bytes());
    found.expect("a plugin has its section")
}

/// Writes an altered copy of echo and gives the refusal.
fn refused(alter: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = std::fs::read(echo_library()).unwrap();
    alter(&mut bytes);
    inspect(&bytes)
        .expect_err("an altered file is refused")
        .to_string()
}

#[test]
fn a_plugin_tells_about_itself_without_running() {
    let told = inspect(&std::fs::read(echo_library()).unwrap()).unwrap();
    assert_eq!((told.manifest.id.as_str(), told.abi_major), ("echo", 1));
    assert!(told.compiler.unwrap().contains("rustc"));
    assert!(told.glibc.unwrap().starts_with("2."));
    assert!(!told.static_tls);
}

#[test]
fn a_plugin_exports_nothing_but_the_contract() {
    use gateway_plugin::abi::{ENTRY_SYMBOL, MANIFEST_SYMBOL, module::ROOT_SYMBOL};
    use object::{Object, ObjectSymbol};
    let bytes = std::fs::read(echo_library()).unwrap();
    let file = object::File::parse(bytes.as_slice()).unwrap();
    let defined = file.dynamic_symbols().filter(|s| s.is_definition());
    let mut names: Vec<String> = defined.map(|s| s.name().unwrap().to_owned()).collect();
    names.sort();
    let mut expected = [ENTRY_SYMBOL, MANIFEST_SYMBOL, ROOT_SYMBOL];
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn what_is_no_plugin_is_refused() {
    let text = inspect(b"#!/bin/sh\necho hello\n").unwrap_err().to_string();
    assert!(text.starts_with("not a shared library: "), "{text}");
    let text = inspect(b"").unwrap_err().to_string();
    assert!(text.starts_with("not a shared library: "), "{text}");
    let program = inspect(&std::fs::read(std::env::current_exe().unwrap()).unwrap());
    let text = program.unwrap_err().to_string();
    assert!(
        text.contains("not a gateway plugin (no .gwplug section)"),
        "{text}"
    );
}

#[test]
fn another_boundary_is_refused_with_both_numbers() {
    let text = refused(|b| {
        let at = section_at(b);
        b[at + 16] = 2;
    });
    assert_eq!(
        text,
        "built for plugin ABI 2, this gateway speaks ABI 1: rebuild it against \
         gateway-plugin-api 1.x"
    );
    let text = refused(|b| {
        let at = section_at(b);
        b[at + 24] ^= 1;
    });
    let ours = format!("ours has {FINGERPRINT:016x}");
    assert!(text.contains(&ours) && text.contains("altered"), "{text}");
    let text = refused(|b| {
        let at = section_at(b);
        b[at] = b'X';
    });
    assert!(text.contains("its description is damaged"), "{text}");
    let text = refused(|b| {
        let at = section_at(b);
        b[at + 39] = 0x7f;
    });
    assert!(text.contains("the manifest is cut off"), "{text}");
    let text = refused(|b| {
        let at = section_at(b) + HEADER_SIZE;
        b[at] = b'[';
    });
    assert!(text.contains("plugin.json cannot be read"), "{text}");
}

#[test]
fn a_system_too_old_is_named() {
    let bytes = std::fs::read(echo_library()).unwrap();
    let text = inspect_for(&bytes, Some("2.9")).unwrap_err().to_string();
    assert!(
        text.starts_with("needs glibc 2.") && text.contains("this system has 2.9"),
        "{text}"
    );
    assert!(inspect_for(&bytes, Some("2.999")).is_ok());
    assert!(inspect_for(&bytes, None).is_ok());
}

/// A small deterministic source of numbers, so that a failing seed can be run again.
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
fn damaged_files_never_panic() {
    let whole = std::fs::read(echo_library()).unwrap();
    let at = section_at(&whole);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut bytes = whole.clone();
    let headers = whole.len().min(4_096);
    for round in 0..300 {
        let mut undo = Vec::new();
        for _ in 0..=random.below(8) {
            // Where the reader looks: the file's head, our section, the section table, anywhere.
            let place = match round % 4 {
                0 => random.below(headers),
                1 => at + random.below(512),
                2 => whole.len() - 1 - random.below(headers),
                _ => random.below(whole.len()),
            };
            undo.push((place, bytes[place]));
            bytes[place] = random.below(256) as u8;
        }
        drop(inspect(&bytes));
        if round % 16 == 0 {
            drop(inspect(&bytes[..random.below(whole.len())]));
        }
        for (place, byte) in undo.into_iter().rev() {
            bytes[place] = byte;
        }
    }
    assert!(bytes == whole, "every change was taken back");
}

#[test]
fn one_bad_plugin_never_stops_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    let missing = dir.path().join("missing.so");
    let wrong = format!("sha256 = \"{}\"", "0".repeat(64));
    let loaded = load(
        "development = true",
        &[
            ("text", &text, ""),
            ("missing", &missing, ""),
            ("off", &missing, "enabled = false"),
            ("wrong", &faulty_library(), &wrong),
            ("good", &echo_library(), ""),
            ("again", &echo_library(), ""),
        ],
    );
    let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let expected = [
        "not a shared library",
        "build it or correct its path",
        "its sha256 is",
        "channel echo is already served by plugin good",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(loaded.plugins.iter().count(), 1);
    let states: Vec<RowState> = loaded
        .plugins
        .report()
        .iter()
        .map(|row| row.state)
        .collect();
    use RowState::{Disabled, Ready, Refused};
    assert_eq!(
        states,
        [Refused, Refused, Disabled, Refused, Ready, Refused]
    );
}

#[test]
fn a_digest_pins_the_file() {
    let bytes = std::fs::read(echo_library()).unwrap();
    let pinned = format!("sha256 = \"{}\"", digest(&bytes));
    let loaded = load(
        "allow_unsigned = true",
        &[("echo", &echo_library(), &pinned)],
    );
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let loaded = load("", &[("echo", &echo_library(), "")]);
    assert!(
        loaded.problems[0]
            .to_string()
            .contains("there is no sha256 for it")
    );
}

#[tokio::test]
async fn a_wrong_configuration_is_told_before_any_code_runs() {
    let loaded = both(Isolation::InProcess);
    let faulty = loaded.plugins.get("faulty").unwrap();
    let wrong = json!({ "token": "secret", "fault": "nonsense", "colour": 1 });
    let problems = faulty.check_config(&wrong).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    let all = problems.join("\n");
    assert!(all.contains("fault: ") && all.contains("nonsense"), "{all}");
    assert!(all.contains("token: ") && all.contains("colour"), "{all}");
    assert!(!all.contains("secret"), "a secret is never told: {all}");
    assert!(
        faulty
            .check_config(&json!({ "token": "long enough" }))
            .is_ok()
    );
    assert!(!mapped(&faulty.kept), "no code of it was mapped");
    let (instance, _inbound) = loaded.started("faulty").await;
    assert!(mapped(&faulty.kept), "only the kept copy is loaded");
    instance.stop(Default::default(), PATIENCE).await;
}
