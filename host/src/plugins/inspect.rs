//! Reads what a plugin says about itself from its file's bytes. Nothing of the plugin runs and
//! nothing is mapped; the bytes may be anything.
//!
//! Used before every load and by `openclaw plugins inspect`. Of a file only the parts that are
//! looked at are read, and of a hostile one not more than a bound.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use gateway_plugin::abi::section::HEADER_SIZE;
use gateway_plugin::abi::{ABI_MAJOR, ENTRY_SYMBOL, FINGERPRINT, MAGIC, SECTION, SectionHeader};
use gateway_plugin::manifest::{API_MINOR, Manifest, parse_api};
use object::read::{ReadCache, ReadRef};
use object::{Architecture, BinaryFormat, Object, ObjectSection, ObjectSymbol};
use serde::Serialize;

use super::{Refusal, library};
use crate::limits::INSPECT_BYTES_MAX;

/// What a file tells.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspected {
    /// What it says about itself.
    pub manifest: Manifest,
    /// The boundary it was built for.
    pub abi_major: u16,
    /// The message schema its SDK speaks.
    pub api_minor: u16,
    /// The machine it was built for: `x86_64-linux`.
    pub target: String,
    /// The compiler that made it, if it left its name.
    pub compiler: Option<String>,
    /// The oldest glibc it runs on.
    pub glibc: Option<String>,
    /// Does it need static thread-local storage? The system may have none left to give.
    pub static_tls: bool,
}

/// For whom a file is inspected.
#[derive(Debug, Clone, Copy)]
enum Host<'a> {
    /// This machine, with this glibc if it has one.
    Here(Option<&'a str>),
    /// Some other: a registry holds files for many.
    Anywhere,
}

/// Inspects a file's bytes.
///
/// # Errors
/// Why it cannot be loaded by this gateway, with both numbers and the fix.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, Refusal> {
    inspect_for(bytes, library::glibc_version())
}

/// Inspects a file; most of a large one stays unread.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_file(file: &File) -> Result<Inspected, Refusal> {
    let parts = ReadCache::new(Parts::of(file));
    examine(&parts, Host::Here(library::glibc_version()))
}

/// Inspects a file that need not be for this machine.
///
/// # Errors
/// As [`inspect`], without what only concerns the machine.
pub fn inspect_for_any(file: &File) -> Result<Inspected, Refusal> {
    examine(&ReadCache::new(Parts::of(file)), Host::Anywhere)
}

pub(super) fn inspect_for(bytes: &[u8], host_glibc: Option<&str>) -> Result<Inspected, Refusal> {
    examine(bytes, Host::Here(host_glibc))
}

/// This machine, as [`Inspected::target`] says it.
pub fn this_target() -> String {
    let (format, architecture) = ours();
    target_name(format, architecture)
}

/// A file of which only so many bytes are read: what is read is kept while it is looked at.
struct Parts<'a> {
    file: &'a File,
    left: usize,
}

impl<'a> Parts<'a> {
    fn of(file: &'a File) -> Parts<'a> {
        let left = INSPECT_BYTES_MAX;
        Parts { file, left }
    }
}

impl Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(buffer.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.read(buffer)
    }
}

impl Seek for Parts<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn examine<'data, R: ReadRef<'data>>(data: R, host: Host<'_>) -> Result<Inspected, Refusal> {
    let file = object::File::parse(data)
        .map_err(|e| Refusal::NotALibrary(format!("{e}").to_lowercase()))?;
    let kind = file.kind();
    if kind != object::ObjectKind::Dynamic {
        return Err(Refusal::NotALibrary(
            format!("it is of kind {kind:?}").to_lowercase(),
        ));
    }
    if let Host::Here(_) = host {
        target(&file)?;
    }
    let (header, manifest) = own_section(&file)?;
    let entry = ENTRY_SYMBOL.as_bytes();
    if !file
        .dynamic_symbols()
        .any(|s| s.is_definition() && s.name_bytes() == Ok(entry))
    {
        return Err(Refusal::Damaged(format!(
            "it does not export {ENTRY_SYMBOL}"
        )));
    }
    let glibc = glibc_floor(&file);
    if let (Some(needed), Host::Here(Some(has))) = (&glibc, host)
        && version(needed) > version(has)
    {
        return Err(Refusal::Glibc {
            needed: needed.clone(),
            has: has.to_owned(),
        });
    }
    Ok(Inspected {
        manifest,
        abi_major: header.abi_major,
        api_minor: header.api_minor,
        target: target_name(file.format(), file.architecture()),
        compiler: compiler(&file),
        glibc,
        static_tls: static_tls(data),
    })
}

/// What the plugin's own section says.
fn own_section<'data, R: ReadRef<'data>>(
    file: &object::File<'data, R>,
) -> Result<(SectionHeader, Manifest), Refusal> {
    let section = file.section_by_name(SECTION).ok_or(Refusal::NotAPlugin)?;
    let data = section
        .data()
        .map_err(|e| Refusal::Damaged(e.to_string()))?;
    let header = SectionHeader::read(data).ok_or_else(|| {
        Refusal::Damaged(format!(
            "section {SECTION} does not begin with {:?}",
            MAGIC.escape_ascii().to_string()
        ))
    })?;
    let json = usize::try_from(header.json_len)
        .ok()
        .and_then(|len| data.get(HEADER_SIZE..)?.get(..len))
        .ok_or_else(|| Refusal::Damaged("the manifest is cut off".to_owned()))?;
    // The numbers before the words: another ABI's manifest may read in another way.
    if header.abi_major != ABI_MAJOR {
        return Err(Refusal::Abi {
            plugin: header.abi_major,
            host: ABI_MAJOR,
        });
    }
    if header.fingerprint != FINGERPRINT {
        return Err(Refusal::Fingerprint {
            plugin: header.fingerprint,
            host: FINGERPRINT,
        });
    }
    Ok((header, manifest(json)?))
}

fn ours() -> (BinaryFormat, Architecture) {
    let architecture = if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    };
    let format = if cfg!(target_os = "macos") {
        BinaryFormat::MachO
    } else {
        BinaryFormat::Elf
    };
    (format, architecture)
}

fn target_name(format: BinaryFormat, architecture: Architecture) -> String {
    let system = match format {
        BinaryFormat::Elf => "linux",
        BinaryFormat::MachO => "macos",
        _ => "other",
    };
    format!("{architecture:?}-{system}").to_lowercase()
}

fn target<'data, R: ReadRef<'data>>(file: &object::File<'data, R>) -> Result<(), Refusal> {
    let (format, architecture) = ours();
    if (file.format(), file.architecture()) == (format, architecture) {
        return Ok(());
    }
    Err(Refusal::OtherMachine {
        plugin: format!("{:?} {:?}", file.format(), file.architecture()),
        host: format!("{format:?} {architecture:?}"),
    })
}

fn manifest(json: &[u8]) -> Result<Manifest, Refusal> {
    let manifest: Manifest = serde_json::from_slice(json)
        .map_err(|e| Refusal::Manifest(vec![format!("plugin.json cannot be read: {e}")]))?;
    let problems = manifest.problems();
    if !problems.is_empty() {
        return Err(Refusal::Manifest(problems));
    }
    if let Some((_, needed)) = manifest.min_host_api.as_deref().and_then(parse_api)
        && needed > API_MINOR
    {
        return Err(Refusal::HostTooOld {
            needed,
            has: API_MINOR,
        });
    }
    Ok(manifest)
}

/// The newest `GLIBC_2.x` the file names.
fn glibc_floor<'data, R: ReadRef<'data>>(file: &object::File<'data, R>) -> Option<String> {
    let names = file.section_by_name(".dynstr")?.data().ok()?;
    names
        .split(|b| *b == 0)
        .filter_map(|name| std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_"))
        .filter(|version| version.starts_with("2."))
        .max_by_key(|text| version(text))
        .map(str::to_owned)
}

fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

fn compiler<'data, R: ReadRef<'data>>(file: &object::File<'data, R>) -> Option<String> {
    let data = file.section_by_name(".comment")?.data().ok()?;
    let names = data.split(|b| *b == 0).map(String::from_utf8_lossy);
    let named: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    let rustc = named.iter().find(|name| name.contains("rustc"));
    rustc
        .or(named.first())
        .map(|name| name.chars().take(100).collect())
}

/// The flag `DF_STATIC_TLS` of an ELF file's dynamic section.
fn static_tls<'data, R: ReadRef<'data>>(data: R) -> bool {
    use object::elf::{DF_STATIC_TLS, DT_FLAGS, FileHeader64};
    use object::read::elf::{Dyn, FileHeader};
    let flags = || {
        let header = FileHeader64::<object::Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, data).ok()?;
        let (entries, _) = sections.dynamic(endian, data).ok()??;
        Some(
            entries
                .iter()
                .find(|e| e.d_tag(endian) == DT_FLAGS)?
                .d_val(endian),
        )
    };
    flags().unwrap_or(0) & DF_STATIC_TLS.0 != 0
}
