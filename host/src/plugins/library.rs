//! From a kept copy of a library to its table. The first code of the plugin runs here, after
//! `inspect` and `verify` let it pass; never unloaded.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::path::Path;

use abi_stable::library::{LibraryError, lib_header_from_path};
use gateway_plugin::abi::module::GatewayPluginRef;
use gateway_plugin::abi::table::PLUGIN_API_SIZE;
use gateway_plugin::abi::{ABI_MAJOR, ENTRY_SYMBOL, EntryFn, PluginApi};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Loads a library into this process and gives its table.
///
/// # Errors
/// What the dynamic linker says, or that the table is laid out in another way than ours.
pub(super) fn load(path: &Path) -> Result<&'static PluginApi, String> {
    map(path)?;
    let module = lib_header_from_path(path)
        .and_then(|header| header.init_root_module::<GatewayPluginRef>())
        .map_err(|e| layout_refusal(&e))?;
    // SAFETY: the layout check vouches for the function's type; it is pure and gives a static.
    checked(unsafe { (module.entry())() })
}

/// The same in a process that holds nothing but this plugin: by its entry function alone, so that
/// one that was not built with our SDK, such as one in C, can be loaded too.
///
/// # Errors
/// What the dynamic linker says, or a table of another ABI.
pub(super) fn load_alone(path: &Path) -> Result<&'static PluginApi, String> {
    let library = map(path)?;
    // SAFETY: the name promises the type, by the contract of ABI 1; whatever else lies behind it
    // ends a process that was made for that.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL.as_bytes()) };
    let entry = entry.map_err(|e| format!("it does not export {ENTRY_SYMBOL}: {}", cause(&e)))?;
    // SAFETY: as above; it is pure and gives a static.
    checked(unsafe { entry() })
}

fn map(path: &Path) -> Result<ManuallyDrop<Library>, String> {
    // SAFETY: runs the library's constructors; that is what trusting a plugin means. All symbols
    // are bound now, and none is offered to other libraries.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|e| format!("the system cannot load it: {}", cause(&e)))?;
    // Threads and thread-locals of a plugin outlive every instance: it stays mapped for ever.
    Ok(ManuallyDrop::new(library))
}

fn checked(table: *const PluginApi) -> Result<&'static PluginApi, String> {
    // SAFETY: null or a static table, by contract.
    let table = unsafe { table.as_ref() }.ok_or("its entry function gives no table")?;
    if table.abi_major != ABI_MAJOR || (table.size as usize) < PLUGIN_API_SIZE {
        return Err(format!(
            "its table is of ABI {} and {} bytes, ours of ABI {ABI_MAJOR} and {PLUGIN_API_SIZE}",
            table.abi_major, table.size
        ));
    }
    Ok(table)
}

/// The linker's own words, without what wraps them.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// The layout checker tells in hundreds of lines; an operator needs one, a developer the rest.
fn layout_refusal(error: &LibraryError) -> String {
    let whole = error.to_string();
    tracing::debug!(report = whole, "layout check");
    let short = match error {
        LibraryError::AbiInstability(_) => "a type of the table is laid out in another way",
        LibraryError::IncompatibleVersionNumber { .. } => "another major of the table's crate",
        LibraryError::GetSymbolError { .. } => {
            return "it exports no root module, as plugins that were not built with the SDK don't: \
                    set isolation = \"process\" to run it in a process of its own"
                .to_owned();
        }
        _ => "its root module cannot be used",
    };
    format!("the layout check failed: {short}; rebuild it against gateway-plugin-api 1.x")
}

/// The glibc this process runs on; `None` with another C library.
pub(super) fn glibc_version() -> Option<&'static str> {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn gnu_get_libc_version() -> *const std::ffi::c_char;
        }
        // SAFETY: a glibc function without arguments that gives a static C string.
        let text = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
        text.to_str().ok()
    }
    #[cfg(not(target_env = "gnu"))]
    None
}
