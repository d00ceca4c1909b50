//! What a process costs, read from the system: processor time and memory.

use std::path::PathBuf;

pub use support::flood::resident;

/// Processor time of all its threads so far, in nanoseconds.
pub fn cpu_ns(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a live process");
    tasks
        .filter_map(|task| {
            let path: PathBuf = task.ok()?.path().join("schedstat");
            let text = std::fs::read_to_string(path).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

/// Lets this process and the ones it starts hold as many sockets as the system allows.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to its own maximum a limit can be raised");
}
