//! A plugin in a process of its own: the same library, the same frames, over a socket.
//!
//! | file | what it does |
//! | --- | --- |
//! | `wire` | the frames as bytes: the layout |
//! | `spawner` | starts processes, reaps them |
//! | `socket` | the gateway's end: never waits, bounded both ways |
//! | `keeper` | one task per process: its life, its hanging, its end and why |
//! | `runner` | the other end: `openclaw plugin-runner` |
//! | `confine` | what the other end gives up before it runs a plugin's code |
//! | `system_calls` | the part of it that no path or port can express |
//!
//! `Plugin::open` opens one process for each account. Promises: the process ends with the gateway,
//! however that ends; its end is seen at once, its hanging within a second; every operation under
//! way then fails with the signal or exit code in its words.

mod confine;
mod keeper;
pub mod runner;
mod socket;
mod spawner;
#[cfg(target_os = "linux")]
mod system_calls;
mod wire;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::file::Limits;
use super::intake::Intake;
use super::line::Line;
use crate::config::env;
use crate::limits::PLUGIN_CHILD_MEMORY_BYTES;
use crate::shutdown::Tasks;
use socket::{Channel, Socket};
use wire::{Setup, own};

/// The word that makes this program the other end. Not for people: it talks to a socket.
pub const RUNNER: &str = "plugin-runner";

/// Opens one instance in a process of its own; its frames go to `intake`.
///
/// # Errors
/// The process could not be started.
pub(super) fn open(
    library: &Path,
    limits: &Limits,
    intake: &Arc<Intake>,
    tasks: &Tasks,
) -> io::Result<Arc<dyn Line>> {
    let (ours, theirs) = UnixStream::pair()?;
    let (said, stderr) = io::pipe()?;
    let process = spawner::Process::start(command(intake, theirs, stderr)?)?;
    let setup = Setup {
        version: crate::VERSION.to_owned(),
        parent: std::process::id(),
        library: library.to_owned(),
        memory: limits
            .memory_mb
            .map_or(PLUGIN_CHILD_MEMORY_BYTES, |mb| mb << 20),
        tcp_ports: limits.tcp_ports.clone(),
    };
    let channel = Arc::new(Channel::new(ours)?);
    let body = serde_json::to_vec(&setup).map_err(io::Error::other)?;
    channel.deliver(own::SETUP, 0, 0, &body, Bytes::new());
    keeper::keep(&channel, intake, process, said, tasks)?;
    Ok(Arc::new(Socket(channel)))
}

/// Own group, so that a terminal's interrupt reaches the gateway alone, which then says goodbye.
fn command(intake: &Intake, socket: UnixStream, output: io::PipeWriter) -> io::Result<Command> {
    let mut command = Command::new(program());
    command
        .arg0("openclaw")
        .arg(RUNNER)
        .arg(format!("{}/{}", intake.plugin, intake.account))
        .env_clear()
        .envs(env::for_plugins())
        .current_dir("/")
        .process_group(0)
        .stdin(OwnedFd::from(socket))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(output);
    Ok(command)
}

/// This very program, even if its file was replaced meanwhile. A test or bench program is not the
/// gateway: there it is the one that the same build made.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let own = std::env::current_exe().unwrap_or_default();
        let folder = own.parent().filter(|folder| folder.ends_with("deps"));
        match folder.and_then(Path::parent) {
            Some(profile) => profile.join("openclaw"),
            None if cfg!(target_os = "linux") => PathBuf::from("/proc/self/exe"),
            None => own,
        }
    })
}
