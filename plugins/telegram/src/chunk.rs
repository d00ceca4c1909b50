//! Cuts a long text into messages that Telegram takes.
//!
//! Pure. Lengths are UTF-16 units of the visible text, because that is what Telegram counts.
//! Styles are cut with the text, so a code block that is cut becomes two code blocks.

use crate::config::ChunkMode;
use crate::rich::{Rich, Style, units};

/// Splits `rich` into parts of at most `limit` units, in order. Nothing visible is lost but the
/// white space at the cuts. A text of white space gives no part at all.
pub fn split(rich: &Rich, limit: usize, mode: ChunkMode) -> Vec<Rich> {
    let limit = limit.max(2);
    let mut parts = Vec::new();
    let mut from = 0;
    while from < rich.text.len() {
        let rest = &rich.text[from..];
        let end = if units(rest) <= limit {
            rest.len()
        } else {
            cut(rest, limit, mode)
        };
        let part = &rest[..end];
        let keep = part.trim_end().len();
        // Code may begin with blanks that matter; prose may not.
        let code = rich.inside(from, Style::is_code);
        let skip = if code {
            0
        } else {
            part.len() - part.trim_start().len()
        };
        if keep > skip {
            parts.push(rich.slice(from + skip..from + keep));
        }
        from += end;
        from += rich.text[from..].len() - rich.text[from..].trim_start_matches('\n').len();
    }
    parts
}

/// Where to cut `rest`, which is longer than `limit` units: after a blank line, else after a line,
/// else after a word, else in the middle of one.
fn cut(rest: &str, limit: usize, mode: ChunkMode) -> usize {
    let mut used = 0;
    let fits = |(_, c): &(usize, char)| {
        used += c.len_utf16();
        used > limit
    };
    let window = rest
        .char_indices()
        .find(fits)
        .map_or(rest.len(), |(at, _)| at);
    // A cut in the first half would make many small messages.
    let least = match mode {
        ChunkMode::Length => window / 2,
        ChunkMode::Newline => 1,
    };
    // The character after the window may be the white space to cut at.
    let next = rest[window..].chars().next().map_or(0, char::len_utf8);
    let seen = &rest[..window + next];
    let after = |pattern: &str| seen.rfind(pattern).filter(|at| *at >= least.max(1));
    after("\n\n")
        .or_else(|| seen.rfind('\n').filter(|at| *at >= (window / 2).max(1)))
        .or_else(|| seen.rfind(char::is_whitespace).filter(|at| *at > 0))
        .unwrap_or(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;

    fn texts(text: &str, limit: usize) -> Vec<String> {
        let parts = split(&Rich::plain(text), limit, ChunkMode::Length);
        parts.into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn short_texts_stay_whole_and_empty_ones_vanish() {
        assert_eq!(texts("hello", 10), ["hello"]);
        assert_eq!(texts(" \n ", 10), [""; 0]);
    }

    #[test]
    fn cuts_prefer_blank_lines_then_lines_then_words() {
        assert_eq!(texts("aaaa bb\n\ncc dd", 10), ["aaaa bb", "cc dd"]);
        assert_eq!(texts("aaaa bbb\ncc dd", 10), ["aaaa bbb", "cc dd"]);
        assert_eq!(texts("aaaa bbbb cccc", 10), ["aaaa bbbb", "cccc"]);
        assert_eq!(texts("aaaaaaaaaaaa", 10), ["aaaaaaaaaa", "aa"]);
        assert_eq!(texts("aaaaaaaaaa bb", 10), ["aaaaaaaaaa", "bb"]);
    }

    #[test]
    fn the_mode_newline_cuts_at_any_blank_line() {
        let text = Rich::plain("a\n\nbb bb bb bb");
        assert_eq!(split(&text, 10, ChunkMode::Newline)[0].text, "a");
        assert_eq!(split(&text, 10, ChunkMode::Length)[0].text, "a\n\nbb bb");
    }

    #[test]
    fn lengths_are_utf16_and_characters_stay_whole() {
        let parts = texts(&"😀".repeat(10), 5);
        assert_eq!(parts, ["😀😀"; 5]);
        assert!(parts.iter().all(|part| units(part) <= 5));
    }

    #[test]
    fn a_cut_code_block_becomes_two() {
        let rich = format::markdown("```\n    one\n    two\n```");
        let html: Vec<String> = split(&rich, 9, ChunkMode::Length)
            .iter()
            .map(Rich::html)
            .collect();
        assert_eq!(
            html,
            [
                "<pre><code>    one</code></pre>",
                "<pre><code>    two</code></pre>"
            ]
        );
    }

    #[test]
    fn nothing_visible_is_lost() {
        let text = "lorem **ipsum** `dolor` sit\namet\n\n".repeat(200);
        let rich = format::markdown(&text);
        for limit in [7, 50, 4000] {
            let parts = split(&rich, limit, ChunkMode::Length);
            let visible = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("");
            let joined: String = parts.iter().map(|part| visible(&part.text)).collect();
            assert_eq!(joined, visible(&rich.text));
            assert!(parts.iter().all(|part| units(&part.text) <= limit));
        }
    }
}
