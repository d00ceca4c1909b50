//! Bounds of the configuration: its files, and how changes of them are followed. Part of
//! [`super`].

use std::time::Duration;

/// Largest configuration file, and largest file that it includes, bytes.
pub const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Objects and lists in each other in such a file.
pub const CONFIG_DEPTH_MAX: usize = 128;
/// How deep included files may include others.
pub const CONFIG_INCLUDE_DEPTH_MAX: usize = 10;
/// Files that a configuration may include.
pub const CONFIG_INCLUDES_MAX: usize = 256;
/// Largest `.env` file, bytes.
pub const DOTENV_BYTES_MAX: u64 = 256 * 1024;
/// Variables of all `.env` files.
pub const DOTENV_VARIABLES_MAX: usize = 1_000;
/// How often the configuration's files are looked at for a change.
pub const CONFIG_WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest and longest time that the files must rest before a change of them is read.
pub const CONFIG_SETTLE: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(60));
/// Changes of the configuration that wait for the reload task; further askers wait.
pub const CONFIG_JOBS_MAX: usize = 16;
/// Orders to the listening sockets: the reload task waits for each.
pub const DOOR_ORDERS_MAX: usize = 1;
/// Keys of a changed configuration that are named in the log.
pub const CHANGED_KEYS_SHOWN_MAX: usize = 20;
