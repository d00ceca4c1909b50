//! The files of an agent's folder that say who it is: which there are, reading, writing, and the
//! text that models are told of them.
//!
//! Used by the agent's prompt and by `agents.files.*`. The folder belongs to the agent and to the
//! programs that work for it, so nothing in it is trusted: only the names below are touched, links
//! are never followed, and each read has a bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::files;
use crate::limits;

/// The files, in the order in which clients list them and models read them.
pub const NAMES: [&str; 8] = [
    "AGENTS.md",
    "SOUL.md",
    "TOOLS.md",
    "IDENTITY.md",
    "USER.md",
    "HEARTBEAT.md",
    BOOTSTRAP,
    MEMORY,
];
/// Only there before the agent knows who it is.
const BOOTSTRAP: &str = "BOOTSTRAP.md";
/// What the agent remembers of its person: nothing for a room of many.
const MEMORY: &str = "MEMORY.md";
/// The other name of it.
const MEMORY_SMALL: &str = "memory.md";

/// One file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Where it lies or would lie.
    pub path: PathBuf,
    /// Size and time of the last change, bytes and milliseconds; none when it isn't there.
    pub facts: Option<(u64, u64)>,
}

/// Why a file is not touched.
#[derive(Debug)]
pub enum FileError {
    /// It isn't one of [`NAMES`].
    Unsupported,
    /// It is not what it should be: the reason.
    Unsafe(String),
    /// The system says no.
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        FileError::Io(error)
    }
}

/// The name as it is known here, if a client may ask for it.
pub fn known(name: &str) -> Option<&'static str> {
    let all = NAMES.iter().chain(std::iter::once(&MEMORY_SMALL));
    all.copied().find(|known| *known == name)
}

/// The files of a folder, present or not.
pub fn list(folder: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    for name in NAMES {
        let mut found = entry(folder, name);
        if name == MEMORY && found.facts.is_none() {
            let small = entry(folder, MEMORY_SMALL);
            found = if small.facts.is_some() { small } else { found };
        }
        if name != BOOTSTRAP || found.facts.is_some() {
            entries.push(found);
        }
    }
    entries
}

/// One file, as far as its name tells: what is no regular file counts as not there.
pub fn entry(folder: &Path, name: &'static str) -> Entry {
    let path = folder.join(name);
    let meta = std::fs::symlink_metadata(&path).ok();
    let facts = meta.filter(std::fs::Metadata::is_file).map(|meta| {
        let seconds = u64::try_from(meta.mtime()).unwrap_or(0);
        let millis = u64::try_from(meta.mtime_nsec()).unwrap_or(0) / 1_000_000;
        (meta.len(), seconds.saturating_mul(1_000) + millis)
    });
    Entry { name, path, facts }
}

/// The text of a file; none when it isn't there.
///
/// # Errors
/// [`FileError`] for links, what is no file, what is too large or no text.
pub fn read(folder: &Path, name: &str) -> Result<Option<String>, FileError> {
    let name = known(name).ok_or(FileError::Unsupported)?;
    read_text(&folder.join(name), limits::WORKSPACE_FILE_BYTES_MAX)
}

/// The text of a file that nobody vouches for; none when it isn't there.
///
/// # Errors
/// [`FileError`] for links, what is no file, what is larger than `bytes_max` or no text.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<Option<String>, FileError> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(FileError::Unsafe(format!("larger than {bytes_max} bytes")));
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| FileError::Unsafe("not text".to_owned()))
}

fn open(path: &Path) -> Result<Option<File>, FileError> {
    let mut options = OpenOptions::new();
    // A pipe without a writer would hold us up.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match options.read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => {
            return Err(FileError::Unsafe("symbolic link".to_owned()));
        }
        Err(e) => return Err(e.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(FileError::Unsafe("not a file".to_owned()));
    }
    if meta.nlink() > 1 {
        return Err(FileError::Unsafe("hard link".to_owned()));
    }
    Ok(Some(file))
}

/// Writes a file atomically; the folder is made when it isn't there.
///
/// # Errors
/// [`FileError`] as for [`read`]; the file is as it was then.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<Entry, FileError> {
    let name = known(name).ok_or(FileError::Unsupported)?;
    if text.len() as u64 > limits::WORKSPACE_FILE_BYTES_MAX {
        let most = limits::WORKSPACE_FILE_BYTES_MAX;
        return Err(FileError::Unsafe(format!("larger than {most} bytes")));
    }
    files::folder(folder)?;
    let path = folder.join(name);
    open(&path)?;
    files::write_private(&path, text.as_bytes())?;
    Ok(entry(folder, name))
}

/// How much of the files a model is told.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of one file, characters.
    pub file_chars_max: usize,
    /// Of all, characters.
    pub total_chars_max: usize,
    /// Whether the conversation is with the agent's person alone.
    pub private: bool,
}

/// What a model is told of the folder; empty when there is nothing to tell. What can't be read is
/// left out and named in the log.
pub fn instructions(folder: &Path, bounds: Bounds) -> String {
    let mut left = bounds.total_chars_max;
    let mut parts = Vec::new();
    for entry in list(folder) {
        let is_memory = [MEMORY, MEMORY_SMALL].contains(&entry.name);
        if entry.facts.is_none() || left == 0 || (is_memory && !bounds.private) {
            continue;
        }
        let text = match read(folder, entry.name) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(path = %entry.path.display(), ?error, "file left out of the prompt");
                continue;
            }
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let most = bounds.file_chars_max.min(left);
        let shown: String = text.chars().take(most).collect();
        left -= shown.chars().count();
        let cut = if shown.len() < text.len() {
            "\n...(truncated)..."
        } else {
            ""
        };
        parts.push(format!("## {}\n\n{shown}{cut}", entry.name));
    }
    if parts.is_empty() {
        return String::new();
    }
    let folder = folder.display();
    let head =
        format!("# Workspace\n\nYour folder is {folder}. These files of it say who you are:");
    format!("{head}\n\n{}", parts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn files_are_written_and_read_and_listed() {
        let dir = folder();
        let at = dir.path().join("new");
        assert_eq!(read(&at, "SOUL.md").unwrap(), None);
        let entry = write(&at, "SOUL.md", "# Soul\n").unwrap();
        assert_eq!(entry.facts.unwrap().0, 7);
        assert_eq!(read(&at, "SOUL.md").unwrap().unwrap(), "# Soul\n");
        let names: Vec<_> = list(&at)
            .into_iter()
            .map(|e| (e.name, e.facts.is_some()))
            .collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert_eq!(names[1], ("SOUL.md", true));
        assert_eq!(names[6], ("MEMORY.md", false));
        write(&at, "memory.md", "m").unwrap();
        write(&at, "BOOTSTRAP.md", "b").unwrap();
        let names: Vec<_> = list(&at).into_iter().map(|e| e.name).collect();
        assert_eq!(names[6..], ["BOOTSTRAP.md", "memory.md"]);
    }

    #[test]
    fn what_leads_elsewhere_is_never_touched() {
        let dir = folder();
        let at = dir.path();
        std::fs::write(at.join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(at.join("secret"), at.join("SOUL.md")).unwrap();
        std::fs::hard_link(at.join("secret"), at.join("USER.md")).unwrap();
        std::fs::create_dir(at.join("TOOLS.md")).unwrap();
        for (name, why) in [
            ("SOUL.md", "symbolic link"),
            ("USER.md", "hard link"),
            ("TOOLS.md", "not a file"),
        ] {
            let read = read(at, name);
            assert!(
                matches!(&read, Err(FileError::Unsafe(told)) if told == why),
                "{read:?}"
            );
            let written = write(at, name, "x");
            assert!(
                matches!(&written, Err(FileError::Unsafe(told)) if told == why),
                "{written:?}"
            );
        }
        for name in ["../x", "secret", "", "agents.md"] {
            assert!(
                matches!(read(at, name), Err(FileError::Unsupported)),
                "{name}"
            );
        }
        assert_eq!(std::fs::read_to_string(at.join("secret")).unwrap(), "s");
    }

    #[test]
    fn sizes_are_bounded() {
        let dir = folder();
        let most = usize::try_from(limits::WORKSPACE_FILE_BYTES_MAX).unwrap();
        let large = "x".repeat(most + 1);
        assert!(write(dir.path(), "SOUL.md", &large).is_err());
        std::fs::write(dir.path().join("SOUL.md"), &large).unwrap();
        assert!(read(dir.path(), "SOUL.md").is_err());
        std::fs::write(dir.path().join("USER.md"), b"\xff").unwrap();
        assert!(read(dir.path(), "USER.md").is_err());
    }

    #[test]
    fn models_are_told_in_order_and_within_bounds() {
        let dir = folder();
        let mut bounds = Bounds {
            file_chars_max: 5,
            total_chars_max: 8,
            private: true,
        };
        assert_eq!(instructions(dir.path(), bounds), "");
        for (name, text) in [
            ("USER.md", "üser me"),
            ("AGENTS.md", "be"),
            ("MEMORY.md", "abc"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let told = instructions(dir.path(), bounds);
        let want = "## AGENTS.md\n\nbe\n\n## USER.md\n\nüser \n...(truncated)...\n\n\
            ## MEMORY.md\n\na\n...(truncated)...";
        assert!(told.ends_with(want), "{told}");
        bounds.private = false;
        assert!(!instructions(dir.path(), bounds).contains("MEMORY"));
    }
}
