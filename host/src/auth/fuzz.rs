//! A bounded fuzz loop over what an upgrade request says of its sender: nothing panics, and
//! nothing is local unless each rule holds, told here once more in other words.

use std::net::IpAddr;

use super::local::{Origin, TrustedProxies};
use super::origin;
use crate::clock::Clock;
use crate::config::ControlUiConfig;

const ROUNDS: u32 = 40_000;

/// Small, fast and the same everywhere for one seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Some pieces in a row, sometimes with a byte changed.
    fn text(&mut self, pieces: &[&str]) -> Option<String> {
        if self.below(5) == 0 {
            return None;
        }
        let mut text = String::new();
        for _ in 0..=self.below(3) {
            text.push_str(self.pick(pieces));
        }
        if self.below(6) == 0 {
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let at = self.below(bytes.len());
                bytes[at] = self.next() as u8;
            }
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        Some(text)
    }
}

const ADDRESSES: [&str; 12] = [
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "10.9.0.1",
    "192.168.1.7",
    "203.0.113.9",
    "fe80::1",
    "0.0.0.0",
    "::",
];
const HOPS: [&str; 14] = [
    "127.0.0.1",
    "::1",
    "[::1]:80",
    "10.0.0.1",
    "203.0.113.9",
    ",",
    ", ",
    " ",
    "unknown",
    "",
    "127.0.0.1:99",
    "::ffff:127.0.0.1",
    "\t",
    "999.1.1.1",
];
const HOSTS: [&str; 17] = [
    "localhost",
    "LOCALHOST",
    "127.0.0.1",
    "[::1]",
    "::1",
    "[::ffff:127.0.0.1]",
    ":80",
    ":",
    "x",
    ".ts.net",
    "box.ts.net",
    "gw.example",
    "[",
    "]",
    "@",
    " ",
    "127.1",
];
const ORIGINS: [&str; 13] = [
    "http://",
    "https://",
    "localhost",
    "127.0.0.1",
    "[::1]",
    ":5173",
    "/",
    "panel.example",
    "null",
    ".evil.example",
    "@",
    "file://",
    "ws://localhost",
];

fn request(random: &mut Random) -> Origin {
    let peer = (random.below(20) > 0).then(|| random.pick(&ADDRESSES));
    Origin {
        peer: peer.and_then(|p| p.parse().ok()),
        host: random.text(&HOSTS),
        forwarded_for: random.text(&HOPS).filter(|_| random.below(2) == 0),
        real_ip: random.text(&HOPS).filter(|_| random.below(4) == 0),
        forwarded_host: random.below(5) == 0,
        origin: random.text(&ORIGINS),
        asked: Vec::new(),
    }
}

/// The Host is one of the names of this host, with or without a port.
fn names_this_host(host: &str) -> bool {
    let host = host.trim().to_ascii_lowercase();
    let after = |name: &str| match host.strip_prefix(name) {
        Some("" | ":") => true,
        Some(rest) => rest
            .strip_prefix(':')
            .is_some_and(|p| p.parse::<u16>().is_ok()),
        None => false,
    };
    let address = |text: &str| {
        text.parse::<IpAddr>()
            .is_ok_and(|a| a.to_canonical().is_loopback())
    };
    after("localhost")
        || address(&host)
        || host
            .rsplit_once(':')
            .is_some_and(|(ip, _)| address(ip) && after(ip))
        || host
            .split_once(']')
            .is_some_and(|(ip, _)| address(ip.trim_start_matches('[')) && after(&format!("{ip}]")))
        || host.rfind(".ts.net").is_some_and(|at| {
            let name = &host[..at + ".ts.net".len()];
            after(name) && !name.contains(['@', '[', ']', ':', ' '])
        })
}

/// From a peer that nobody trusts.
fn check_unproxied(request: &Origin, proxies: &TrustedProxies) {
    let peer = request.peer.map(|p| p.to_canonical());
    assert_eq!(request.client_address(proxies), peer);
    if !request.is_local(proxies) {
        return;
    }
    let told =
        request.forwarded_for.is_some() || request.real_ip.is_some() || request.forwarded_host;
    assert!(
        request.host.as_deref().is_some_and(names_this_host),
        "{request:?}"
    );
    assert!(
        peer.is_some_and(|p| p.is_loopback()) && !told,
        "{request:?}"
    );
}

fn check_origin(request: &Origin, proxies: &TrustedProxies) {
    let config = ControlUiConfig {
        allowed_origins: vec!["https://panel.example".into()],
        ..ControlUiConfig::default()
    };
    let local = request.is_local(proxies);
    let text = request.origin.as_deref();
    let allowed = origin::check(text, request.host.as_deref(), local, &config).is_ok();
    if !allowed {
        return;
    }
    let text = text.unwrap_or_default().trim().to_ascii_lowercase();
    let listed = text.starts_with("https:") && text.contains("panel.example");
    let of_loopback = ["localhost", "127.", "[::1]"]
        .iter()
        .any(|name| text.contains(name));
    assert!(listed || (local && of_loopback), "{request:?}");
}

fn walk(seed: u64) {
    let mut random = Random(seed | 1);
    // Without proxies; with one that isn't loopback: what it says counts, from it alone.
    let nobody = TrustedProxies::default();
    let one = TrustedProxies::new(&["10.0.0.1".into()], true);
    for _ in 0..ROUNDS {
        let request = request(&mut random);
        check_unproxied(&request, &nobody);
        check_origin(&request, &nobody);
        if request
            .peer
            .is_some_and(|p| p.to_canonical().to_string() == "10.0.0.1")
        {
            check_behind(&request, &one);
        } else {
            check_unproxied(&request, &one);
        }
        check_origin(&request, &one);
    }
}

/// Behind the trusted proxy: local only by a loopback address that the proxy itself wrote last.
fn check_behind(request: &Origin, proxies: &TrustedProxies) {
    if !request.is_local(proxies) {
        return;
    }
    assert!(
        request.host.as_deref().is_some_and(names_this_host),
        "{request:?}"
    );
    let hops = request.forwarded_for.as_deref();
    let written = hops.and_then(|h| h.rsplit(',').map(str::trim).find(|hop| *hop != "10.0.0.1"));
    let real = request.real_ip.as_deref().map(str::trim);
    let is_here = |hop: Option<&str>| hop.is_some_and(|h| h.contains("127.") || h.contains("::1"));
    assert!(
        is_here(written) || (written.is_none() && is_here(real)),
        "{request:?}"
    );
}

#[test]
fn a_request_is_local_only_if_every_rule_holds() {
    let fresh = u64::from_le_bytes(Clock::system().random::<8>());
    for seed in [1, 0x5eed, fresh] {
        let walked = std::panic::catch_unwind(|| walk(seed));
        assert!(walked.is_ok(), "seed {seed:#x}");
    }
}
