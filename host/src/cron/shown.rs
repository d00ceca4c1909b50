//! Jobs and runs as clients see them. Pure: stored rows in, wire values out.

use gateway_schemas::cron as wire;
use gateway_schemas::system::WakeMode;

use crate::store::cron::{
    AlertRow, ArrivalRow, DeliveryRow, EndRow, JobRow, PayloadRow, PlaceRow, RunRow, ScheduleRow,
    StateRow, TurnRow, WayRow,
};

/// A job.
pub fn job(row: &JobRow) -> wire::CronJob {
    wire::CronJob {
        id: row.id.clone(),
        name: row.name.clone(),
        description: row.description.clone(),
        agent_id: row.agent_id.clone(),
        session_key: row.session_key.clone(),
        enabled: row.enabled,
        delete_after_run: row.delete_after_run,
        created_at_ms: row.created_ms,
        updated_at_ms: row.updated_ms,
        schedule: schedule(&row.schedule),
        session_target: match row.main {
            true => wire::CronTarget::Main,
            false => wire::CronTarget::Isolated,
        },
        wake_mode: match row.wake_now {
            true => WakeMode::Now,
            false => WakeMode::NextHeartbeat,
        },
        payload: payload(&row.payload),
        delivery: row.delivery.as_ref().map(delivery),
        failure_alert: row.alert.as_ref().map(alert),
        state: state(&row.state),
    }
}

fn schedule(row: &ScheduleRow) -> wire::CronSchedule {
    match row.clone() {
        ScheduleRow::At { text, .. } => wire::CronSchedule::At { at: text },
        ScheduleRow::Every {
            every_ms,
            anchor_ms,
        } => wire::CronSchedule::Every {
            every_ms,
            anchor_ms: Some(anchor_ms),
        },
        ScheduleRow::Calendar {
            expr,
            tz,
            stagger_ms,
        } => wire::CronSchedule::Cron {
            expr,
            tz,
            stagger_ms,
        },
    }
}

fn payload(row: &PayloadRow) -> wire::CronPayload {
    match row {
        PayloadRow::Event { text } => wire::CronPayload::SystemEvent { text: text.clone() },
        PayloadRow::Turn(row) => wire::CronPayload::AgentTurn(Box::new(turn(row.clone()))),
    }
}

fn turn(row: TurnRow) -> wire::CronTurn {
    wire::CronTurn {
        message: row.message,
        options: wire::CronTurnOptions {
            model: row.model,
            fallbacks: row.fallbacks,
            thinking: row.thinking,
            timeout_seconds: row.timeout_seconds,
            allow_unsafe_external_content: row.allow_unsafe_external_content,
            light_context: row.light_context,
            ..wire::CronTurnOptions::default()
        },
    }
}

fn delivery(row: &DeliveryRow) -> wire::CronDelivery {
    let place = row.place.clone();
    wire::CronDelivery {
        mode: match place.way.unwrap_or_default() {
            WayRow::None => wire::CronDeliveryMode::None,
            WayRow::Chat => wire::CronDeliveryMode::Announce,
            WayRow::Web => wire::CronDeliveryMode::Webhook,
        },
        channel: place.channel,
        to: place.to,
        account_id: place.account_id,
        best_effort: row.best_effort,
        failure_destination: row.on_failure.clone().map(failure_place),
    }
}

fn alert_mode(place: &PlaceRow) -> Option<wire::CronAlertMode> {
    place.way.map(|way| match way {
        WayRow::Web => wire::CronAlertMode::Webhook,
        _ => wire::CronAlertMode::Announce,
    })
}

fn failure_place(place: PlaceRow) -> wire::CronFailureDestination {
    wire::CronFailureDestination {
        mode: alert_mode(&place),
        channel: place.channel,
        to: place.to,
        account_id: place.account_id,
    }
}

fn alert(row: &AlertRow) -> wire::CronFailureAlert {
    match row.clone() {
        AlertRow::Off => wire::CronFailureAlert::Off(false),
        AlertRow::Rule {
            after,
            cooldown_ms,
            place,
        } => wire::CronFailureAlert::Rule(wire::CronAlertRule {
            after,
            cooldown_ms,
            mode: alert_mode(&place),
            channel: place.channel,
            to: place.to,
            account_id: place.account_id,
        }),
    }
}

fn state(row: &StateRow) -> wire::CronState {
    let status = row.last_end.map(end);
    wire::CronState {
        next_run_at_ms: row.next_ms,
        running_at_ms: row.running.as_ref().map(|run| run.at_ms),
        last_run_at_ms: row.last_ms,
        last_run_status: status,
        last_status: status,
        last_error: row.last_error.clone(),
        last_error_reason: row.last_reason.clone(),
        last_duration_ms: row.last_duration_ms,
        consecutive_errors: row.errors,
        last_delivered: row.last_delivered,
        last_delivery_status: row.last_arrival.map(arrival),
        last_delivery_error: row.last_delivery_error.clone(),
        last_failure_alert_at_ms: row.last_alert_ms,
    }
}

/// How a run ended.
pub fn end(row: EndRow) -> wire::CronRunStatus {
    match row {
        EndRow::Ok => wire::CronRunStatus::Ok,
        EndRow::Error => wire::CronRunStatus::Error,
        EndRow::Skipped => wire::CronRunStatus::Skipped,
    }
}

/// What became of an answer.
pub fn arrival(row: ArrivalRow) -> wire::CronDeliveryStatus {
    match row {
        ArrivalRow::Delivered => wire::CronDeliveryStatus::Delivered,
        ArrivalRow::NotDelivered => wire::CronDeliveryStatus::NotDelivered,
        ArrivalRow::Unknown => wire::CronDeliveryStatus::Unknown,
        ArrivalRow::NotRequested => wire::CronDeliveryStatus::NotRequested,
    }
}

/// The event of something that happened to a job.
pub fn event(job_id: &str, action: wire::CronAction) -> wire::CronEvent {
    wire::CronEvent {
        job_id: job_id.to_owned(),
        action,
        status: None,
        error: None,
        summary: None,
        delivered: None,
        delivery_status: None,
        delivery_error: None,
        session_id: None,
        session_key: None,
        run_at_ms: None,
        duration_ms: None,
        next_run_at_ms: None,
        model: None,
        provider: None,
        usage: None,
    }
}

/// The event of a finished run.
pub fn finished(run: &RunRow) -> wire::CronEvent {
    let some = |count: u64| (count > 0).then_some(count);
    wire::CronEvent {
        status: Some(end(run.end)),
        error: run.error.clone(),
        summary: run.summary.clone(),
        delivered: run.delivered,
        delivery_status: Some(arrival(run.arrival)),
        delivery_error: run.delivery_error.clone(),
        session_id: run.session_id.clone(),
        session_key: run.session_key.clone(),
        run_at_ms: Some(run.run_at_ms),
        duration_ms: Some(run.duration_ms),
        next_run_at_ms: run.next_ms,
        model: run.model.clone(),
        provider: run.provider.clone(),
        usage: run
            .tokens
            .map(|[input, output, total, read, written]| wire::CronUsage {
                input_tokens: input,
                output_tokens: output,
                total_tokens: total,
                cache_read_tokens: some(read),
                cache_write_tokens: some(written),
            }),
        ..event(&run.job_id, wire::CronAction::Finished)
    }
}

/// The entry of a finished run in the log.
pub fn entry(run: &RunRow, job_name: Option<String>) -> wire::CronRunEntry {
    wire::CronRunEntry {
        ts: run.ts,
        event: finished(run),
        job_name,
    }
}
