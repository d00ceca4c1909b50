//! `export_plugin!`: everything a library needs to be a plugin.

/// Makes this crate (a `cdylib`) a plugin: embeds the manifest, exports the entry function and the
/// root module for the layout check. `workers = N` gives all accounts of this library N threads
/// instead of one.
///
/// The manifest's path is taken from the folder of the crate's `Cargo.toml`.
///
/// ```
/// use gateway_plugin::prelude::*;
///
/// struct Bell;
/// impl Surface for Bell {
///     type Config = Value;
///     async fn start(_: Value, _: Cx) -> Res<Self> {
///         Ok(Bell)
///     }
///     async fn send(&self, _: OutboundMessage, _: Media) -> Res<SendReceipt> {
///         Ok(SendReceipt::default())
///     }
/// }
///
/// export_plugin!(Bell, "templates/echo/plugin.json", workers = 2);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($surface:ty, $manifest:literal $(,)?) => {
        $crate::export_plugin!($surface, $manifest, workers = 1);
    };
    ($surface:ty, $manifest:literal, workers = $workers:literal $(,)?) => {
        #[cfg(not(panic = "unwind"))]
        compile_error!("a plugin must be built with panic = \"unwind\": an abort ends the gateway");

        #[allow(unsafe_code)]
        const _: () = {
            const JSON: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest));

            /// `plugin.json` behind its head, in a section of its own: read from the file before
            /// any code of the library runs, so no host ever calls or maps it to learn it.
            // SAFETY: the section is the contract's own and holds plain bytes: no code, no pointer,
            // nothing the linker or the loader interprets.
            #[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".gwplug"))]
            #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__gwplug"))]
            // SAFETY: the name begins with the contract's prefix; a library has one plugin, and two
            // of them do not link. Libraries are opened RTLD_LOCAL, so no other sees it.
            #[unsafe(no_mangle)]
            #[used]
            pub static GW_PLUGIN_MANIFEST_V1: $crate::abi::section::Section<{ JSON.len() }> =
                $crate::export::section(JSON);

            static TABLE: $crate::abi::PluginApi = $crate::runtime::table::<$surface, $workers>();

            /// The library's only function by name: pure, gives the table.
            // SAFETY: as for the section; its type is the contract's `EntryFn`.
            #[unsafe(no_mangle)]
            pub extern "C" fn gw_plugin_entry_v1() -> *const $crate::abi::PluginApi {
                &TABLE
            }

            fn module() -> $crate::abi::module::GatewayPluginRef {
                $crate::abi::module::module(gw_plugin_entry_v1)
            }

            extern "C" fn root() -> $crate::abi::module::RootResult {
                $crate::abi::module::root(module)
            }

            /// The same table as an abi_stable root module: where the host's layout check begins.
            // SAFETY: abi_stable looks up this name and reads a `LibHeader` behind it, which is what
            // this static is (`RootHeader` is that type); a test in `abi` holds the name against
            // abi_stable's constant.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static GW_PLUGIN_ROOT_MODULE: $crate::abi::module::RootHeader =
                $crate::abi::module::header(root);
        };
    };
}

/// A manifest as the section's data. For [`export_plugin!`] only.
#[doc(hidden)]
pub const fn section<const N: usize>(json: &[u8]) -> gateway_plugin_abi::section::Section<N> {
    let mut copy = [0; N];
    let mut i = 0;
    while i < N {
        copy[i] = json[i];
        i += 1;
    }
    let header = gateway_plugin_abi::SectionHeader::new(crate::manifest::API_MINOR, N);
    gateway_plugin_abi::section::Section { header, json: copy }
}
