//! The line to a plugin in this process: calls into its table, and the one C function it calls.
//! All that is unsafe about a running instance is here; `child::runner` uses the same pieces.
//!
//! Promises: a plugin's number that we do not know is answered `CLOSED`, never followed; no panic
//! of ours reaches the plugin; after `close` neither side calls the other.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use bytes::Bytes;
use gateway_plugin::abi::table::FRAME_SIZE;
use gateway_plugin::abi::{ABI_MAJOR, Foreign, Frame, HostApi, Owned, PluginApi, rc};
use gateway_plugin::manifest::API_MINOR;

use super::Line;
use crate::plugins::intake::Intake;

/// Open instances by the number their plugin knows them by. A number is never used twice.
static SLOTS: LazyLock<RwLock<HashMap<usize, Arc<Intake>>>> = LazyLock::new(RwLock::default);
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(1);

/// The way from the host into one instance.
pub(in crate::plugins) struct Table {
    table: &'static PluginApi,
    /// The plugin's own handle; `None` once closed. Readers are calls under way.
    instance: RwLock<Option<Handle>>,
    slot: usize,
}

/// A plugin's own handle of an instance.
pub(in crate::plugins) struct Handle(*mut c_void);
// SAFETY: the contract lets the host call an instance from any thread; we never look behind it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Hands over one frame; its blob is the plugin's from here on.
    pub(in crate::plugins) fn deliver(&self, table: &PluginApi, frame: &mut Frame) -> i32 {
        // SAFETY: the plugin made the handle, and `close` takes it, so it is open; the frame lives
        // for the call.
        unsafe { (table.deliver)(self.0, frame) }
    }

    /// Ends the instance.
    pub(in crate::plugins) fn close(self, table: &PluginApi, grace_ms: u32) {
        // SAFETY: the handle is used up by this.
        unsafe { (table.close)(self.0, grace_ms) };
    }
}

/// Asks a plugin for an instance that knows us by `slot`. On failure: the plugin's code.
pub(in crate::plugins) fn instance_of(
    table: &PluginApi,
    slot: usize,
    deliver: unsafe extern "C" fn(*mut c_void, *mut Frame) -> i32,
) -> Result<Handle, i32> {
    let host = HostApi {
        size: size_of::<HostApi>() as u32,
        abi_major: ABI_MAJOR,
        api_minor: API_MINOR,
        ctx: slot as *mut c_void,
        deliver,
    };
    let mut instance = std::ptr::null_mut();
    // SAFETY: the table was checked when it was loaded; both pointers are good for the call.
    let code = unsafe { (table.open)(&host, &mut instance) };
    match code {
        rc::OK if !instance.is_null() => Ok(Handle(instance)),
        rc::OK => Err(rc::BAD_FRAME),
        code => Err(code),
    }
}

impl Table {
    /// Opens an instance whose frames go to `intake`. On failure: the plugin's code.
    pub(in crate::plugins) fn open(
        table: &'static PluginApi,
        intake: Arc<Intake>,
    ) -> Result<Table, i32> {
        let slot = NEXT_SLOT.fetch_add(1, Ordering::Relaxed);
        SLOTS
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(slot, intake);
        let handle = instance_of(table, slot, from_plugin).inspect_err(|_| forget_slot(slot))?;
        Ok(Table {
            table,
            instance: RwLock::new(Some(handle)),
            slot,
        })
    }
}

impl Line for Table {
    fn deliver(&self, kind: u32, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32 {
        // The instance is open as long as the lock is read.
        let instance = self.instance.read().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = &*instance else {
            return rc::CLOSED;
        };
        handle.deliver(
            self.table,
            &mut Frame::new(kind, id, status, body, Owned::blob(blob)),
        )
    }

    fn close(&self, grace_ms: u32) {
        let instance = self
            .instance
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(handle) = instance {
            handle.close(self.table, grace_ms);
            forget_slot(self.slot);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.close(0);
    }
}

fn forget_slot(slot: usize) {
    SLOTS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&slot);
}

/// What plugins call. Copies what it keeps, never blocks.
unsafe extern "C" fn from_plugin(ctx: *mut c_void, frame: *mut Frame) -> i32 {
    let take = |frame: &Frame, body: &[u8], blob: Foreign| {
        let intake = {
            let slots = SLOTS.read().unwrap_or_else(PoisonError::into_inner);
            slots.get(&(ctx as usize)).cloned()
        };
        let Some(intake) = intake else {
            return rc::CLOSED;
        };
        let blob = if blob.is_empty() {
            Bytes::new()
        } else {
            Bytes::from_owner(blob)
        };
        intake.take(frame.kind, frame.id, frame.status, body, blob)
    };
    // SAFETY: a pointer to a frame by contract.
    unsafe { received(frame, take) }
}

/// Reads a plugin's frame and gives it to `take`, behind the barrier: no panic leaves it.
///
/// # Safety
/// `frame` must be null or point at a frame by the rules of the boundary.
pub(in crate::plugins) unsafe fn received(
    frame: *mut Frame,
    take: impl FnOnce(&Frame, &[u8], Foreign) -> i32,
) -> i32 {
    let taken = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: a pointer to a frame by contract; null and short ones are refused.
        let Some(frame) = (unsafe { frame.as_mut() }) else {
            return rc::BAD_FRAME;
        };
        if (frame.size as usize) < FRAME_SIZE {
            return rc::BAD_FRAME;
        }
        // SAFETY: the frame is the other side's and moves its blob to us.
        let blob = unsafe { Foreign::take(frame) };
        // SAFETY: borrowed for this call by contract.
        let body = unsafe { frame.body.get() };
        take(frame, body, blob)
    }));
    taken.unwrap_or_else(|payload| {
        Box::leak(payload);
        rc::PANIC
    })
}
