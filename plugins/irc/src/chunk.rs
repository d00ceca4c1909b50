//! A text as the lines of a conversation: none longer than the server relays, none empty.
//!
//! Pure; called by `outbox` for every message. Lengths are bytes, for that is what the protocol
//! counts; a cut never falls into a character, and not between a letter and its accents.

use crate::config::ChunkMode;
use crate::line::floor_boundary;
use crate::text::plain;

/// Bytes of `PRIVMSG`, two spaces, two colons, the space after the prefix, CR and LF.
const AROUND: usize = ":".len() + " PRIVMSG ".len() + " :".len() + "\r\n".len();
/// The protocol's longest line, with CR and LF.
const LINE_BYTES: usize = 512;
/// So much is sent at a time even where a name leaves no room.
const ROOM_MIN: usize = 16;

/// How many bytes of text fit into a line to `target` once the server has put `:mask ` before it.
pub fn room(mask_bytes: usize, target: &str) -> usize {
    let taken = AROUND + mask_bytes + target.len();
    LINE_BYTES.saturating_sub(taken).max(ROOM_MIN)
}

/// Cuts a text into parts of at most `max` bytes. By length, its line ends become spaces and the
/// parts as long as may be; by line, each line of the text begins a part.
pub fn split(text: &str, max: usize, mode: ChunkMode) -> Vec<String> {
    let lines = text.lines().map(plain);
    let lines: Vec<String> = lines
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let mut parts = Vec::new();
    match mode {
        ChunkMode::Newline => lines.iter().for_each(|line| cut(line, max, &mut parts)),
        ChunkMode::Length => {
            let words: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
            cut(&words.join(" "), max, &mut parts);
        }
    }
    parts
}

fn cut(text: &str, max: usize, parts: &mut Vec<String>) {
    let mut rest = text;
    while rest.len() > max {
        let end = place(rest, max);
        let (part, after) = rest.split_at(end);
        parts.extend(Some(part.trim_end().to_owned()).filter(|part| !part.is_empty()));
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        parts.push(rest.to_owned());
    }
}

/// Where to cut: after the last space of the second half, else between two characters that do not
/// belong together. At least one character goes.
fn place(text: &str, max: usize) -> usize {
    let limit = floor_boundary(text, max);
    // A space just behind the limit costs nothing: it is dropped.
    let near = floor_boundary(text, max + 1);
    if let Some(space) = text[..near].rfind(' ').filter(|space| *space >= max / 2) {
        return space.max(1);
    }
    let mut end = limit;
    while end > max / 2 && joined(text, end) {
        end = floor_boundary(text, end - 1);
    }
    if end <= max / 2 {
        end = limit;
    }
    let first = text.chars().next().map_or(1, char::len_utf8);
    end.max(first)
}

/// Do the characters on both sides of this place make one sign?
fn joined(text: &str, at: usize) -> bool {
    const JOINER: char = '\u{200d}';
    let before = text[..at].chars().next_back();
    let after = text[at..].chars().next();
    let follows = |c: char| {
        matches!(c, JOINER | '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{1f3fb}'..='\u{1f3ff}' | '\u{20d0}'..='\u{20ff}')
    };
    before == Some(JOINER) || after.is_some_and(follows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_length(text: &str, max: usize) -> Vec<String> {
        split(text, max, ChunkMode::Length)
    }

    #[test]
    fn line_ends_become_spaces_or_messages() {
        let text = "# Title\r\n\r\n- one\n  - two\n\u{1}ACTION x\u{1}\n\n";
        assert_eq!(by_length(text, 350), ["# Title - one - two ACTION x"]);
        let lines = split(text, 350, ChunkMode::Newline);
        assert_eq!(lines, ["# Title", "- one", "  - two", "ACTION x"]);
        for nothing in ["", " \n\t\r\n", "\u{1}\u{2}"] {
            assert!(by_length(nothing, 350).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn cuts_fall_between_words_where_there_are_any() {
        assert_eq!(
            by_length("one two three four", 9),
            ["one two", "three", "four"]
        );
        assert_eq!(by_length("abc def", 3), ["abc", "def"]);
        assert_eq!(by_length("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
    }

    #[test]
    fn no_part_is_too_long_empty_or_cut_inside_a_character() {
        let text = "é😀 a\u{301}e\u{301}\u{301}👨\u{200d}👩\u{200d}👧 wörd ".repeat(60);
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        for max in 4..120 {
            let parts = by_length(&text, max);
            assert!(
                parts
                    .iter()
                    .all(|part| part.len() <= max && !part.is_empty()),
                "{max}"
            );
            assert_eq!(squeezed(&parts.concat()), squeezed(&text), "{max}");
        }
        let parts = by_length(&text, 40);
        assert!(
            !parts
                .iter()
                .any(|part| part.starts_with(['\u{301}', '\u{200d}'])),
            "{parts:?}"
        );
    }

    #[test]
    fn a_limit_below_one_character_ends_all_the_same() {
        assert_eq!(by_length("😀😀", 1), ["😀", "😀"]);
    }

    #[test]
    fn a_full_line_is_512_bytes_with_what_the_server_adds() {
        let mask = "claw!~claw@some.host.example.org";
        let target = "#bench";
        let text = "x".repeat(room(mask.len(), target));
        let relayed = format!(":{mask} PRIVMSG {target} :{text}\r\n");
        assert_eq!(relayed.len(), 512);
        assert_eq!(room(9999, target), ROOM_MIN);
    }
}
