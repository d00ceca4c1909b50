//! The gateway's end of the socket to one plugin's process: frames out without ever waiting, and
//! the tasks that bring frames in and push out what the socket did not take at once.
//!
//! Promises: at most [`PLUGIN_SOCKET_QUEUE_BYTES`] and one frame wait for a process that does not
//! read; an operation beyond that is answered BUSY; answers beyond twice that end the process.
//! Blobs of one process that the gateway holds are bounded by [`PLUGIN_SOCKET_HELD_BYTES`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use gateway_plugin::abi::{kind, rc};
use gateway_plugin::message::{ErrorKind, SurfaceError};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::wire::{HEADER, Header, Incoming, Received, own};
use crate::limits::{
    PLUGIN_BLOB_BYTES_MAX, PLUGIN_BODY_BYTES_MAX, PLUGIN_SOCKET_HELD_BYTES,
    PLUGIN_SOCKET_QUEUE_BYTES, PLUGIN_SOCKET_READ_BYTES,
};
use crate::plugins::intake::Intake;
use crate::plugins::line::{Line, Wait, refusal};

/// What both directions and the keeper share.
pub(super) struct Channel {
    stream: UnixStream,
    out: Mutex<Outgoing>,
    /// Something waits for the socket.
    wake: Notify,
    /// Less waits than before.
    room: Notify,
    held: Arc<Held>,
    /// Why the process has to be killed.
    doom: OnceLock<String>,
    pub(super) doomed: CancellationToken,
    /// The host wants the instance to end.
    pub(super) closing: CancellationToken,
    /// The other end has closed the socket.
    pub(super) ended: CancellationToken,
    /// The process is gone and nothing of it is left.
    pub(super) gone: CancellationToken,
}

/// The host's line into a process; dropping it closes the instance.
pub(super) struct Socket(pub(super) Arc<Channel>);

/// Bytes the socket did not take yet.
#[derive(Default)]
struct Outgoing {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    waiting: usize,
}

/// Bytes of blobs that came from the process and are still used.
#[derive(Default)]
struct Held {
    bytes: AtomicUsize,
    less: Notify,
}

/// What became of a flush.
enum Flushed {
    All,
    Blocked,
    Broken,
}

impl Channel {
    /// Over our end of a pair. Must be called within a runtime.
    pub(super) fn new(stream: StdStream) -> io::Result<Channel> {
        stream.set_nonblocking(true)?;
        Ok(Channel {
            stream: UnixStream::from_std(stream)?,
            out: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
            held: Arc::default(),
            doom: OnceLock::new(),
            doomed: CancellationToken::new(),
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
            gone: CancellationToken::new(),
        })
    }

    /// The process has to be killed; the first reason counts.
    pub(super) fn doom(&self, why: String) {
        self.doom.set(why).ok();
        self.doomed.cancel();
    }

    /// Why it was killed, if it was.
    pub(super) fn why_doomed(&self) -> Option<&String> {
        self.doom.get()
    }

    /// Tells the process that nothing more comes.
    pub(super) fn goodbye(&self) {
        // Gone already is as good.
        rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write).ok();
    }

    fn out(&self) -> MutexGuard<'_, Outgoing> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame, or keeps what the socket does not take now.
    pub(super) fn deliver(&self, what: u32, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32 {
        if self.closing.is_cancelled() || self.ended.is_cancelled() {
            return rc::CLOSED;
        }
        if body.len() > PLUGIN_BODY_BYTES_MAX || blob.len() > PLUGIN_BLOB_BYTES_MAX {
            return rc::BAD_FRAME;
        }
        let header = Header {
            kind: what,
            id,
            status,
            body: body.len(),
            blob: blob.len(),
        };
        let size = HEADER + body.len() + blob.len();
        let mut out = self.out();
        if what == kind::REQUEST && out.waiting > 0 {
            if out.waiting + size > PLUGIN_SOCKET_QUEUE_BYTES {
                return rc::BUSY;
            }
        } else if out.waiting > 2 * PLUGIN_SOCKET_QUEUE_BYTES + PLUGIN_BLOB_BYTES_MAX {
            drop(out);
            self.doom("it does not take the answers to its own calls and events".to_owned());
            return rc::BUSY;
        }
        // An operation goes out at once. Acknowledgements wait for the writer's turn, which then
        // sends all that came together: half as many system calls when many come.
        let sent = if what == kind::REQUEST && out.waiting == 0 {
            let parts = [&header.encode()[..], body, &blob[..]];
            match rustix::io::writev(&self.stream, &parts.map(IoSlice::new)) {
                Ok(sent) => sent,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
                // The reader sees the end too, and the keeper says why.
                Err(_) => return rc::CLOSED,
            }
        } else {
            0
        };
        if sent < size {
            out.keep(&header.encode(), body, blob, sent);
            self.wake.notify_one();
        }
        rc::OK
    }

    /// Pushes out what waits whenever the socket takes it, until the process is gone.
    pub(super) async fn write(&self) {
        let work = async {
            loop {
                self.wake.notified().await;
                loop {
                    match self.flush() {
                        Flushed::All => break,
                        Flushed::Broken => return,
                        Flushed::Blocked => {
                            if self.stream.writable().await.is_err() {
                                return;
                            }
                        }
                    }
                }
            }
        };
        self.gone.run_until_cancelled(work).await;
    }

    fn flush(&self) -> Flushed {
        let mut out = self.out();
        let before = out.waiting;
        let flushed = loop {
            if out.waiting == 0 {
                break Flushed::All;
            }
            let tried = {
                let first = out.chunks.iter().map(|chunk| IoSlice::new(chunk));
                let last = std::iter::once(IoSlice::new(&out.tail));
                let parts: Vec<_> = first.chain(last).take(64).collect();
                self.stream.try_write_vectored(&parts)
            };
            match tried {
                Ok(sent) => out.sent(sent),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Flushed::Blocked,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Flushed::Broken,
            }
        };
        if before >= PLUGIN_SOCKET_QUEUE_BYTES && out.waiting < PLUGIN_SOCKET_QUEUE_BYTES {
            self.room.notify_waiters();
        }
        flushed
    }

    /// Takes frames in until the process closes the socket, breaks the rules or is gone.
    pub(super) async fn read(
        &self,
        intake: &Intake,
        ready: impl Fn(&[u8]),
        refused: impl Fn(&str),
    ) {
        let mut incoming = Incoming::default();
        let work = async {
            loop {
                if self.stream.readable().await.is_err() {
                    return Ok(());
                }
                match self.stream.try_read_buf(incoming.space()) {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(_) => return Ok(()),
                }
                while let Some(frame) = incoming.next()? {
                    match frame.header.kind {
                        own::READY => ready(&frame.body),
                        own::REFUSED => refused(&String::from_utf8_lossy(&frame.body)),
                        own::NOTICE => notice(intake, &frame.header),
                        _ => self.take(intake, frame),
                    }
                }
                if let Some(header) = incoming.peek()? {
                    self.held.wait_for(header.blob).await;
                }
            }
        };
        let result: Option<Result<(), super::wire::WireError>> =
            self.gone.run_until_cancelled(work).await;
        if let Some(Err(error)) = result {
            self.doom(format!("it broke the rules of the socket with {error}"));
        }
        self.ended.cancel();
    }

    fn take(&self, intake: &Intake, frame: Received) {
        let Received { header, body, blob } = frame;
        let blob = if blob.len() > PLUGIN_SOCKET_READ_BYTES {
            Bytes::from_owner(HeldBytes::new(blob, self.held.clone()))
        } else {
            blob
        };
        let code = intake.take(header.kind, header.id, header.status, &body, blob);
        // In process the caller is told by the code; here it waits for an answer.
        let waits = matches!(header.kind, kind::REQUEST | kind::EVENT) && header.id != 0;
        if code != rc::OK && code != rc::CLOSED && waits {
            let text = format!("the gateway took no frame of this kind now (code {code})");
            let error = SurfaceError::new(ErrorKind::Transient, text);
            let body = serde_json::to_vec(&error).unwrap_or_default();
            self.deliver(kind::RESPONSE, header.id, 1, &body, Bytes::new());
        }
    }
}

/// Frames that the process's own end refused count like those the gateway refuses.
fn notice(intake: &Intake, header: &Header) {
    match header.status {
        rc::BUSY => intake.refused_events(header.id),
        _ => (0..header.id.min(1_000)).for_each(|_| intake.bad_frame("refused before the socket")),
    }
}

impl Outgoing {
    /// Keeps a frame of which `sent` bytes are out already.
    fn keep(&mut self, header: &[u8], body: &[u8], blob: Bytes, sent: usize) {
        let mut skip = sent;
        for part in [header, body] {
            let out = skip.min(part.len());
            skip -= out;
            self.tail.extend_from_slice(&part[out..]);
            self.waiting += part.len() - out;
        }
        let blob = blob.slice(skip..);
        self.waiting += blob.len();
        if blob.len() <= PLUGIN_SOCKET_READ_BYTES {
            self.tail.extend_from_slice(&blob);
        } else {
            self.chunks.push_back(self.tail.split().freeze());
            self.chunks.push_back(blob);
        }
    }

    fn sent(&mut self, mut bytes: usize) {
        self.waiting -= bytes;
        while let Some(first) = self.chunks.front_mut() {
            let part = bytes.min(first.len());
            first.advance(part);
            bytes -= part;
            if !first.is_empty() {
                return;
            }
            self.chunks.pop_front();
        }
        self.tail.advance(bytes);
        if self.tail.is_empty() && self.tail.capacity() > 4 * PLUGIN_SOCKET_READ_BYTES {
            self.tail = BytesMut::new();
        }
    }
}

impl Held {
    /// Waits until `more` bytes would not be too many, or nothing is held.
    async fn wait_for(&self, more: usize) {
        loop {
            let less = self.less.notified();
            let held = self.bytes.load(Ordering::Acquire);
            if held == 0 || held + more <= PLUGIN_SOCKET_HELD_BYTES {
                return;
            }
            less.await;
        }
    }
}

/// A blob that counts as held until it is dropped.
struct HeldBytes {
    bytes: Bytes,
    held: Arc<Held>,
}

impl HeldBytes {
    fn new(bytes: Bytes, held: Arc<Held>) -> HeldBytes {
        held.bytes.fetch_add(bytes.len(), Ordering::AcqRel);
        HeldBytes { bytes, held }
    }
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.held
            .bytes
            .fetch_sub(self.bytes.len(), Ordering::AcqRel);
        self.held.less.notify_one();
    }
}

impl Line for Socket {
    fn deliver(&self, kind: u32, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32 {
        self.0.deliver(kind, id, status, body, blob)
    }

    /// The keeper sees the process out; see [`Line::gone`].
    fn close(&self, _grace_ms: u32) {
        self.0.closing.cancel();
    }

    fn room(&self) -> Wait<'_> {
        Box::pin(async {
            let channel = &self.0;
            loop {
                let less = channel.room.notified();
                tokio::pin!(less);
                less.as_mut().enable();
                if channel.out().waiting < PLUGIN_SOCKET_QUEUE_BYTES {
                    return;
                }
                tokio::select! {
                    () = less => {}
                    () = channel.gone.cancelled() => return,
                }
            }
        })
    }

    fn gone(&self) -> Wait<'_> {
        Box::pin(self.0.gone.cancelled())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close(0);
    }
}

/// The answer to an operation that the plugin did not take on its side of the socket.
pub(super) fn refused_operation(code: i32) -> Vec<u8> {
    serde_json::to_vec(&refusal(code)).unwrap_or_default()
}
