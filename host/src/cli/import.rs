//! `import DIR`: a state folder of the reference taken into this machine's database. Refuses while
//! a gateway runs on either of the two.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::args::ImportArgs;
use super::client::paths;
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::text;
use crate::clock::Clock;
use crate::config::{Config, LoadOptions, env, load};
use crate::files::private_dir;
use crate::http::{LockError, StateLock};
use crate::import::{self, Import, ImportError, Report, Tally};
use crate::spell;
use crate::store::Store;

/// Does it, or says what would be done.
///
/// # Errors
/// A gateway that runs, a folder without state, or what the database says.
pub fn run(args: &ImportArgs, screen: &Screen) -> CliResult<()> {
    let named = &args.folder;
    let folder = named
        .canonicalize()
        .map_err(|cause| CliError::file(named, "read", &cause))?;
    let paths = paths()?;
    let loaded = load(&LoadOptions::default())
        .map_err(|cause| CliError::new(Kind::Config, "CONFIG_INVALID", cause.to_string()))?;
    refuse_running(&folder)?;
    let state_dir = &paths.state_dir;
    let nothing_here = !paths.database().exists();
    if args.dry_run && nothing_here {
        let report = work(&folder, None, &loaded.config, true)?;
        return show(args, &report, screen);
    }
    private_dir(state_dir).map_err(|cause| CliError::file(state_dir, "use", &cause))?;
    // No gateway starts while the database is written to.
    let _lock = StateLock::take(state_dir, &Clock::system()).map_err(|error| match error {
        LockError::Held { .. } => running(&error.to_string()),
        LockError::Io(path, cause) => CliError::file(&path, "use", &cause),
    })?;
    let store = Store::open(&paths.database())
        .map_err(|cause| CliError::new(Kind::Local, "DATABASE", cause.to_string()))?;
    let report = work(&folder, Some(&store), &loaded.config, args.dry_run)?;
    show(args, &report, screen)
}

fn running(what: &str) -> CliError {
    CliError::new(Kind::Local, "GATEWAY_RUNNING", what)
        .fix("stop the gateway, import, and start it again")
}

/// A gateway that still writes to the source would leave us half of the truth.
fn refuse_running(folder: &Path) -> CliResult<()> {
    // One of ours holds a lock on this file.
    if let Ok(file) = File::open(folder.join("gateway.lock"))
        && flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    {
        let shown = folder.display();
        return Err(running(&format!("a gateway runs on {shown}")));
    }
    // The reference leaves its process id in a file that is named after its configuration.
    let config = folder.join("openclaw.json");
    let hash = spell::hex(&Sha256::digest(config.to_string_lossy().as_bytes()));
    let user = rustix::process::getuid().as_raw();
    let temporary = env::var("TMPDIR").unwrap_or_else(|| "/tmp".to_owned());
    let lock = Path::new(&temporary)
        .join(format!("openclaw-{user}"))
        .join(format!("gateway.{}.lock", &hash[..8]));
    let written = std::fs::read_to_string(lock).unwrap_or_default();
    let written: Value = serde_json::from_str(&written).unwrap_or_default();
    let pid = written["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw);
    // A process of another user can't be asked, and lives.
    let lives = |pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
    match pid {
        Some(pid) if lives(pid) => {
            let (pid, shown) = (pid.as_raw_nonzero(), folder.display());
            Err(running(&format!("a gateway runs on {shown} (pid {pid})")))
        }
        _ => Ok(()),
    }
}

fn work(folder: &Path, store: Option<&Store>, config: &Config, dry_run: bool) -> CliResult<Report> {
    let failed = |why: String| CliError::new(Kind::Local, "IMPORT", why);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let import = Import {
            folder,
            store,
            config,
            clock: Clock::system(),
            dry_run,
        };
        let done = import::run(&import).await;
        if let Some(store) = store {
            store.close().await;
        }
        done.map_err(|error| match error {
            ImportError::NoState(_) => CliError::new(Kind::Local, "NO_STATE", error.to_string())
                .fix("name the folder that holds agents/, devices/ and cron/"),
            ImportError::Store(_) => failed(error.to_string()).retryable(true),
        })
    })
}

fn show(args: &ImportArgs, report: &Report, screen: &Screen) -> CliResult<()> {
    let parts = [
        ("sessions", report.sessions),
        ("messages", report.messages),
        ("devices", report.devices),
        ("pairing requests", report.requests),
        ("cron jobs", report.jobs),
    ];
    if screen.json_wanted() {
        let tally =
            |tally: Tally| json!({ "imported": tally.imported, "unchanged": tally.unchanged });
        let skipped = report.skipped.iter();
        let skipped =
            skipped.map(|s| json!({ "kind": s.kind, "name": s.name, "reason": s.reason }));
        screen.value_json(&json!({
            "ok": true,
            "dryRun": args.dry_run,
            "source": args.folder,
            "sessions": tally(report.sessions),
            "messages": tally(report.messages),
            "devices": tally(report.devices),
            "pairingRequests": tally(report.requests),
            "cronJobs": tally(report.jobs),
            "skipped": skipped.collect::<Vec<_>>(),
            "skippedCount": report.skipped_count,
        }));
        return Ok(());
    }
    let verb = if args.dry_run {
        "would be imported"
    } else {
        "imported"
    };
    for (name, tally) in parts {
        let here = match tally.unchanged {
            0 => String::new(),
            count => format!(", {count} here already"),
        };
        let line = format!("{name:<16} {} {verb}{here}", tally.imported);
        screen.line(screen.paint(Paint::Good, &line));
    }
    if report.skipped_count > 0 {
        screen.line(format!("left out: {}", report.skipped_count));
    }
    for skipped in &report.skipped {
        let line = format!("  {} {}: {}", skipped.kind, skipped.name, skipped.reason);
        screen.line(screen.paint(Paint::Warn, &text::clean(&line)));
    }
    let more = report.skipped_count - report.skipped.len() as u64;
    if more > 0 {
        screen.line(format!("  … and {more} more"));
    }
    Ok(())
}
