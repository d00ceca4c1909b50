//! A text with its styles, independent of how it was written and of how it is sent.
//!
//! `format` makes it out of Markdown, `chunk` cuts it, `outbound` sends [`Rich::html`], or
//! [`Rich::text`] when Telegram does not take the markup.

use std::ops::Range;

/// One style of a stretch of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Struck through.
    Strike,
    /// Hidden until tapped.
    Spoiler,
    /// Code inside a line.
    Code,
    /// A block of code.
    Pre,
    /// A quotation.
    Quote,
    /// A link to this address.
    Link(String),
}

impl Style {
    /// Is the text in it to be left exactly as it is?
    pub fn is_code(&self) -> bool {
        matches!(self, Style::Code | Style::Pre)
    }

    fn open(&self) -> String {
        match self {
            Style::Bold => "<b>".into(),
            Style::Italic => "<i>".into(),
            Style::Strike => "<s>".into(),
            Style::Spoiler => "<tg-spoiler>".into(),
            Style::Code => "<code>".into(),
            Style::Pre => "<pre><code>".into(),
            Style::Quote => "<blockquote>".into(),
            Style::Link(to) => format!("<a href=\"{}\">", escape(to).replace('"', "&quot;")),
        }
    }

    fn close(&self) -> &'static str {
        match self {
            Style::Bold => "</b>",
            Style::Italic => "</i>",
            Style::Strike => "</s>",
            Style::Spoiler => "</tg-spoiler>",
            Style::Code => "</code>",
            Style::Pre => "</code></pre>",
            Style::Quote => "</blockquote>",
            Style::Link(_) => "</a>",
        }
    }
}

/// A style and the bytes of the text it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Byte offsets into [`Rich::text`], on character boundaries.
    pub at: Range<usize>,
    /// The style.
    pub style: Style,
}

/// A text and its styles. Spans may nest and overlap in any way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rich {
    /// What a reader sees.
    pub text: String,
    /// In no particular order.
    pub spans: Vec<Span>,
}

/// Length as Telegram counts it: UTF-16 units.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

impl Rich {
    /// A text without styles.
    pub fn plain(text: impl Into<String>) -> Rich {
        Rich {
            text: text.into(),
            spans: Vec::new(),
        }
    }

    /// The part of it between two bytes, styles cut to size.
    pub fn slice(&self, at: Range<usize>) -> Rich {
        let cut = |span: &Span| {
            let start = span.at.start.max(at.start);
            let end = span.at.end.min(at.end);
            let moved = start.wrapping_sub(at.start)..end.wrapping_sub(at.start);
            (start < end).then(|| Span {
                at: moved,
                style: span.style.clone(),
            })
        };
        Rich {
            text: self.text[at.clone()].to_owned(),
            spans: self.spans.iter().filter_map(cut).collect(),
        }
    }

    /// Takes out these stretches, which are sorted and apart; styles shrink and move with it.
    pub fn remove(&mut self, gone: &[Range<usize>]) {
        let moved = |at: usize| {
            let before = |range: &Range<usize>| range.end.min(at).saturating_sub(range.start);
            at - gone.iter().map(before).sum::<usize>()
        };
        for span in &mut self.spans {
            span.at = moved(span.at.start)..moved(span.at.end);
        }
        self.spans.retain(|span| !span.at.is_empty());
        for range in gone.iter().rev() {
            self.text.replace_range(range.clone(), "");
        }
    }

    /// Is the byte at `index` inside a span that `which` picks?
    pub fn inside(&self, index: usize, which: impl Fn(&Style) -> bool) -> bool {
        self.spans
            .iter()
            .any(|span| span.at.contains(&index) && which(&span.style))
    }

    /// The text as Telegram HTML. Tags are balanced whatever the spans are.
    pub fn html(&self) -> String {
        let mut edges: Vec<usize> = self
            .spans
            .iter()
            .flat_map(|span| [span.at.start, span.at.end])
            .collect();
        edges.extend([0, self.text.len()]);
        edges.sort_unstable();
        edges.dedup();
        let mut spans: Vec<&Span> = self
            .spans
            .iter()
            .filter(|span| !span.at.is_empty())
            .collect();
        spans.sort_by_key(|span| (span.at.start, std::cmp::Reverse(span.at.end)));
        let mut out = String::with_capacity(self.text.len() * 5 / 4);
        let mut open: Vec<&Span> = Vec::new();
        for (index, edge) in edges.iter().enumerate() {
            // Close down to the lowest that ends here, open again what was above it and goes on.
            if let Some(lowest) = open.iter().position(|span| span.at.end == *edge) {
                let above = open.split_off(lowest);
                above
                    .iter()
                    .rev()
                    .for_each(|span| out.push_str(span.style.close()));
                for span in above.into_iter().filter(|span| span.at.end > *edge) {
                    out.push_str(&span.style.open());
                    open.push(span);
                }
            }
            for span in spans.iter().filter(|span| span.at.start == *edge) {
                out.push_str(&span.style.open());
                open.push(span);
            }
            if let Some(next) = edges.get(index + 1) {
                out.push_str(&escape(&self.text[*edge..*next]));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rich(text: &str, spans: &[(Range<usize>, Style)]) -> Rich {
        let span = |(at, style): &(Range<usize>, Style)| Span {
            at: at.clone(),
            style: style.clone(),
        };
        Rich {
            text: text.into(),
            spans: spans.iter().map(span).collect(),
        }
    }

    #[test]
    fn tags_balance_even_when_spans_cross() {
        let crossing = rich("abcdef", &[(0..4, Style::Bold), (2..6, Style::Italic)]);
        assert_eq!(crossing.html(), "<b>ab<i>cd</i></b><i>ef</i>");
        let same = rich("ab", &[(0..2, Style::Bold), (0..2, Style::Spoiler)]);
        assert_eq!(same.html(), "<b><tg-spoiler>ab</tg-spoiler></b>");
    }

    #[test]
    fn what_html_would_read_is_escaped() {
        let link = rich(
            "<&>",
            &[(0..3, Style::Link("https://e.org/?a=\"1\"&b".into()))],
        );
        assert_eq!(
            link.html(),
            "<a href=\"https://e.org/?a=&quot;1&quot;&amp;b\">&lt;&amp;&gt;</a>"
        );
    }

    #[test]
    fn slices_and_removals_move_the_spans() {
        let text = rich("0123456789", &[(2..8, Style::Bold)]);
        assert_eq!(text.slice(4..10), rich("456789", &[(0..4, Style::Bold)]));
        assert_eq!(text.slice(8..10), rich("89", &[]));
        let mut text = text;
        text.remove(&[0..1, 3..5, 7..9]);
        assert_eq!(text, rich("12569", &[(1..4, Style::Bold)]));
    }
}
