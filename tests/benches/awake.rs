//! Processors that don't fall asleep while something is timed.
//!
//! A frame that crosses threads waits for a processor to wake: a microsecond where an idle one
//! spins, ten where a virtual machine hands it back to its host. That is the machine's figure, not
//! the boundary's, so what is promised is measured with the processors awake, and the same with
//! sleeping ones stands beside it.

use std::process::{Child, Command, Stdio};

/// Programs that use what nobody else wants, until dropped.
pub struct Awake(Vec<Child>);

impl Awake {
    /// One for each processor, at the priority that gives way to everything. `None` where the
    /// system has no `chrt`: then processors sleep as they like.
    pub fn keep() -> Option<Awake> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut awake = Awake(Vec::with_capacity(processors));
        for _ in 0..processors {
            let mut idle = Command::new("chrt");
            idle.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
            awake.0.push(idle.stderr(Stdio::null()).spawn().ok()?);
        }
        Some(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Gone already is as good.
            _ = child.kill();
            _ = child.wait();
        }
    }
}
