//! Read-only copies of plugin libraries, each under the digest of its content. Only these copies
//! are ever loaded: nobody can change a file between its check and its load, replacing the source
//! cannot touch a running library, and a new version always has a new path.
//!
//! `directory` keeps what `plugins.toml` names, `openclaw plugins install` and `remove` keep and
//! forget. A library passes through in pieces and is never in memory as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use super::verify::{digest_of, each_piece};

/// The folder of copies.
#[derive(Debug)]
pub struct LibraryStore {
    folder: PathBuf,
}

/// Changed now, read whenever it was.
const TOUCHED: Timestamps = Timestamps {
    last_access: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    },
    last_modification: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
};

/// A copy in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// It was not there before.
    pub fresh: bool,
}

impl LibraryStore {
    /// Opens the folder and makes it if need be, for its owner only.
    ///
    /// # Errors
    /// The system's.
    pub fn open(folder: &Path) -> io::Result<LibraryStore> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        Ok(LibraryStore {
            folder: folder.to_owned(),
        })
    }

    /// Where the copy of this digest is, or would be.
    pub fn path_of(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.so"))
    }

    /// Keeps a copy of `source`, whose digest was found to be `sha256`. A copy that is already
    /// there is used if it is whole, replaced by a new file if it is not.
    ///
    /// # Errors
    /// The system's; `InvalidData` if the source is no longer of that digest.
    pub fn keep(&self, source: &mut File, sha256: &str) -> io::Result<Kept> {
        let path = self.path_of(sha256);
        match File::open(&path) {
            Ok(mut kept) => {
                if same_file(source, &kept)? || digest_of(&mut kept)? == sha256 {
                    // Wanted again: see `sweep`.
                    futimens(&kept, &TOUCHED)?;
                    return Ok(Kept { path, fresh: false });
                }
                tracing::warn!(
                    path = %path.display(),
                    "a kept plugin library was altered, it is replaced"
                );
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        self.copy(source, sha256, &path)?;
        Ok(Kept { path, fresh: true })
    }

    /// Forgets the copy of this digest and its signature; neither need be there. Who has it open
    /// or mapped keeps it.
    ///
    /// # Errors
    /// The system's.
    pub fn forget(&self, sha256: &str) -> io::Result<()> {
        let path = self.path_of(sha256);
        for path in [signature_beside(&path), path] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// Forgets every copy that `is_used` does not want, with its signature, and what is left of
    /// copies that were never finished; not what was put here after `before`, for somebody may be
    /// about to use it. Who has a library mapped keeps it. Gives how many files went.
    ///
    /// # Errors
    /// The system's; what went is gone.
    pub fn sweep(&self, is_used: impl Fn(&str) -> bool, before: SystemTime) -> io::Result<usize> {
        let mut gone = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (name, meta) = (entry.file_name(), entry.metadata()?);
            let digest = name.to_str().and_then(digest_in);
            if digest.is_some_and(|digest| !is_used(digest))
                && meta.is_file()
                && meta.modified()? < before
            {
                fs::remove_file(entry.path())?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    fn copy(&self, source: &mut File, sha256: &str, path: &Path) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = self
            .folder
            .join(format!(".{sha256}.{}.{n}", std::process::id()));
        let written = write_new(&part, source, sha256).and_then(|()| fs::rename(&part, path));
        if written.is_err() {
            // What is left of a failed copy is of no use to anybody.
            fs::remove_file(&part).ok();
        }
        written
    }
}

/// Where the signature of a library lies if nobody says otherwise: its name and `.sig`.
pub fn signature_beside(library: &Path) -> PathBuf {
    let mut name = library.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// The digest in the name of a file of the store; `None` for a file of somebody else.
fn digest_in(name: &str) -> Option<&str> {
    let digest = name.trim_start_matches('.').split('.').next()?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    is_digest.then_some(digest)
}

fn same_file(one: &File, two: &File) -> io::Result<bool> {
    let (one, two) = (one.metadata()?, two.metadata()?);
    Ok((one.dev(), one.ino()) == (two.dev(), two.ino()))
}

fn write_new(path: &Path, source: &mut File, sha256: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o500)
        .open(path)?;
    let copied = each_piece(source, |piece| file.write_all(piece))?;
    if copied != sha256 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plugins::digest;

    #[test]
    fn copies_are_kept_by_content_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("plugins/store");
        let store = LibraryStore::open(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);

        let source = dir.path().join("one.so");
        fs::write(&source, b"one").unwrap();
        let mut source = File::open(&source).unwrap();
        let sha256 = digest(b"one");
        let kept = store.keep(&mut source, &sha256).unwrap();
        assert!(kept.fresh && kept.path.ends_with(format!("{sha256}.so")));
        assert_eq!(mode(&kept.path), 0o500);
        let open = File::open(&kept.path).unwrap();
        let again = store.keep(&mut source, &sha256).unwrap();
        assert_eq!((again.fresh, &again.path), (false, &kept.path));
        let itself = store.keep(&mut File::open(&kept.path).unwrap(), &sha256);
        assert!(!itself.unwrap().fresh);

        fs::set_permissions(&kept.path, Permissions::from_mode(0o700)).unwrap();
        fs::write(&kept.path, b"evil").unwrap();
        assert!(store.keep(&mut source, &sha256).unwrap().fresh);
        assert_eq!(fs::read(&kept.path).unwrap(), b"one");
        // The file somebody holds open (or has mapped) is another one than the new copy.
        assert_eq!(io::read_to_string(open).unwrap(), "evil");

        let other = store.keep(&mut source, &digest(b"two")).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::InvalidData);
        let left = || fs::read_dir(&folder).unwrap().count();
        assert_eq!(left(), 1, "nothing else is left behind");
        fs::write(signature_beside(&kept.path), "s").unwrap();
        store.forget(&sha256).unwrap();
        store.forget(&sha256).unwrap();
        assert_eq!(left(), 0);
    }

    #[test]
    fn only_old_copies_that_nobody_wants_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = LibraryStore::open(dir.path()).unwrap();
        let (old, wanted, again) = (digest(b"old"), digest(b"wanted"), digest(b"again"));
        let hour = std::time::Duration::from_secs(3_600);
        for (bytes, sha256) in [
            (b"old".as_slice(), &old),
            (b"wanted", &wanted),
            (b"again", &again),
        ] {
            let source = dir.path().join("source");
            fs::write(&source, bytes).unwrap();
            let kept = store
                .keep(&mut File::open(&source).unwrap(), sha256)
                .unwrap();
            let long_ago = SystemTime::UNIX_EPOCH + hour;
            File::open(&kept.path)
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        let part = dir.path().join(format!(".{old}.7.0"));
        fs::write(&part, "part").unwrap();
        // Last: what was there for long counts as new once it is kept again.
        store
            .keep(&mut File::open(dir.path().join("source")).unwrap(), &again)
            .unwrap();
        let before = SystemTime::UNIX_EPOCH + 2 * hour;
        assert_eq!(store.sweep(|digest| digest == wanted, before).unwrap(), 1);
        assert!(!store.path_of(&old).exists() && part.exists());
        assert!(store.path_of(&wanted).exists() && store.path_of(&again).exists());
        let later = fs::metadata(&part).unwrap().modified().unwrap() + hour;
        assert_eq!(store.sweep(|digest| digest == wanted, later).unwrap(), 2);
        assert!(store.path_of(&wanted).exists() && dir.path().join("source").exists());
    }
}
