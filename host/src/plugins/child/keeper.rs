//! The task that keeps one plugin process: brings its frames in, hears what it says, asks whether
//! it is alive, and tells everybody when and why it ended.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gateway_plugin::abi::{kind, rc};
use gateway_plugin::message::Op;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::socket::Channel;
use super::spawner::Process;
use super::wire::Ready;
use crate::limits::{
    PLUGIN_CHILD_EXIT_GRACE, PLUGIN_CHILD_LAST_WORDS_MAX, PLUGIN_CHILD_PING_DEADLINE,
    PLUGIN_CHILD_PING_INTERVAL, PLUGIN_CHILD_READY_DEADLINE, PLUGIN_LOG_TEXT_BYTES_MAX,
    PLUGIN_MISSED_PINGS_MAX,
};
use crate::plugins::intake::Intake;
use crate::shutdown::Tasks;

/// Begins the tasks of one process.
///
/// # Errors
/// The system would not watch its output.
pub(super) fn keep(
    channel: &Arc<Channel>,
    intake: &Arc<Intake>,
    process: Process,
    said: io::PipeReader,
    tasks: &Tasks,
) -> io::Result<()> {
    let said = pipe::Receiver::from_owned_fd(OwnedFd::from(said))?;
    intake.in_process(process.id());
    let keeper = Keeper {
        channel: channel.clone(),
        intake: intake.clone(),
        heard: Mutex::default(),
        ready: AtomicBool::new(false),
    };
    let keeper = Arc::new(keeper);
    let reader = keeper.clone();
    tasks.spawn("plugin frames in", async move { reader.read().await });
    let writer = channel.clone();
    tasks.spawn("plugin frames out", async move { writer.write().await });
    tasks.spawn(
        "plugin process",
        async move { keeper.run(process, said).await },
    );
    Ok(())
}

struct Keeper {
    channel: Arc<Channel>,
    intake: Arc<Intake>,
    heard: Mutex<Heard>,
    ready: AtomicBool,
}

/// What the process wrote on its own.
#[derive(Default)]
struct Heard {
    /// A line that has not ended yet.
    open: Vec<u8>,
    last: String,
}

impl Keeper {
    async fn read(&self) {
        let ready = |body: &[u8]| self.on_ready(body);
        let refused = |why: &str| self.intake.refuse(why);
        self.channel.read(&self.intake, ready, refused).await;
    }

    fn on_ready(&self, body: &[u8]) {
        self.ready.store(true, Ordering::Release);
        let Ok(ready) = serde_json::from_slice::<Ready>(body) else {
            return self
                .channel
                .doom("its process is another version".to_owned());
        };
        if let Some(lacking) = &ready.lacking {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| {
                tracing::warn!(
                    lacking,
                    "this system cannot confine plugin processes as it should"
                );
            });
        }
        self.intake.confined(ready.confined);
    }

    /// From the start of the process to its end.
    async fn run(&self, process: Process, said: pipe::Receiver) {
        let channel = &self.channel;
        let pid = process.id();
        tokio::select! {
            () = channel.closing.cancelled() => channel.goodbye(),
            () = channel.ended.cancelled() => {}
            () = channel.doomed.cancelled() => {}
            never = self.pulse() => match never {},
            never = self.listen(&said) => match never {},
        }
        let closing = channel.closing.is_cancelled();
        let patience = if channel.why_doomed().is_some() {
            Duration::ZERO
        } else {
            PLUGIN_CHILD_EXIT_GRACE
        };
        // Still heard while it ends: its last words are the reason.
        let (status, killed) = tokio::select! {
            ended = process.end(patience) => ended,
            never = self.listen(&said) => match never {},
        };
        self.drain(&said);
        let why = self.why(status, killed);
        let (plugin, account) = (&self.intake.plugin, &self.intake.account);
        if closing {
            tracing::debug!(plugin, account, pid, "plugin process ended");
        } else {
            tracing::error!(plugin, account, pid, why, "plugin process ended");
            self.intake.died(why);
        }
        self.intake.close();
        channel.gone.cancel();
    }

    /// Asks for a sign of life again and again; dooms a process that gives none.
    async fn pulse(&self) -> Infallible {
        let op = serde_json::to_vec(&Op::Ping).unwrap_or_default();
        let mut missed = 0;
        let started = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(PLUGIN_CHILD_PING_INTERVAL).await;
            if !self.ready.load(Ordering::Acquire) {
                if started.elapsed() > PLUGIN_CHILD_READY_DEADLINE {
                    self.channel.doom(format!(
                        "its library was not loaded within {} s",
                        PLUGIN_CHILD_READY_DEADLINE.as_secs()
                    ));
                }
                continue;
            }
            let answered = self.ping(&op).await;
            let (plugin, account) = (&self.intake.plugin, &self.intake.account);
            match (answered, missed) {
                (true, 0) => continue,
                (true, _) => tracing::info!(plugin, account, "the plugin process answers again"),
                (false, 0) => tracing::warn!(plugin, account, "the plugin process does not answer"),
                (false, _) => {}
            }
            missed = if answered { 0 } else { missed + 1 };
            self.intake.silent(!answered);
            if missed >= PLUGIN_MISSED_PINGS_MAX {
                let why = format!("{PLUGIN_MISSED_PINGS_MAX} pings in a row were not answered");
                self.channel.doom(why);
            }
        }
    }

    async fn ping(&self, op: &[u8]) -> bool {
        let Some((id, answer)) = self.intake.expect() else {
            // Closed: the end is near, and not for want of an answer.
            return true;
        };
        let asked = self.channel.deliver(kind::REQUEST, id, 0, op, Bytes::new());
        let answered = asked == rc::OK && timeout(PLUGIN_CHILD_PING_DEADLINE, answer).await.is_ok();
        if self.intake.forget(id) && asked == rc::OK {
            self.channel.deliver(kind::CANCEL, id, 0, &[], Bytes::new());
        }
        answered
    }

    /// Puts what the process writes into the log, line by line.
    async fn listen(&self, said: &pipe::Receiver) -> Infallible {
        while said.readable().await.is_ok() {
            match self.hear(said) {
                Ok(0) => break,
                // One that talks without end waits for us, not we for it.
                Ok(PLUGIN_LOG_TEXT_BYTES_MAX) => tokio::time::sleep(Duration::from_millis(1)).await,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        // Without output it may still live well.
        std::future::pending().await
    }

    /// What is left in the pipe of a process that has ended: never more than a pipe holds.
    fn drain(&self, said: &pipe::Receiver) {
        for _ in 0..64 {
            if !matches!(self.hear(said), Ok(1..)) {
                return;
            }
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads once; gives how much there was.
    fn hear(&self, said: &pipe::Receiver) -> io::Result<usize> {
        let mut bytes = [0; PLUGIN_LOG_TEXT_BYTES_MAX];
        let read = said.try_read(&mut bytes)?;
        let mut heard = self.heard();
        heard.open.extend_from_slice(&bytes[..read]);
        let mut open = std::mem::take(&mut heard.open);
        while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
            let rest = open.split_off(end + 1);
            self.line(&mut heard, &open);
            open = rest;
        }
        if read == 0 || open.len() > PLUGIN_LOG_TEXT_BYTES_MAX {
            self.line(&mut heard, &open);
            open.clear();
        }
        heard.open = open;
        Ok(read)
    }

    fn line(&self, heard: &mut Heard, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.intake.said(line);
        // Rust's hint at backtraces follows what it is about.
        if !line.starts_with("note: ") {
            heard.last = line.chars().take(PLUGIN_CHILD_LAST_WORDS_MAX).collect();
        }
    }

    fn why(&self, status: Option<ExitStatus>, killed: bool) -> String {
        let mut why = match (self.channel.why_doomed(), status) {
            (Some(why), _) => format!("the plugin's process was killed: {why}"),
            (None, Some(_)) if killed => {
                "the plugin's process closed its socket without ending, and was killed".to_owned()
            }
            (None, Some(status)) => ended_how(status),
            (None, None) => "the plugin's process ended".to_owned(),
        };
        let heard = self.heard();
        if !heard.last.is_empty() {
            why += &format!("; it last said: {}", heard.last);
        }
        why
    }
}

/// `exited with code 7`, `was ended by signal 11 (SIGSEGV)`.
fn ended_how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the plugin's process exited with code {code}"),
        (None, Some(signal)) => {
            let name = match signal {
                libc::SIGABRT => " (SIGABRT)",
                libc::SIGBUS => " (SIGBUS)",
                libc::SIGFPE => " (SIGFPE)",
                libc::SIGILL => " (SIGILL)",
                libc::SIGKILL => " (SIGKILL)",
                libc::SIGSEGV => " (SIGSEGV)",
                libc::SIGSYS => " (SIGSYS)",
                libc::SIGTRAP => " (SIGTRAP)",
                libc::SIGXCPU => " (SIGXCPU)",
                libc::SIGXFSZ => " (SIGXFSZ)",
                _ => "",
            };
            format!("the plugin's process was ended by signal {signal}{name}")
        }
        (None, None) => "the plugin's process ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_its_number_and_its_name() {
        let how = |raw| ended_how(ExitStatus::from_raw(raw));
        assert_eq!(how(7 << 8), "the plugin's process exited with code 7");
        assert_eq!(
            how(libc::SIGSEGV),
            "the plugin's process was ended by signal 11 (SIGSEGV)"
        );
        assert_eq!(how(40), "the plugin's process was ended by signal 40");
    }
}
