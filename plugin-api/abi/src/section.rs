//! What a plugin's file carries about itself, readable without mapping its code.

use std::mem::{offset_of, size_of};

/// Where it is in the file.
#[cfg(not(target_os = "macos"))]
pub const SECTION: &str = ".gwplug";
/// Where it is in the file.
#[cfg(target_os = "macos")]
pub const SECTION: &str = "__gwplug";

/// How it begins. The odd bytes show a file that went through a text conversion.
pub const MAGIC: [u8; 16] = *b"GWPLUGIN-ABI\0\r\n\x1a";

/// The head of the section; `json_len` bytes of `plugin.json` follow it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SectionHeader {
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// The plugin's ABI major.
    pub abi_major: u16,
    /// The message schema the plugin speaks.
    pub api_minor: u16,
    /// Reserved, 0.
    pub flags: u32,
    /// [`FINGERPRINT`] of the table it was built with.
    pub fingerprint: u64,
    /// How long the manifest is.
    pub json_len: u64,
}

/// The whole section of a manifest of `N` bytes.
#[repr(C)]
#[derive(Debug)]
pub struct Section<const N: usize> {
    /// Its head.
    pub header: SectionHeader,
    /// `plugin.json` as it is.
    pub json: [u8; N],
}

/// The size of the head in the file.
pub const HEADER_SIZE: usize = 40;

const _: () = {
    assert!(offset_of!(SectionHeader, abi_major) == 16 && offset_of!(SectionHeader, flags) == 20);
    assert!(offset_of!(SectionHeader, api_minor) == 18);
    assert!(offset_of!(SectionHeader, fingerprint) == 24);
    assert!(offset_of!(SectionHeader, json_len) == 32);
    assert!(size_of::<SectionHeader>() == HEADER_SIZE);
    assert!(offset_of!(Section<3>, json) == HEADER_SIZE);
};

impl SectionHeader {
    /// The head of a plugin built with this crate.
    pub const fn new(api_minor: u16, json_len: usize) -> Self {
        Self {
            magic: MAGIC,
            abi_major: crate::ABI_MAJOR,
            api_minor,
            flags: 0,
            fingerprint: FINGERPRINT,
            json_len: json_len as u64,
        }
    }

    /// Reads a head from a file's bytes; `None` if they are too few or do not begin right.
    /// Little-endian, as every machine the gateway runs on.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let magic: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
        if magic != MAGIC {
            return None;
        }
        Some(Self {
            magic,
            abi_major: u16::from_le_bytes(bytes.get(16..18)?.try_into().ok()?),
            api_minor: u16::from_le_bytes(bytes.get(18..20)?.try_into().ok()?),
            flags: u32::from_le_bytes(bytes.get(20..24)?.try_into().ok()?),
            fingerprint: u64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?),
            json_len: u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?),
        })
    }
}

/// The table in words. Written by hand: a compiler's rendering of types may change between
/// versions, these words may not.
pub const SPEC: &str = "gateway-plugin-abi/1\n\
    Slice{ptr:*u8,len:usize}\n\
    Blob{ptr:*u8,len:usize,owner:*void,release:fn(*void)}\n\
    Frame{size:u32,kind:u32,id:u64,flags:u32,status:i32,body:Slice,blob:Blob}\n\
    HostApi{size:u32,abi_major:u16,api_minor:u16,ctx:*void,deliver:fn(*void,*Frame)->i32}\n\
    PluginApi{size:u32,abi_major:u16,api_minor:u16,open:fn(*HostApi,**void)->i32,\
    deliver:fn(*void,*Frame)->i32,close:fn(*void,u32)->i32}\n\
    kind{REQUEST=1,CANCEL=2,RESPONSE=3,CREDIT=4,EVENT=5,LOG=6,FATAL=7}\n\
    rc{OK=0,BUSY=-1,CLOSED=-2,BAD_FRAME=-3,PANIC=-4,UNSUPPORTED=-5}\n";

/// [`SPEC`] as a number: two sides with the same number mean the same table.
pub const FINGERPRINT: u64 = fnv1a(SPEC.as_bytes());

const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_is_the_published_function() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_fingerprint_of_abi_1_never_changes() {
        assert_eq!(FINGERPRINT, 0xf9f8_1cee_d770_bbfe, "{FINGERPRINT:#018x}");
    }

    #[test]
    fn a_header_reads_back_and_nothing_else_does() {
        let header = SectionHeader::new(7, 5);
        // SAFETY: both have `HEADER_SIZE` bytes (asserted above), and a `repr(C)` struct of numbers
        // whose fields fill it without padding has no byte that is not initialised.
        let bytes: [u8; HEADER_SIZE] = unsafe { std::mem::transmute(header) };
        let read = SectionHeader::read(&bytes).expect("a header");
        assert_eq!((read.abi_major, read.api_minor, read.json_len), (1, 7, 5));
        assert_eq!(read.fingerprint, FINGERPRINT);
        for cut in 0..HEADER_SIZE {
            assert!(
                SectionHeader::read(&bytes[..cut]).is_none(),
                "{cut} bytes are no header"
            );
        }
        let mut other = bytes;
        other[13] = b'\n';
        assert!(SectionHeader::read(&other).is_none());
    }
}
