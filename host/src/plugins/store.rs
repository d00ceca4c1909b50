//! Read-only copies of plugin libraries, each under the digest of its content. Only these copies
//! are ever loaded: nobody can change a file between its check and its load, replacing the source
//! cannot touch a running library, and a new version always has a new path.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::verify::digest;

/// The folder of copies.
#[derive(Debug)]
pub(super) struct LibraryStore {
    folder: PathBuf,
}

impl LibraryStore {
    /// Opens the folder and makes it if need be, for its owner only.
    pub(super) fn open(folder: &Path) -> io::Result<LibraryStore> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        Ok(LibraryStore {
            folder: folder.to_owned(),
        })
    }

    /// Keeps a copy of `bytes`, whose digest is `sha256`, and gives its path. A copy that is
    /// already there is used if it is whole, replaced by a new file if it is not.
    pub(super) fn keep(&self, bytes: &[u8], sha256: &str) -> io::Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = self.folder.join(format!("{sha256}.so"));
        match fs::read(&path) {
            Ok(kept) if kept == bytes => return Ok(path),
            Ok(kept) => tracing::warn!(
                path = %path.display(),
                found = digest(&kept),
                "a kept plugin library was altered, it is replaced"
            ),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = self
            .folder
            .join(format!(".{sha256}.{}.{n}", std::process::id()));
        let written = write_new(&part, bytes).and_then(|()| fs::rename(&part, &path));
        if written.is_err() {
            // What is left of a failed copy is of no use to anybody.
            fs::remove_file(&part).ok();
        }
        written.map(|()| path)
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o500)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn copies_are_kept_by_content_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("plugins/store");
        let store = LibraryStore::open(&folder).unwrap();
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700
        );

        let path = store.keep(b"one", &digest(b"one")).unwrap();
        assert!(path.ends_with(format!("{}.so", digest(b"one"))));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o500
        );
        let open = fs::File::open(&path).unwrap();
        assert_eq!(store.keep(b"one", &digest(b"one")).unwrap(), path);

        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        fs::write(&path, b"evil").unwrap();
        assert_eq!(store.keep(b"one", &digest(b"one")).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        // The file somebody holds open (or has mapped) is another one than the new copy.
        assert_eq!(io::read_to_string(open).unwrap(), "evil");
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "nothing else is left behind"
        );
    }
}
