//! `.env` files: variables that the process's own environment wins over.
//!
//! Read with the configuration: first the folder that the gateway was started in, then the state
//! folder, then the folder of the configuration file; the first file that names a variable wins.
//! Others must not be able to write such a file, for whoever can decides what is substituted.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ConfigError, Paths, env};
use crate::limits::{DOTENV_BYTES_MAX, DOTENV_VARIABLES_MAX};

/// The variables of all `.env` files. Cheap to clone; doesn't show its values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Dotenv(Arc<BTreeMap<String, String>>);

impl fmt::Debug for Dotenv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Dotenv {
    /// Reads the files that are there.
    ///
    /// # Errors
    /// When one is there and can't be read or understood: names the file and the line.
    pub fn read(paths: &Paths) -> Result<Dotenv, ConfigError> {
        let mut variables = BTreeMap::new();
        for file in files(paths) {
            let unreadable = |e| ConfigError::Unreadable(file.clone(), e);
            let opened = match std::fs::File::open(&file) {
                Ok(opened) => opened,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(unreadable(e)),
            };
            if !opened.metadata().map_err(unreadable)?.is_file() {
                continue;
            }
            let mut text = String::new();
            let mut bounded = opened.take(DOTENV_BYTES_MAX + 1);
            bounded.read_to_string(&mut text).map_err(unreadable)?;
            if text.len() as u64 > DOTENV_BYTES_MAX {
                let why = format!("is larger than {DOTENV_BYTES_MAX} bytes");
                return Err(ConfigError::Syntax(file, why));
            }
            parse(&text, &mut variables).map_err(|why| ConfigError::Syntax(file.clone(), why))?;
        }
        Ok(Dotenv(Arc::new(variables)))
    }

    /// The value of `name` in the process's environment, else in the files; a blank one counts as
    /// absent.
    pub fn var(&self, name: &str) -> Option<String> {
        let own = || self.0.get(name).filter(|value| !value.trim().is_empty());
        env::var(name).or_else(|| own().cloned())
    }
}

/// Where `.env` files may lie, the first wins.
pub(super) fn files(paths: &Paths) -> Vec<PathBuf> {
    let beside = paths.config_file.parent().map(Path::to_path_buf);
    let folders = [
        std::env::current_dir().ok(),
        Some(paths.state_dir.clone()),
        beside,
    ];
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders.into_iter().flatten() {
        let file = folder.join(".env");
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Adds the variables of one file that aren't there yet.
fn parse(text: &str, variables: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number}: expected NAME=value"));
        };
        let name = name.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || !name.chars().all(fits) {
            return Err(format!(
                "line {number}: the name before = is not a variable's"
            ));
        }
        if variables.len() >= DOTENV_VARIABLES_MAX {
            return Err(format!("more than {DOTENV_VARIABLES_MAX} variables"));
        }
        let value =
            value_of(value.trim()).ok_or(format!("line {number}: a quote is not closed"))?;
        variables.entry(name.to_owned()).or_insert(value);
    }
    Ok(())
}

/// A bare value ends before ` #`; in double quotes `\n`, `\"` and `\\` are read.
fn value_of(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('\'') {
        return rest.split_once('\'').map(|(value, _)| value.to_owned());
    }
    let Some(rest) = text.strip_prefix('"') else {
        let bare = text.split_once(" #").map_or(text, |(value, _)| value);
        return Some(bare.trim_end().to_owned());
    };
    let mut value = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_line_says() {
        let mut variables = BTreeMap::from([("A".to_owned(), "first".to_owned())]);
        let text = "# head\n\nA=second\nexport B = two # note\nC='a # b'\nD=\"x\\ny\\\"\"\nE=\n";
        parse(text, &mut variables).unwrap();
        let of = |name: &str| variables[name].as_str();
        assert_eq!((of("A"), of("B"), of("C")), ("first", "two", "a # b"));
        assert_eq!((of("D"), of("E")), ("x\ny\"", ""));
    }

    #[test]
    fn what_is_refused_shows_no_value() {
        for (text, words) in [
            ("hidden", "line 1: expected NAME=value"),
            ("A=1\nB C=hidden", "line 2: the name"),
            ("A=\"hidden", "line 1: a quote"),
        ] {
            let why = parse(text, &mut BTreeMap::new()).unwrap_err();
            assert!(why.contains(words) && !why.contains("hidden"), "{why}");
        }
    }
}
