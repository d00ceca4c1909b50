//! Who else may write here? A file that others can change is not the operator's word.
//!
//! `directory` asks for every library before it is read, `file` for `plugins.toml` itself.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Refusal;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In a sticky folder only a file's owner can replace it.
const STICKY: u32 = 0o1000;

/// Refuses a file that others than its owner may change or replace: itself, its folder, and the
/// folder of the symbolic link that leads to it. The owner must be this process's or root.
///
/// # Errors
/// Which of them, who may write, and the command that ends it.
pub(super) fn only_ours(file: &Path) -> Result<(), Refusal> {
    let unreadable = |e: std::io::Error| Refusal::NoFile(format!("{}: {e}", file.display()));
    let real = file.canonicalize().map_err(unreadable)?;
    let file = &std::path::absolute(file).map_err(unreadable)?;
    let mut folders: Vec<&Path> = real.parent().into_iter().collect();
    if let Some(folder) = file.parent().filter(|_| real != *file) {
        folders.push(folder);
    }
    judge(&real, &fs::metadata(&real).map_err(unreadable)?)?;
    for folder in folders {
        let folder = folder.canonicalize().map_err(unreadable)?;
        let meta = fs::metadata(&folder).map_err(unreadable)?;
        judge(&folder, &meta)?;
    }
    Ok(())
}

/// May everybody on this machine write to it?
pub(super) fn everybody_writes(meta: &Metadata) -> bool {
    meta.mode() & OTHERS_WRITE != 0
}

fn judge(path: &Path, meta: &Metadata) -> Result<(), Refusal> {
    let path = || path.to_owned();
    let (mode, owner, us) = (meta.mode(), meta.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        return Err(Refusal::Foreign {
            path: path(),
            owner,
            us,
        });
    }
    let writers = if meta.is_dir() && mode & STICKY != 0 {
        0
    } else {
        mode & (GROUP_WRITES | OTHERS_WRITE)
    };
    if writers != 0 {
        return Err(Refusal::Writable {
            path: path(),
            mode: mode & 0o7777,
        });
    }
    Ok(())
}

/// The words for who may write, by a mode.
pub(super) fn writers(mode: u32) -> &'static str {
    if mode & OTHERS_WRITE != 0 {
        "everybody on this machine"
    } else {
        "its group"
    }
}

/// As [`only_ours`], in words; nothing for a file that cannot be looked at.
pub(super) fn refusal(file: &Path) -> Option<String> {
    match only_ours(file) {
        Ok(()) | Err(Refusal::NoFile(_)) => None,
        Err(refusal) => Some(refusal.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_and_folders_of_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("lib");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("a.so");
        fs::write(&file, "x").unwrap();
        let check = |of_file: u32, of_folder: u32, expected: Option<&str>| {
            fs::set_permissions(&file, Permissions::from_mode(of_file)).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(of_folder)).unwrap();
            let told = only_ours(&file).err().map(|refusal| refusal.to_string());
            match (told, expected) {
                (None, None) => {}
                (Some(told), Some(expected)) => assert!(told.contains(expected), "{told}"),
                (told, expected) => panic!("{told:?} instead of {expected:?}"),
            }
        };
        check(0o644, 0o755, None);
        check(0o500, 0o700, None);
        check(0o664, 0o755, Some("a.so can be written by its group"));
        check(0o646, 0o755, Some("a.so can be written by everybody"));
        check(0o644, 0o775, Some("lib can be written by its group"));
        check(0o644, 0o777, Some("lib can be written by everybody"));
        check(0o644, 0o1777, None);
    }

    #[test]
    fn the_folder_of_a_link_counts_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let (real, open) = (dir.path().join("real"), dir.path().join("open"));
        fs::create_dir(&real).unwrap();
        fs::create_dir(&open).unwrap();
        fs::write(real.join("a.so"), "x").unwrap();
        std::os::unix::fs::symlink(real.join("a.so"), open.join("a.so")).unwrap();
        fs::set_permissions(real.join("a.so"), Permissions::from_mode(0o644)).unwrap();
        for folder in [&real, &open] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(only_ours(&open.join("a.so")), Ok(()));
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let told = only_ours(&open.join("a.so")).unwrap_err().to_string();
        assert!(told.contains("open can be written by everybody"), "{told}");
    }
}
