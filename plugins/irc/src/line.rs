//! A line of the protocol: `[@tags ][:prefix ]COMMAND params[ :trailing]`.
//!
//! Pure. `session` feeds bytes into a [`Buffer`] and takes lines out; whatever a server sends, it
//! costs bounded memory and is either a [`Line`] or nothing. [`write`] makes the lines that go out
//! and lets nothing through that would end one early.

/// Longest line that is sent, without its end: the protocol's 512 bytes less CR and LF.
pub const LINE_BYTES_MAX: usize = 510;
/// Longest line that is read: the protocol's 8191 bytes of tags and 512 of the rest.
const READ_BYTES_MAX: usize = 8191 + 512;
/// More parameters than the protocol's 15 are not kept.
const PARAMS_MAX: usize = 15;

/// Bytes on their way to become lines.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// The line that is being read is too long: nothing of it is kept.
    skipping: bool,
}

impl Buffer {
    /// Takes what came from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line that is not empty; `None` until more bytes come. Too long ones are
    /// left out.
    pub fn next_line(&mut self) -> Option<String> {
        loop {
            let Some(end) = self.bytes.iter().position(|b| *b == b'\n') else {
                if self.bytes.len() > READ_BYTES_MAX {
                    self.bytes.clear();
                    self.skipping = true;
                }
                return None;
            };
            let rest = self.bytes.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.bytes, rest);
            let skipped = std::mem::take(&mut self.skipping);
            while matches!(line.last(), Some(b'\r' | b'\n')) {
                line.pop();
            }
            if !skipped && !line.is_empty() && line.len() <= READ_BYTES_MAX {
                return Some(text(line));
            }
        }
    }
}

/// UTF-8, or else Latin-1, in which every byte is a character: old clients write so.
fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect())
}

/// Who sent a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix {
    /// The nick, or a server's name.
    pub nick: String,
    /// `user@host`; a server has none.
    pub address: Option<String>,
}

impl Prefix {
    /// `nick!user@host`, or the nick alone.
    pub fn mask(&self) -> String {
        match &self.address {
            Some(address) => format!("{}!{address}", self.nick),
            None => self.nick.clone(),
        }
    }
}

/// A line that came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// IRCv3 tags, values unescaped.
    pub tags: Vec<(String, String)>,
    /// Who sent it; absent means the server.
    pub prefix: Option<Prefix>,
    /// In upper case, or three digits.
    pub command: String,
    /// The parameters, the trailing one among them.
    pub params: Vec<String>,
}

impl Line {
    /// Reads a line; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Line> {
        let mut rest = text.trim_start_matches(' ');
        let mut line = Line::default();
        if let Some(tagged) = rest.strip_prefix('@') {
            let (tags, after) = word(tagged)?;
            line.tags = tags.split(';').filter_map(tag).collect();
            rest = after;
        }
        if let Some(prefixed) = rest.strip_prefix(':') {
            let (prefix, after) = word(prefixed)?;
            line.prefix = Some(read_prefix(prefix));
            rest = after;
        }
        let (command, mut rest) = word(rest).unwrap_or((rest, ""));
        if command.is_empty() || !command.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        line.command = command.to_ascii_uppercase();
        while !rest.is_empty() && line.params.len() < PARAMS_MAX {
            if let Some(trailing) = rest.strip_prefix(':') {
                line.params.push(trailing.to_owned());
                break;
            }
            let (param, after) = word(rest).unwrap_or((rest, ""));
            line.params.push(param.to_owned());
            rest = after;
        }
        Some(line)
    }

    /// A parameter by place, from 0; empty if there is none.
    pub fn param(&self, place: usize) -> &str {
        self.params.get(place).map_or("", String::as_str)
    }

    /// The last parameter, which holds the words for people.
    pub fn last(&self) -> &str {
        self.params.last().map_or("", String::as_str)
    }

    /// A tag's value.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let found = self.tags.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The nick that sent it; empty if the server did.
    pub fn nick(&self) -> &str {
        self.prefix.as_ref().map_or("", |prefix| &prefix.nick)
    }
}

/// The text up to the next spaces, and what follows them; `None` if there are none.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(' ')?;
    Some((word, rest.trim_start_matches(' ')))
}

fn read_prefix(text: &str) -> Prefix {
    match text.split_once('!') {
        Some((nick, address)) => Prefix {
            nick: nick.to_owned(),
            address: Some(address.to_owned()),
        },
        None => Prefix {
            nick: text.to_owned(),
            address: None,
        },
    }
}

fn tag(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|escaped| match escaped {
                ':' => ';',
                's' => ' ',
                'r' => '\r',
                'n' => '\n',
                other => other,
            })),
            c => out.push(c),
        }
    }
    Some((key.to_owned(), out))
}

/// A line to be sent: the command, its parameters, the last one as trailing. Never longer than
/// the protocol allows, never more than one line, whatever the parameters hold.
pub fn write(command: &str, params: &[&str]) -> String {
    let mut out = command.to_owned();
    for (place, param) in params.iter().enumerate() {
        out.push(' ');
        if place + 1 == params.len() && (param.is_empty() || param.contains([' ', ':'])) {
            out.push(':');
        }
        out.extend(param.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')));
    }
    let end = floor_boundary(&out, LINE_BYTES_MAX);
    out.truncate(end);
    out
}

/// The largest place up to `max` at which `text` may be cut.
pub fn floor_boundary(text: &str, max: usize) -> usize {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Line {
        Line::parse(text).unwrap()
    }

    #[test]
    fn a_whole_line() {
        let line =
            parse("@time=12:00;msgid=a\\:b\\s\\\\;+x;bot=  :Ann!a@h.org privmsg  #c :hi :) ");
        assert_eq!(line.tag("msgid"), Some("a;b \\"));
        assert_eq!(
            (line.tag("+x"), line.tag("bot"), line.tag("no")),
            (Some(""), Some(""), None)
        );
        assert_eq!(line.prefix.as_ref().unwrap().mask(), "Ann!a@h.org");
        assert_eq!((line.command.as_str(), line.param(0)), ("PRIVMSG", "#c"));
        assert_eq!((line.last(), line.param(7)), ("hi :) ", ""));
    }

    #[test]
    fn short_lines() {
        assert_eq!(parse("PING").params, Vec::<String>::new());
        assert_eq!(parse("PING :").params, [""]);
        assert_eq!(parse(":irc.x 001 me").nick(), "irc.x");
        assert_eq!(parse("MODE #c +o  ann ").params, ["#c", "+o", "ann"]);
    }

    #[test]
    fn what_is_no_line() {
        for text in [
            "",
            " ",
            ":",
            ":x",
            "@a",
            "@a :x",
            ":x  ",
            "\u{1}\u{2}",
            "PRIV-MSG x",
            "é x",
        ] {
            assert_eq!(Line::parse(text), None, "{text:?}");
        }
        let many = format!("X {}", "p ".repeat(500));
        assert_eq!(parse(&many).params.len(), PARAMS_MAX);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed: u32 = 7;
        let alphabet = b"@:; =\\!#\r\n\0PINGprivmsg\xff\xc3\xa9\xe2";
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..24 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push(alphabet[(seed >> 16) as usize % alphabet.len()]);
            }
            let mut buffer = Buffer::default();
            buffer.push(&bytes);
            while let Some(line) = buffer.next_line() {
                Line::parse(&line);
            }
        }
    }

    #[test]
    fn lines_come_whole_however_the_bytes_come() {
        let mut buffer = Buffer::default();
        let mut found = Vec::new();
        for byte in "PING a\r\n\r\nPONG é\nX".as_bytes() {
            buffer.push(&[*byte]);
            found.extend(buffer.next_line());
        }
        assert_eq!(found, ["PING a", "PONG é"]);
    }

    #[test]
    fn a_line_without_end_costs_bounded_memory_and_the_next_one_is_read() {
        let mut buffer = Buffer::default();
        for _ in 0..1000 {
            buffer.push(&[b'x'; 4096]);
            assert_eq!(buffer.next_line(), None);
            assert!(buffer.bytes.len() <= READ_BYTES_MAX);
        }
        buffer.push(b"tail\r\nPING a\r\n");
        assert_eq!(buffer.next_line().as_deref(), Some("PING a"));
        buffer.push(&[b'y'; READ_BYTES_MAX + 1]);
        buffer.push(b"\r\nPING b\r\n");
        assert_eq!(buffer.next_line().as_deref(), Some("PING b"));
    }

    #[test]
    fn old_encodings_are_read() {
        let mut buffer = Buffer::default();
        buffer.push(b"PRIVMSG #c :caf\xe9\r\n");
        assert_eq!(buffer.next_line().as_deref(), Some("PRIVMSG #c :café"));
    }

    #[test]
    fn what_is_sent_is_one_line_of_legal_length() {
        assert_eq!(write("PRIVMSG", &["#c", "a b"]), "PRIVMSG #c :a b");
        assert_eq!(write("PRIVMSG", &["#c", ""]), "PRIVMSG #c :");
        assert_eq!(write("NICK", &["ann"]), "NICK ann");
        assert_eq!(
            write("PRIVMSG", &["#c", "a\r\nQUIT\0 b"]),
            "PRIVMSG #c :aQUIT b"
        );
        let long = write("PRIVMSG", &["#c", &"é".repeat(600)]);
        assert!(long.len() <= LINE_BYTES_MAX && long.ends_with('é'));
    }
}
