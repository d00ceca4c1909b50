//! From what a client sends to a job, and from a patch to a changed one.
//!
//! Pure. Promises that a job it gives out can run: its parts fit each other, its schedule comes to
//! pass.

use gateway_schemas::cron as wire;
use gateway_schemas::system::WakeMode;

use super::{CronError, schedule};
use crate::config::Config;
use crate::store::cron::{
    AlertRow, DeliveryRow, JobRow, PayloadRow, PlaceRow, ScheduleRow, StateRow, TurnRow, WayRow,
};

/// A new job.
///
/// # Errors
/// [`CronError`] that says what does not fit.
pub fn job(
    params: wire::CronAddParams,
    id: String,
    config: &Config,
    now_ms: u64,
) -> Result<JobRow, CronError> {
    let mut job = JobRow {
        schedule: schedule_row(params.schedule, now_ms)?,
        name: params.name,
        description: params.description,
        agent_id: params.agent_id.flatten().map(|id| id.to_lowercase()),
        session_key: params.session_key.flatten(),
        enabled: params.enabled.unwrap_or(true),
        delete_after_run: params.delete_after_run,
        created_ms: now_ms,
        updated_ms: now_ms,
        main: params.session_target == wire::CronTarget::Main,
        wake_now: params.wake_mode == WakeMode::Now,
        payload: payload_row(params.payload),
        delivery: params.delivery.map(delivery_row),
        alert: params.failure_alert.map(alert_row),
        state: StateRow::default(),
        id,
    };
    schedule::check(&job.schedule, now_ms)?;
    fits(&job, config)?;
    plan(&mut job, now_ms);
    Ok(job)
}

/// Changes a job.
///
/// # Errors
/// [`CronError`] that says what does not fit; the job is as it was then.
pub fn patch(
    job: &JobRow,
    patch: wire::CronPatch,
    config: &Config,
    now_ms: u64,
) -> Result<JobRow, CronError> {
    let mut job = job.clone();
    let replan = patch.schedule.is_some() || patch.enabled.is_some();
    if let Some(schedule) = patch.schedule {
        job.schedule = schedule_row(schedule, now_ms)?;
        schedule::check(&job.schedule, now_ms)?;
    }
    if let Some(name) = patch.name {
        job.name = name;
    }
    if let Some(id) = patch.agent_id {
        job.agent_id = id.map(|id| id.to_lowercase());
    }
    if let Some(key) = patch.session_key {
        job.session_key = key;
    }
    job.description = patch.description.or(job.description);
    job.enabled = patch.enabled.unwrap_or(job.enabled);
    job.delete_after_run = patch.delete_after_run.or(job.delete_after_run);
    if let Some(target) = patch.session_target {
        job.main = target == wire::CronTarget::Main;
    }
    if let Some(mode) = patch.wake_mode {
        job.wake_now = mode == WakeMode::Now;
    }
    if let Some(change) = patch.payload {
        job.payload = changed_payload(job.payload, change)?;
    }
    if let Some(change) = patch.delivery {
        job.delivery = Some(changed_delivery(job.delivery, change));
    }
    if let Some(alert) = patch.failure_alert {
        job.alert = Some(alert_row(alert));
    }
    if let Some(state) = patch.state {
        change_state(&mut job.state, state);
    }
    fits(&job, config)?;
    if replan {
        plan(&mut job, now_ms);
    }
    job.updated_ms = now_ms;
    Ok(job)
}

/// When it runs next; never while it is off, and never again once its only moment is over.
pub fn plan(job: &mut JobRow, now_ms: u64) {
    let next = schedule::next(&job.schedule, &job.id, now_ms).filter(|_| job.enabled);
    job.state.next_ms = match job.schedule {
        ScheduleRow::At { ms, .. } => {
            next.filter(|_| job.state.last_ms.is_none_or(|last| last < ms))
        }
        _ => next,
    };
}

fn fits(job: &JobRow, config: &Config) -> Result<(), CronError> {
    let thrown = |text: &str| Err(CronError::Thrown(text.to_owned()));
    let default = config.agents.default_id();
    if let Some(id) = job
        .agent_id
        .as_deref()
        .filter(|id| !config.agents.exists(id))
    {
        return Err(CronError::Invalid(format!("unknown agent id \"{id}\"")));
    }
    match (&job.payload, job.main) {
        (PayloadRow::Turn(_), true) => {
            return thrown("main cron jobs require payload.kind=\"systemEvent\"");
        }
        (PayloadRow::Event { .. }, false) => {
            return thrown("isolated cron jobs require payload.kind=\"agentTurn\"");
        }
        _ => {}
    }
    if job.main && job.agent_id.as_deref().is_some_and(|id| id != default) {
        return thrown(
            "main cron jobs run in the default agent's main session: use \
             sessionTarget=\"isolated\" for another agent",
        );
    }
    let Some(delivery) = &job.delivery else {
        return Ok(());
    };
    match delivery.place.way {
        Some(WayRow::Web) if !is_web(delivery.place.to.as_deref()) => {
            thrown("cron webhook delivery requires delivery.to to be a valid http(s) URL")
        }
        Some(WayRow::Chat) if job.main => {
            thrown("cron channel delivery config is only supported for sessionTarget=\"isolated\"")
        }
        _ => Ok(()),
    }
}

fn is_web(to: Option<&str>) -> bool {
    let url = to.and_then(|to| url::Url::parse(to).ok());
    url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn schedule_row(schedule: wire::CronSchedule, now_ms: u64) -> Result<ScheduleRow, CronError> {
    Ok(match schedule {
        wire::CronSchedule::At { at } => match schedule::moment(&at) {
            Some(ms) => ScheduleRow::At { text: at, ms },
            None => {
                return Err(CronError::Invalid(format!(
                    "Invalid schedule.at: expected ISO-8601 timestamp (got {at})"
                )));
            }
        },
        wire::CronSchedule::Every {
            every_ms,
            anchor_ms,
        } => ScheduleRow::Every {
            every_ms,
            anchor_ms: anchor_ms.unwrap_or(now_ms),
        },
        wire::CronSchedule::Cron {
            expr,
            tz,
            stagger_ms,
        } => ScheduleRow::Calendar {
            expr,
            tz: tz.filter(|tz| !tz.is_empty()),
            stagger_ms,
        },
    })
}

fn payload_row(payload: wire::CronPayload) -> PayloadRow {
    match payload {
        wire::CronPayload::SystemEvent { text } => PayloadRow::Event { text },
        wire::CronPayload::AgentTurn(turn) => {
            let mut row = TurnRow::default();
            change_turn(&mut row, Some(turn.message), turn.options);
            PayloadRow::Turn(row)
        }
    }
}

fn change_turn(row: &mut TurnRow, message: Option<String>, options: wire::CronTurnOptions) {
    row.message = message.unwrap_or(std::mem::take(&mut row.message));
    row.model = options.model.or(row.model.take());
    row.fallbacks = options.fallbacks.or(row.fallbacks.take());
    row.thinking = options.thinking.or(row.thinking.take());
    row.timeout_seconds = options.timeout_seconds.or(row.timeout_seconds);
    let unsafe_too = options.allow_unsafe_external_content;
    row.allow_unsafe_external_content = unsafe_too.or(row.allow_unsafe_external_content);
    row.light_context = options.light_context.or(row.light_context);
}

fn changed_payload(
    payload: PayloadRow,
    change: wire::CronPayloadPatch,
) -> Result<PayloadRow, CronError> {
    let needed = |field: &str, kind: &str| {
        CronError::Thrown(format!(
            "cron.update payload.kind=\"{kind}\" requires {field}"
        ))
    };
    match (payload, change) {
        (PayloadRow::Event { text: old }, wire::CronPayloadPatch::SystemEvent { text }) => {
            Ok(PayloadRow::Event {
                text: text.unwrap_or(old),
            })
        }
        (_, wire::CronPayloadPatch::SystemEvent { text }) => Ok(PayloadRow::Event {
            text: text.ok_or_else(|| needed("text", "systemEvent"))?,
        }),
        (payload, wire::CronPayloadPatch::AgentTurn { message, options }) => {
            let mut turn = match payload {
                PayloadRow::Turn(turn) => turn,
                PayloadRow::Event { .. } => TurnRow::default(),
            };
            change_turn(&mut turn, message, *options);
            if turn.message.is_empty() {
                return Err(needed("message", "agentTurn"));
            }
            Ok(PayloadRow::Turn(turn))
        }
    }
}

fn way(mode: wire::CronDeliveryMode) -> WayRow {
    match mode {
        wire::CronDeliveryMode::None => WayRow::None,
        wire::CronDeliveryMode::Announce => WayRow::Chat,
        wire::CronDeliveryMode::Webhook => WayRow::Web,
    }
}

fn alert_way(mode: wire::CronAlertMode) -> WayRow {
    match mode {
        wire::CronAlertMode::Announce => WayRow::Chat,
        wire::CronAlertMode::Webhook => WayRow::Web,
    }
}

fn failure_place(place: wire::CronFailureDestination) -> PlaceRow {
    PlaceRow {
        way: place.mode.map(alert_way),
        channel: place.channel,
        to: place.to,
        account_id: place.account_id,
    }
}

fn delivery_row(delivery: wire::CronDelivery) -> DeliveryRow {
    DeliveryRow {
        place: PlaceRow {
            way: Some(way(delivery.mode)),
            channel: delivery.channel,
            to: delivery.to,
            account_id: delivery.account_id,
        },
        best_effort: delivery.best_effort,
        on_failure: delivery.failure_destination.map(failure_place),
    }
}

fn changed_delivery(old: Option<DeliveryRow>, change: wire::CronDeliveryPatch) -> DeliveryRow {
    let old = old.unwrap_or_default();
    // A blank text takes a value away, an absent one leaves it.
    let text = |new: Option<String>, old: Option<String>| match new {
        Some(new) => Some(new).filter(|new| !new.is_empty()),
        None => old,
    };
    DeliveryRow {
        place: PlaceRow {
            way: change
                .mode
                .map(way)
                .or(old.place.way)
                .or(Some(WayRow::None)),
            channel: text(change.channel, old.place.channel),
            to: text(change.to, old.place.to),
            account_id: text(change.account_id, old.place.account_id),
        },
        best_effort: change.best_effort.or(old.best_effort),
        on_failure: change
            .failure_destination
            .map(failure_place)
            .or(old.on_failure),
    }
}

fn alert_row(alert: wire::CronFailureAlert) -> AlertRow {
    match alert {
        wire::CronFailureAlert::Off(_) => AlertRow::Off,
        wire::CronFailureAlert::Rule(rule) => AlertRow::Rule {
            after: rule.after,
            cooldown_ms: rule.cooldown_ms,
            place: PlaceRow {
                way: rule.mode.map(alert_way),
                channel: rule.channel,
                to: rule.to,
                account_id: rule.account_id,
            },
        },
    }
}

/// What a client may set of a job's past and next run; whether it runs is not its business.
pub(super) fn change_state(state: &mut StateRow, change: wire::CronState) {
    state.next_ms = change.next_run_at_ms.or(state.next_ms);
    state.last_ms = change.last_run_at_ms.or(state.last_ms);
    state.last_error = change.last_error.or(state.last_error.take());
    state.last_duration_ms = change.last_duration_ms.or(state.last_duration_ms);
    state.errors = change.consecutive_errors.or(state.errors);
    state.last_alert_ms = change.last_failure_alert_at_ms.or(state.last_alert_ms);
}
