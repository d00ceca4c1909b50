//! `cron/jobs.json`.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::{Import, ImportError, Report, text_of};
use crate::cron;
use crate::limits::CRON_JOBS_MAX;
use crate::store::cron as disk;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    jobs: Vec<Value>,
}

/// Takes in the jobs; false when there is no such file.
pub(super) async fn run(import: &Import<'_>, report: &mut Report) -> Result<bool, ImportError> {
    let path = import.folder.join("cron").join("jobs.json");
    let Some(text) = text_of(&path, report) else {
        return Ok(false);
    };
    let file: File = match serde_json::from_str(&text) {
        Ok(file) => file,
        Err(error) => {
            report.skip("file", path.display().to_string(), error.to_string());
            return Ok(true);
        }
    };
    let here = match import.store {
        Some(store) => store.read(disk::jobs)?,
        None => Vec::new(),
    };
    let mut known: HashSet<String> = here.into_iter().map(|job| job.id).collect();
    let mut jobs = Vec::new();
    let now = import.clock.now_ms();
    for stored in file.jobs {
        let name = |field: &str| stored.get(field).and_then(Value::as_str);
        let shown = name("id")
            .or(name("name"))
            .unwrap_or("without id")
            .to_owned();
        match cron::stored::job(stored, import.config, now) {
            Ok(job) if known.contains(&job.id) => report.jobs.unchanged += 1,
            Ok(_) if known.len() >= CRON_JOBS_MAX => {
                report.skip("cron job", shown, format!("there are {CRON_JOBS_MAX} jobs"));
            }
            Ok(job) => {
                report.jobs.imported += 1;
                known.insert(job.id.clone());
                jobs.push(job);
            }
            Err(reason) => report.skip("cron job", shown, reason),
        }
    }
    if let Some(store) = import.store.filter(|_| !import.dry_run && !jobs.is_empty()) {
        let written = store.write(move |txn| jobs.iter().try_for_each(|job| disk::put(txn, job)));
        written.await?;
    }
    Ok(true)
}
