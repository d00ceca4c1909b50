//! Origins, hosts and forwarding headers against each other, generated, and what a stranger's
//! headers are worth: nothing.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use serde_json::{Value, json};
use support::{Client, Gateway, Login, Setup};

/// An `Origin`, as it is compared, and whether it is a page of this host.
const ORIGINS: [(&str, Option<(&str, bool)>); 12] = [
    ("null", None),
    ("not a url", None),
    (
        "http://localhost:5173",
        Some(("http://localhost:5173", true)),
    ),
    ("http://127.0.0.1:1", Some(("http://127.0.0.1:1", true))),
    ("http://[::1]:9", Some(("http://[::1]:9", true))),
    (
        "https://panel.example",
        Some(("https://panel.example", false)),
    ),
    (
        "https://PANEL.example",
        Some(("https://panel.example", false)),
    ),
    (
        "https://panel.example:8443",
        Some(("https://panel.example:8443", false)),
    ),
    (
        "http://panel.example",
        Some(("http://panel.example", false)),
    ),
    (
        "https://evil.example",
        Some(("https://evil.example", false)),
    ),
    (
        "http://localhost.evil.example",
        Some(("http://localhost.evil.example", false)),
    ),
    (
        "http://gw.example:18789",
        Some(("http://gw.example:18789", false)),
    ),
];

const FORWARDED: [&[(&str, &str)]; 9] = [
    &[],
    &[("x-forwarded-for", "127.0.0.1")],
    &[("x-forwarded-for", "::1")],
    &[("x-forwarded-for", "203.0.113.9")],
    &[("x-forwarded-for", "127.0.0.1, 203.0.113.9")],
    &[("x-real-ip", "127.0.0.1")],
    &[("x-forwarded-host", "localhost")],
    &[("x-forwarded-proto", "https")],
    &[("forwarded", "for=127.0.0.1;host=localhost")],
];

const HOSTS: [&str; 3] = ["127.0.0.1:18789", "gw.example:18789", "box.tail.ts.net"];

#[derive(Clone, Copy, Default)]
struct Rules {
    listed: &'static [&'static str],
    host_fallback: bool,
    proxy: bool,
}

/// The rules once more, as the wire's description has them.
fn expected(
    rules: Rules,
    origin: Option<(&str, bool)>,
    forwarded: &[(&str, &str)],
    host: &str,
) -> &'static str {
    let Some((plain, loopback)) = origin else {
        return "origin missing or invalid";
    };
    let header = |name: &str| forwarded.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let told = ["x-forwarded-for", "x-real-ip", "x-forwarded-host"];
    let is_told = told.iter().any(|name| header(name).is_some());
    // A trusted proxy has to name a client that isn't itself; from anybody else a header only
    // takes away.
    let from_here = if rules.proxy {
        header("x-forwarded-for") == Some("::1")
    } else {
        !is_told
    };
    let is_local = from_here && !host.starts_with("gw.");
    let same_host = host == "gw.example:18789" && plain == "http://gw.example:18789";
    if rules.listed.iter().any(|o| *o == "*" || *o == plain)
        || (rules.host_fallback && same_host)
        || (is_local && loopback)
    {
        "in"
    } else {
        "origin not allowed"
    }
}

/// Each combination over a socket of its own.
#[tokio::test]
async fn every_origin_under_every_rule() {
    let mut looked_at = 0;
    for rules in [
        Rules::default(),
        Rules {
            listed: &["https://panel.example"],
            ..Rules::default()
        },
        Rules {
            listed: &["*"],
            ..Rules::default()
        },
        Rules {
            host_fallback: true,
            ..Rules::default()
        },
        Rules {
            proxy: true,
            ..Rules::default()
        },
    ] {
        let proxies: &[&str] = if rules.proxy { &["127.0.0.1"] } else { &[] };
        let fallback = "/gateway/controlUi/dangerouslyAllowHostHeaderOriginFallback";
        let gateway = Setup::new()
            .config("/gateway/controlUi/allowedOrigins", json!(rules.listed))
            .config(fallback, json!(rules.host_fallback))
            .config("/gateway/trustedProxies", json!(proxies))
            .start()
            .await;
        for (origin, read) in ORIGINS {
            for forwarded in FORWARDED {
                for host in HOSTS {
                    let mut headers = forwarded.to_vec();
                    headers.extend([("origin", origin), ("host", host)]);
                    let seen = verdict(&gateway, &headers).await;
                    assert_eq!(seen, expected(rules, read, forwarded, host), "{headers:?}");
                    looked_at += 1;
                }
            }
        }
    }
    assert_eq!(looked_at, 5 * 12 * 9 * 3);
}

/// With the right secret and without a device, so that nothing but the origin decides.
async fn verdict(gateway: &Gateway, headers: &[(&str, &str)]) -> String {
    let login = Login::without_device().client("webchat-ui", "webchat");
    let mut client = Client::open_with(gateway.port(), "/", headers).await;
    let answer = client.try_log_in(&login).await;
    if answer["ok"] == true {
        return "in".into();
    }
    let details = &answer["error"]["details"];
    assert_eq!(details["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED", "{answer}");
    details["reason"].as_str().unwrap().to_owned()
}

/// An address of this host that isn't loopback; nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

/// What a stranger may pretend: each field alone, each pair of neighbours, and all at once.
fn spoofs() -> Vec<Vec<(&'static str, &'static str)>> {
    let values = [
        (
            "host",
            &["localhost", "127.0.0.1", "[::1]:18789", "box.ts.net"][..],
        ),
        (
            "x-forwarded-for",
            &["127.0.0.1", "::1", "10.99.99.99", "127.0.0.1, 10.99.99.99"],
        ),
        ("x-real-ip", &["127.0.0.1", "::1"]),
        ("x-forwarded-host", &["localhost"]),
        ("x-forwarded-proto", &["https"]),
        ("forwarded", &["for=127.0.0.1;host=localhost;proto=https"]),
        ("tailscale-user-login", &["ada@example.com"]),
        ("x-user", &["ada@example.com"]),
    ];
    let mut sets: Vec<Vec<(&'static str, &'static str)>> = vec![Vec::new()];
    for (name, texts) in values {
        sets.extend(texts.iter().map(|text| vec![(name, *text)]));
    }
    for pair in values.windows(2) {
        sets.push(pair.iter().map(|(name, texts)| (*name, texts[0])).collect());
    }
    sets.push(
        values
            .iter()
            .map(|(name, texts)| (*name, texts[0]))
            .collect(),
    );
    sets
}

/// Whatever a peer that nobody trusts writes into its headers: the same refusal, the same address
/// in the request. The own address of this host is such a peer.
#[tokio::test]
async fn headers_of_a_stranger_change_nothing() {
    // Nothing to look at on a host that has no address beside loopback.
    let Some(own) = own_address() else {
        return;
    };
    let gateway = Setup::new()
        .config("/gateway/bind", json!("lan"))
        .config(
            "/gateway/trustedProxies",
            json!(["10.99.99.99", "127.0.0.1"]),
        )
        .config("/gateway/allowRealIpFallback", json!(true))
        .config("/gateway/auth/allowTailscale", json!(true))
        .start()
        .await;
    let address = SocketAddr::new(own, gateway.port());
    let mut operator = Client::open_with(gateway.port(), "/", &[("x-forwarded-for", "::1")]).await;
    operator.log_in(&Login::fresh()).await;
    for headers in spoofs() {
        let login = Login::fresh();
        let mut client = Client::open_at(address, &headers).await;
        let answer = client.try_log_in(&login).await;
        let details = &answer["error"]["details"];
        assert_eq!(details["code"], "PAIRING_REQUIRED", "{headers:?}: {answer}");
        let list = operator.ok("device.pair.list", json!({})).await;
        let pending = list["pending"].as_array().unwrap().iter();
        let mine = |p: &&Value| p["requestId"] == details["requestId"];
        let mine = pending.clone().find(mine).unwrap();
        let shown = mine["remoteIp"].as_str().unwrap_or("none").to_owned();
        let told = ["x-forwarded-for", "x-real-ip", "x-forwarded-host"];
        let is_told = headers.iter().any(|(name, _)| told.contains(name));
        // Of who claims to be forwarded by somebody unknown, no address is shown.
        let expected = if is_told {
            "none".to_owned()
        } else {
            own.to_string()
        };
        assert_eq!(shown, expected, "{headers:?}");
        // Nor do they open anything without a secret.
        let mut client = Client::open_at(address, &headers).await;
        let nothing = client.try_log_in(&login.auth(json!({}))).await;
        assert_eq!(
            nothing["error"]["details"]["authReason"], "token_missing",
            "{headers:?}"
        );
    }
}

/// Who reads `/readyz` from afar is told less, and headers don't bring one nearer.
#[tokio::test]
async fn details_of_readiness_are_for_this_host() {
    let gateway = Gateway::start().await;
    let keys = |headers: Vec<String>| {
        let port = gateway.port();
        async move {
            let headers: Vec<_> = headers.iter().map(String::as_str).collect();
            let answer = support::http::get(port, "/readyz", &headers).await.unwrap();
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            body.as_object().unwrap().len()
        }
    };
    assert_eq!(keys(vec![]).await, 3);
    for forwarded in FORWARDED.iter().skip(1).take(6) {
        let lines = forwarded
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        assert_eq!(keys(lines.collect()).await, 1, "{forwarded:?}");
    }
    assert_eq!(keys(vec!["host: gw.example".into()]).await, 1);
}
