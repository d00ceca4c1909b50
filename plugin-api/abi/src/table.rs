//! The C types of the boundary, with their offsets held by compile-time assertions.

use std::ffi::c_void;
use std::mem::{offset_of, size_of};

use abi_stable::StableAbi;

/// Borrowed bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Slice {
    /// Where they begin; may be null when `len` is 0.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
}

impl Slice {
    /// No bytes.
    pub const EMPTY: Slice = Slice {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// These bytes, good for as long as they are.
    pub fn of(bytes: &[u8]) -> Slice {
        Slice {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` must point at `len` readable bytes that stay unchanged for `'a`, or be null.
    pub unsafe fn get<'a>(&self) -> &'a [u8] {
        if self.ptr.is_null() || self.len == 0 || self.len > isize::MAX as usize {
            return &[];
        }
        // SAFETY: not null and at most `isize::MAX` long (checked above), aligned because bytes need
        // no alignment; the caller vouches that `len` bytes are readable and unchanged for `'a`.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// Owned bytes in the memory of the side that made them. The receiver calls `release` once.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Blob {
    /// Where they begin.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
    /// What `release` is given.
    pub owner: *mut c_void,
    /// Frees them; absent for no bytes.
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void)>,
}

impl Blob {
    /// No bytes.
    pub const NONE: Blob = Blob {
        ptr: std::ptr::null(),
        len: 0,
        owner: std::ptr::null_mut(),
        release: None,
    };
}

/// One message across the boundary.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Frame {
    /// The writer's size of this struct.
    pub size: u32,
    /// One of [`kind`](crate::kind).
    pub kind: u32,
    /// Which request, or how many credits.
    pub id: u64,
    /// Reserved, 0.
    pub flags: u32,
    /// Of a RESPONSE: 0 success, 1 an error body.
    pub status: i32,
    /// JSON, borrowed for the call.
    pub body: Slice,
    /// Bytes beside it, moved to the receiver.
    pub blob: Blob,
}

impl Frame {
    /// A frame over a borrowed body.
    pub fn new(kind: u32, id: u64, status: i32, body: &[u8], blob: Blob) -> Frame {
        Frame {
            size: size_of::<Frame>() as u32,
            kind,
            id,
            flags: 0,
            status,
            body: Slice::of(body),
            blob,
        }
    }
}

/// Hands a frame to the other side.
pub type DeliverFn = unsafe extern "C" fn(ctx: *mut c_void, frame: *mut Frame) -> i32;

/// What the host gives to an instance.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct HostApi {
    /// The writer's size of this struct.
    pub size: u32,
    /// The host's ABI major.
    pub abi_major: u16,
    /// The message schema the host speaks.
    pub api_minor: u16,
    /// The instance's number; to be given back as it is.
    pub ctx: *mut c_void,
    /// Takes the plugin's frames.
    pub deliver: unsafe extern "C" fn(ctx: *mut c_void, frame: *mut Frame) -> i32,
}

/// What a plugin gives to the host.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct PluginApi {
    /// The writer's size of this struct.
    pub size: u32,
    /// The plugin's ABI major.
    pub abi_major: u16,
    /// The message schema the plugin speaks.
    pub api_minor: u16,
    /// Makes an instance; `host` is borrowed for the call.
    pub open: unsafe extern "C" fn(host: *const HostApi, out: *mut *mut c_void) -> i32,
    /// Takes the host's frames.
    pub deliver: unsafe extern "C" fn(instance: *mut c_void, frame: *mut Frame) -> i32,
    /// Ends an instance.
    pub close: unsafe extern "C" fn(instance: *mut c_void, grace_ms: u32) -> i32,
}

// SAFETY: a table of numbers and function pointers, copied whole. `ctx` is a number in a pointer's
// clothes: a plugin hands it back and never follows it, and the host looks it up in a table behind a
// lock. `deliver` may be called from any thread by contract.
unsafe impl Send for HostApi {}
// SAFETY: as above; nothing in it can be changed through a shared reference.
unsafe impl Sync for HostApi {}

/// A plugin's only function by name: pure, returns a static.
pub type EntryFn = unsafe extern "C" fn() -> *const PluginApi;

/// How much of each table ABI 1 promises; a later minor may append, never shorten.
pub const HOST_API_SIZE: usize = 24;
/// See [`HOST_API_SIZE`].
pub const PLUGIN_API_SIZE: usize = 32;
/// See [`HOST_API_SIZE`].
pub const FRAME_SIZE: usize = 72;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the plugin boundary is defined for 64-bit machines");

const _: () = {
    assert!(offset_of!(Slice, ptr) == 0 && offset_of!(Slice, len) == 8 && size_of::<Slice>() == 16);
    assert!(offset_of!(Blob, ptr) == 0 && offset_of!(Blob, len) == 8);
    assert!(offset_of!(Blob, owner) == 16 && offset_of!(Blob, release) == 24);
    assert!(size_of::<Blob>() == 32);
    assert!(offset_of!(Frame, size) == 0 && offset_of!(Frame, kind) == 4);
    assert!(offset_of!(Frame, id) == 8 && offset_of!(Frame, flags) == 16);
    assert!(offset_of!(Frame, status) == 20 && offset_of!(Frame, body) == 24);
    assert!(offset_of!(Frame, blob) == 40 && size_of::<Frame>() == FRAME_SIZE);
    assert!(offset_of!(HostApi, size) == 0 && offset_of!(HostApi, abi_major) == 4);
    assert!(offset_of!(HostApi, api_minor) == 6 && offset_of!(HostApi, ctx) == 8);
    assert!(offset_of!(HostApi, deliver) == 16 && size_of::<HostApi>() == HOST_API_SIZE);
    assert!(offset_of!(PluginApi, size) == 0 && offset_of!(PluginApi, abi_major) == 4);
    assert!(offset_of!(PluginApi, api_minor) == 6 && offset_of!(PluginApi, open) == 8);
    assert!(offset_of!(PluginApi, deliver) == 16 && offset_of!(PluginApi, close) == 24);
    assert!(size_of::<PluginApi>() == PLUGIN_API_SIZE);
};
