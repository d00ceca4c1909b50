//! Owned bytes across the boundary without a copy.
//!
//! [`Owned`] turns any owner of bytes into a [`Blob`]; [`Foreign`] is a received one, released
//! when dropped. Both are safe to use; taking a blob out of a frame is not.

use std::ffi::c_void;

use crate::table::{Blob, Frame, Slice};

/// Makes blobs out of this side's memory.
#[derive(Debug)]
pub struct Owned;

impl Owned {
    /// A blob that keeps `owner` alive until the other side releases it.
    pub fn blob<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Blob {
        unsafe extern "C" fn release<T>(owner: *mut c_void) {
            let drop = std::panic::AssertUnwindSafe(|| {
                // SAFETY: `release::<T>` is stored beside the pointer that `Box::into_raw` gave for
                // a `Box<T>` of the same `T` (below), so the cast restores the type it was made
                // with. The contract lets the receiver call it once, so the box is not freed twice;
                // `T: Send` allows that on another thread.
                drop(unsafe { Box::from_raw(owner.cast::<T>()) });
            });
            if let Err(payload) = std::panic::catch_unwind(drop) {
                // Its own destructor may panic too.
                Box::leak(payload);
            }
        }
        let owner = Box::new(owner);
        let bytes: &[u8] = (*owner).as_ref();
        if bytes.is_empty() {
            return Blob::NONE;
        }
        let (ptr, len) = (bytes.as_ptr(), bytes.len());
        Blob {
            ptr,
            len,
            owner: Box::into_raw(owner).cast(),
            release: Some(release::<T>),
        }
    }
}

/// Bytes of the other side, given back when dropped.
#[derive(Debug)]
pub struct Foreign(Blob);

// SAFETY: the raw pointers are only read through (`as_ref`) and handed back (`drop`). The contract
// says that nobody writes to a blob's bytes until it is released and that `release` may be called
// from any thread; `Owned::blob` keeps both by asking for `T: Send + Sync`.
unsafe impl Send for Foreign {}
// SAFETY: as above; a shared `Foreign` only allows shared reads of bytes that nobody writes to, and
// `release` takes part only in `drop`, which needs the value itself.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// Takes the blob out of a frame and leaves none.
    ///
    /// # Safety
    /// The frame must come from the other side by the rules of the boundary: its blob is either
    /// [`Blob::NONE`] or `len` readable bytes at `ptr` that stay unchanged until `release(owner)`,
    /// which was not called yet and may be called from any thread.
    pub unsafe fn take(frame: &mut Frame) -> Foreign {
        Foreign(std::mem::replace(&mut frame.blob, Blob::NONE))
    }

    /// Are there no bytes?
    pub fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }
}

impl AsRef<[u8]> for Foreign {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: whoever made this `Foreign` with `take` vouched for `ptr` and `len`; the bytes are
        // readable and unchanged until `release`, which only `drop` calls, so they outlive the
        // borrow of `self` that the slice is tied to.
        unsafe {
            Slice {
                ptr: self.0.ptr,
                len: self.0.len,
            }
            .get()
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: `take` moved the blob out of its frame and left none there, a `Foreign` cannot
            // be copied, and `drop` runs once: this is the one call. No slice of it is left, for
            // each borrows `self`.
            unsafe { release(self.0.owner) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Counted(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn bytes_cross_without_a_copy_and_are_released_once() {
        let released = Arc::new(AtomicUsize::new(0));
        let bytes = vec![1, 2, 3];
        let address = bytes.as_ptr();
        let mut frame = Frame::new(1, 0, 0, b"", Owned::blob(Counted(bytes, released.clone())));
        // SAFETY: a frame of our own making.
        let received = unsafe { Foreign::take(&mut frame) };
        assert_eq!(received.as_ref(), [1, 2, 3]);
        assert_eq!(received.as_ref().as_ptr(), address);
        assert!(frame.blob.release.is_none(), "nothing is left in the frame");
        assert_eq!(released.load(Ordering::SeqCst), 0);
        drop(received);
        assert_eq!(released.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn no_bytes_need_no_release() {
        assert!(Owned::blob(Vec::new()).release.is_none());
    }
}
