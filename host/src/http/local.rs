//! The local socket: `gateway.sock` in the state folder, for the one user this gateway runs as.
//!
//! The same WebSocket and methods as on the port. Who comes in here needs neither secret nor
//! pairing: the system says whose process it is, and that user could read every key of the
//! gateway anyway. So nobody is ever locked out of a host without a screen.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use crate::files;

/// The open local socket, not served yet. Its file goes when it is dropped.
#[derive(Debug)]
pub struct LocalSocket {
    socket: UnixListener,
    path: PathBuf,
}

/// Opens the local socket. Whoever calls this holds the lock of the state folder: a socket that
/// lies there already is left over from a gateway that was killed.
///
/// # Errors
/// The system's, or what else lies in the socket's place.
pub fn bind_local(path: &Path) -> io::Result<LocalSocket> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            let text = format!("{} is no socket: move it away", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let socket = UnixListener::bind(files::socket_path(path)?.as_path())?;
    let path = path.to_path_buf();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(LocalSocket { socket, path })
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // A file that is gone already is as good.
        std::fs::remove_file(&self.path).ok();
    }
}

impl LocalSocket {
    /// The next socket of the gateway's own user.
    pub(super) async fn accept(&self) -> UnixStream {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) if is_own_user(&stream) => return stream,
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().map(|c| c.uid()).ok();
                    tracing::warn!(uid, "another user came to the local socket: turned away");
                }
                Err(error) => {
                    // Out of descriptors or memory: give others time to end.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Whether the process at the other end runs as the same user.
fn is_own_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_left_over_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.sock");
        let mut first = bind_local(&path).unwrap();
        // As after kill -9: the file stays, nobody listens.
        first.path = dir.path().join("elsewhere");
        drop(first);
        assert!(UnixStream::connect(&path).await.is_err());
        let second = bind_local(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (client, _) = tokio::join!(UnixStream::connect(&path), second.accept());
        client.unwrap();
        drop(second);
        assert!(!path.exists());
        std::fs::write(&path, "mine").unwrap();
        let refused = bind_local(&path).unwrap_err().to_string();
        assert!(refused.contains("is no socket"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_long_state_folder_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("long-name-".repeat(20));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("gateway.sock");
        let bound = bind_local(&path);
        if cfg!(target_os = "linux") {
            let bound = bound.unwrap();
            let way = files::socket_path(&path).unwrap();
            let (client, _) = tokio::join!(UnixStream::connect(way.as_path()), bound.accept());
            client.unwrap();
        } else {
            let refused = bound.unwrap_err().to_string();
            assert!(refused.contains("--state-dir"), "{refused}");
        }
    }
}
