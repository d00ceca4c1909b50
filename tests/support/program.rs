//! Programs that stand for coding agents of the command line: shell scripts in a folder of the
//! test's own, which note how they were called.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A folder with one program in it.
#[derive(Debug)]
pub struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    /// A program that notes its arguments (`calls`, one line for each call, parted by `|`), its
    /// environment (`env`) and input (`input`) in `$NOTES`, and then runs `script`.
    ///
    /// # Panics
    /// When the system has no room for it.
    pub fn new(script: &str) -> Program {
        let folder = tempfile::Builder::new()
            .prefix("program-")
            .tempdir()
            .expect("a folder for a test");
        let notes = folder.path().display();
        let text = format!(
            "#!/bin/sh\nNOTES='{notes}'\n\
             (for a in \"$@\"; do printf '%s|' \"$a\" | tr '\\n' ' '; done; echo) >> \"$NOTES/calls\"\n\
             env > \"$NOTES/env\"\npwd > \"$NOTES/pwd\"\ncat > \"$NOTES/input\"\n{script}\n"
        );
        let program = Program { folder };
        let path = program.path();
        std::fs::write(&path, text).expect("the folder can be written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("the file is there");
        program
    }

    /// Where the program lies.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// The folder of its notes.
    pub fn notes(&self) -> &Path {
        self.folder.path()
    }

    /// One of its notes; empty before it was made.
    pub fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// The calls so far, each with its arguments parted by `|`.
    pub fn calls(&self) -> Vec<String> {
        self.note("calls").lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_notes_how_it_was_called() {
        let program = Program::new("echo said; cat \"$NOTES/input\"");
        let mut command = std::process::Command::new(program.path());
        command.args(["-p", "two words"]).env_clear().env("A", "1");
        let output = command.stdin(std::process::Stdio::null()).output();
        let output = output.expect("a shell is there");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "said\n");
        assert_eq!(program.calls(), ["-p|two words|"]);
        assert!(program.note("env").contains("A=1"));
    }
}
