//! Reads Rust files well enough for the rules: which characters are code, which lines are inline
//! tests, where functions begin and end. No compiler; comments and texts are blanked first, so
//! what is left can be searched without being fooled by them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use support::binaries::repository;

/// One file of the workspace.
pub struct Source {
    /// From the repository's root, with `/`.
    pub name: String,
    /// As it is.
    pub text: String,
    /// The same length in characters and lines, comments and the insides of texts blanked.
    pub code: Vec<char>,
}

/// A function's name and the lines it covers, first and last, counted from 1.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of `fn`.
    pub first: usize,
    /// Line of the closing brace.
    pub last: usize,
}

/// All Rust files under these folders of the repository.
pub fn all(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&repository().join(folder), &mut found);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Every Rust file the workspace has.
pub fn workspace() -> Vec<Source> {
    all(&["schemas", "plugin-api", "host", "plugins", "tests"])
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path
                .strip_prefix(repository())
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.push(Source::new(name, text));
        }
    }
}

impl Source {
    /// Reads one text.
    pub fn new(name: String, text: String) -> Self {
        let code = blank(&text.chars().collect::<Vec<_>>());
        Self { name, text, code }
    }

    /// Line of a place in `code`, counted from 1.
    pub fn line(&self, place: usize) -> usize {
        1 + self.code[..place].iter().filter(|&&c| c == '\n').count()
    }

    /// Lines that stand in items under `#[cfg(test)]`.
    pub fn test_lines(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for place in self.places("#[cfg(test)]") {
            let Some(open) = self.code[place..]
                .iter()
                .position(|&c| c == '{' || c == ';')
            else {
                continue;
            };
            let end = self.closing(place + open).unwrap_or(place + open);
            ranges.push(self.line(place)..self.line(end) + 1);
        }
        ranges
    }

    /// Lines of the file without its inline tests.
    pub fn own_lines(&self) -> usize {
        let tests: usize = self.test_lines().iter().map(ExactSizeIterator::len).sum();
        self.text.lines().count().saturating_sub(tests)
    }

    /// Whether this line is part of an inline test.
    pub fn in_test(&self, line: usize) -> bool {
        self.test_lines().iter().any(|range| range.contains(&line))
    }

    /// All functions with a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for place in self.words("fn") {
            let name: String = self.code[place + 2..]
                .iter()
                .skip_while(|c| c.is_whitespace())
                .take_while(|c| c.is_alphanumeric() || **c == '_')
                .collect();
            if name.is_empty() {
                continue;
            }
            if let Some(open) = self.body(place) {
                let last = self.line(self.closing(open).unwrap_or(open));
                found.push(Function {
                    name,
                    first: self.line(place),
                    last,
                });
            }
        }
        found
    }

    /// The opening brace of a function's body; none for a declaration.
    fn body(&self, from: usize) -> Option<usize> {
        let mut depth = 0_i32;
        for (offset, &c) in self.code[from..].iter().enumerate() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '{' if depth == 0 => return Some(from + offset),
                ';' if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    /// The brace that closes the one at `open`.
    pub fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_i32;
        for (offset, &c) in self.code[open..].iter().enumerate() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(open + offset);
            }
        }
        None
    }

    /// Where a text stands in the code.
    pub fn places(&self, needle: &str) -> Vec<usize> {
        let needle: Vec<char> = needle.chars().collect();
        let windows = self.code.windows(needle.len()).enumerate();
        windows
            .filter(|(_, window)| *window == needle)
            .map(|(place, _)| place)
            .collect()
    }

    /// Where a whole word stands in the code.
    pub fn words(&self, word: &str) -> Vec<usize> {
        let part = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let length = word.chars().count();
        let mut places = self.places(word);
        places.retain(|&place| {
            !part(
                place
                    .checked_sub(1)
                    .and_then(|before| self.code.get(before)),
            ) && !part(self.code.get(place + length))
        });
        places
    }

    /// The identifier or path that starts at a place.
    pub fn path_at(&self, place: usize) -> String {
        let path = |c: &&char| c.is_alphanumeric() || **c == '_' || **c == ':';
        self.code[place..].iter().take_while(path).collect()
    }
}

/// Blanks comments, texts and character literals; keeps every line break.
fn blank(text: &[char]) -> Vec<char> {
    let mut code = text.to_vec();
    let mut place = 0;
    while place < text.len() {
        let end = match (text[place], text.get(place + 1)) {
            ('/', Some('/')) => line_end(text, place),
            ('/', Some('*')) => comment_end(text, place),
            ('"', _) => text_end(text, place),
            ('r', Some('"' | '#')) if !name_before(text, place) => raw_end(text, place),
            ('\'', _) => character_end(text, place),
            _ => place,
        };
        for c in &mut code[place..end] {
            if *c != '\n' {
                *c = ' ';
            }
        }
        place = end.max(place + 1);
    }
    code
}

fn line_end(text: &[char], from: usize) -> usize {
    text[from..]
        .iter()
        .position(|&c| c == '\n')
        .map_or(text.len(), |offset| from + offset)
}

fn comment_end(text: &[char], from: usize) -> usize {
    let mut depth = 0_i32;
    let mut place = from;
    while place + 1 < text.len() {
        match (text[place], text[place + 1]) {
            ('/', '*') => (depth, place) = (depth + 1, place + 2),
            ('*', '/') => (depth, place) = (depth - 1, place + 2),
            _ => place += 1,
        }
        if depth == 0 {
            return place;
        }
    }
    text.len()
}

fn text_end(text: &[char], from: usize) -> usize {
    let mut place = from + 1;
    while place < text.len() {
        match text[place] {
            '\\' => place += 2,
            '"' => return place + 1,
            _ => place += 1,
        }
    }
    text.len()
}

fn raw_end(text: &[char], from: usize) -> usize {
    let hashes = text[from + 1..].iter().take_while(|&&c| c == '#').count();
    if text.get(from + 1 + hashes) != Some(&'"') {
        return from;
    }
    let mut end: Vec<char> = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    let start = from + 2 + hashes;
    let found = text[start..]
        .windows(end.len())
        .position(|window| window == end);
    found.map_or(text.len(), |offset| start + offset + end.len())
}

/// A character literal, or nothing when the quote opens a lifetime.
fn character_end(text: &[char], from: usize) -> usize {
    match (text.get(from + 1), text.get(from + 2)) {
        (Some('\\'), _) => {
            let rest = &text[(from + 3).min(text.len())..];
            rest.iter()
                .position(|&c| c == '\'')
                .map_or(text.len(), |offset| from + 4 + offset)
        }
        (Some(_), Some('\'')) => from + 3,
        _ => from,
    }
}

fn name_before(text: &[char], place: usize) -> bool {
    let before = place.checked_sub(1).map(|before| text[before]);
    before.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[test]
fn the_reader_is_not_fooled() {
    let text = "//! fn a() {\n/* fn b() { /* } */ */\nfn c<'a>(x: &'a str) -> [u8; 2] {\n    \
                let q = '\"'; r#\"fn d() {\"#; \"}\\\"}\"\n}\n#[cfg(test)]\nmod tests {\n    fn e() {}\n}\n";
    let source = Source::new("x.rs".into(), text.into());
    let functions = source.functions();
    let names: Vec<_> = functions
        .iter()
        .map(|f| (f.name.as_str(), f.first, f.last))
        .collect();
    assert_eq!(names, [("c", 3, 5), ("e", 8, 8)]);
    assert_eq!(source.own_lines(), 5);
    assert!(source.in_test(8) && !source.in_test(3));
}
