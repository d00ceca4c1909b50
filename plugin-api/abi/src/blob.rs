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
                // SAFETY: `owner` is the box leaked below; the contract says once.
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

// SAFETY: the contract makes a blob's bytes immutable and its `release` callable from any thread.
unsafe impl Send for Foreign {}
// SAFETY: as above; only shared reads are possible.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// Takes the blob out of a frame and leaves none.
    ///
    /// # Safety
    /// The frame must come from the other side by the rules of the boundary.
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
        // SAFETY: the blob is ours until released, and nobody writes to it.
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
            // SAFETY: called once, here; the blob is not used afterwards.
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
