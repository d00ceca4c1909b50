//! The two directions of an instance's line: calls into the plugin's table, and the one C function
//! plugins call. Used by `instance`; all that is unsafe about a running instance is here.
//!
//! Promises: a plugin's number that we do not know is answered `CLOSED`, never followed; no panic
//! of ours reaches the plugin; after [`Line::close`] neither side calls the other.
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

use super::intake::Intake;

/// Open instances by the number their plugin knows them by. A number is never used twice.
static SLOTS: LazyLock<RwLock<HashMap<usize, Arc<Intake>>>> = LazyLock::new(RwLock::default);
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(1);

/// The way from the host into one instance.
pub(super) struct Line {
    table: &'static PluginApi,
    /// The plugin's own handle; `None` once closed. Readers are calls under way.
    instance: RwLock<Option<Handle>>,
    slot: usize,
}

struct Handle(*mut c_void);
// SAFETY: the contract lets the host call an instance from any thread; we never look behind it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Line {
    /// Opens an instance whose frames go to `intake`. On failure: the plugin's code.
    pub(super) fn open(table: &'static PluginApi, intake: Arc<Intake>) -> Result<Line, i32> {
        let slot = NEXT_SLOT.fetch_add(1, Ordering::Relaxed);
        SLOTS
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(slot, intake);
        let host = HostApi {
            size: size_of::<HostApi>() as u32,
            abi_major: ABI_MAJOR,
            api_minor: API_MINOR,
            ctx: slot as *mut c_void,
            deliver: from_plugin,
        };
        let mut instance = std::ptr::null_mut();
        // SAFETY: the table passed the layout check; both pointers are good for the call.
        let code = unsafe { (table.open)(&host, &mut instance) };
        if code != rc::OK || instance.is_null() {
            forget_slot(slot);
            return Err(if code == rc::OK { rc::BAD_FRAME } else { code });
        }
        Ok(Line {
            table,
            instance: RwLock::new(Some(Handle(instance))),
            slot,
        })
    }

    /// Hands a frame to the plugin and gives its answer.
    pub(super) fn deliver(&self, kind: u32, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32 {
        let instance = self.instance.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Handle(instance)) = &*instance else {
            return rc::CLOSED;
        };
        let mut frame = Frame::new(kind, id, status, body, Owned::blob(blob));
        // SAFETY: the instance is open as long as the lock is read; the frame lives for the call,
        // and the blob is the plugin's from here on.
        unsafe { (self.table.deliver)(*instance, &mut frame) }
    }

    /// Ends the instance; waits for calls under way. Never called from within a plugin's call.
    pub(super) fn close(&self, grace_ms: u32) {
        let instance = self
            .instance
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Handle(instance)) = instance {
            // SAFETY: taken out under the lock, so this is the last use of the handle.
            unsafe { (self.table.close)(instance, grace_ms) };
            forget_slot(self.slot);
        }
    }
}

impl Drop for Line {
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
        let blob = if blob.is_empty() {
            Bytes::new()
        } else {
            Bytes::from_owner(blob)
        };
        let intake = {
            let slots = SLOTS.read().unwrap_or_else(PoisonError::into_inner);
            slots.get(&(ctx as usize)).cloned()
        };
        let Some(intake) = intake else {
            return rc::CLOSED;
        };
        // SAFETY: borrowed for this call by contract.
        let body = unsafe { frame.body.get() };
        intake.take(frame.kind, frame.id, frame.status, body, blob)
    }));
    taken.unwrap_or_else(|payload| {
        Box::leak(payload);
        rc::PANIC
    })
}
