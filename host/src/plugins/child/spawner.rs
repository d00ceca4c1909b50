//! The one thread that starts and reaps plugin processes.
//!
//! A process asks the kernel to be killed with the *thread* that started it (Linux's parent-death
//! signal), and threads of a runtime come and go. This one lives as long as the gateway, so the
//! signal means what it should. It also ends and reaps what its owner let go of, so that no
//! process is left behind and none becomes a zombie.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::limits::{PLUGIN_CHILD_REAP_INTERVAL, PLUGIN_SPAWNS_WAITING_MAX};

enum Job {
    Start(Command, SyncSender<io::Result<Child>>),
    Reap(Child),
}

static JOBS: LazyLock<Mutex<SyncSender<Job>>> = LazyLock::new(|| {
    let (jobs, queue) = sync_channel(PLUGIN_SPAWNS_WAITING_MAX);
    std::thread::Builder::new()
        .name("plugin-spawner".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || work(&queue))
        .expect("the system has a thread left");
    Mutex::new(jobs)
});

fn hand_in(job: Job) {
    let jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // The thread never ends before the process does.
    jobs.send(job).ok();
}

fn work(queue: &Receiver<Job>) {
    let mut dying: Vec<Child> = Vec::new();
    loop {
        let patience = if dying.is_empty() {
            Duration::from_secs(3_600)
        } else {
            PLUGIN_CHILD_REAP_INTERVAL
        };
        match queue.recv_timeout(patience) {
            // An asker who left lets go of the process again, through the error.
            Ok(Job::Start(mut command, answer)) => {
                if let Err(unheard) = answer.send(command.spawn())
                    && let Ok(mut child) = unheard.0
                {
                    child.kill().ok();
                    dying.push(child);
                }
            }
            Ok(Job::Reap(mut child)) => {
                child.kill().ok();
                dying.push(child);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        dying.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

/// A running process. Dropped, it is killed and reaped.
#[derive(Debug)]
pub(super) struct Process(Option<Child>);

impl Process {
    /// Starts it and waits until it runs, about a millisecond.
    pub(super) fn start(command: Command) -> io::Result<Process> {
        let (answer, started) = sync_channel(1);
        hand_in(Job::Start(command, answer));
        let child = started
            .recv()
            .map_err(|_| io::Error::other("the thread that starts processes is gone"))??;
        Ok(Process(Some(child)))
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// Waits up to `patience` for its end, then kills it. How it ended, if the system told, and
    /// whether it had to be killed.
    pub(super) async fn end(mut self, patience: Duration) -> (Option<ExitStatus>, bool) {
        let until = tokio::time::Instant::now() + patience;
        let mut killed = false;
        while let Some(child) = &mut self.0 {
            match child.try_wait() {
                Ok(Some(status)) => {
                    self.0 = None;
                    return (Some(status), killed);
                }
                Ok(None) => {}
                Err(_) => break,
            }
            // The socket closes a moment before the system has the status.
            if !killed && tokio::time::Instant::now() >= until {
                child.kill().ok();
                killed = true;
            }
            tokio::time::sleep(PLUGIN_CHILD_REAP_INTERVAL).await;
        }
        (None, killed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            hand_in(Job::Reap(child));
        }
    }
}
