//! Running a planned command: its own process group, bounded time, bounded output.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::plan::Plan;
use crate::agent::runners::process::{Program, Start};
use crate::config::Secret;
use crate::limits;

/// What came of a command.
pub(super) struct Done {
    /// For the model: what it wrote, and how it ended.
    pub(super) text: String,
    /// It ended by itself and said that it did what it should.
    pub(super) success: bool,
}

/// Runs a command to its end, or until its time is over. Dropping the future ends it.
pub(super) async fn run(plan: &Plan, time: Duration) -> Result<Done, String> {
    let own = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
    let variables: BTreeMap<String, Secret> = plan.variables.iter().map(own).collect();
    let mut program = Program::start(&Start {
        command: &plan.argv[0],
        args: &plan.argv[1..],
        folder: &plan.folder,
        variables: &variables,
        without: &[],
        has_input: false,
    })
    .map_err(|e| format!("{} can't be run: {e}", plan.argv[0]))?;
    let pipes = program.child.stdout.take().zip(program.child.stderr.take());
    let (mut output, mut complaints) = pipes.ok_or("the command has no output")?;
    let kept = Mutex::new(Kept::default());
    let ended = {
        let reading = async {
            tokio::join!(collect(&mut output, &kept), collect(&mut complaints, &kept));
        };
        let work = async {
            tokio::pin!(reading);
            let status = tokio::select! {
                status = program.wait() => status,
                () = &mut reading => return program.wait().await,
            };
            // Its group is gone; what left the group may still hold the pipes.
            let _rest = tokio::time::timeout(limits::EXEC_OUTPUT_GRACE, reading).await;
            status
        };
        tokio::time::timeout(time, work).await
    };
    drop(program);
    let wrote = kept
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .text();
    Ok(match ended {
        Ok(Ok(status)) => told(&wrote, status),
        Ok(Err(error)) => return Err(format!("the command was lost: {error}")),
        Err(_) => Done {
            text: with_end(&wrote, &format!("ended after {} seconds", time.as_secs())),
            success: false,
        },
    })
}

fn told(wrote: &str, status: ExitStatus) -> Done {
    let text = match status.code() {
        Some(0) if wrote.is_empty() => "(no output)".to_owned(),
        Some(0) => wrote.to_owned(),
        Some(code) => with_end(wrote, &format!("exit code {code}")),
        None => with_end(wrote, &status.to_string()),
    };
    Done {
        text,
        success: status.success(),
    }
}

fn with_end(wrote: &str, end: &str) -> String {
    match wrote.is_empty() {
        true => format!("(no output)\n({end})"),
        false => format!("{}\n({end})", wrote.trim_end_matches('\n')),
    }
}

/// The beginning and the end of what was written.
#[derive(Default)]
struct Kept {
    start: Vec<u8>,
    end: VecDeque<u8>,
    left_out: u64,
}

impl Kept {
    fn add(&mut self, mut bytes: &[u8]) {
        let (start_max, end_max) = limits::EXEC_OUTPUT_KEPT;
        let room = start_max.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
        bytes = &bytes[room..];
        self.end.extend(bytes);
        let over = self.end.len().saturating_sub(end_max);
        self.end.drain(..over);
        self.left_out = self.left_out.saturating_add(over as u64);
    }

    fn text(mut self) -> String {
        let between = match self.left_out {
            0 => String::new(),
            bytes => format!("\n...({bytes} bytes left out)...\n"),
        };
        if between.is_empty() {
            self.start.extend(self.end);
            return String::from_utf8_lossy(&self.start).into_owned();
        }
        let end: Vec<u8> = self.end.into();
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        lossy(&self.start) + &between + &lossy(&end)
    }
}

async fn collect(pipe: &mut (impl AsyncRead + Unpin), kept: &Mutex<Kept>) {
    let mut bytes = [0; 8 * 1024];
    // A pipe that can't be read has nothing more to say.
    while let Ok(count) = pipe.read(&mut bytes).await {
        if count == 0 {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.add(&bytes[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_kept() {
        let (start, end) = limits::EXEC_OUTPUT_KEPT;
        let mut kept = Kept::default();
        kept.add(b"first ");
        kept.add(&vec![b'x'; start + end + 100]);
        kept.add(b" last");
        let text = kept.text();
        assert!(text.starts_with("first xxx") && text.ends_with("xxx last"));
        assert!(text.contains("...(111 bytes left out)..."));
        let mut short = Kept::default();
        short.add("grü".as_bytes());
        short.add("ße".as_bytes());
        assert_eq!(short.text(), "grüße");
    }
}
