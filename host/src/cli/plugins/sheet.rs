//! A library as a person is shown it before it runs: publisher, digest, permissions, warnings.
//! `inspect` prints it, `install` and `upgrade` ask about it.

use serde_json::{Value, json};

use crate::cli::output::{Paint, Screen};
use crate::cli::text::clean;
use crate::plugins::file::Isolation;
use crate::plugins::{Offer, Publisher};

/// The lines for a person.
pub fn text(
    offer: &Offer,
    publisher: &Publisher,
    from: &str,
    isolation: Option<Isolation>,
    screen: &Screen,
) -> String {
    let inspected = &offer.inspected;
    let manifest = &inspected.manifest;
    let list = |names: &[String]| match names {
        [] => "–".to_owned(),
        names => names.join(", "),
    };
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let title = format!("{} {} ({})", manifest.id, manifest.version, manifest.name);
    let mut lines = vec![
        ("file", from.to_owned()),
        ("size", format!("{} bytes", offer.size)),
        ("sha256", offer.sha256.clone()),
        ("signed by", signer(publisher)),
        ("built for", inspected.target.clone()),
        ("compiler", or_unknown(&inspected.compiler)),
        (
            "glibc",
            format!("{} or newer", or_unknown(&inspected.glibc)),
        ),
        (
            "speaks",
            format!("plugin ABI {}, API {}", inspected.abi_major, manifest.api),
        ),
        ("can do", list(&manifest.capabilities)),
        ("logins", list(&manifest.login)),
        ("web paths", list(&manifest.http)),
        ("keeps", format!("{} bytes an account", kept(offer))),
        ("secrets", list(&manifest.secrets)),
    ];
    if let Some(isolation) = isolation {
        lines.push(("runs", place(isolation).to_owned()));
    }
    let mut out = format!("{}\n", screen.paint(Paint::Strong, &clean(&title)));
    for (label, value) in lines {
        out.push_str(&format!("  {label:<10} {}\n", clean(&value)));
    }
    for warning in warnings(offer, publisher) {
        let line = format!("  warning    {warning}");
        out.push_str(&screen.paint(Paint::Warn, &line));
        out.push('\n');
    }
    out
}

fn place(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::InProcess => {
            "in the gateway's own process, where nothing can hold it back if it crashes"
        }
        Isolation::Process => "in a process of its own, without files",
    }
}

fn kept(offer: &Offer) -> u64 {
    Some(offer.inspected.manifest.kv_quota_bytes)
        .filter(|n| *n > 0)
        .unwrap_or(crate::limits::PLUGIN_KV_BYTES_DEFAULT)
}

fn signer(publisher: &Publisher) -> String {
    match publisher {
        Publisher::Unsigned => "nobody".to_owned(),
        Publisher::Stranger(key) => format!("{key}, which plugins.toml does not name"),
        Publisher::Named { key, trusted: true } => format!("{key} (trusted)"),
        Publisher::Named { key, .. } => key.clone(),
    }
}

fn warnings(offer: &Offer, publisher: &Publisher) -> Vec<String> {
    let mut out = offer.warnings();
    if *publisher == Publisher::Unsigned {
        out.push("nobody vouches for it: only its digest is checked".to_owned());
    }
    out
}

/// The same for programs.
pub fn json(offer: &Offer, publisher: &Publisher) -> Value {
    let inspected = &offer.inspected;
    let mut signature = json!({ "state": match publisher {
        Publisher::Unsigned => "unsigned",
        Publisher::Stranger(_) => "unknownKey",
        Publisher::Named { trusted: true, .. } => "trusted",
        Publisher::Named { .. } => "signed",
    }});
    if let Publisher::Named { key, .. } = publisher {
        signature["key"] = json!(key);
    }
    if let Some(signed) = &offer.signature {
        signature["publicKey"] = json!(signed.key.to_string());
    }
    json!({
        "file": offer.path,
        "size": offer.size,
        "sha256": offer.sha256,
        "signature": signature,
        "manifest": inspected.manifest,
        "abiMajor": inspected.abi_major,
        "apiMinor": inspected.api_minor,
        "target": inspected.target,
        "compiler": inspected.compiler,
        "glibc": inspected.glibc,
        "staticTls": inspected.static_tls,
        "warnings": warnings(offer, publisher),
    })
}
