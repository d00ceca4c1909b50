//! `plugins new NAME`: writes a plugin's project that builds, passes its tests and answers messages
//! as it stands.
//!
//! The texts lie in `plugin-api/templates`; the names in them (`my-surface`, `MySurface`) are
//! replaced. Nothing is ever written over.

use std::fs;
use std::path::{Path, PathBuf};

use gateway_plugin::manifest::valid_id;
use serde::Serialize;

use crate::cli::args::{PluginsNewArgs, Template};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::Screen;

macro_rules! texts {
    ($($path:literal from $text:literal,)*) => {
        &[$(($path, include_str!(concat!("../../../../plugin-api/templates/", $text))),)*]
    };
}

/// Files of both templates, by their path in the project.
const BOTH: &[(&str, &str)] = texts! {
    "Cargo.toml" from "both/Cargo.toml.txt",
    ".gitignore" from "both/gitignore.txt",
    ".github/workflows/ci.yml" from "both/ci.yml",
};
const ECHO: &[(&str, &str)] = texts! {
    "README.md" from "echo/README.md",
    "plugin.json" from "echo/plugin.json",
    "src/lib.rs" from "echo/src/lib.rs",
    "tests/surface.rs" from "echo/tests/surface.rs",
};
const POLLING: &[(&str, &str)] = texts! {
    "README.md" from "polling/README.md",
    "plugin.json" from "polling/plugin.json",
    "src/lib.rs" from "polling/src/lib.rs",
    "src/api.rs" from "polling/src/api.rs",
    "examples/provider.rs" from "polling/examples/provider.rs",
    "tests/surface.rs" from "polling/tests/surface.rs",
};

/// What the polling template needs besides the SDK: an HTTP client of its own.
const POLLING_NEEDS: &str = "tokio = { version = \"1\", features = [\"io-util\", \"macros\", \"net\", \
                             \"rt\", \"sync\", \"time\"] }\n";

/// Names that a crate cannot have: words of the language and its own libraries.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Where the SDK is taken from.
#[derive(Debug, PartialEq, Eq)]
enum Sdk {
    /// The folder `plugin-api` of a checkout.
    Folder(PathBuf),
    /// A git repository.
    Git(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    ok: bool,
    folder: &'a Path,
    sdk: String,
    files: Vec<&'a str>,
}

/// Writes the project and tells what is in it and what to do next.
///
/// # Errors
/// A name that cannot be used, a folder that is there already, no SDK, or a failed write.
pub fn run(args: &PluginsNewArgs, screen: &Screen) -> CliResult<()> {
    check_name(&args.name)?;
    let sdk = sdk(args.sdk.as_deref())?;
    let folder = args
        .into
        .clone()
        .unwrap_or_else(|| args.name.clone().into());
    if folder.exists() {
        let text = format!("{} is there already", folder.display());
        return Err(CliError::new(Kind::Local, "FOLDER_EXISTS", text)
            .fix("name another folder with --into FOLDER; nothing is ever written over"));
    }
    let files = project(&args.name, args.template, &sdk);
    for (path, text) in &files {
        write(&folder.join(path), text)?;
    }
    let written = Written {
        ok: true,
        folder: &folder,
        sdk: sdk.dependency(),
        files: files.iter().map(|(path, _)| *path).collect(),
    };
    if screen.json_wanted() {
        screen.value_json(&written);
    } else {
        screen.write(&told(&written, &sdk, args));
    }
    Ok(())
}

fn check_name(name: &str) -> CliResult<()> {
    let why = if !valid_id(name) || name.ends_with('-') {
        "must be 1 to 32 lower case letters, digits or '-', a letter first and no '-' at the end"
    } else if TAKEN.contains(&name) {
        "is a word of the Rust language, no crate can be named so"
    } else {
        return Ok(());
    };
    Err(CliError::usage(format!("the name {name:?} {why}"))
        .fix("take the provider's name, such as acme-chat"))
}

/// The SDK as named, else the one of the checkout around the program or around this folder.
fn sdk(named: Option<&str>) -> CliResult<Sdk> {
    if let Some(named) = named {
        if named.contains("://") || named.starts_with("git@") {
            return Ok(Sdk::Git(named.to_owned()));
        }
        return sdk_in(Path::new(named)).map(Sdk::Folder).ok_or_else(|| {
            let text =
                format!("{named} is not the SDK: it holds no Cargo.toml of gateway-plugin-api");
            CliError::new(Kind::Local, "NO_SDK", text)
                .fix("name the folder plugin-api of a checkout of the gateway")
        });
    }
    let places = [std::env::current_exe(), std::env::current_dir()];
    let found = places.iter().flatten().find_map(|place| {
        place
            .ancestors()
            .find_map(|folder| sdk_in(&folder.join("plugin-api")))
    });
    found.map(Sdk::Folder).ok_or_else(|| {
        let text = "where is the SDK? It is not published, and no checkout of the gateway is near";
        CliError::new(Kind::Local, "NO_SDK", text)
            .fix("name the folder of a checkout: --sdk PATH/plugin-api")
            .fix("name a git repository: --sdk https://…")
    })
}

/// This folder's real path, if the SDK is in it.
fn sdk_in(folder: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let is = text
        .lines()
        .any(|line| line.trim() == "name = \"gateway-plugin-api\"");
    is.then(|| folder.canonicalize().ok()).flatten()
}

impl Sdk {
    /// The dependency as Cargo.toml writes it.
    fn dependency(&self) -> String {
        match self {
            Sdk::Folder(path) => format!("path = {:?}", path.display().to_string()),
            Sdk::Git(url) => format!("git = {url:?}"),
        }
    }

    /// A step of the CI that says what is missing, for an SDK that is only on this machine.
    fn ci_step(&self) -> String {
        let Sdk::Folder(path) = self else {
            return String::new();
        };
        format!(
            "      - name: The SDK is taken from a folder of the author's machine\n        \
             run: |\n          test -d '{0}' || {{ echo 'Cargo.toml names {0}: name its git \
             repository there, so that this machine finds it too'; exit 1; }}\n",
            path.display()
        )
    }
}

/// The project's files with their contents.
fn project(name: &str, template: Template, sdk: &Sdk) -> Vec<(&'static str, String)> {
    let (own, needs) = match template {
        Template::Echo => (ECHO, ""),
        Template::Polling => (POLLING, POLLING_NEEDS),
    };
    let words: Vec<String> = name
        .split('-')
        .filter(|w| !w.is_empty())
        .map(capital)
        .collect();
    let fill = |text: &str| {
        text.replace("my-surface", name)
            .replace("my_surface", &name.replace('-', "_"))
            .replace("MySurface", &words.concat())
            .replace("My Surface", &words.join(" "))
    };
    let own = own.iter().map(|(path, text)| (*path, fill(text)));
    let both = BOTH.iter().map(|(path, text)| {
        let text = fill(text)
            .replace("SDK_STEP", &sdk.ci_step())
            .replace("SDK", &sdk.dependency())
            .replace("MORE", needs);
        (*path, text)
    });
    both.chain(own).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn write(file: &Path, text: &str) -> CliResult<()> {
    let failed = |cause| CliError::file(file, "write", &cause);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, text).map_err(failed)
}

fn told(written: &Written<'_>, sdk: &Sdk, args: &PluginsNewArgs) -> String {
    let folder = written.folder.display();
    let mut text = format!(
        "{folder}: a surface named {}, {} files\n",
        args.name,
        written.files.len()
    );
    for file in &written.files {
        text += &format!("  {file}\n");
    }
    text += &format!("its SDK: {}\n", written.sdk);
    if matches!(sdk, Sdk::Folder(_)) {
        text += "  a folder of this machine; name a git repository in Cargo.toml before others, or \
                 the CI, build it\n";
    }
    text += &format!("next:\n  cd {folder}\n  cargo test\n  openclaw plugins dev .\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_replaced_and_every_mark_is_filled() {
        let sdk = Sdk::Folder("/sdk/plugin-api".into());
        for template in [Template::Echo, Template::Polling] {
            let files = project("acme-chat", template, &sdk);
            for (path, text) in &files {
                for mark in [
                    "my-surface",
                    "my_surface",
                    "MySurface",
                    "My Surface",
                    "SDK_STEP",
                ] {
                    assert!(!text.contains(mark), "{path} holds {mark}");
                }
            }
            let text = |name: &str| &files.iter().find(|(path, _)| *path == name).expect(name).1;
            let line = "gateway-plugin-api = { path = \"/sdk/plugin-api\" }\n";
            assert!(text("Cargo.toml").contains(line));
            assert_eq!(
                text("Cargo.toml").contains("tokio"),
                template == Template::Polling
            );
            assert!(text("src/lib.rs").contains("export_plugin!(AcmeChat, \"plugin.json\");"));
            assert!(text("plugin.json").contains("\"name\": \"Acme Chat\""));
            assert!(text("tests/surface.rs").contains("use acme_chat::AcmeChat;"));
            assert!(text(".github/workflows/ci.yml").contains("test -d '/sdk/plugin-api'"));
        }
        let git = project(
            "a",
            Template::Echo,
            &Sdk::Git("https://x.example/g.git".to_owned()),
        );
        let text: String = git.into_iter().map(|(_, text)| text).collect();
        assert!(text.contains("gateway-plugin-api = { git = \"https://x.example/g.git\" }"));
        assert!(!text.contains("test -d"));
    }

    #[test]
    fn names_that_no_crate_or_channel_can_have_are_refused() {
        for wrong in ["", "Bell", "1a", "a b", "a-", "type", "../x"] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
        assert!(check_name("acme-chat2").is_ok());
    }
}
