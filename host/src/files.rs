//! Files and folders that nobody else may read, written so that a crash leaves the old or the new.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Creates `dir` and its parents; `dir` itself is readable by its owner alone afterwards.
///
/// # Errors
/// The system's, when a part can't be created or its mode can't be set.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let mode = std::fs::metadata(dir)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Creates `dir` and its parents, readable by their owner alone. One that is there stays as it is.
///
/// # Errors
/// The system's, when a part can't be created.
pub fn folder(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Makes an existing file readable and writable by its owner alone.
///
/// # Errors
/// The system's.
pub fn private_file(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// Who may read a file with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone, who is this process's user or root.
    OwnerAlone,
    /// Whoever reaches its folder, which is known to be private.
    AsTheFolder,
}

/// The text of a file that holds a secret. What is checked is the file that is read.
///
/// # Errors
/// A text with the path and the fix, when it can't be read, is no regular file, is too large, is
/// no UTF-8, or others may read it.
pub fn read_secret(path: &Path, bytes_max: u64, readers: Readers) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |e: io::Error| format!("can't read {shown}: {e}");
    let mut options = OpenOptions::new();
    // A pipe without a writer would hold us up.
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a regular file"));
    }
    let mode = meta.mode() & 0o777;
    if readers == Readers::OwnerAlone && mode & 0o077 != 0 {
        return Err(format!(
            "others may read {shown} (mode {mode:o}): chmod 600 {shown}"
        ));
    }
    let own = rustix::process::geteuid().as_raw();
    if readers == Readers::OwnerAlone && ![0, own].contains(&meta.uid()) {
        return Err(format!(
            "{shown} belongs to another user: chown it to this one"
        ));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{shown} is too large to be a credential"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not text"))
}

/// Writes a 0600 file atomically: a reader sees the old text or the new one, never a part.
///
/// # Errors
/// The system's. The old file is untouched then.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically(path, bytes, 0o600)
}

/// Writes a file atomically, with this mode whatever the process's mask: a reader sees the old
/// text or the new one, never a part.
///
/// # Errors
/// The system's. The old file is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_with(path, mode, |file| file.write_all(bytes))
}

/// Like [`write_private`] for what should not be in memory at once: `write` gets the new file.
///
/// # Errors
/// The system's, or that of `write`. The old file is untouched then.
pub fn write_private_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    write_with(path, 0o600, write)
}

fn write_with(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = parent.join(format!(".{name}.{}.{number}.tmp", std::process::id()));
    // Whatever has this name is left over, or somebody else's trap: it is neither kept nor followed.
    std::fs::remove_file(&temporary).ok();
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        write(&mut file)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(parent)?.sync_all()
    })();
    if written.is_err() {
        std::fs::remove_file(&temporary).ok();
    }
    written
}

/// Longest path of a socket that every system takes, bytes.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A path to a local socket that the system takes however long its folder's name is.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// Keeps the short way open.
    _folder: Option<File>,
}

impl SocketPath {
    /// To bind or connect to, as long as this value lives.
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

/// The way to the socket at `path`, whose folder exists. Linux knows a short name for every open
/// folder, whatever its own name; elsewhere a long name is refused.
///
/// # Errors
/// The system's; `InvalidInput` for a path that is too long where nothing can be done about it.
pub fn socket_path(path: &Path) -> io::Result<SocketPath> {
    let (folder, name) = (path.parent(), path.file_name());
    let (Some(folder), Some(name), true) =
        (folder, name, path.as_os_str().len() > SOCKET_PATH_BYTES_MAX)
    else {
        return Ok(SocketPath {
            path: path.to_path_buf(),
            _folder: None,
        });
    };
    if !cfg!(target_os = "linux") {
        let text = format!(
            "{} is too long for a socket ({SOCKET_PATH_BYTES_MAX} bytes): use a state folder with \
             a shorter name (--state-dir)",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let folder = File::open(folder)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    Ok(SocketPath {
        path: Path::new("/proc/self/fd")
            .join(number.to_string())
            .join(name),
        _folder: Some(folder),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let read = |readers| read_secret(&file, 8, readers);
        write_atomically(&file, b"12345678", 0o600).unwrap();
        assert_eq!(read(Readers::OwnerAlone).unwrap(), "12345678");
        for mode in [0o640, 0o604, 0o620] {
            write_atomically(&file, b"12345678", mode).unwrap();
            let error = read(Readers::OwnerAlone).unwrap_err();
            assert!(error.contains("chmod 600"), "{error}");
            assert_eq!(read(Readers::AsTheFolder).unwrap(), "12345678");
        }
        write_private(&file, b"123456789").unwrap();
        assert!(read(Readers::OwnerAlone).unwrap_err().contains("too large"));
        write_private(&file, b"\xff").unwrap();
        assert!(read(Readers::OwnerAlone).unwrap_err().contains("not text"));
        let folder = read_secret(dir.path(), 8, Readers::AsTheFolder);
        assert!(folder.unwrap_err().contains("not a regular file"));
    }

    #[test]
    fn private_things_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        private_dir(&inner).unwrap();
        let file = inner.join("secret");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&file)), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 1);
    }
}
