//! Pages of jobs and of runs. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use gateway_schemas::cron as wire;

use super::book::Book;
use super::shown;
use crate::limits::{CRON_PAGE_DEFAULT, CRON_PAGE_MAX};
use crate::store::cron::{JobRow, RunRow};

/// Job id → name.
pub type Names = BTreeMap<String, String>;

/// The names of all jobs.
pub fn names(book: &Book) -> Names {
    book.jobs()
        .map(|job| (job.id.clone(), job.name.clone()))
        .collect()
}

/// A part of a longer list.
struct Page {
    total: u64,
    offset: u64,
    limit: u64,
}

impl Page {
    fn new(total: usize, offset: Option<u64>, limit: u64) -> Page {
        let total = total as u64;
        Page {
            total,
            offset: offset.unwrap_or(0).min(total),
            limit: limit.clamp(1, CRON_PAGE_MAX),
        }
    }

    fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(all.len());
        &all[place(self.offset)..place(self.offset.saturating_add(self.limit))]
    }

    fn next(&self) -> Option<u64> {
        let next = self.offset.saturating_add(self.limit);
        (next < self.total).then_some(next)
    }
}

/// A page of jobs.
pub fn jobs(book: &Book, params: &wire::CronListParams) -> wire::CronList {
    use wire::CronEnabledFilter::{All, Disabled, Enabled};
    let wanted = params.enabled.unwrap_or(match params.include_disabled {
        Some(true) => All,
        _ => Enabled,
    });
    let query = params
        .query
        .as_deref()
        .map(|text| text.trim().to_lowercase());
    let mut found: Vec<&JobRow> = book
        .jobs()
        .filter(|job| match wanted {
            All => true,
            Enabled => job.enabled,
            Disabled => !job.enabled,
        })
        .filter(|job| query.as_deref().is_none_or(|query| job_holds(job, query)))
        .collect();
    let by = params.sort_by.unwrap_or(wire::CronSortBy::NextRunAtMs);
    let down = params.sort_dir == Some(wire::CronSortDir::Desc);
    found.sort_by(|a, b| {
        let order = order(by, a, b);
        let order = if down { order.reverse() } else { order };
        order
            .then_with(|| a.created_ms.cmp(&b.created_ms))
            .then_with(|| a.id.cmp(&b.id))
    });
    let all = match found.len() as u64 {
        0 => CRON_PAGE_DEFAULT,
        jobs => jobs,
    };
    let page = Page::new(found.len(), params.offset, params.limit.unwrap_or(all));
    wire::CronList {
        jobs: page.of(&found).iter().map(|job| shown::job(job)).collect(),
        has_more: page.next().is_some(),
        next_offset: page.next(),
        total: page.total,
        offset: page.offset,
        limit: page.limit,
    }
}

fn order(by: wire::CronSortBy, a: &JobRow, b: &JobRow) -> Ordering {
    let next = |job: &JobRow| job.state.next_ms.unwrap_or(u64::MAX);
    match by {
        wire::CronSortBy::NextRunAtMs => next(a).cmp(&next(b)),
        wire::CronSortBy::UpdatedAtMs => a.updated_ms.cmp(&b.updated_ms),
        wire::CronSortBy::Name => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
    }
}

fn job_holds(job: &JobRow, query: &str) -> bool {
    let texts = [
        Some(&job.name),
        job.description.as_ref(),
        job.agent_id.as_ref(),
        Some(&job.id),
    ];
    let mut texts = texts.into_iter().flatten();
    texts.any(|text| text.to_lowercase().contains(query))
}

/// A page of runs. `rows` come oldest first.
pub fn runs(mut rows: Vec<RunRow>, params: &wire::CronRunsParams, names: &Names) -> wire::CronRuns {
    let query = params
        .query
        .as_deref()
        .map(|text| text.trim().to_lowercase());
    rows.retain(|run| is_wanted(run, params));
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        rows.retain(|run| run_holds(run, names, &query));
    }
    if params.sort_dir != Some(wire::CronSortDir::Asc) {
        rows.reverse();
    }
    let limit = params.limit.unwrap_or(CRON_PAGE_DEFAULT);
    let page = Page::new(rows.len(), params.offset, limit);
    let entry = |run: &RunRow| shown::entry(run, names.get(&run.job_id).cloned());
    wire::CronRuns {
        entries: page.of(&rows).iter().map(entry).collect(),
        has_more: page.next().is_some(),
        next_offset: page.next(),
        total: page.total,
        offset: page.offset,
        limit: page.limit,
    }
}

fn is_wanted(run: &RunRow, params: &wire::CronRunsParams) -> bool {
    use wire::CronStatusFilter::{All, Error, Ok, Skipped};
    let (status, arrival) = (shown::end(run.end), shown::arrival(run.arrival));
    let status_fits = match (&params.statuses, params.status) {
        (Some(list), _) => list.contains(&status),
        (None, None | Some(All)) => true,
        (None, Some(Ok)) => status == wire::CronRunStatus::Ok,
        (None, Some(Error)) => status == wire::CronRunStatus::Error,
        (None, Some(Skipped)) => status == wire::CronRunStatus::Skipped,
    };
    let arrival_fits = match (&params.delivery_statuses, params.delivery_status) {
        (Some(list), _) => list.contains(&arrival),
        (None, wanted) => wanted.is_none_or(|wanted| wanted == arrival),
    };
    status_fits && arrival_fits
}

fn run_holds(run: &RunRow, names: &Names, query: &str) -> bool {
    let texts = [
        run.summary.as_ref(),
        run.error.as_ref(),
        Some(&run.job_id),
        names.get(&run.job_id),
    ];
    let mut texts = texts.into_iter().flatten();
    texts.any(|text| text.to_lowercase().contains(query))
}
