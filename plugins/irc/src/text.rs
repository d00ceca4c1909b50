//! What texts are made of: letters that count as the same, formatting to be taken out, names in
//! a text.
//!
//! Pure; used by `inbound`, `chunk` and `target`.

/// Which letters are the same in nicks and channels, as the server's `CASEMAPPING` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Casemap {
    /// A-Z are a-z.
    Ascii,
    /// Also `[]\~` are `{}|^`: what a server means that says nothing.
    #[default]
    Rfc1459,
    /// Also `[]\` are `{}|`.
    Rfc1459Strict,
}

impl Casemap {
    /// Reads the server's word. One we do not know folds the least.
    pub fn named(name: &str) -> Casemap {
        match name.to_ascii_lowercase().as_str() {
            "rfc1459" => Casemap::Rfc1459,
            "rfc1459-strict" | "strict-rfc1459" => Casemap::Rfc1459Strict,
            _ => Casemap::Ascii,
        }
    }

    /// The text in lower case.
    pub fn lower(self, text: &str) -> String {
        text.chars().map(|c| self.lower_char(c)).collect()
    }

    /// Are these two the same nick or channel?
    pub fn same(self, a: &str, b: &str) -> bool {
        let fold = |c| self.lower_char(c);
        a.chars().map(fold).eq(b.chars().map(fold))
    }

    fn lower_char(self, c: char) -> char {
        match (self, c) {
            (Casemap::Rfc1459 | Casemap::Rfc1459Strict, '[') => '{',
            (Casemap::Rfc1459 | Casemap::Rfc1459Strict, ']') => '}',
            (Casemap::Rfc1459 | Casemap::Rfc1459Strict, '\\') => '|',
            (Casemap::Rfc1459, '~') => '^',
            (_, c) => c.to_ascii_lowercase(),
        }
    }
}

/// Takes colours, styles and other control characters out. Line ends and tabs become spaces.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '\u{3}' => {
                // Up to two digits, and after a comma up to two more.
                if digits(&mut rest, 2, 10) && rest.peek() == Some(&',') {
                    let mut ahead = rest.clone();
                    ahead.next();
                    if digits(&mut ahead, 2, 10) {
                        rest = ahead;
                    }
                }
            }
            '\u{4}' => _ = digits(&mut rest, 6, 16),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, most: usize, radix: u32) -> bool {
    let mut found = false;
    for _ in 0..most {
        if rest.next_if(|c| c.is_digit(radix)).is_none() {
            break;
        }
        found = true;
    }
    found
}

/// May a nick hold this character? Letters of any script count, so that no name is found inside
/// a longer word.
fn in_nick(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(
            c,
            '[' | ']' | '\\' | '`' | '_' | '^' | '{' | '|' | '}' | '-'
        )
}

/// Does a text name this nick as a word: `nick: hi`, `hi @nick!`?
pub fn names(text: &str, nick: &str, casemap: Casemap) -> bool {
    let (text, nick) = (casemap.lower(text), casemap.lower(nick));
    if nick.is_empty() {
        return false;
    }
    text.match_indices(&nick).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(in_nick) && !after.is_some_and(in_nick)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_the_same_as_the_server_says() {
        let rfc = Casemap::default();
        assert!(rfc.same("Ann[a]\\~", "aNN{A}|^") && !rfc.same("ann", "anna"));
        assert!(!Casemap::named("ascii").same("[", "{") && Casemap::named("ascii").same("A", "a"));
        assert!(!Casemap::named("rfc1459-strict").same("~", "^"));
        assert_eq!(Casemap::named("rfc7613"), Casemap::Ascii);
    }

    #[test]
    fn colours_and_controls_are_taken_out() {
        let cases = [
            ("\u{2}bold\u{f} \u{3}04,12red\u{3} \u{3}5,x", "bold red ,x"),
            ("\u{3}123", "3"),
            ("\u{4}ff8800hex", "hex"),
            ("a\tb\r\nc\u{1}d\u{85}e\0", "a b  cde"),
            ("plain, 10,20 😀", "plain, 10,20 😀"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_nick_is_named_as_a_word() {
        let named = |text: &str| names(text, "Claw[b]", Casemap::Rfc1459);
        for text in [
            "claw{B}: hi",
            "hi @claw[b]!",
            "CLAW[B]",
            "so claw[b]'s idea",
            "é, claw[b]",
        ] {
            assert!(named(text), "{text}");
        }
        for text in ["claw", "xclaw[b]", "claw[b]2", "claw[b]_", "éclaw[b]", ""] {
            assert!(!named(text), "{text}");
        }
        assert!(!names("anything", "", Casemap::Ascii));
        assert!(names("bots bot", "bot", Casemap::Ascii));
    }
}
