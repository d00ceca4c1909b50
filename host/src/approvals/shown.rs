//! A command as approvers read it. Pure: what can't be seen is spelled out, so that the text on
//! the screen is the text that runs.

/// Characters that steer how text is laid out and are not seen themselves (Unicode's `Cf`).
const UNSEEN: [(u32, u32); 21] = [
    (0x00ad, 0x00ad),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    (0x180e, 0x180e),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x2064),
    (0x2066, 0x206f),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
];

/// The text with what is invisible, or would steer a terminal, as `\u{202E}`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let code = u32::from(c);
        let unseen = UNSEEN
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&code));
        if unseen || (c.is_control() && c != '\n' && c != '\t') {
            out.push_str(&format!("\\u{{{code:X}}}"));
        } else {
            out.push(c);
        }
    }
    out
}

/// Words as a line that a shell would part into the same words.
pub fn quoted(argv: &[String]) -> String {
    let quoted = argv.iter().map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return word.clone();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_apart() {
        let words = ["sh", "-c", "it's", ""].map(str::to_owned);
        assert_eq!(quoted(&words), r"sh -c 'it'\''s' ''");
    }

    #[test]
    fn what_is_not_seen_is_spelled() {
        assert_eq!(
            visible("rm\u{202e} -r\u{200b}f\n\u{1b}"),
            "rm\\u{202E} -r\\u{200B}f\n\\u{1B}"
        );
        assert_eq!(visible("grüße \t🦀"), "grüße \t🦀");
    }
}
