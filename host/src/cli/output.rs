//! Where a command's words go: standard output, standard error, colour and width.
//!
//! The only writer of the command line. Standard output carries the answer and nothing else; a
//! reader that left early (a closed pipe) is not an error.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::json;

/// Looks an environment variable up; a blank one counts as absent.
pub type Vars<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a word is painted on a terminal; elsewhere it stays plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As is.
    Plain,
    /// Titles.
    Strong,
    /// Side remarks.
    Faint,
    /// All is well.
    Good,
    /// Look at this.
    Warn,
    /// Broken.
    Bad,
}

impl Paint {
    fn code(self) -> Option<&'static str> {
        Some(match self {
            Paint::Plain => return None,
            Paint::Strong => "1",
            Paint::Faint => "2",
            Paint::Good => "32",
            Paint::Warn => "33",
            Paint::Bad => "31",
        })
    }
}

/// The terminal (or pipe) that a command answers to.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    json: bool,
    colour: bool,
    columns: Option<usize>,
    live: bool,
}

/// What the command line says about output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// `--json`
    pub json: bool,
    /// `--no-color`
    pub no_color: bool,
    /// `--wide`
    pub wide: bool,
}

impl Screen {
    /// The process's own standard output: colour only on a terminal and unless `NO_COLOR` is set;
    /// tables as wide as the terminal, else `COLUMNS`, else as wide as they like.
    pub fn of_process(wishes: Wishes, vars: Vars<'_>) -> Self {
        let live = std::io::stdout().is_terminal();
        let dumb = vars("TERM").is_some_and(|term| term == "dumb");
        let columns = match (wishes.wide, terminal_columns()) {
            (true, _) => None,
            (false, Some(columns)) => Some(columns),
            (false, None) => vars("COLUMNS").and_then(|text| text.trim().parse().ok()),
        };
        Screen {
            json: wishes.json,
            colour: live && !wishes.no_color && !dumb && vars("NO_COLOR").is_none(),
            columns: columns.filter(|columns| *columns >= 20),
            live: live && !wishes.json,
        }
    }

    /// Standard output before anything is known about it.
    pub fn bare(json: bool) -> Self {
        Screen {
            json,
            colour: false,
            columns: None,
            live: false,
        }
    }

    /// A screen without colour, for tests.
    #[cfg(test)]
    pub fn plain(columns: Option<usize>) -> Self {
        Screen {
            json: false,
            colour: false,
            columns,
            live: false,
        }
    }

    /// True under `--json`: standard output is pure JSON then.
    pub fn json_wanted(&self) -> bool {
        self.json
    }

    /// True when a person watches and text may appear bit by bit.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Columns to fit tables in; `None` for no limit.
    pub fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// Paints a word.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        match paint.code() {
            Some(code) if self.colour && !text.is_empty() => {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            }
            _ => text.to_owned(),
        }
    }

    /// Writes to standard output as is.
    pub fn write(&self, text: &str) {
        self.try_write(text);
    }

    /// Writes one line to standard output; false once nobody reads it any more.
    pub fn try_line(&self, text: &str) -> bool {
        self.try_write(&format!("{text}\n"))
    }

    fn try_write(&self, text: &str) -> bool {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes());
        written.and_then(|()| out.flush()).is_ok()
    }

    /// Writes one line to standard output.
    pub fn line(&self, text: impl AsRef<str>) {
        self.write(&format!("{}\n", text.as_ref()));
    }

    /// Writes the gateway's own JSON text, indented.
    pub fn raw_json(&self, raw: &str) {
        self.line(json::indent(raw));
    }

    /// Writes a value as indented JSON.
    pub fn value_json(&self, value: &impl Serialize) {
        self.raw_json(&serde_json::to_string(value).expect("plain data always serialises"));
    }
}

/// Writes to standard error as is.
pub fn complain(text: &str) {
    std::io::stderr()
        .lock()
        .write_all(text.as_bytes())
        .unwrap_or(());
}

/// Width of the terminal on standard output, if it is one.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_terminal() {
        let plain = Screen::plain(None);
        assert_eq!(plain.paint(Paint::Bad, "x"), "x");
        let colour = Screen {
            colour: true,
            ..plain
        };
        assert_eq!(colour.paint(Paint::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(colour.paint(Paint::Plain, "x"), "x");
    }

    #[test]
    fn pipes_use_columns_and_wide_has_no_limit() {
        // Test output is captured by a pipe or a file, never sized by a terminal.
        let vars = |name: &str| (name == "COLUMNS").then(|| "72".to_owned());
        if !std::io::stdout().is_terminal() {
            let wishes = Wishes::default();
            assert_eq!(Screen::of_process(wishes, &vars).columns(), Some(72));
            let wide = Wishes {
                wide: true,
                ..wishes
            };
            assert_eq!(Screen::of_process(wide, &vars).columns(), None);
        }
    }
}
