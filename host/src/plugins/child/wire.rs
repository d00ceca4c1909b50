//! The frames of the plugin boundary as bytes on a socket: the one place that knows the layout.
//! Written and read by both ends, `socket` in the gateway and `runner` in the plugin's process,
//! which are always the same program.
//!
//! A frame is a header, its body (JSON) and its blob, one after the other. The header mirrors
//! `abi::Frame`; every number is little-endian:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | size of this header, 40 |
//! | 4 | 4 | kind: one of `abi::kind`, or of [`own`] |
//! | 8 | 8 | id: which request, or how many credits |
//! | 16 | 4 | flags, 0 |
//! | 20 | 4 | status of a RESPONSE, signed |
//! | 24 | 8 | bytes of the body |
//! | 32 | 8 | bytes of the blob |
//!
//! A header that says more than the limits allow ends the connection. Memory is taken for what
//! has arrived, never for what a header announces.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{PLUGIN_BLOB_BYTES_MAX, PLUGIN_BODY_BYTES_MAX, PLUGIN_SOCKET_READ_BYTES};

/// Bytes of a header.
pub(super) const HEADER: usize = 40;

/// Kinds that never reach a plugin: what the gateway and the plugin's process have to say to each
/// other. Far above those of the boundary, which a plugin may use.
pub(super) mod own {
    /// To the child, first of all: what to load and within which limits ([`Setup`](super::Setup)).
    pub(in crate::plugins::child) const SETUP: u32 = 0x100;
    /// To the gateway: the instance is open. The body is [`Ready`](super::Ready).
    pub(in crate::plugins::child) const READY: u32 = 0x101;
    /// To the gateway, last of all: it cannot be opened. The body is the reason as text.
    pub(in crate::plugins::child) const REFUSED: u32 = 0x102;
    /// To the gateway: `id` frames of the plugin were refused on its side with code `status`.
    pub(in crate::plugins::child) const NOTICE: u32 = 0x103;
}

/// What the child is told before all else.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Setup {
    /// The version of the program, which must be the child's own.
    pub(super) version: String,
    /// The gateway's process: the child ends with it.
    pub(super) parent: u32,
    /// The kept copy of the library.
    pub(super) library: std::path::PathBuf,
    /// Memory of its own it may use, bytes.
    pub(super) memory: u64,
    /// The only ports it may connect to, if it is not free to.
    pub(super) tcp_ports: Option<Vec<u16>>,
}

/// How the child is confined.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Ready {
    /// What holds it, in words; such as `landlock 7, seccomp`.
    pub(super) confined: String,
    /// What this system could not do, if anything.
    pub(super) lacking: Option<String>,
}

/// A header's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u32,
    pub(super) id: u64,
    pub(super) status: i32,
    pub(super) body: usize,
    pub(super) blob: usize,
}

/// What no end of ours would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WireError {
    /// Another header than ours.
    Size(u32),
    /// More than a frame may hold.
    TooLarge { body: u64, blob: u64 },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => write!(f, "a frame header of {size} bytes, ours has {HEADER}"),
            Self::TooLarge { body, blob } => write!(
                f,
                "a frame with a body of {body} and a blob of {blob} bytes, at most \
                 {PLUGIN_BODY_BYTES_MAX} and {PLUGIN_BLOB_BYTES_MAX}"
            ),
        }
    }
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..4].copy_from_slice(&(HEADER as u32).to_le_bytes());
        out[4..8].copy_from_slice(&self.kind.to_le_bytes());
        out[8..16].copy_from_slice(&self.id.to_le_bytes());
        out[20..24].copy_from_slice(&self.status.to_le_bytes());
        out[24..32].copy_from_slice(&(self.body as u64).to_le_bytes());
        out[32..40].copy_from_slice(&(self.blob as u64).to_le_bytes());
        out
    }

    /// Reads a header from the front of `bytes`; `None` if there is not a whole one.
    fn decode(bytes: &[u8]) -> Result<Option<Header>, WireError> {
        if bytes.len() < HEADER {
            return Ok(None);
        }
        let mut bytes = bytes;
        let size = bytes.get_u32_le();
        if size as usize != HEADER {
            return Err(WireError::Size(size));
        }
        let (kind, id, _flags) = (bytes.get_u32_le(), bytes.get_u64_le(), bytes.get_u32_le());
        let (status, body, blob) = (bytes.get_i32_le(), bytes.get_u64_le(), bytes.get_u64_le());
        if body > PLUGIN_BODY_BYTES_MAX as u64 || blob > PLUGIN_BLOB_BYTES_MAX as u64 {
            return Err(WireError::TooLarge { body, blob });
        }
        let (body, blob) = (body as usize, blob as usize);
        Ok(Some(Header {
            kind,
            id,
            status,
            body,
            blob,
        }))
    }
}

/// One whole frame.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) header: Header,
    pub(super) body: BytesMut,
    pub(super) blob: Bytes,
}

/// Bytes as they come in, cut into frames.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    buffer: BytesMut,
    /// Bytes of the frame at the front, once its header is here.
    wanted: usize,
}

impl Incoming {
    /// The place for the next bytes: at least one page of room, at most twice what is here.
    pub(super) fn space(&mut self) -> &mut BytesMut {
        let missing = self.wanted.saturating_sub(self.buffer.len());
        let most = self.buffer.len().max(PLUGIN_SOCKET_READ_BYTES);
        self.buffer
            .reserve(missing.clamp(PLUGIN_SOCKET_READ_BYTES / 4, most));
        &mut self.buffer
    }

    /// The header at the front, as soon as it is here.
    pub(super) fn peek(&self) -> Result<Option<Header>, WireError> {
        Header::decode(&self.buffer)
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Received>, WireError> {
        let Some(header) = self.peek()? else {
            self.wanted = 0;
            return Ok(None);
        };
        self.wanted = HEADER + header.body + header.blob;
        if self.buffer.len() < self.wanted {
            return Ok(None);
        }
        let large = self.wanted > PLUGIN_SOCKET_READ_BYTES;
        self.wanted = 0;
        self.buffer.advance(HEADER);
        let body = self.buffer.split_to(header.body);
        let blob = if large {
            self.buffer.split_to(header.blob).freeze()
        } else {
            // Copied, or a few bytes would keep the whole buffer alive.
            let blob = Bytes::copy_from_slice(&self.buffer[..header.blob]);
            self.buffer.advance(header.blob);
            blob
        };
        if large {
            // What follows gets a buffer of its own: the large one goes when its frame does.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Ok(Some(Received { header, body, blob }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn frame(kind: u32, id: u64, body: &[u8], blob: &[u8]) -> Vec<u8> {
        let header = Header {
            kind,
            id,
            status: -3,
            body: body.len(),
            blob: blob.len(),
        };
        [&header.encode()[..], body, blob].concat()
    }

    #[test]
    fn the_layout_never_moves() {
        let bytes = frame(5, 0x0102_0304_0506_0708, b"{}", b"x");
        let expected = [
            40, 0, 0, 0, 5, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 253, 255, 255, 255, 2, 0,
            0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'{', b'}', b'x',
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn frames_come_out_however_they_come_in() {
        let large = vec![7; 3 * PLUGIN_SOCKET_READ_BYTES];
        let stream = [
            frame(1, 1, b"{\"op\":\"ping\"}", b""),
            frame(5, 2, b"", &large),
            frame(3, 3, b"[]", b"blob"),
        ]
        .concat();
        for step in [1, 39, 41, 1_000, stream.len()] {
            let mut incoming = Incoming::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(step) {
                incoming.space().extend_from_slice(piece);
                while let Some(frame) = incoming.next().unwrap() {
                    seen.push((frame.header.id, frame.body.len(), frame.blob));
                }
            }
            assert_eq!(seen.len(), 3, "in steps of {step}");
            assert_eq!((seen[0].0, seen[0].1), (1, 13));
            assert_eq!(seen[1].2, large);
            assert_eq!((seen[2].0, &seen[2].2[..]), (3, &b"blob"[..]));
        }
    }

    #[test]
    fn lies_are_refused_and_announcements_cost_nothing() {
        let mut incoming = Incoming::default();
        incoming.space().extend_from_slice(&[39; HEADER]);
        assert!(matches!(incoming.next(), Err(WireError::Size(_))));

        let mut header = frame(5, 1, b"", b"");
        header[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        let mut incoming = Incoming::default();
        incoming.space().extend_from_slice(&header);
        let told = incoming.next().unwrap_err().to_string();
        assert!(told.contains("at most 1048576 and 67108864"), "{told}");

        header[32..40].copy_from_slice(&(PLUGIN_BLOB_BYTES_MAX as u64).to_le_bytes());
        let mut incoming = Incoming::default();
        incoming.space().extend_from_slice(&header);
        assert!(incoming.next().unwrap().is_none());
        assert!(incoming.space().capacity() < 4 * PLUGIN_SOCKET_READ_BYTES);
    }

    /// Whatever comes in: no panic, and no more memory than came in.
    #[test]
    fn any_bytes_are_frames_or_an_error() {
        let mut seed = 7_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..20_000 {
            let mut bytes = frame(5, random(), b"{\"a\":1}", b"blob");
            for _ in 0..random() % 4 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
            let mut incoming = Incoming::default();
            incoming.space().extend_from_slice(&bytes);
            while let Ok(Some(frame)) = incoming.next() {
                assert!(frame.body.len() + frame.blob.len() < bytes.len());
            }
        }
    }
}
