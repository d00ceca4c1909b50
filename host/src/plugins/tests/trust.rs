//! Signed, unsigned, altered, open to others: from real files to the refusal and the place where
//! a plugin runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::plugins::file::Isolation;
use crate::plugins::signature::{Domain, PrivateKey};
use crate::plugins::store::signature_beside;

/// A folder with a copy of echo, signed with key `one`, and a `plugins.toml`.
struct Folder {
    dir: tempfile::TempDir,
    library: PathBuf,
    sha256: String,
}

impl Folder {
    fn new() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("echo.so");
        fs::copy(echo_library(), &library).unwrap();
        let sha256 = digest(&fs::read(&library).unwrap());
        let signed = one().sign(Domain::Plugin, &sha256);
        fs::write(signature_beside(&library), signed.to_string()).unwrap();
        fs::set_permissions(&library, Permissions::from_mode(0o755)).unwrap();
        Folder {
            dir,
            library,
            sha256,
        }
    }

    /// Loads the one plugin with this trust; its row and what was refused.
    fn load(&self, trust: &str, signed: bool) -> Result<PluginRow, String> {
        let file = self.dir.path().join("plugins.toml");
        let signature = if signed {
            "signature = { key = \"one\", file = \"echo.so.sig\" }"
        } else {
            ""
        };
        let text = format!(
            "schema = 1\n[trust]\nkeys = {{ one = \"{}\" }}\n{trust}\n[[plugin]]\n\
             name = \"echo\"\npath = \"echo.so\"\nsha256 = \"{}\"\n{signature}\n",
            one().public(),
            self.sha256
        );
        fs::write(&file, text).unwrap();
        let (plugins, problems) = Plugins::load(&file, &self.dir.path().join("store"))
            .map_err(|error| error.to_string())?;
        match problems.first() {
            Some(problem) => Err(problem.refusal.to_string()),
            None => Ok(plugins.report()[0].clone()),
        }
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(&self.library, Permissions::from_mode(mode)).unwrap();
    }
}

fn one() -> PrivateKey {
    PrivateKey::from_seed([1; 32])
}

#[test]
fn a_signed_plugin_is_taken() {
    let folder = Folder::new();
    let row = folder.load("trusted = [\"one\"]", true).unwrap();
    assert_eq!(row.signed_by.as_deref(), Some("one"));
    assert_eq!(row.isolation, Some(Isolation::InProcess));
    let told = folder.load("", false).unwrap_err();
    assert!(told.starts_with("it is not signed"), "{told}");
    let row = folder.load("allow_unsigned = [\"echo\"]", false).unwrap();
    assert_eq!(row.signed_by, None);
}

#[test]
fn what_was_altered_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut bytes = fs::read(&folder.library).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&folder.library, &bytes).unwrap();
    let told = folder.load("", true).unwrap_err();
    assert!(told.starts_with("its sha256 is"), "{told}");
    let folder = Folder {
        sha256: digest(&bytes),
        ..folder
    };
    let told = folder.load("", true).unwrap_err();
    assert!(told.contains("is not of this file"), "{told}");
    fs::write(&folder.library, "text").unwrap();
    let folder = Folder {
        sha256: digest(b"text"),
        ..folder
    };
    let told = folder.load("allow_unsigned = true", false).unwrap_err();
    assert!(told.starts_with("not a shared library"), "{told}");
    let store = folder.dir.path().join("store");
    assert_eq!(fs::read_dir(store).unwrap().count(), 0);
}

#[test]
fn what_others_may_write_is_refused() {
    let folder = Folder::new();
    folder.mode(0o775);
    let told = folder.load("", true).unwrap_err();
    assert!(
        told.contains("echo.so can be written by its group"),
        "{told}"
    );
    assert!(folder.load("development = true", true).is_ok());
    folder.mode(0o755);
    fs::set_permissions(folder.dir.path(), Permissions::from_mode(0o777)).unwrap();
    let told = folder.load("", true).unwrap_err();
    assert!(told.contains("can be written by everybody"), "{told}");
}

/// The file that says whom to trust is itself checked, whatever it says about development.
#[test]
fn a_plugins_file_that_others_may_write_is_refused() {
    let folder = Folder::new();
    folder.load("", true).unwrap();
    let file = folder.dir.path().join("plugins.toml");
    let read = |mode: u32, text: &str| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        file::PluginsFile::read(&file).err().map(|e| e.to_string())
    };
    let development = "schema = 1\n[trust]\ndevelopment = true\n";
    assert_eq!(read(0o644, "schema = 1"), None);
    let told = read(0o664, "schema = 1").unwrap();
    assert!(
        told.contains("plugins.toml can be written by its group"),
        "{told}"
    );
    assert_eq!(read(0o664, development), None);
    let told = read(0o666, development).unwrap();
    assert!(told.contains("can be written by everybody"), "{told}");
}
