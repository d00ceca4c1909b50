//! The three C functions behind a plugin's table, and the library's one tokio runtime.
//!
//! `export_plugin!` puts them into the table; authors never call them. No panic leaves a function
//! of this file, no future, waker or allocation of ours is ever touched by the host.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use gateway_plugin_abi::table::{FRAME_SIZE, HOST_API_SIZE};
use gateway_plugin_abi::{ABI_MAJOR, Foreign, Frame, HostApi, Owned, PluginApi, rc};
use tokio::runtime::{Builder, Runtime};

use crate::barrier::panic_text;
use crate::cx::HostLine;
use crate::dispatch::Dispatcher;
use crate::log;
use crate::manifest::API_MINOR;
use crate::message::Media;
use crate::surface::Surface;

/// A plugin's table over its surface; `WORKERS` threads for all its accounts.
pub const fn table<S: Surface, const WORKERS: usize>() -> PluginApi {
    PluginApi {
        size: size_of::<PluginApi>() as u32,
        abi_major: ABI_MAJOR,
        api_minor: API_MINOR,
        open: open::<S, WORKERS>,
        deliver: deliver::<S>,
        close: close::<S>,
    }
}

/// What the host's `*mut c_void` points at.
struct Instance<S> {
    dispatcher: Dispatcher<S>,
    host: Arc<HostSlot>,
}

/// The host's function for one instance; empty once closed. Readers are calls under way.
struct HostSlot(RwLock<Option<HostApi>>);

/// The line a dispatcher talks to.
struct ToHost(Arc<HostSlot>);

impl HostLine for ToHost {
    fn deliver(&self, kind: u32, id: u64, status: i32, body: &[u8], blob: Media) -> i32 {
        let host = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(host) = &*host else {
            return rc::CLOSED;
        };
        let mut frame = Frame::new(kind, id, status, body, Owned::blob(blob));
        // SAFETY: function and number are those the host gave to `open`, which keeps them good until
        // `close` has returned; `close` takes this lock for writing before it returns, so it waits
        // for us, and later calls find `None`. The frame lives on this stack for the call, its body
        // is borrowed for as long, and its blob moves to the host: nobody here uses it again.
        unsafe { (host.deliver)(host.ctx, &mut frame) }
    }
}

fn runtime(workers: usize) -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let build = || {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(workers.max(1))
            .thread_name("gw-plugin")
            .enable_all()
            .build()
            .ok()
    };
    RUNTIME.get_or_init(build).as_ref()
}

/// Runs `work` behind the barrier.
fn guarded(work: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        panic_text(payload);
        rc::PANIC
    })
}

unsafe extern "C" fn open<S: Surface, const WORKERS: usize>(
    host: *const HostApi,
    out: *mut *mut c_void,
) -> i32 {
    guarded(|| {
        // SAFETY: by contract null or a pointer to the host's table, readable for this call. Only
        // `size` and `abi_major` are looked at before `size` is known to cover the rest; the copy
        // below is made within the call.
        let Some(host) = (unsafe { host.as_ref() }) else {
            return rc::BAD_FRAME;
        };
        if out.is_null() {
            return rc::BAD_FRAME;
        }
        if host.abi_major != ABI_MAJOR || (host.size as usize) < HOST_API_SIZE {
            return rc::UNSUPPORTED;
        }
        let Some(runtime) = runtime(WORKERS) else {
            return rc::BUSY;
        };
        log::install();
        let host = Arc::new(HostSlot(RwLock::new(Some(*host))));
        let line = Box::new(ToHost(host.clone()));
        let dispatcher = Dispatcher::<S>::new(line, runtime.handle().clone());
        log::open(dispatcher.shared());
        let instance = Box::new(Instance { dispatcher, host });
        // SAFETY: not null (checked above), and by contract room for one pointer that the host gave
        // us to write. The box stays alive until `close` takes it back.
        unsafe { *out = Box::into_raw(instance).cast() };
        rc::OK
    })
}

unsafe extern "C" fn deliver<S: Surface>(instance: *mut c_void, frame: *mut Frame) -> i32 {
    guarded(|| {
        // SAFETY: null, or what `open::<S, _>` of this very table wrote: a leaked `Box<Instance<S>>`,
        // so the type is right; by contract not closed yet, and the host calls `close` only after
        // all calls of `deliver` have returned, so it stays alive. Shared: calls run side by side.
        let instance = unsafe { instance.cast::<Instance<S>>().as_ref() };
        // SAFETY: null, or by contract a frame that the host lends to this call alone: nobody else
        // reads or writes it meanwhile. A frame shorter than ours is refused before more is read.
        let (Some(instance), Some(frame)) = (instance, unsafe { frame.as_mut() }) else {
            return rc::BAD_FRAME;
        };
        if (frame.size as usize) < FRAME_SIZE {
            return rc::BAD_FRAME;
        }
        // SAFETY: the frame comes from the host by the rules of the boundary, at least as long as
        // ours (checked above): its blob is none, or readable bytes that are ours to release.
        let blob = unsafe { Foreign::take(frame) };
        let blob = if blob.is_empty() {
            Media::new()
        } else {
            Media::from_owner(blob)
        };
        // SAFETY: by contract `len` readable bytes for this call; `Dispatcher::deliver` copies what
        // it keeps, so the slice does not outlive it.
        let body = unsafe { frame.body.get() };
        instance
            .dispatcher
            .deliver(frame.kind, frame.id, frame.status, body, blob)
    })
}

unsafe extern "C" fn close<S: Surface>(instance: *mut c_void, _grace_ms: u32) -> i32 {
    guarded(|| {
        if instance.is_null() {
            return rc::BAD_FRAME;
        }
        // SAFETY: not null (checked above); what `open::<S, _>` of this very table leaked, of the same
        // type. By contract the host closes an instance once and calls nothing of it afterwards, so
        // we own the box and nobody holds a reference into it.
        let instance = unsafe { Box::from_raw(instance.cast::<Instance<S>>()) };
        log::close(instance.dispatcher.shared());
        instance.dispatcher.close();
        // Waits for calls under way; none can follow.
        *instance
            .host
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
        rc::OK
    })
}
