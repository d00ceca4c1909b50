//! Where a command finds `plugins.toml` and the copies of libraries, and its ways to fail there.

use std::path::{Path, PathBuf};

use crate::cli::args::PluginsFileArg;
use crate::cli::client::paths;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::config::Paths;
use crate::plugins::file::{PluginsFile, Trust};
use crate::plugins::{PluginsFileError, Refusal};

/// The file and folders of one command.
#[derive(Debug, Clone)]
pub struct Place {
    /// `plugins.toml`, absolute.
    pub file: PathBuf,
    /// The rest of this machine's gateway.
    pub paths: Paths,
}

impl Place {
    /// By the flag, else the environment, else the state folder.
    ///
    /// # Errors
    /// Without a home folder, or when the working folder is gone.
    pub fn of(flag: &PluginsFileArg) -> CliResult<Place> {
        let paths = paths()?;
        let file = match &flag.plugins {
            Some(file) => {
                std::path::absolute(file).map_err(|e| CliError::file(file, "find", &e))?
            }
            None => paths.plugins_file.clone(),
        };
        Ok(Place { file, paths })
    }

    /// The folder of `plugins.toml`.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// The folder of copies.
    pub fn store(&self) -> PathBuf {
        self.paths.plugin_store()
    }

    /// Reads `plugins.toml`.
    ///
    /// # Errors
    /// It is missing or broken: a wrong configuration.
    pub fn read(&self) -> CliResult<PluginsFile> {
        PluginsFile::read(&self.file).map_err(|e| broken(&e))
    }

    /// Whom `plugins.toml` trusts; nobody if there is no such file.
    ///
    /// # Errors
    /// It is broken.
    pub fn trust(&self) -> CliResult<Trust> {
        if self.file.exists() {
            Ok(self.read()?.trust)
        } else {
            Ok(Trust::default())
        }
    }

    /// A path as `plugins.toml` should name it: relative if it lies below the file's folder.
    pub fn written(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.folder()).unwrap_or(path).to_owned()
    }
}

/// `plugins.toml` is missing or broken.
pub fn broken(cause: &PluginsFileError) -> CliError {
    CliError::new(Kind::Config, "PLUGINS_FILE_INVALID", cause.to_string())
        .fix("correct the file, or name another one with --plugins FILE")
}

/// A library is not taken, with the refusal's own words.
pub fn refused(what: &Path, refusal: &Refusal) -> CliError {
    CliError::new(
        Kind::Local,
        "PLUGIN_REFUSED",
        format!("{} is refused: {refusal}", what.display()),
    )
    .fact("file", "file", what.display().to_string())
}

/// No plugin of that name.
pub fn unknown(name: &str, place: &Place, known: &[String]) -> CliError {
    let close = known
        .iter()
        .find(|k| k.contains(name) || name.contains(k.as_str()));
    let error = CliError::new(
        Kind::Local,
        "PLUGIN_NOT_FOUND",
        format!("{} names no plugin {name:?}", place.file.display()),
    );
    match close {
        Some(close) => error.fix(format!("is it {close:?}?")),
        None => error,
    }
    .fix("see the plugins: openclaw plugins list")
}
