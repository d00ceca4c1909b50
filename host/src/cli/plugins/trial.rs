//! What `plugins test` and `plugins dev` share: a library on trial, in a folder that goes with the
//! command, on a runtime of the command's own.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cli::args::Place;
use crate::cli::client::paths;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::plugins::file::Isolation;
use crate::plugins::{Refusal, Trial, TrialStates};
use crate::shutdown::Tasks;

/// Where the copies lie that are loaded; removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A folder of this process alone, in the state folder.
    pub fn new() -> CliResult<Folder> {
        let name = format!("trial-{}", std::process::id());
        Ok(Folder(paths()?.state_dir.join("plugins").join(name)))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is mapped stays mapped; a folder that cannot be removed is small.
        std::fs::remove_dir_all(&self.0).unwrap_or(());
    }
}

/// A runtime for the host's side of a trial.
pub fn runtime() -> CliResult<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| {
            let text = format!("cannot start the event loop: {cause}");
            CliError::new(Kind::Local, "RUNTIME", text)
        })
}

/// Loads a library.
pub fn load(
    file: &Path,
    folder: &Folder,
    place: Place,
    states: TrialStates,
    tasks: Tasks,
) -> CliResult<Trial> {
    let isolation = match place {
        Place::Process => Isolation::Process,
        Place::InProcess => Isolation::InProcess,
    };
    Trial::of_file(file, folder.path(), isolation, states, tasks)
        .map_err(|refusal| refused(file, &refusal))
}

/// A library that no gateway would take.
pub fn refused(file: &Path, refusal: &Refusal) -> CliError {
    let text = format!("{}: {refusal}", file.display());
    let error = CliError::new(Kind::Local, "PLUGIN_REFUSED", text);
    match refusal {
        Refusal::NoFile(_) => error.fix("build it first: cargo build"),
        _ => error,
    }
}

/// A configuration as typed: JSON, or a file with it.
pub fn config(typed: &str) -> CliResult<Value> {
    let text = if typed.trim_start().starts_with(['{', '[', '"']) {
        typed.to_owned()
    } else {
        let file = Path::new(typed);
        std::fs::read_to_string(file).map_err(|cause| CliError::file(file, "read", &cause))?
    };
    serde_json::from_str(&text).map_err(|cause| {
        CliError::usage(format!("--config is no JSON: {cause}"))
            .fix("give JSON such as '{\"botToken\":\"…\"}', or the path of a file with it")
    })
}
