//! Which address a request means, however it is written. Pure.

/// Rounds of decoding after which a path that still changes is a trick.
const ROUNDS_MAX: usize = 8;
/// What is the gateway's alone to answer: every path below it needs the gateway's secret.
const PROTECTED: &str = "/api/channels";

/// Whether a path, or what some server behind it might take it for, lies below the protected
/// prefix. What can't be made out does.
pub(super) fn is_protected(path: &str) -> bool {
    let Some(path) = canonical(path) else {
        return true;
    };
    let rest = path.strip_prefix(PROTECTED);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Decoded until nothing changes, lower case, without `.`, `..` and empty steps.
fn canonical(path: &str) -> Option<String> {
    let mut text = path.to_owned();
    for _ in 0..ROUNDS_MAX {
        let decoded = decode(&text)?;
        if decoded == text {
            return Some(plain(&text));
        }
        text = decoded;
    }
    None
}

fn plain(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split(['/', '\\']) {
        match step {
            "" | "." => {}
            ".." => _ = steps.pop(),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/")).to_ascii_lowercase()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_it_is_the_same_place() {
        for path in [
            "/api/channels",
            "/api/channels/x",
            "/API/Channels/x",
            "//api//channels/x",
            "/api/./channels/x",
            "/x/../api/channels/x",
            "/api%2fchannels/x",
            "/api/%63hannels/x",
            "/api/%2563hannels/x",
            "/api\\channels\\x",
            "/x%2f..%2fapi/channels",
            "/api/channels%zz",
            "/%ff",
        ] {
            assert!(is_protected(path), "{path}");
        }
        for path in [
            "/",
            "/api",
            "/api/x",
            "/api/channelsx",
            "/a%20b",
            "/hooks/x",
        ] {
            assert!(!is_protected(path), "{path}");
        }
    }
}
