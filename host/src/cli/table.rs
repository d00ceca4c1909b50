//! Tables for people: sized to the terminal, wrapped instead of cut, identifiers never broken.
//!
//! What does not fit makes way in this order: text wraps, then columns of little value are left
//! out (and named below the table), then each row becomes a block of `title  value` lines.

use super::output::{Paint, Screen};
use super::text;

/// The narrowest a wrapping column gets before other columns are left out.
const WRAPPED_COLUMNS_MIN: usize = 14;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    drop_rank: u8,
    solid: bool,
}

impl Column {
    /// A column that is always shown and may wrap.
    pub const fn new(title: &'static str) -> Self {
        Column {
            title,
            drop_rank: 0,
            solid: false,
        }
    }

    /// A column of identifiers: always shown, never broken.
    pub const fn id(title: &'static str) -> Self {
        Column {
            title,
            drop_rank: 0,
            solid: true,
        }
    }

    /// May be left out; the highest rank goes first.
    pub const fn optional(self, drop_rank: u8) -> Self {
        Column { drop_rank, ..self }
    }

    /// Never broken over lines.
    pub const fn solid(self) -> Self {
        Column {
            solid: true,
            ..self
        }
    }
}

/// One cell: a line of text and how to paint it.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A painted cell.
    pub fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        Cell {
            text: text::clean(text.as_ref()),
            paint,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::painted(text, Paint::Plain)
    }
}

/// A table: columns and rows of as many cells.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Table {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it must have a cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines for this screen, each ended by a line break.
    pub fn render(&self, screen: &Screen) -> String {
        match self.layout(screen.columns()) {
            Some(layout) => self.grid(&layout, screen),
            None => self.blocks(screen),
        }
    }

    /// Natural width of a column: its title or its longest cell.
    fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| text::width(&row[column].text));
        cells
            .chain([text::width(self.columns[column].title)])
            .max()
            .unwrap_or(0)
    }

    /// The narrowest a column may be.
    fn narrowest(&self, column: usize) -> usize {
        let natural = self.natural(column);
        let title = text::width(self.columns[column].title);
        if self.columns[column].solid {
            natural
        } else {
            natural.min(title.max(WRAPPED_COLUMNS_MIN))
        }
    }

    /// Which columns are shown and how wide; `None` when no grid fits.
    fn layout(&self, available: Option<usize>) -> Option<Vec<(usize, usize)>> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(available) = available else {
            return Some(shown.into_iter().map(|c| (c, self.natural(c))).collect());
        };
        while shown.iter().map(|&c| self.narrowest(c) + 3).sum::<usize>() + 1 > available {
            let weakest = (0..shown.len())
                .filter(|&at| self.columns[shown[at]].drop_rank > 0)
                .max_by_key(|&at| self.columns[shown[at]].drop_rank)?;
            shown.remove(weakest);
        }
        let mut widths: Vec<_> = shown.iter().map(|&c| (c, self.narrowest(c))).collect();
        let mut spare = available - 1 - widths.iter().map(|(_, w)| w + 3).sum::<usize>();
        while spare > 0 {
            let before = spare;
            for (column, width) in &mut widths {
                if spare > 0 && *width < self.natural(*column) {
                    *width += 1;
                    spare -= 1;
                }
            }
            if spare == before {
                break;
            }
        }
        Some(widths)
    }

    fn grid(&self, layout: &[(usize, usize)], screen: &Screen) -> String {
        let rule = |left: &str, middle: &str, right: &str| {
            let bars: Vec<_> = layout
                .iter()
                .map(|(_, width)| "─".repeat(width + 2))
                .collect();
            format!("{left}{}{right}\n", bars.join(middle))
        };
        let mut out = rule("┌", "┬", "┐");
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|c| Cell::painted(c.title, Paint::Strong))
            .collect();
        out.push_str(&grid_row(&titles, layout, screen));
        out.push_str(&rule("├", "┼", "┤"));
        for row in &self.rows {
            out.push_str(&grid_row(row, layout, screen));
        }
        out.push_str(&rule("└", "┴", "┘"));
        let hidden: Vec<_> = (0..self.columns.len())
            .filter(|column| !layout.iter().any(|(shown, _)| shown == column))
            .map(|column| self.columns[column].title.to_lowercase())
            .collect();
        if !hidden.is_empty() {
            let note = format!("not shown: {} (--wide shows all)", hidden.join(", "));
            out.push_str(&screen.paint(Paint::Faint, &note));
            out.push('\n');
        }
        out
    }

    /// Each row as lines `title  value`, rows apart by an empty line.
    fn blocks(&self, screen: &Screen) -> String {
        let label = self
            .columns
            .iter()
            .map(|c| text::width(c.title))
            .max()
            .unwrap_or(0);
        let blocks: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let lines = row
                    .iter()
                    .zip(&self.columns)
                    .filter(|(cell, _)| !cell.text.is_empty());
                lines
                    .map(|(cell, column)| {
                        let title = pad(column.title, label);
                        let value = screen.paint(cell.paint, &cell.text);
                        format!("{}  {value}\n", screen.paint(Paint::Strong, &title))
                    })
                    .collect()
            })
            .collect();
        blocks.join("\n")
    }
}

fn grid_row(cells: &[Cell], layout: &[(usize, usize)], screen: &Screen) -> String {
    let columns: Vec<(Vec<String>, usize, Paint)> = layout
        .iter()
        .map(|&(column, width)| {
            (
                text::wrap(&cells[column].text, width),
                width,
                cells[column].paint,
            )
        })
        .collect();
    let height = columns
        .iter()
        .map(|(lines, ..)| lines.len())
        .max()
        .unwrap_or(1);
    let mut out = String::new();
    for line in 0..height {
        for (lines, width, paint) in &columns {
            let text = lines.get(line).map_or("", String::as_str);
            let padding = " ".repeat(width.saturating_sub(text::width(text)));
            out.push_str(&format!("│ {}{padding} ", screen.paint(*paint, text)));
        }
        out.push_str("│\n");
    }
    out
}

/// Fills with spaces to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!(
        "{text}{}",
        " ".repeat(columns.saturating_sub(text::width(text)))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn sample() -> Table {
        let mut table = Table::new([
            Column::id("Device"),
            Column::new("Name"),
            Column::new("Address").optional(2),
            Column::new("Scopes").optional(1),
        ]);
        table.row([
            ID.into(),
            "日本 phone".into(),
            "192.0.2.7".into(),
            "operator.read, operator.write, operator.pairing".into(),
        ]);
        table
    }

    #[test]
    fn wide_screens_show_everything_on_one_line() {
        let expected = "\
┌──────────────────────────────────┬────────────┬───────────┬─────────────────────────────────────────────────┐
│ Device                           │ Name       │ Address   │ Scopes                                          │
├──────────────────────────────────┼────────────┼───────────┼─────────────────────────────────────────────────┤
│ 0123456789abcdef0123456789abcdef │ 日本 phone │ 192.0.2.7 │ operator.read, operator.write, operator.pairing │
└──────────────────────────────────┴────────────┴───────────┴─────────────────────────────────────────────────┘
";
        assert_eq!(sample().render(&Screen::plain(None)), expected);
        assert_eq!(sample().render(&Screen::plain(Some(120))), expected);
    }

    #[test]
    fn text_wraps_before_a_column_is_left_out() {
        let expected = "\
┌──────────────────────────────────┬────────────┬───────────┬──────────────────┐
│ Device                           │ Name       │ Address   │ Scopes           │
├──────────────────────────────────┼────────────┼───────────┼──────────────────┤
│ 0123456789abcdef0123456789abcdef │ 日本 phone │ 192.0.2.7 │ operator.read,   │
│                                  │            │           │ operator.write,  │
│                                  │            │           │ operator.pairing │
└──────────────────────────────────┴────────────┴───────────┴──────────────────┘
";
        assert_eq!(sample().render(&Screen::plain(Some(80))), expected);
    }

    #[test]
    fn columns_of_little_value_go_first_and_are_named() {
        let expected = "\
┌──────────────────────────────────┬────────────┬───────────────────┐
│ Device                           │ Name       │ Scopes            │
├──────────────────────────────────┼────────────┼───────────────────┤
│ 0123456789abcdef0123456789abcdef │ 日本 phone │ operator.read,    │
│                                  │            │ operator.write,   │
│                                  │            │ operator.pairing  │
└──────────────────────────────────┴────────────┴───────────────────┘
not shown: address (--wide shows all)
";
        assert_eq!(sample().render(&Screen::plain(Some(69))), expected);
    }

    #[test]
    fn a_narrow_screen_gets_blocks_with_whole_ids() {
        let expected = "\
Device   0123456789abcdef0123456789abcdef
Name     日本 phone
Address  192.0.2.7
Scopes   operator.read, operator.write, operator.pairing
";
        assert_eq!(sample().render(&Screen::plain(Some(40))), expected);
    }

    #[test]
    fn every_line_fits_at_any_width() {
        for columns in 51..130 {
            for line in sample().render(&Screen::plain(Some(columns))).lines() {
                assert!(text::width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn cells_cannot_move_the_cursor() {
        let mut table = Table::new([Column::new("Name")]);
        table.row(["\u{1b}[2Jx".into()]);
        assert!(!table.render(&Screen::plain(None)).contains('\u{1b}'));
    }
}
