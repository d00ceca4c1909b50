//! `plugins.toml` as a text that a person wrote: commands change one entry and leave comments,
//! order and spacing as they are.
//!
//! Nothing is written before the changed text was read back as the gateway would, and nothing if
//! the file was changed by somebody else meanwhile. A reader sees the old text or the new one.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use super::place::{Place, broken};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::files::{private_dir, write_atomically};
use crate::plugins::file::{AllowUnsigned, PluginsFile};

/// What a file that does not exist yet begins with.
const FIRST: &str = "\
# The plugins of this gateway. Edit it, or use `openclaw plugins install`, `remove`, `enable`.
schema = 1

[trust]
";

/// `plugins.toml`, being changed.
#[derive(Debug)]
pub struct Editing {
    place: Place,
    before: Option<String>,
    document: DocumentMut,
}

/// One plugin as it will be named.
#[derive(Debug)]
pub struct Named<'a> {
    /// Its name.
    pub name: &'a str,
    /// The library.
    pub path: &'a Path,
    /// Its digest.
    pub sha256: &'a str,
    /// The name of the key that signed it, and the signature's file.
    pub signature: Option<(&'a str, &'a Path)>,
    /// Where it runs, if the operator says so.
    pub isolation: Option<&'a str>,
}

impl Editing {
    /// Opens the file; a missing one is begun.
    ///
    /// # Errors
    /// It is broken or cannot be read.
    pub fn open(place: &Place) -> CliResult<Editing> {
        let before = match std::fs::read_to_string(&place.file) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(CliError::file(&place.file, "read", &e)),
        };
        if before.is_some() {
            place.read()?;
        }
        let text = before.as_deref().unwrap_or(FIRST);
        let document = text.parse().map_err(|e: toml_edit::TomlError| {
            CliError::new(Kind::Config, "PLUGINS_FILE_INVALID", e.to_string())
        })?;
        Ok(Editing {
            place: place.clone(),
            before,
            document,
        })
    }

    /// Names a plugin: a new entry at the end, or new values in the one of that name.
    ///
    /// # Errors
    /// The plugins are written in a form that cannot be changed without loss.
    pub fn name(&mut self, named: &Named<'_>) -> CliResult<()> {
        let path = named.path.display().to_string();
        let entries = self.entries()?;
        let found = entries.iter().position(|table| is(table, named.name));
        let index = found.unwrap_or_else(|| {
            let mut table = Table::new();
            table["name"] = value(named.name);
            table.decor_mut().set_prefix("\n");
            entries.push(table);
            entries.len() - 1
        });
        let Some(table) = entries.get_mut(index) else {
            return Ok(());
        };
        set(table, "path", value(path));
        set(table, "sha256", value(named.sha256));
        match named.signature {
            Some((key, file)) => {
                let mut signature = InlineTable::new();
                signature.insert("key", key.into());
                signature.insert("file", file.display().to_string().into());
                set(table, "signature", value(signature));
            }
            None => {
                table.remove("signature");
            }
        }
        if let Some(isolation) = named.isolation {
            set(table, "isolation", value(isolation));
        }
        Ok(())
    }

    /// Takes a plugin out, with the comment above it and its leave to be unsigned: another plugin
    /// of that name must not inherit it. True if it was there.
    ///
    /// # Errors
    /// As [`Editing::name`].
    pub fn remove(&mut self, name: &str) -> CliResult<bool> {
        let entries = self.entries()?;
        let Some(index) = entries.iter().position(|table| is(table, name)) else {
            return Ok(false);
        };
        entries.remove(index);
        let trust = self.document.get_mut("trust");
        let names = trust
            .and_then(Item::as_table_like_mut)
            .and_then(|trust| trust.get_mut("allow_unsigned"))
            .and_then(Item::as_array_mut);
        if let Some(names) = names {
            names.retain(|one| one.as_str() != Some(name));
        }
        Ok(true)
    }

    /// Switches a plugin on or off; `None` if there is none of that name, else whether that
    /// changed anything.
    ///
    /// # Errors
    /// As [`Editing::name`].
    pub fn switch(&mut self, name: &str, on: bool) -> CliResult<Option<bool>> {
        let entries = self.entries()?;
        let Some(table) = entries.iter_mut().find(|table| is(table, name)) else {
            return Ok(None);
        };
        let was = table.get("enabled").and_then(Item::as_bool).unwrap_or(true);
        if was != on {
            set(table, "enabled", value(on));
        }
        Ok(Some(was != on))
    }

    /// Adds a name to `[trust] allow_unsigned` unless it is allowed already.
    ///
    /// # Errors
    /// `[trust]` is written in a form that cannot be changed without loss.
    pub fn allow_unsigned(&mut self, name: &str) -> CliResult<()> {
        let allowed = self.parsed()?.trust.allow_unsigned;
        if allowed.takes(name) {
            return Ok(());
        }
        let trust = self
            .document
            .entry("trust")
            .or_insert(toml_edit::table())
            .as_table_like_mut()
            .ok_or_else(|| other_form("[trust] must be a table"))?;
        match trust.get_mut("allow_unsigned").and_then(Item::as_array_mut) {
            Some(names) if matches!(allowed, AllowUnsigned::Named(_)) => names.push(name),
            _ => {
                trust.insert("allow_unsigned", value(Array::from_iter([name])));
            }
        }
        Ok(())
    }

    /// The changed text, as the gateway would read it.
    ///
    /// # Errors
    /// It would not.
    pub fn parsed(&self) -> CliResult<PluginsFile> {
        PluginsFile::parse(&self.place.file, &self.document.to_string()).map_err(|e| broken(&e))
    }

    /// Writes the changed text.
    ///
    /// # Errors
    /// It would not be read back, somebody else changed the file, or the system's.
    pub fn save(self) -> CliResult<()> {
        self.parsed()?;
        let file = &self.place.file;
        let now = match std::fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(CliError::file(file, "read", &e)),
        };
        if now != self.before {
            let text = format!("{} was changed by somebody else meanwhile", file.display());
            return Err(CliError::new(Kind::Local, "PLUGINS_FILE_CHANGED", text)
                .retryable(true)
                .fix("look at it, and run the same command again"));
        }
        write(file, self.document.to_string().as_bytes())
            .map_err(|e| CliError::file(file, "write", &e))
    }

    fn entries(&mut self) -> CliResult<&mut ArrayOfTables> {
        self.document
            .entry("plugin")
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()))
            .as_array_of_tables_mut()
            .ok_or_else(|| other_form("the plugins must be written as [[plugin]] tables"))
    }
}

fn other_form(why: &str) -> CliError {
    CliError::new(
        Kind::Config,
        "PLUGINS_FILE_FORM",
        format!("plugins.toml cannot be changed by a command: {why}"),
    )
    .fix("write it so, or change it by hand")
}

fn is(table: &Table, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

/// Gives a key a new value and keeps the comment behind it.
fn set(table: &mut Table, key: &str, item: Item) {
    match (table.get_mut(key), item) {
        (Some(Item::Value(old)), Item::Value(mut new)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        (_, item) => {
            table.insert(key, item);
        }
    }
}

/// As the old file was readable, the new one is; a new one is the owner's alone.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        private_dir(folder)?;
    }
    let mode = std::fs::metadata(file).map_or(0o600, |meta| meta.permissions().mode() & 0o755);
    write_atomically(file, bytes, mode)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Paths;

    const WRITTEN: &str = "\
# Ours.
schema = 1

[trust]  # nobody yet
allow_unsigned = [ \"b\" ] # b is old

# The one we use most.
[[plugin]]
name = \"a\" # first
path   = \"/lib/a.so\"
sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" # by hand

# The other.
[[plugin]]
name = \"b\"
path = \"/lib/b.so\"
enabled = false
# the end
";

    fn place(dir: &Path) -> Place {
        let paths = Paths::resolve(None, Some(dir), None).unwrap();
        Place {
            file: dir.join("plugins.toml"),
            paths,
        }
    }

    /// The text after a change of [`WRITTEN`].
    fn after(change: impl FnOnce(&mut Editing)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        std::fs::write(&place.file, WRITTEN).unwrap();
        let mut editing = Editing::open(&place).unwrap();
        change(&mut editing);
        editing.save().unwrap();
        std::fs::read_to_string(&place.file).unwrap()
    }

    fn named<'a>(name: &'a str, sha256: &'a str) -> Named<'a> {
        Named {
            name,
            path: Path::new("plugins/store/x.so"),
            sha256,
            signature: Some(("release", Path::new("x.sig"))),
            isolation: None,
        }
    }

    #[test]
    fn comments_and_order_stay() {
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let text = after(|editing| editing.name(&named("a", sha)).unwrap());
        let expected = WRITTEN
            .replace("/lib/a.so", "plugins/store/x.so")
            .replace(
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                sha,
            )
            .replace(
                "# by hand\n",
                "# by hand\nsignature = { key = \"release\", file = \"x.sig\" }\n",
            );
        assert_eq!(text, expected);

        let text = after(|editing| editing.name(&named("c", sha)).unwrap());
        let expected = format!(
            "{WRITTEN}\n[[plugin]]\nname = \"c\"\npath = \"plugins/store/x.so\"\nsha256 = \"{sha}\"\n\
             signature = {{ key = \"release\", file = \"x.sig\" }}\n"
        );
        assert_eq!(sorted(&text), sorted(&expected), "{text}");

        let text = after(|editing| assert!(editing.remove("b").unwrap()));
        assert!(
            text.contains("allow_unsigned = [") && !text.contains("\"b\""),
            "{text}"
        );
        let text = after(|editing| assert!(editing.remove("a").unwrap()));
        assert!(
            !text.contains("use most") && text.contains("# The other."),
            "{text}"
        );
        assert!(
            text.starts_with("# Ours.\nschema = 1\n\n[trust]  # nobody yet"),
            "{text}"
        );
    }

    /// Lines without their order: where a last comment ends up is the only difference.
    fn sorted(text: &str) -> Vec<&str> {
        let mut lines: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn switches_and_names_are_changed_in_place() {
        let text = after(|editing| {
            assert_eq!(editing.switch("b", true).unwrap(), Some(true));
            assert_eq!(editing.switch("a", true).unwrap(), Some(false));
            assert_eq!(editing.switch("c", true).unwrap(), None);
        });
        assert_eq!(text, WRITTEN.replace("enabled = false", "enabled = true"));
        let text = after(|editing| {
            assert_eq!(editing.switch("a", false).unwrap(), Some(true));
        });
        assert!(text.contains("# by hand\nenabled = false\n"), "{text}");
        let text = after(|editing| {
            editing.allow_unsigned("b").unwrap();
            editing.allow_unsigned("c").unwrap();
        });
        assert!(
            text.contains("allow_unsigned = [ \"b\" , \"c\"] # b is old")
                || text.contains("allow_unsigned = [ \"b\", \"c\" ] # b is old"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_file_is_begun_and_a_foreign_change_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir.path().join("state"));
        let mut editing = Editing::open(&place).unwrap();
        editing.allow_unsigned("a").unwrap();
        let sha = "a".repeat(64);
        editing.name(&named("a", &sha)).unwrap();
        let second = Editing::open(&place).unwrap();
        editing.save().unwrap();
        let text = std::fs::read_to_string(&place.file).unwrap();
        assert!(text.starts_with("# The plugins of this gateway."), "{text}");
        assert!(
            text.contains("[trust]\nallow_unsigned = [\"a\"]\n"),
            "{text}"
        );
        let refused = second.save().unwrap_err();
        assert_eq!(refused.code(), "PLUGINS_FILE_CHANGED");
        assert_eq!(std::fs::read_to_string(&place.file).unwrap(), text);
    }
}
