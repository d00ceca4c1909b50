//! The text of every refusal, as an operator reads it: what is wrong, both sides' values, the fix.
//!
//! Each text stands here once, in full. `files` and `trust` show the files that lead to them.

use super::*;
use crate::plugins::signature::PrivateKey;

/// The place of a refusal in [`texts`]; a new kind does not compile until it has one.
fn place(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::NoFile(_) => 0,
        Refusal::NotALibrary(_) => 1,
        Refusal::OtherMachine { .. } => 2,
        Refusal::NotAPlugin => 3,
        Refusal::Damaged(_) => 4,
        Refusal::Abi { .. } => 5,
        Refusal::Fingerprint { .. } => 6,
        Refusal::Glibc { .. } => 7,
        Refusal::HostTooOld { .. } => 8,
        Refusal::Manifest(_) => 9,
        Refusal::Digest { .. } => 10,
        Refusal::NoDigest { .. } => 11,
        Refusal::Unsigned { .. } => 12,
        Refusal::SignatureFile { .. } => 13,
        Refusal::UnknownKey { .. } => 14,
        Refusal::OtherKey { .. } => 15,
        Refusal::Signature { .. } => 16,
        Refusal::Writable { .. } => 17,
        Refusal::Foreign { .. } => 18,
        Refusal::Changed(_) => 19,
        Refusal::Twice { .. } => 20,
        Refusal::Store(_) => 21,
        Refusal::Load(_) => 22,
    }
}

fn file_texts() -> Vec<(Refusal, &'static str)> {
    vec![
        (
            Refusal::NoFile(
                "there is no such file (looked for /etc/gw/a.so): build it or correct its path"
                    .to_owned(),
            ),
            "there is no such file (looked for /etc/gw/a.so): build it or correct its path",
        ),
        (
            Refusal::NotALibrary("unknown file magic".to_owned()),
            "not a shared library: unknown file magic: name the plugin's .so file",
        ),
        (
            Refusal::OtherMachine {
                plugin: "Elf Aarch64".to_owned(),
                host: "Elf X86_64".to_owned(),
            },
            "built for Elf Aarch64, this gateway runs on Elf X86_64: build it for here",
        ),
        (
            Refusal::NotAPlugin,
            "a shared library, but not a gateway plugin (no .gwplug section): is \
             `export_plugin!` missing?",
        ),
        (
            Refusal::Damaged("the manifest is cut off".to_owned()),
            "its description is damaged (the manifest is cut off): build or fetch it again",
        ),
        (
            Refusal::Abi { plugin: 2, host: 1 },
            "built for plugin ABI 2, this gateway speaks ABI 1: rebuild it against \
             gateway-plugin-api 1.x",
        ),
        (
            Refusal::Fingerprint {
                plugin: 0x0123_4567_89ab_cdef,
                host: 0x1111_2222_3333_4444,
            },
            "its table has fingerprint 0123456789abcdef, ours has 1111222233334444: it was built \
             against an altered gateway-plugin-abi, rebuild it against the released one",
        ),
        (
            Refusal::Glibc {
                needed: "2.41".to_owned(),
                has: "2.36".to_owned(),
            },
            "needs glibc 2.41, this system has 2.36: build it on an older system, or run the \
             gateway on a newer one",
        ),
        (
            Refusal::HostTooOld { needed: 9, has: 0 },
            "needs plugin API 1.9, this gateway speaks 1.0: update the gateway",
        ),
        (
            Refusal::Manifest(vec![
                "version is missing".to_owned(),
                "capability \"telepathy\" is unknown".to_owned(),
            ]),
            "its manifest is wrong: version is missing; capability \"telepathy\" is unknown: \
             correct plugin.json and build it again",
        ),
    ]
}

fn trust_texts() -> Vec<(Refusal, &'static str)> {
    let sha = |digit: &str| digit.repeat(64);
    vec![
        (
            Refusal::Digest {
                expected: sha("a"),
                found: sha("b"),
            },
            "its sha256 is bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, \
             expected aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: put the \
             right file there, or the new digest if you replaced it yourself",
        ),
        (
            Refusal::NoDigest { found: sha("b") },
            "there is no sha256 for it: add `sha256 = \
             \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"` if this is \
             the file you mean",
        ),
        (
            Refusal::Unsigned {
                name: "acme".to_owned(),
                found: sha("b"),
            },
            "it is not signed (sha256 \
             bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb): get it with its \
             signature, or add \"acme\" to `allow_unsigned` under [trust] to rely on its sha256 \
             alone",
        ),
        (
            Refusal::SignatureFile {
                path: "/etc/gw/acme.so.sig".into(),
                why: "it must be one line `ed25519:<public key> <signature>`".to_owned(),
            },
            "its signature /etc/gw/acme.so.sig cannot be used: it must be one line \
             `ed25519:<public key> <signature>`: fetch it again, or correct `signature`",
        ),
    ]
}

fn key_texts() -> Vec<(Refusal, &'static str)> {
    let key = |n: u8| PrivateKey::from_seed([n; 32]).public();
    let sha = |digit: &str| digit.repeat(64);
    vec![
        (
            Refusal::UnknownKey {
                key: "acme".to_owned(),
                known: vec!["release".to_owned(), "ops".to_owned()],
            },
            "it is signed with key \"acme\", [trust] keys has release, ops: add \
             `acme = \"ed25519:…\"` there if you trust its publisher",
        ),
        (
            Refusal::OtherKey {
                key: "acme".to_owned(),
                ours: key(1),
                theirs: key(2),
            },
            "its signature was made with key \
             ed25519:gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q, [trust] keys says that acme is \
             ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w: get the file from the publisher \
             you named, or correct the key",
        ),
        (
            Refusal::Signature {
                key: "acme".to_owned(),
                found: sha("b"),
            },
            "its signature of key \"acme\" is not of this file (sha256 \
             bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb): one of the two was \
             altered, fetch both again",
        ),
        (
            Refusal::Writable {
                path: "/etc/gw/acme.so".into(),
                mode: 0o664,
            },
            "/etc/gw/acme.so can be written by its group (mode 0664): run \
             `chmod go-w /etc/gw/acme.so`",
        ),
        (
            Refusal::Foreign {
                path: "/etc/gw".into(),
                owner: 1001,
                us: 999,
            },
            "/etc/gw belongs to user 1001, the gateway runs as user 999: run `chown 999 /etc/gw`, \
             or move it to a folder of the gateway's own user",
        ),
        (
            Refusal::Changed("/etc/gw/acme.so".into()),
            "/etc/gw/acme.so was written to while it was read: try again when it is whole",
        ),
    ]
}

fn place_texts() -> Vec<(Refusal, &'static str)> {
    vec![
        (
            Refusal::Twice {
                channel: "echo".to_owned(),
                first: "echo-one".to_owned(),
            },
            "channel echo is already served by plugin echo-one: remove one of the two",
        ),
        (
            Refusal::Store("no space left on device".to_owned()),
            "its copy cannot be kept: no space left on device",
        ),
        (
            Refusal::Load("the system cannot load it: cannot open shared object file".to_owned()),
            "the system cannot load it: cannot open shared object file",
        ),
    ]
}

#[test]
fn every_refusal_has_its_text() {
    let all = [file_texts(), trust_texts(), key_texts(), place_texts()].concat();
    for (n, (refusal, expected)) in all.iter().enumerate() {
        assert_eq!(place(refusal), n, "each kind once, in order: {refusal:?}");
        assert_eq!(refusal.to_string(), *expected);
    }
    assert_eq!(all.len(), 23, "every kind has its text");
}

/// An account whose configuration the plugin's own schema does not take; no code of it ran.
#[test]
fn a_wrong_configuration_has_its_text() {
    let loaded = both(Isolation::InProcess);
    let faulty = loaded.plugins.get("faulty").unwrap();
    let wrong = json!({ "token": "secret", "fault": "nonsense" });
    let told = faulty.check_config(&wrong).unwrap_err();
    assert_eq!(
        told,
        [
            "fault: \"nonsense\" is not one of \"panic\", \"task-panic\" or 5 other candidates",
            "token: value is shorter than 8 characters",
        ]
    );
}
