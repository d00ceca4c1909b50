//! The other end: `openclaw plugin-runner`, started by the gateway for one account of one plugin.
//!
//! It gives up what it does not need (`confine`), loads the library, and carries frames between
//! the socket it was born with and the plugin's table. It has no configuration, no log and no
//! files: what the plugin keeps lies in the gateway, what it says goes through the socket, what
//! it writes goes into a pipe that the gateway reads. It ends when the socket does.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use gateway_plugin::abi::{Foreign, Frame, Owned, PluginApi, kind, rc};

use super::confine;
use super::socket::refused_operation;
use super::wire::{HEADER, Header, Incoming, Ready, Received, Setup, own};
use crate::limits::{PLUGIN_BLOB_BYTES_MAX, PLUGIN_BODY_BYTES_MAX, PLUGIN_SOCKET_READ_BYTES};
use crate::plugins::library;
use crate::plugins::line::{Handle, instance_of, received};

/// The number this process's only instance knows us by.
const SLOT: usize = 1;

/// The way back to the gateway, for the plugin's threads.
static GATE: OnceLock<Gate> = OnceLock::new();

struct Gate {
    /// Locked for a frame at a time: a frame is never cut by another.
    socket: Mutex<UnixStream>,
    /// Events the plugin may still send.
    credits: AtomicU64,
    /// The newest operation the plugin was asked for.
    asked: AtomicU64,
    /// Frames refused here that the gateway was not told of yet: for want of credit, for nonsense.
    unpaid: AtomicU64,
    nonsense: AtomicU64,
}

/// Runs one instance until the gateway closes the socket.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => end(0),
        Err(e) => {
            // Into the gateway's log; without a gateway there is nobody to tell.
            writeln!(io::stderr(), "plugin-runner: {e}").ok();
            end(1)
        }
    }
}

/// Ends at once: the plugin's threads still run, and what it registered for the end of the
/// process must not.
fn end(code: i32) -> ExitCode {
    // SAFETY: never returns; nothing of ours is left to be written.
    unsafe { libc::_exit(code) }
}

fn serve() -> io::Result<()> {
    let mut socket = socket()?;
    let mut incoming = Incoming::default();
    let Some(first) = next(&mut socket, &mut incoming)? else {
        return Ok(());
    };
    let gate = GATE.get_or_init(|| Gate {
        socket: Mutex::new(socket),
        credits: AtomicU64::new(0),
        asked: AtomicU64::new(0),
        unpaid: AtomicU64::new(0),
        nonsense: AtomicU64::new(0),
    });
    let mut socket = gate.lock().try_clone()?;
    match open(&first) {
        Ok((table, instance, ready)) => {
            gate.send(own::READY, 0, 0, &serde_json::to_vec(&ready)?, &[]);
            while let Some(frame) = next(&mut socket, &mut incoming)? {
                gate.pass_on(table, &instance, frame);
            }
            instance.close(table, 0);
            Ok(())
        }
        Err(why) => {
            gate.send(own::REFUSED, 0, 0, why.as_bytes(), &[]);
            Err(io::Error::other(why))
        }
    }
}

/// Takes the socket off standard input, where a plugin that reads from there would find it.
fn socket() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    let moved = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::net::sockopt::socket_type(&moved).map_err(|_| {
        io::Error::other("this command is for the gateway: it starts it with a socket")
    })?;
    confine::close_all_but(moved.as_raw_fd());
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(UnixStream::from(moved))
}

type Opened = (&'static PluginApi, Handle, Ready);

fn open(first: &Received) -> Result<Opened, String> {
    if first.header.kind != own::SETUP {
        return Err("the gateway did not begin with what to load".to_owned());
    }
    let setup: Setup =
        serde_json::from_slice(&first.body).map_err(|e| format!("unreadable setup: {e}"))?;
    if setup.version != crate::VERSION {
        return Err(format!(
            "the gateway is of version {}, this program of {}: build or install both together",
            setup.version,
            crate::VERSION
        ));
    }
    let mut confined = confine::before_loading(&setup)?;
    let table = library::load_alone(&setup.library)?;
    confine::after_loading(&setup, &mut confined)?;
    let instance = instance_of(table, SLOT, from_plugin)
        .map_err(|code| format!("the plugin opened no instance (code {code})"))?;
    Ok((table, instance, confined))
}

/// The next frame from the gateway; `None` when it has closed the socket.
fn next(socket: &mut UnixStream, incoming: &mut Incoming) -> io::Result<Option<Received>> {
    loop {
        if let Some(frame) = incoming
            .next()
            .map_err(|e| io::Error::other(e.to_string()))?
        {
            return Ok(Some(frame));
        }
        let space = incoming.space();
        let (here, most) = (
            space.len(),
            space.capacity().min(space.len() + PLUGIN_SOCKET_READ_BYTES),
        );
        space.resize(most, 0);
        let read = match socket.read(&mut space[here..]) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                space.truncate(here);
                continue;
            }
            // A gateway that is gone ends it as one that says goodbye.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(e) => return Err(e),
        };
        space.truncate(here + read);
        if read == 0 {
            return Ok(None);
        }
    }
}

impl Gate {
    fn lock(&self) -> std::sync::MutexGuard<'_, UnixStream> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a frame of the gateway to the plugin.
    fn pass_on(&self, table: &PluginApi, instance: &Handle, frame: Received) {
        let Received { header, body, blob } = frame;
        match header.kind {
            kind::REQUEST => _ = self.asked.fetch_max(header.id, Ordering::AcqRel),
            kind::CREDIT => _ = self.credits.fetch_add(header.id, Ordering::AcqRel),
            _ => {}
        }
        let blob = Owned::blob(blob);
        let mut frame = Frame::new(header.kind, header.id, header.status, &body, blob);
        let code = instance.deliver(table, &mut frame);
        if header.kind == kind::REQUEST && code != rc::OK {
            self.send(kind::RESPONSE, header.id, 1, &refused_operation(code), &[]);
        }
    }

    /// Judges a frame of the plugin as the gateway's own end would, and sends it on.
    fn take(&self, frame: &Frame, body: &[u8], blob: &[u8]) -> i32 {
        if body.len() > PLUGIN_BODY_BYTES_MAX || blob.len() > PLUGIN_BLOB_BYTES_MAX {
            self.nonsense.fetch_add(1, Ordering::AcqRel);
            return rc::BAD_FRAME;
        }
        match frame.kind {
            kind::EVENT => {
                let paid = self
                    .credits
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
                if paid.is_err() {
                    self.unpaid.fetch_add(1, Ordering::AcqRel);
                    return rc::BUSY;
                }
            }
            kind::RESPONSE if frame.id == 0 || frame.id > self.asked.load(Ordering::Acquire) => {
                self.nonsense.fetch_add(1, Ordering::AcqRel);
                return rc::BAD_FRAME;
            }
            kind::REQUEST | kind::RESPONSE | kind::LOG | kind::FATAL => {}
            _ => {
                self.nonsense.fetch_add(1, Ordering::AcqRel);
                return rc::UNSUPPORTED;
            }
        }
        self.send(frame.kind, frame.id, frame.status, body, blob)
    }

    /// Writes a frame. The gateway always reads, so this waits only as long as it is busy.
    fn send(&self, what: u32, id: u64, status: i32, body: &[u8], blob: &[u8]) -> i32 {
        let mut socket = self.lock();
        for (count, code) in [(&self.unpaid, rc::BUSY), (&self.nonsense, rc::BAD_FRAME)] {
            let id = count.swap(0, Ordering::AcqRel);
            if id > 0 && write(&mut socket, own::NOTICE, id, code, &[], &[]).is_err() {
                return rc::CLOSED;
            }
        }
        match write(&mut socket, what, id, status, body, blob) {
            Ok(()) => rc::OK,
            Err(_) => rc::CLOSED,
        }
    }
}

fn write(
    socket: &mut UnixStream,
    kind: u32,
    id: u64,
    status: i32,
    body: &[u8],
    blob: &[u8],
) -> io::Result<()> {
    let header = Header {
        kind,
        id,
        status,
        body: body.len(),
        blob: blob.len(),
    };
    let header: [u8; HEADER] = header.encode();
    let mut parts = [
        IoSlice::new(&header),
        IoSlice::new(body),
        IoSlice::new(blob),
    ];
    let mut parts = &mut parts[..];
    while !parts.is_empty() {
        match socket.write_vectored(parts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => IoSlice::advance_slices(&mut parts, sent),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        while parts.first().is_some_and(|part| part.is_empty()) {
            parts = &mut parts[1..];
        }
    }
    Ok(())
}

/// What the plugin calls.
unsafe extern "C" fn from_plugin(ctx: *mut c_void, frame: *mut Frame) -> i32 {
    let take = |frame: &Frame, body: &[u8], blob: Foreign| match GATE.get() {
        Some(gate) if ctx as usize == SLOT => gate.take(frame, body, blob.as_ref()),
        _ => rc::CLOSED,
    };
    // SAFETY: a pointer to a frame by contract.
    unsafe { received(frame, take) }
}
