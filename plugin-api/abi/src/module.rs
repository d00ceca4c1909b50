//! The frozen table once more, as an abi_stable root module.
//!
//! The host loads a library into its own process only if this module passes the layout check:
//! every type reachable from [`PluginApi`] has the size, alignment and fields the host knows.
//! The check is one job, done once per load; nothing is called through the module afterwards but
//! [`GatewayPlugin::entry`], which gives the same table as the entry symbol.

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::package_version_strings;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;

use crate::table::PluginApi;

/// The root module of a plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = GatewayPluginRef, prefix_fields = GatewayPluginPrefix)))]
#[sabi(missing_field(panic))]
pub struct GatewayPlugin {
    /// The plugin's entry function.
    #[sabi(last_prefix_field)]
    pub entry: unsafe extern "C" fn() -> *const PluginApi,
}

impl RootModule for GatewayPluginRef {
    abi_stable::declare_root_module_statics! {GatewayPluginRef}
    const BASE_NAME: &'static str = "gateway_plugin";
    const NAME: &'static str = "gateway plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// The name under which abi_stable looks for a library's root module. A literal, because
/// `export_name` takes nothing else; a test holds it against abi_stable's own constant.
pub const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// What the root module's constructor of a plugin answers. For `export_plugin!` only.
#[doc(hidden)]
pub type RootResult = RootModuleResult;

/// The data behind [`ROOT_SYMBOL`]. For `export_plugin!` only.
#[doc(hidden)]
pub const fn header(constructor: extern "C" fn() -> RootResult) -> LibHeader {
    // SAFETY: the header says that `constructor` gives a `GatewayPluginRef` with the layout of this
    // crate. `export_plugin!`, the only caller, passes a function that answers with `root`, whose
    // argument's type is `fn() -> GatewayPluginRef`; abi_stable's own loader wraps its panics. The
    // layout is checked by the host (`CheckTypeLayout::Yes`) before the module is used.
    unsafe { LibHeader::from_constructor::<GatewayPluginRef>(constructor, CheckTypeLayout::Yes) }
}

/// The root module over an entry function. For `export_plugin!` only.
#[doc(hidden)]
pub fn module(entry: unsafe extern "C" fn() -> *const PluginApi) -> GatewayPluginRef {
    GatewayPlugin { entry }.leak_into_prefix()
}

/// What the constructor answers. For `export_plugin!` only.
#[doc(hidden)]
pub fn root(load: fn() -> GatewayPluginRef) -> RootResult {
    abi_stable::library::__call_root_module_loader(load)
}

pub use abi_stable::library::LibHeader as RootHeader;
