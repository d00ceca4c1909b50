//! What a command would run, to the letter: program, arguments, folder, variables.
//!
//! Made once, shown to approvers, and run as it is. A line of plain words is started without a
//! shell; any other goes to `/bin/sh -c` whole.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Arguments;
use crate::approvals::{Command, quoted};
use crate::config::{env, from_home};

/// The shell for lines that need one.
const SHELL: &str = "/bin/sh";

/// Variables by which a program can be made another one.
const NOT_SET: [&str; 17] = [
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "CDPATH",
    "PROMPT_COMMAND",
    "NODE_OPTIONS",
    "NODE_PATH",
    "RUBYOPT",
    "PERL5OPT",
    "PERL5LIB",
    "GCONV_PATH",
];
const NOT_BEGUN: [&str; 6] = ["LD_", "DYLD_", "PYTHON", "GIT_", "OPENCLAW_", "BASH_FUNC_"];

/// A command, ready to be run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Program (its whole path) and arguments.
    pub(super) argv: Vec<String>,
    /// The program.
    pub(super) program: PathBuf,
    /// The last argument is a text for a shell.
    shell: bool,
    /// Where it runs, without links.
    pub(super) folder: PathBuf,
    /// More variables.
    pub(super) variables: BTreeMap<String, String>,
    /// As people read it.
    pub(super) text: String,
    /// The program's file and the folder, as they were.
    seen: (Seen, Seen),
}

/// What tells a file from another one in its place.
type Seen = (u64, u64, i64, i64, u64);

impl Plan {
    /// The plan of what a model asks for, in the agent's folder unless it names another.
    pub(super) fn of(given: &Arguments, own: &Path) -> Result<Plan, String> {
        let line = given.command.trim();
        if line.is_empty() {
            return Err("command is empty".to_owned());
        }
        let named = given.workdir.as_deref().map(str::trim);
        let named = named.filter(|folder| !folder.is_empty());
        let folder = named.map_or_else(|| own.to_path_buf(), |named| own.join(from_home(named)));
        let folder = std::fs::canonicalize(&folder)
            .map_err(|e| format!("there is no folder {}: {e}", folder.display()))?;
        let texts = given.env.iter().flat_map(|(name, value)| [name, value]);
        if std::iter::once(line)
            .chain(texts.map(String::as_str))
            .any(|t| t.contains('\0'))
        {
            return Err("a command can't hold null characters".to_owned());
        }
        for name in given.env.keys() {
            check_variable(name)?;
        }
        let plain = words(line).and_then(|words| {
            let program = found(words.first()?, &folder)?;
            Some((program, words))
        });
        let shell = plain.is_none();
        let (program, mut argv) = plain.unwrap_or_else(|| {
            let argv = [SHELL, "-c", line].map(str::to_owned);
            (PathBuf::from(SHELL), argv.to_vec())
        });
        let path = program.to_str().ok_or("the program's path is no text")?;
        path.clone_into(&mut argv[0]);
        let seen = (seen(&program)?, seen_folder(&folder)?);
        Ok(Plan {
            text: if shell {
                line.to_owned()
            } else {
                quoted(&argv)
            },
            argv,
            program,
            shell,
            folder,
            variables: given.env.clone(),
            seen,
        })
    }

    /// As rules look at it.
    pub(super) fn command(&self) -> Command<'_> {
        Command {
            program: &self.program,
            argv: &self.argv,
            shell: self.shell,
            variables: !self.variables.is_empty(),
            text: &self.text,
        }
    }

    /// What was approved is still there: the same program in the same folder.
    pub(super) fn check_unchanged(&self) -> Result<(), String> {
        if seen(&self.program)? != self.seen.0 {
            return Err("the program was changed since the command was looked at".to_owned());
        }
        if seen_folder(&self.folder)? != self.seen.1 {
            return Err("the folder was changed since the command was looked at".to_owned());
        }
        Ok(())
    }
}

fn seen(path: &Path) -> Result<Seen, String> {
    let meta = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok((
        meta.dev(),
        meta.ino(),
        meta.mtime(),
        meta.ctime(),
        meta.size(),
    ))
}

/// Files may come and go in a folder; it is the same one.
fn seen_folder(path: &Path) -> Result<Seen, String> {
    let (dev, ino, ..) = seen(path)?;
    Ok((dev, ino, 0, 0, 0))
}

fn check_variable(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next();
    let plain = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    let upper = name.to_ascii_uppercase();
    let harmful =
        NOT_SET.contains(&upper.as_str()) || NOT_BEGUN.iter().any(|start| upper.starts_with(start));
    match plain && !harmful {
        true => Ok(()),
        false => Err(format!(
            "the variable {name:?} may not be set for a command"
        )),
    }
}

/// The words of a line that a shell would only part into words; none for any other line.
fn words(line: &str) -> Option<Vec<String>> {
    const SHELL_ONLY: &str = "|&;<>()$`\n\r*?[]{}~#!";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' | '!' => return None,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            '\n' => return None,
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => {
                let c = chars.next().filter(|c| *c != '\n')?;
                word.get_or_insert_default().push(c);
            }
            c if SHELL_ONLY.contains(c) => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // `NAME=value program` sets a variable in a shell.
    words.first().filter(|first| !first.contains('='))?;
    Some(words)
}

/// The program that a word names, by its whole path.
fn found(word: &str, folder: &Path) -> Option<PathBuf> {
    let runs = |path: &Path| {
        let meta = std::fs::metadata(path).ok();
        meta.is_some_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let whole = |path: PathBuf| {
        let parent = std::fs::canonicalize(path.parent()?).ok()?;
        let path = parent.join(path.file_name()?);
        runs(&path).then_some(path)
    };
    if word.contains('/') {
        return whole(folder.join(word));
    }
    let path = env::var(env::PATH)?;
    // A folder that isn't named from the root would be another one in each folder.
    let folders = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    folders.map(|dir| dir.join(word)).find_map(whole)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_words_need_no_shell() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let is = words(line);
            let is: Option<Vec<&str>> = is.as_ref().map(|w| w.iter().map(String::as_str).collect());
            assert_eq!(is.as_deref(), expected, "{line}");
        };
        check("ls -la /tmp", Some(&["ls", "-la", "/tmp"]));
        check(
            r#"echo 'a  b' "c\"d" e\ f '' x'y'z"#,
            Some(&["echo", "a  b", "c\"d", "e f", "", "xyz"]),
        );
        check(r#"printf "a\nb""#, Some(&["printf", "a\\nb"]));
        for line in [
            "ls | wc",
            "a; b",
            "a && b",
            "echo $HOME",
            "echo \"$HOME\"",
            "echo `id`",
            "ls *.rs",
            "a > b",
            "cd ~",
            "X=1 ls",
            "a\nb",
            "echo 'open",
            "echo \"open",
            "echo \\",
            "(a)",
            "a &",
            "echo {1,2}",
            "# x",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn what_is_shown_is_what_runs() {
        let dir = tempfile::tempdir().unwrap();
        let own = std::fs::canonicalize(dir.path()).unwrap();
        let plan = |command: &str, env: &[(&str, &str)]| {
            let own_text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let given = Arguments {
                command: command.to_owned(),
                workdir: None,
                env: env.iter().map(own_text).collect(),
                timeout: None,
                host: None,
            };
            Plan::of(&given, &own)
        };
        let ls = plan("ls 'a b'", &[]).unwrap();
        assert!(
            ls.text.ends_with("/ls 'a b'") && ls.text.starts_with('/'),
            "{}",
            ls.text
        );
        assert_eq!((ls.shell, &ls.argv[1..]), (false, &["a b".to_owned()][..]));
        assert_eq!(ls.folder, own);
        let piped = plan("ls | wc -l", &[]).unwrap();
        assert_eq!((piped.text.as_str(), piped.shell), ("ls | wc -l", true));
        assert_eq!(piped.argv, ["/bin/sh", "-c", "ls | wc -l"]);
        assert!(plan("cd /", &[]).unwrap().shell, "no program of that name");
        for name in [
            "LD_PRELOAD",
            "PATH",
            "ld_audit",
            "A B",
            "",
            "PYTHONPATH",
            "BASH_ENV",
        ] {
            assert!(plan("ls", &[(name, "1")]).is_err(), "{name}");
        }
        assert!(plan("ls", &[("LANG", "C")]).unwrap().command().variables);
        assert!(plan("", &[]).is_err() && plan("a\0b", &[]).is_err());
        // A program that was replaced is not the one that was approved.
        let file = own.join("tool");
        let write = |text: &str| {
            std::fs::remove_file(&file).ok();
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("#!/bin/sh\n");
        let tool = plan("./tool x", &[]).unwrap();
        assert_eq!(tool.program, file);
        assert_eq!(tool.check_unchanged(), Ok(()));
        write("#!/bin/sh\nid\n");
        assert!(tool.check_unchanged().is_err());
    }
}
