//! Reads what a plugin says about itself from its file's bytes. Nothing of the plugin runs and
//! nothing is mapped; the bytes may be anything.
//!
//! Used before every load and by `openclaw plugins inspect`.

use gateway_plugin::abi::section::HEADER_SIZE;
use gateway_plugin::abi::{ABI_MAJOR, ENTRY_SYMBOL, FINGERPRINT, MAGIC, SECTION, SectionHeader};
use gateway_plugin::manifest::{API_MINOR, Manifest, parse_api};
use object::{Architecture, BinaryFormat, Object, ObjectSection, ObjectSymbol};
use serde::Serialize;

use super::{Refusal, library};

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
    /// The compiler that made it, if it left its name.
    pub compiler: Option<String>,
    /// The oldest glibc it runs on.
    pub glibc: Option<String>,
    /// Does it need static thread-local storage? The system may have none left to give.
    pub static_tls: bool,
}

/// Inspects a file's bytes.
///
/// # Errors
/// Why it cannot be loaded by this gateway, with both numbers and the fix.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, Refusal> {
    inspect_for(bytes, library::glibc_version())
}

pub(super) fn inspect_for(bytes: &[u8], host_glibc: Option<&str>) -> Result<Inspected, Refusal> {
    let file = object::File::parse(bytes)
        .map_err(|e| Refusal::NotALibrary(format!("{e}").to_lowercase()))?;
    let kind = file.kind();
    if kind != object::ObjectKind::Dynamic {
        return Err(Refusal::NotALibrary(
            format!("it is of kind {kind:?}").to_lowercase(),
        ));
    }
    target(&file)?;
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
    let manifest = manifest(json)?;
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
    if let (Some(needed), Some(has)) = (&glibc, host_glibc)
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
        compiler: compiler(&file),
        glibc,
        static_tls: static_tls(bytes),
    })
}

fn target(file: &object::File<'_>) -> Result<(), Refusal> {
    let ours = if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    };
    let format = if cfg!(target_os = "macos") {
        BinaryFormat::MachO
    } else {
        BinaryFormat::Elf
    };
    if (file.format(), file.architecture()) == (format, ours) {
        return Ok(());
    }
    Err(Refusal::OtherMachine {
        plugin: format!("{:?} {:?}", file.format(), file.architecture()),
        host: format!("{format:?} {ours:?}"),
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
fn glibc_floor(file: &object::File<'_>) -> Option<String> {
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

fn compiler(file: &object::File<'_>) -> Option<String> {
    let data = file.section_by_name(".comment")?.data().ok()?;
    let names = data.split(|b| *b == 0).map(String::from_utf8_lossy);
    let named: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    let rustc = named.iter().find(|name| name.contains("rustc"));
    rustc
        .or(named.first())
        .map(|name| name.chars().take(100).collect())
}

/// The flag `DF_STATIC_TLS` of an ELF file's dynamic section.
fn static_tls(bytes: &[u8]) -> bool {
    use object::elf::{DF_STATIC_TLS, DT_FLAGS, FileHeader64};
    use object::read::elf::{Dyn, FileHeader};
    let flags = || {
        let header = FileHeader64::<object::Endianness>::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, bytes).ok()?;
        let (entries, _) = sections.dynamic(endian, bytes).ok()??;
        Some(
            entries
                .iter()
                .find(|e| e.d_tag(endian) == DT_FLAGS)?
                .d_val(endian),
        )
    };
    flags().unwrap_or(0) & DF_STATIC_TLS.0 != 0
}
