//! `openclaw.json` as a person wrote it: its text, its own tree, and what it includes.
//!
//! `$include: "file"` (or a list of files) in any object is replaced by what the files hold; later
//! files win over earlier ones, the object's own keys over all. An included file lies in the
//! configuration's folder or below, also after following links. Variables and secrets are still
//! as written here.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::load::invalid;
use super::text::{self, TextError};
use super::{ConfigError, Paths, dotenv};
use crate::limits::{CONFIG_BYTES_MAX, CONFIG_INCLUDE_DEPTH_MAX, CONFIG_INCLUDES_MAX};

/// The key that names files to include.
const INCLUDE: &str = "$include";

/// The file and what it includes. Holds secrets; not for logs.
#[derive(Clone)]
pub struct Document {
    /// The text of the file; `None` where there is no file.
    pub text: Option<String>,
    /// The file's own tree, `$include` as written.
    pub own: Map<String, Value>,
    /// The tree with everything included.
    pub tree: Map<String, Value>,
    /// Every file that was read for it.
    pub files: Vec<PathBuf>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// When a file can't be read, isn't JSON5, or an include is not allowed.
    pub fn read(file: &Path) -> Result<Document, ConfigError> {
        match text_of(file) {
            Ok(text) => Document::of_text(file, text),
            Err(ConfigError::Unreadable(_, e)) if e.kind() == std::io::ErrorKind::NotFound => {
                Ok(Document {
                    text: None,
                    own: Map::new(),
                    tree: Map::new(),
                    files: vec![file.to_path_buf()],
                })
            }
            Err(e) => Err(e),
        }
    }

    /// As [`Document::read`], but a text that isn't understood is a document with an empty tree.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn read_or_raw(file: &Path) -> Result<Document, ConfigError> {
        match Document::read(file) {
            Err(ConfigError::Unreadable(path, e)) => Err(ConfigError::Unreadable(path, e)),
            Ok(document) => Ok(document),
            Err(_) => {
                let text = text_of(file)?;
                Ok(Document {
                    own: parse(file, &text).unwrap_or_default(),
                    tree: Map::new(),
                    text: Some(text),
                    files: vec![file.to_path_buf()],
                })
            }
        }
    }

    /// Whether its text is an object of JSON5, or there is none.
    pub fn is_readable(&self) -> bool {
        self.text
            .as_deref()
            .is_none_or(|text| parse_object(text).is_ok())
    }

    /// What the file would be with this text.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn of_text(file: &Path, text: String) -> Result<Document, ConfigError> {
        let own = parse(file, &text)?;
        let mut includes = Includes {
            file,
            files: vec![file.to_path_buf()],
            path: vec![canonical(file)],
        };
        let tree = includes.expand(Value::Object(own.clone()), file)?;
        let Value::Object(tree) = tree else {
            return Err(invalid(file, INCLUDE, "the included files hold no object"));
        };
        let files = includes.files;
        Ok(Document {
            text: Some(text),
            own,
            tree,
            files,
        })
    }

    /// SHA-256 of the text, hexadecimal; of nothing where there is no file.
    pub fn hash(&self) -> String {
        crate::spell::hex(&Sha256::digest(self.text.as_deref().unwrap_or_default()))
    }

    /// The files whose change may change the configuration, whether they are there or not.
    pub fn watched(&self, paths: &Paths) -> Vec<PathBuf> {
        let mut files = self.files.clone();
        files.extend(dotenv::files(paths));
        files
    }
}

/// The object that a text of a client holds.
///
/// # Errors
/// In the words that clients know: `SyntaxError: JSON5: invalid end of input at 1:2`.
pub fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    let value = text::read(text).map_err(|e| {
        let TextError::Syntax(e) = e else {
            return format!("SyntaxError: JSON5: {e}");
        };
        let rest = e.position().and_then(|at| {
            let line = text.lines().nth(at.line)?;
            line.chars().nth(at.column).map(|c| (c, at))
        });
        let at_end = e
            .code()
            .is_some_and(|code| code.to_string().starts_with("EOF"));
        match rest.filter(|_| !at_end) {
            Some((c, at)) => format!(
                "SyntaxError: JSON5: invalid character '{c}' at {}:{}",
                at.line + 1,
                at.column + 1
            ),
            None => {
                let line = text.matches('\n').count() + 1;
                let column = text.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
                format!("SyntaxError: JSON5: invalid end of input at {line}:{column}")
            }
        }
    })?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err("config must be an object".into()),
    }
}

fn parse(file: &Path, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let tree =
        text::read(text).map_err(|e| ConfigError::Syntax(file.to_path_buf(), e.to_string()))?;
    match tree {
        Value::Object(map) => Ok(map),
        _ => Err(ConfigError::Syntax(
            file.to_path_buf(),
            "the whole must be an object".into(),
        )),
    }
}

fn text_of(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |e| ConfigError::Unreadable(file.to_path_buf(), e);
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mut bounded = opened.take(CONFIG_BYTES_MAX + 1);
    bounded.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let why = format!("is larger than {CONFIG_BYTES_MAX} bytes");
        return Err(ConfigError::Syntax(file.to_path_buf(), why));
    }
    Ok(text)
}

fn canonical(file: &Path) -> PathBuf {
    std::fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf())
}

struct Includes<'a> {
    /// The configuration file: what is included lies beside or below it.
    file: &'a Path,
    files: Vec<PathBuf>,
    /// The files on the way here, the configuration file first.
    path: Vec<PathBuf>,
}

impl Includes<'_> {
    /// Replaces every `$include` in `value`, which stands in the file `from`.
    fn expand(&mut self, value: Value, from: &Path) -> Result<Value, ConfigError> {
        match value {
            Value::Array(items) => {
                let items = items.into_iter().map(|item| self.expand(item, from));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Value::Object(mut map) => {
                let Some(named) = map.remove(INCLUDE) else {
                    let each = map.into_iter();
                    let each = each.map(|(key, item)| Ok((key, self.expand(item, from)?)));
                    return Ok(Value::Object(each.collect::<Result<_, ConfigError>>()?));
                };
                let mut whole = Value::Object(Map::new());
                for name in
                    names(&named).ok_or_else(|| self.refuse("name a file or a list of files"))?
                {
                    merge(&mut whole, self.file(&name, from)?);
                }
                if !map.is_empty() {
                    let own = self.expand(Value::Object(map), from)?;
                    if !whole.is_object() {
                        return Err(self.refuse("beside other keys the file must hold an object"));
                    }
                    merge(&mut whole, own);
                }
                Ok(whole)
            }
            other => Ok(other),
        }
    }

    fn file(&mut self, name: &str, from: &Path) -> Result<Value, ConfigError> {
        if self.path.len() > CONFIG_INCLUDE_DEPTH_MAX {
            let why =
                format!("{name} is included more than {CONFIG_INCLUDE_DEPTH_MAX} levels deep");
            return Err(self.refuse(&why));
        }
        if self.files.len() > CONFIG_INCLUDES_MAX {
            return Err(self.refuse(&format!(
                "more than {CONFIG_INCLUDES_MAX} files are included"
            )));
        }
        let path = from.parent().unwrap_or(Path::new("")).join(name);
        // Watched also while it is missing.
        self.files.push(path.clone());
        let real = std::fs::canonicalize(&path)
            .map_err(|e| self.refuse(&format!("can't read {}: {e}", path.display())))?;
        let folder = canonical(self.file.parent().unwrap_or(Path::new(".")));
        if !real.starts_with(&folder) {
            let why = format!("{name} lies outside of {}", folder.display());
            return Err(self.refuse(&why));
        }
        if self.path.contains(&real) {
            return Err(self.refuse(&format!("{name} includes itself")));
        }
        let text = text_of(&real)?;
        let value =
            text::read(&text).map_err(|e| ConfigError::Syntax(real.clone(), e.to_string()))?;
        self.path.push(real);
        let expanded = self.expand(value, &path);
        self.path.pop();
        expanded
    }

    fn refuse(&self, why: &str) -> ConfigError {
        invalid(self.file, INCLUDE, why)
    }
}

fn names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(name) => Some(vec![name.clone()]),
        Value::Array(names) => names
            .iter()
            .map(|n| n.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// Objects are merged key by key, lists put behind each other; anything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => _ = into.insert(key, value),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(files: &[(&str, &str)]) -> Result<Value, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join("folder").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let outside = dir.path().join("outside.json");
        std::fs::write(&outside, "{ s: 1 }").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("folder/link.json")).unwrap();
        let document = Document::read(&dir.path().join("folder/openclaw.json"));
        document
            .map(|d| Value::Object(d.tree))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn included_files_are_merged_and_own_keys_win() {
        let tree = read(&[
            (
                "openclaw.json",
                "{ $include: ['a.json5', 'b/b.json'], x: 1, l: [3], ch: { $include: './c.json' } }",
            ),
            ("a.json5", "{ x: 2, y: { a: 1, b: 1 }, l: [1] } // first"),
            ("b/b.json", "{ y: { b: 2 }, l: [2], $include: 'deep.json' }"),
            ("b/deep.json", "{ z: true, y: { b: 9 } }"),
            ("c.json", "[7]"),
        ]);
        let expected =
            json!({ "x": 1, "y": { "a": 1, "b": 2 }, "l": [1, 2, 3], "z": true, "ch": [7] });
        assert_eq!(tree.unwrap(), expected);
    }

    #[test]
    fn what_must_not_be_included() {
        for (main, words) in [
            ("{ $include: '../outside.json' }", "outside of"),
            ("{ $include: 'link.json' }", "outside of"),
            ("{ $include: '/etc/passwd' }", "outside of"),
            ("{ $include: 'openclaw.json' }", "includes itself"),
            ("{ $include: 'loop.json' }", "includes itself"),
            ("{ $include: 'missing.json' }", "can't read"),
            ("{ $include: 5 }", "a list of files"),
            ("{ $include: 'list.json', x: 1 }", "must hold an object"),
            ("{ $include: 'list.json' }", "hold no object"),
        ] {
            let files = [
                ("openclaw.json", main),
                ("loop.json", "{ a: { $include: 'loop.json' } }"),
                ("list.json", "[1]"),
            ];
            let error = read(&files).unwrap_err();
            assert!(error.contains(words), "{main}: {error}");
        }
        let names: Vec<String> = (0..14).map(|n| format!("{n}.json")).collect();
        let texts: Vec<String> = (1..15)
            .map(|n| format!("{{ $include: '{n}.json' }}"))
            .collect();
        let mut files = vec![("openclaw.json", "{ $include: '0.json' }")];
        files.extend(
            names
                .iter()
                .map(String::as_str)
                .zip(texts.iter().map(String::as_str)),
        );
        assert!(read(&files).unwrap_err().contains("10 levels deep"));
    }
}
