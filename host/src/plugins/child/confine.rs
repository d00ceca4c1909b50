//! What a plugin's process gives up before any code of the plugin runs, and the rest of it once
//! the library is mapped. Called by `runner`, on its only thread; every thread that follows
//! inherits it, and nothing gives it back.
//!
//! Before the library is loaded, because its constructors are code of the plugin: the gateway's
//! open files, privileges, other programs, other processes, writing, all reading but libraries and
//! [`READABLE`]. Afterwards: the libraries too.

use super::wire::{Ready, Setup};

/// What stays readable while the plugin runs: what a TLS client and a resolver read, and nothing
/// that says anything about this machine's people. Folders with what is in them.
#[cfg(target_os = "linux")]
const READABLE: [(&str, &str); 15] = [
    ("/etc/resolv.conf", "which name servers to ask"),
    (
        "/run/systemd/resolve",
        "where resolv.conf points to with systemd-resolved",
    ),
    ("/run/resolvconf", "where it points to with resolvconf"),
    (
        "/run/NetworkManager",
        "where it points to with NetworkManager",
    ),
    ("/etc/hosts", "names of this machine's network"),
    ("/etc/host.conf", "the resolver's own settings"),
    (
        "/etc/nsswitch.conf",
        "the order in which names are looked up",
    ),
    ("/etc/gai.conf", "the order of a name's addresses"),
    ("/etc/services", "names of ports"),
    // Not the folders above them: private keys lie beside, and a gateway of root could read those.
    (
        "/etc/ssl/certs",
        "certificate authorities: Debian, Arch, Alpine",
    ),
    ("/etc/ssl/cert.pem", "the same in one file"),
    (
        "/etc/pki/tls/certs",
        "certificate authorities: Fedora and its kin",
    ),
    (
        "/etc/pki/ca-trust/extracted",
        "what /etc/pki/tls/certs points to",
    ),
    (
        "/usr/share/ca-certificates",
        "what /etc/ssl/certs points to",
    ),
    (
        "/etc/ca-certificates",
        "authorities added by this machine's operator",
    ),
];

/// What the dynamic linker reads while it maps the library and what it needs.
#[cfg(target_os = "linux")]
const LIBRARIES: [&str; 9] = [
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/gnu/store",
    "/opt/lib",
];

#[cfg(target_os = "linux")]
pub(super) use linux::close_all_but;

/// Elsewhere all that the gateway opens is closed to programs it starts.
#[cfg(not(target_os = "linux"))]
pub(super) fn close_all_but(_socket: i32) {}

/// Gives up what the library's own constructors must not have.
///
/// # Errors
/// The system refused what it must not refuse.
#[cfg(target_os = "linux")]
pub(super) fn before_loading(setup: &Setup) -> Result<Ready, String> {
    linux::die_with(setup.parent)?;
    linux::limits(setup.memory)?;
    linux::no_privileges()?;
    let landlock = linux::landlock(setup, &[LIBRARIES.as_slice(), &[]].concat(), true)?;
    let system_calls = super::system_calls::forbid();
    let mut held = vec!["limits".to_owned()];
    let mut lacking = Vec::new();
    match system_calls {
        Ok(()) => held.push("system calls".to_owned()),
        Err(why) => lacking.push(format!("no filter of system calls: {why}")),
    }
    held.extend(landlock.held);
    lacking.extend(landlock.lacking);
    Ok(Ready {
        confined: held.join(", "),
        lacking: (!lacking.is_empty()).then(|| lacking.join("; ")),
    })
}

/// Gives up what only the loading needed.
///
/// # Errors
/// The system refused what it must not refuse.
#[cfg(target_os = "linux")]
pub(super) fn after_loading(setup: &Setup, _ready: &mut Ready) -> Result<(), String> {
    linux::landlock(setup, &[], false).map(|_| ())
}

/// Where there is no Linux there is the process's own memory, and no more.
#[cfg(not(target_os = "linux"))]
pub(super) fn before_loading(_setup: &Setup) -> Result<Ready, String> {
    Ok(Ready {
        confined: "its own process".to_owned(),
        lacking: Some("landlock and limits are Linux's".to_owned()),
    })
}

/// See [`before_loading`].
#[cfg(not(target_os = "linux"))]
pub(super) fn after_loading(_setup: &Setup, _ready: &mut Ready) -> Result<(), String> {
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    #![allow(unsafe_code)]

    use std::os::fd::{FromRawFd, OwnedFd};

    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, NetPort,
        Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
    };
    use rustix::process::{Pid, Resource, Rlimit, Signal};
    use rustix::thread::{CapabilitySet, CapabilitySets};

    use super::{READABLE, Setup};
    use crate::config::env;
    use crate::limits::{PLUGIN_CHILD_ADDRESS_SLACK_BYTES, PLUGIN_CHILD_FILES_MAX};

    /// The newest kernel interface we know the names of.
    const NEWEST: ABI = ABI::V6;

    fn failed(what: &str) -> impl Fn(rustix::io::Errno) -> String {
        move |e| format!("{what}: {e}")
    }

    /// Ends this process when the gateway's thread that started it ends, that is: the gateway.
    pub(super) fn die_with(parent: u32) -> Result<(), String> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(failed("no signal at the gateway's end"))?;
        // It may have ended before we asked.
        let is = rustix::process::getppid().map(Pid::as_raw_pid);
        if is != i32::try_from(parent).ok() {
            return Err("the gateway is gone".to_owned());
        }
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: ignoring a signal runs no code. The gateway gets them too, and ends this
            // process in good order; a service manager that tells all of them spoils nothing.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        Ok(())
    }

    /// Closes everything but the three streams and the socket, whatever the gateway's libraries
    /// may have left open to programs it starts. Call it before anything else is opened.
    pub(in crate::plugins::child) fn close_all_but(socket: i32) {
        let Ok(listed) = std::fs::read_dir("/proc/self/fd") else {
            return;
        };
        let numbers: Vec<i32> = listed
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for number in numbers {
            if number > 2 && number != socket && is_open(number) {
                // SAFETY: open, and owned by nothing of ours: this process has just begun.
                drop(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }

    fn is_open(number: i32) -> bool {
        // SAFETY: asks about a number; nothing is done with it.
        unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
    }

    /// Not among them: the number of threads, which Linux counts over all processes of one person.
    pub(super) fn limits(memory: u64) -> Result<(), String> {
        let limits = [
            // Its own memory; what it maps from files is not counted.
            (Resource::Data, memory),
            // Everything, so that memory shared with nobody is no way around it.
            (
                Resource::As,
                memory.saturating_add(PLUGIN_CHILD_ADDRESS_SLACK_BYTES),
            ),
            (Resource::Nofile, PLUGIN_CHILD_FILES_MAX),
            // A crash leaves no copy of its secrets on the disk.
            (Resource::Core, 0),
            // It writes no file, so none may grow: neither on a disk nor in memory.
            (Resource::Fsize, 0),
        ];
        for (resource, most) in limits {
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            rustix::process::setrlimit(resource, limit)
                .map_err(failed(&format!("limit {resource:?} of {most}")))?;
        }
        // SAFETY: settings of the allocator: two arenas are enough for its few threads, and each
        // costs memory whether used or not.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
        Ok(())
    }

    /// Never more than now, and of what the system's administrator could do: nothing.
    pub(super) fn no_privileges() -> Result<(), String> {
        rustix::thread::set_no_new_privs(true).map_err(failed("no_new_privs"))?;
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).map_err(failed("capabilities"))
    }

    /// What a layer of landlock gave.
    pub(super) struct Layer {
        pub(super) held: Option<String>,
        pub(super) lacking: Option<String>,
    }

    /// Adds a layer: nothing is readable but the plugin's list and `also`, nothing can be written
    /// or run; no ports but its own, nobody's signals and sockets.
    pub(super) fn landlock(setup: &Setup, also: &[&str], loading: bool) -> Result<Layer, String> {
        let told = |e: RulesetError| format!("landlock: {e}");
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .map_err(told)?
            .handle_access(AccessNet::BindTcp)
            .map_err(told)?
            .scope(Scope::from_all(NEWEST))
            .map_err(told)?;
        if setup.tcp_ports.is_some() {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp).map_err(told)?;
        }
        let own = [env::SSL_CERT_FILE, env::SSL_CERT_DIR].map(env::var);
        let paths = READABLE
            .iter()
            .map(|(path, _)| path.to_string())
            .chain(own.into_iter().flatten())
            .chain(also.iter().map(|path| path.to_string()))
            .chain(loading.then(|| setup.library.display().to_string()));
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let ports = setup.tcp_ports.iter().flatten();
        let ports = ports.map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
        let status = ruleset
            .create()
            .map_err(told)?
            .add_rules(path_beneath_rules(paths, read))
            .map_err(told)?
            .add_rules(ports)
            .map_err(told)?
            .restrict_self()
            .map_err(told)?;
        Ok(match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => layer(setup, effective_abi),
            LandlockStatus::NotEnabled => Layer::none("landlock is switched off in this kernel"),
            LandlockStatus::NotImplemented => Layer::none("this kernel has no landlock"),
        })
    }

    fn layer(setup: &Setup, abi: ABI) -> Layer {
        let ports = setup.tcp_ports.is_some() && abi < ABI::V4;
        Layer {
            held: Some(format!("landlock {}", abi as i32)),
            lacking: ports.then(|| {
                format!(
                    "landlock {} does not know ports: limits.tcp_ports is not held",
                    abi as i32
                )
            }),
        }
    }

    impl Layer {
        fn none(why: &str) -> Layer {
            Layer {
                held: None,
                lacking: Some(why.to_owned()),
            }
        }
    }
}
