//! Markdown as language models write it → text with styles.
//!
//! Pure. What Telegram has no markup for is written out: headings are plain lines, lists get
//! bullets, tables become an aligned code block, the language of a fence is dropped.

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::rich::{Rich, Span, Style};

/// Top-level domains that are endings of source files as well. Telegram would make a link of a
/// file with such a name.
const FILE_ENDINGS: [&str; 9] = ["md", "go", "py", "pl", "sh", "am", "at", "be", "cc"];

/// Deepest list that is indented further than the one around it. Each bullet of a line can begin a
/// list in a list: without an end, a text would grow with the square of its length.
const INDENT_MAX: usize = 16;

/// Reads Markdown.
pub fn markdown(source: &str) -> Rich {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer {
        source,
        ..Writer::default()
    };
    for (event, at) in Parser::new_ext(source, options).into_offset_iter() {
        writer.event(event, at.start);
    }
    let mut rich = writer.rich;
    rich.text.truncate(rich.text.trim_end().len());
    let end = rich.text.len();
    rich.spans
        .iter_mut()
        .for_each(|span| span.at.end = span.at.end.min(end));
    spoilers(&mut rich);
    file_names(&mut rich);
    rich
}

#[derive(Default)]
struct Writer<'a> {
    source: &'a str,
    rich: Rich,
    /// Where open styles began, innermost last.
    open: Vec<(usize, Style)>,
    /// Open lists: the next number, or none for bullets.
    lists: Vec<Option<u64>>,
    /// How deep in quotations; Telegram has only one level.
    quotes: usize,
    /// The next block begins on the line of a bullet.
    after_bullet: bool,
    table: Option<Vec<Vec<String>>>,
}

impl Writer<'_> {
    fn event(&mut self, event: Event<'_>, at: usize) {
        match event {
            Event::Start(tag) => self.start(tag, at),
            Event::End(tag) => self.end(tag),
            Event::Code(code) => match &mut self.table {
                Some(_) => self.push(&code),
                None => self.styled(&code, Style::Code),
            },
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.push(&text),
            Event::SoftBreak | Event::HardBreak => self.push("\n"),
            Event::Rule => {
                self.gap(at);
                self.push("———");
            }
            Event::TaskListMarker(done) => self.push(if done { "[x] " } else { "[ ] " }),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, at: usize) {
        match tag {
            Tag::Paragraph | Tag::Heading { .. } | Tag::HtmlBlock => self.gap(at),
            Tag::CodeBlock(_) => {
                self.gap(at);
                self.open(Style::Pre);
            }
            Tag::BlockQuote(_) => {
                self.gap(at);
                self.quotes += 1;
                if self.quotes == 1 {
                    self.open(Style::Quote);
                }
                // The first block inside begins where the quotation begins.
                self.after_bullet = true;
            }
            Tag::List(first) => {
                self.after_bullet = false;
                self.lists.push(first);
            }
            Tag::Item => self.item(at),
            Tag::Emphasis => self.open(Style::Italic),
            Tag::Strong => self.open(Style::Bold),
            Tag::Strikethrough => self.open(Style::Strike),
            Tag::Link {
                link_type: LinkType::Email,
                ..
            } => self.open(Style::Link(String::new())),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.open(Style::Link(dest_url.into_string()));
            }
            Tag::Table(_) => {
                self.gap(at);
                self.table = Some(Vec::new());
            }
            Tag::TableHead | Tag::TableRow => {
                self.table.iter_mut().for_each(|rows| rows.push(Vec::new()));
            }
            Tag::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(String::new());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock => {
                if self.rich.text.ends_with('\n') {
                    self.rich.text.pop();
                }
                self.close();
            }
            TagEnd::BlockQuote(_) => {
                self.quotes -= 1;
                self.after_bullet = false;
                if self.quotes == 0 {
                    self.close();
                }
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::Item => self.after_bullet = false,
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.close(),
            TagEnd::Link | TagEnd::Image => self.close_link(),
            TagEnd::Table => self.close_table(),
            _ => {}
        }
    }

    /// Separates a block that begins at byte `at` of the source from what is before it: with a
    /// blank line where the source has one, else with a new line.
    fn gap(&mut self, at: usize) {
        if std::mem::take(&mut self.after_bullet) || self.rich.text.is_empty() {
            return;
        }
        let blank = |line: &str| line.trim_matches([' ', '\t', '\r', '>']).is_empty();
        let above = self.source[..at].rsplit('\n').nth(1);
        let wanted = if above.is_some_and(blank) { 2 } else { 1 };
        let trailing = self.rich.text.len() - self.rich.text.trim_end_matches('\n').len();
        for _ in trailing..wanted {
            self.rich.text.push('\n');
        }
    }

    fn item(&mut self, at: usize) {
        self.gap(at);
        let depth = self.lists.len().saturating_sub(1).min(INDENT_MAX);
        let bullet = match self.lists.last_mut() {
            Some(Some(number)) => {
                let bullet = format!("{number}. ");
                *number += 1;
                bullet
            }
            _ => "• ".to_owned(),
        };
        self.rich.text.push_str(&"  ".repeat(depth));
        self.rich.text.push_str(&bullet);
        self.after_bullet = true;
    }

    fn push(&mut self, text: &str) {
        self.after_bullet = false;
        match self
            .table
            .as_mut()
            .and_then(|rows| rows.last_mut()?.last_mut())
        {
            Some(cell) => cell.push_str(text),
            None => self.rich.text.push_str(text),
        }
    }

    fn styled(&mut self, text: &str, style: Style) {
        self.open(style);
        self.push(text);
        self.close();
    }

    fn open(&mut self, style: Style) {
        self.open.push((self.rich.text.len(), style));
    }

    fn close(&mut self) {
        if let Some((start, style)) = self.open.pop() {
            let at = start..self.rich.text.len();
            if !at.is_empty() {
                self.rich.spans.push(Span { at, style });
            }
        }
    }

    fn close_link(&mut self) {
        let Some((start, Style::Link(to))) = self.open.pop() else {
            return;
        };
        let web = to.contains("://") || to.starts_with("mailto:") || to.starts_with("tel:");
        if self.table.is_some() || !web {
            // Not an address Telegram can open: write it out unless the text says it already.
            let text = self.rich.text.get(start..).unwrap_or_default();
            if !to.is_empty() && text != to {
                self.push(&format!(" ({to})"));
            }
            return;
        }
        if self.rich.text.len() == start {
            self.push(&to);
        }
        self.rich.spans.push(Span {
            at: start..self.rich.text.len(),
            style: Style::Link(to),
        });
    }

    fn close_table(&mut self) {
        let rows = self.table.take().unwrap_or_default();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| {
            rows.iter()
                .map(|row| cell(row, column).chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        let mut lines = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let cells = widths.iter().enumerate().map(|(column, width)| {
                let text = cell(row, column);
                format!(" {text}{} ", " ".repeat(width - text.chars().count()))
            });
            lines.push(format!("|{}|", cells.collect::<Vec<_>>().join("|")));
            if index == 0 {
                let dashes = widths.iter().map(|width| "-".repeat(width + 2));
                lines.push(format!("|{}|", dashes.collect::<Vec<_>>().join("|")));
            }
        }
        self.styled(&lines.join("\n"), Style::Pre);
    }
}

/// `||text||` hides text. Not in code, not across paragraphs, and not with blanks at the inner
/// ends, so that "a || b" stays what it is.
fn spoilers(rich: &mut Rich) {
    let mut gone = Vec::new();
    let mut opened: Option<usize> = None;
    let mut at = 0;
    while let Some(found) = rich.text[at..].find("||") {
        let here = at + found;
        at = here + 2;
        if rich.inside(here, Style::is_code) {
            continue;
        }
        let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let text = &rich.text;
        if let Some(start) = opened
            && !text[start..here].contains("\n\n")
        {
            if here > start + 2 && !blank(text[..here].chars().next_back()) {
                rich.spans.push(Span {
                    at: start..at,
                    style: Style::Spoiler,
                });
                gone.extend([start..start + 2, here..at]);
                opened = None;
            }
        } else {
            opened = (!blank(text[at..].chars().next())).then_some(here);
        }
    }
    rich.remove(&gone);
}

/// Marks file names that Telegram would take for web addresses as code.
fn file_names(rich: &mut Rich) {
    let part_of_name =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '\\');
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = rich.text[at..].find(part_of_name) {
        let start = at + start;
        let word = &rich.text[start..];
        let word = &word[..word.find(|c| !part_of_name(c)).unwrap_or(word.len())];
        at = start + word.len();
        let name = word.trim_end_matches(['.', ':', '/']);
        let Some((stem, ending)) = name.rsplit_once('.') else {
            continue;
        };
        let is_file = FILE_ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
            && stem.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'))
            && !name.contains(['@', ':'])
            && !name.starts_with("www.");
        let taken = |style: &Style| matches!(style, Style::Code | Style::Pre | Style::Link(_));
        if is_file && !rich.inside(start, taken) {
            found.push(Span {
                at: start..start + name.len(),
                style: Style::Code,
            });
        }
    }
    rich.spans.append(&mut found);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, html: &str) {
        assert_eq!(markdown(source).html(), html, "for {source:?}");
    }

    #[test]
    fn inline_styles() {
        check("a **b**", "a <b>b</b>");
        check(
            "*i* _j_ ~~s~~ `c<d`",
            "<i>i</i> <i>j</i> <s>s</s> <code>c&lt;d</code>",
        );
        check("**b _bi_**", "<b>b <i>bi</i></b>");
        check("snake_case_name 2 * 3 * 4", "snake_case_name 2 * 3 * 4");
        check("1 < 2 && 3 > 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2");
        check("half **open", "half **open");
    }

    #[test]
    fn html_in_the_source_is_shown_not_obeyed() {
        check("a <b>x</b>", "a &lt;b&gt;x&lt;/b&gt;");
        check("<div>\nx\n</div>", "&lt;div&gt;\nx\n&lt;/div&gt;");
    }

    #[test]
    fn nesting_without_end_stays_small() {
        for many in ["- ", "> ", "1. ", "*a _b ", "[a](", "|x"] {
            let source = format!("{}z", many.repeat(20_000));
            let html = markdown(&source).html();
            let most = 20 * source.len();
            assert!(html.len() <= most, "{many:?}: {} bytes", html.len());
        }
    }

    #[test]
    fn spoilers_hide_text() {
        check("a ||b **c**|| d", "a <tg-spoiler>b <b>c</b></tg-spoiler> d");
        check("if a || b || c", "if a || b || c");
        check("`||x||`", "<code>||x||</code>");
        check("||x\n\ny||", "||x\n\ny||");
    }

    #[test]
    fn links() {
        check(
            "[t](https://e.org/?a=1&b=2)",
            "<a href=\"https://e.org/?a=1&amp;b=2\">t</a>",
        );
        check(
            "![alt](https://e.org/i.png)",
            "<a href=\"https://e.org/i.png\">alt</a>",
        );
        check(
            "![](https://e.org/i)",
            "<a href=\"https://e.org/i\">https://e.org/i</a>",
        );
        check("[doc](./doc.txt)", "doc (./doc.txt)");
        check(
            "<me@e.org>",
            "me@e.org (me@e.org)".split(" (").next().unwrap_or_default(),
        );
    }

    #[test]
    fn blocks_keep_the_spacing_of_the_source() {
        check("# Title\ntext\n\nmore\nlines", "Title\ntext\n\nmore\nlines");
        check(
            "text:\n- a\n- b\n  - c\n\nend",
            "text:\n• a\n• b\n  • c\n\nend",
        );
        check("3. x\n4. y", "3. x\n4. y");
        check("- [x] done\n- [ ] open", "• [x] done\n• [ ] open");
        check("a\n\n---\n\nb", "a\n\n———\n\nb");
        check("- a\n\n  b\n\n- c", "• a\n\nb\n\n• c");
    }

    #[test]
    fn code_blocks_and_quotes() {
        check(
            "```rust\nlet a = 1 < 2;\n```",
            "<pre><code>let a = 1 &lt; 2;</code></pre>",
        );
        check(
            "a\n```\nx\n\ny\n```\nb",
            "a\n<pre><code>x\n\ny</code></pre>\nb",
        );
        check("```\nnever closed", "<pre><code>never closed</code></pre>");
        check("> q\n> r\n\nx", "<blockquote>q\nr</blockquote>\n\nx");
        check("> a\n>> b", "<blockquote>a\nb</blockquote>");
    }

    #[test]
    fn tables_become_an_aligned_code_block() {
        check(
            "| a | b |\n|---|---|\n| long | **x** |",
            "<pre><code>| a    | b |\n|------|---|\n| long | x |</code></pre>",
        );
    }

    #[test]
    fn file_names_are_not_web_addresses() {
        check("see README.md.", "see <code>README.md</code>.");
        check("src/a_b.py and x.rs", "<code>src/a_b.py</code> and x.rs");
        check("https://e.at/x.md", "https://e.at/x.md");
        check("mail me@e.at", "mail me@e.at");
        check(
            "`a.md` [a.md](https://e.org)",
            "<code>a.md</code> <a href=\"https://e.org\">a.md</a>",
        );
        check("**run.sh**", "<b><code>run.sh</code></b>");
    }
}
