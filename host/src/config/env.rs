//! Environment variables: the only place that reads them.

/// State folder instead of `~/.openclaw`.
pub const STATE_DIR: &str = "OPENCLAW_STATE_DIR";
/// Configuration file instead of `<state>/openclaw.json`.
pub const CONFIG_PATH: &str = "OPENCLAW_CONFIG_PATH";
/// File that names the plugins instead of `<state>/plugins.toml`.
pub const PLUGINS_PATH: &str = "OPENCLAW_PLUGINS_PATH";
/// Port; `--port` wins, `gateway.port` loses.
pub const PORT: &str = "OPENCLAW_GATEWAY_PORT";
/// Shared token when the configuration has none.
pub const TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
/// Shared password when the configuration has none.
pub const PASSWORD: &str = "OPENCLAW_GATEWAY_PASSWORD";
/// URL that the command line talks to.
pub const URL: &str = "OPENCLAW_GATEWAY_URL";
/// Where systemd puts the credentials of a service.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Program that is asked to whom an address of the tailnet belongs, instead of `tailscale`.
pub const TAILSCALE: &str = "OPENCLAW_TAILSCALE";
/// Where programs are looked for.
pub const PATH: &str = "PATH";
/// `1` lets no cron job run by the clock.
pub const SKIP_CRON: &str = "OPENCLAW_SKIP_CRON";
/// Log filter: `error`, `warn`, `info`, `debug` or `trace`.
pub const LOG: &str = "OPENCLAW_LOG";

/// What a plugin's process may see of the environment: the way out, and whom to trust there.
/// Everything else stays here.
pub const FOR_PLUGINS: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    SSL_CERT_FILE,
    SSL_CERT_DIR,
];
/// File of certificate authorities instead of the system's.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Folder of certificate authorities instead of the system's.
pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";

/// The variables of [`FOR_PLUGINS`] that are set.
pub fn for_plugins() -> impl Iterator<Item = (&'static str, String)> {
    FOR_PLUGINS
        .into_iter()
        .filter_map(|name| Some((name, var(name)?)))
}

/// What a program that answers for the agent may see of the environment: who runs it and where
/// things lie, beside what plugins may see. No keys: those it is given by name.
const FOR_PROGRAMS: [&str; 18] = [
    PATH,
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "CODEX_HOME",
    "CLAUDE_CONFIG_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// The variables that such a program is given, as far as they are set.
pub fn for_programs() -> impl Iterator<Item = (&'static str, String)> {
    let own = FOR_PROGRAMS.into_iter();
    own.filter_map(|name| Some((name, var(name)?)))
        .chain(for_plugins())
}

/// The value of `name`; a blank one counts as absent.
pub fn var(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "the one home of the environment")]
    let value = std::env::var(name).ok()?;
    (!value.trim().is_empty()).then_some(value)
}

/// The person's home folder.
pub fn home() -> Option<std::path::PathBuf> {
    std::env::home_dir().filter(|p| !p.as_os_str().is_empty())
}
