//! One look-around of one agent: the run, what it means, and where its words go.
//!
//! Called by the heartbeat task, one at a time. Promises one outcome for each run that began, and
//! none for one that didn't.

use gateway_schemas::system::{Heartbeat, HeartbeatIndicator, HeartbeatStatus};
use tokio::time::Instant;

use super::settings::{self, Settings};
use super::target::{self, Target};
use super::{INTERVAL, Parts};
use crate::agent::{Ending, Origin, RunOutcome, Turn};
use crate::channels::{SendError, SendRequest};
use crate::config::Config;
use crate::limits::{HEARTBEAT_PREVIEW_CHARS_MAX, HEARTBEAT_REPEAT_MS};
use crate::sessions::SessionKey;
use crate::spell::millis;
use crate::store::sessions::BodyRow;

/// What the agent is asked when a job or a program woke it: the occasion is in the lines above.
const OCCASION_PROMPT: &str = "The System lines above have just come: a reminder that is due, or \
    news of a program. Tell the person what they need to know of it, or do what it asks. If there \
    is nothing to say, answer HEARTBEAT_OK.";
/// The acknowledgement, where a channel wants to see it.
const ACKNOWLEDGED: &str = "HEARTBEAT_OK";

/// What was sent last, so that the same words are not sent day and night.
#[derive(Default)]
pub struct Told {
    last: Option<(Target, String, u64)>,
}

impl Told {
    fn is_repeated(&self, target: &Target, text: &str, now_ms: u64) -> bool {
        self.last.as_ref().is_some_and(|(to, said, at)| {
            to == target && said == text && now_ms.saturating_sub(*at) < HEARTBEAT_REPEAT_MS
        })
    }
}

/// One look-around.
pub struct Look<'a> {
    /// What it needs.
    pub parts: &'a Parts,
    /// The configuration it keeps to.
    pub config: &'a Config,
    /// Who looks.
    pub agent: &'a str,
    /// What woke it.
    pub reason: &'a str,
}

impl Look<'_> {
    /// Looks around. None when it doesn't begin: outside the active hours, while the session is
    /// busy, without any heartbeat.
    pub async fn around(&self, told: &mut Told) -> Option<Heartbeat> {
        let settings = settings::of(self.config, self.agent);
        let woken = self.reason != INTERVAL;
        let settings = match settings {
            None if !woken => return None,
            settings => settings.unwrap_or_default(),
        };
        let key = SessionKey::main_of(self.agent, self.config);
        if !woken {
            let now_ms = self.parts.clock.now_ms();
            let busy = self.parts.agent.active(&key).is_some();
            if busy || !settings.is_active_at(self.config, now_ms) {
                return None;
            }
            let waiting = !self.parts.sessions.system_events().list().is_empty();
            // Nothing to do is the usual case, and a missing file is no error.
            let list = self.config.workspace(self.agent).join("HEARTBEAT.md");
            let list = std::fs::read_to_string(list).unwrap_or_default();
            if !waiting && !has_content(&list) {
                return Some(self.outcome(HeartbeatStatus::Skipped, "empty-heartbeat-file"));
            }
        }
        let started = Instant::now();
        let outcome = self.run(&key, &settings).await;
        let mut heartbeat = match outcome {
            Ok(outcome) => self.judge(&key, &settings, &outcome, told).await,
            Err(why) => self.failed(&why),
        };
        heartbeat.duration_ms = Some(millis(started.elapsed()));
        Some(heartbeat)
    }

    async fn run(
        &self,
        key: &SessionKey,
        settings: &Settings,
    ) -> Result<std::sync::Arc<RunOutcome>, String> {
        let occasion = self.reason.starts_with("cron:") || self.reason.starts_with("hook:");
        let prompt = match occasion {
            true => OCCASION_PROMPT,
            false => settings.prompt(),
        };
        let origin = Origin::Heartbeat {
            ack_max_chars: settings.ack_max_chars() as usize,
        };
        let turn = Turn::new(&self.parts.clock.uuid(), key.clone(), prompt, origin);
        let run = self.parts.agent.submit(turn).map_err(|e| e.to_string())?;
        Ok(run.done().await)
    }

    /// What a finished run means. Its words go to the target, if there is one.
    async fn judge(
        &self,
        key: &SessionKey,
        settings: &Settings,
        outcome: &RunOutcome,
        told: &mut Told,
    ) -> Heartbeat {
        match outcome.ending {
            Ending::Answered => {}
            _ => return self.failed(outcome.error.as_deref().unwrap_or("the run was cut")),
        }
        let route = self.parts.sessions.get(key).ok().flatten();
        let target = target::of(settings, route.and_then(|row| row.route));
        if outcome.text.is_empty() {
            return self.acknowledged(key, target.ok(), outcome).await;
        }
        let mut heartbeat = match target {
            Ok(target) => {
                self.send(target, &outcome.text, &outcome.run_id, told)
                    .await
            }
            Err(why) => self.outcome(HeartbeatStatus::Skipped, why),
        };
        let preview = outcome.text.chars().take(HEARTBEAT_PREVIEW_CHARS_MAX);
        heartbeat.preview = Some(preview.collect());
        heartbeat.has_media = Some(false);
        heartbeat
    }

    /// Nothing needs attention; a channel may want to see that, too.
    async fn acknowledged(
        &self,
        key: &SessionKey,
        target: Option<Target>,
        outcome: &RunOutcome,
    ) -> Heartbeat {
        let said = self.parts.sessions.history(key, 1).unwrap_or_default();
        let blank = said.last().is_some_and(|message| match &message.body {
            BodyRow::Assistant(said) => said.text.trim().is_empty(),
            BodyRow::User(_) | BodyRow::Tool(_) => false,
        });
        let status = match blank {
            true => HeartbeatStatus::OkEmpty,
            false => HeartbeatStatus::OkToken,
        };
        let mut heartbeat = Heartbeat {
            silent: Some(true),
            indicator_type: Some(HeartbeatIndicator::Ok),
            ..self.outcome(status, self.reason)
        };
        let target = target.filter(|t| target::shows(self.config, &t.channel, "showOk", false));
        if let Some(target) = target {
            let sent = self.deliver(&target, ACKNOWLEDGED, &outcome.run_id).await;
            if sent.is_ok() {
                heartbeat.silent = None;
                heartbeat.to = Some(target.to);
                heartbeat.channel = Some(target.channel);
                heartbeat.account_id = target.account;
            }
        }
        heartbeat
    }

    async fn send(&self, target: Target, text: &str, run: &str, told: &mut Told) -> Heartbeat {
        let now_ms = self.parts.clock.now_ms();
        let status = if !target::shows(self.config, &target.channel, "showAlerts", true) {
            self.outcome(HeartbeatStatus::Skipped, "alerts-disabled")
        } else if told.is_repeated(&target, text, now_ms) {
            self.outcome(HeartbeatStatus::Skipped, "duplicate")
        } else {
            match self.deliver(&target, text, run).await {
                Ok(()) => {
                    told.last = Some((target.clone(), text.to_owned(), now_ms));
                    self.outcome(HeartbeatStatus::Sent, self.reason)
                }
                Err(error @ (SendError::NotRunning { .. } | SendError::Full { .. })) => {
                    self.outcome(HeartbeatStatus::Skipped, &error.to_string())
                }
                Err(error) => self.failed(&error.to_string()),
            }
        };
        let indicator = status.indicator_type.unwrap_or(HeartbeatIndicator::Alert);
        Heartbeat {
            channel: Some(target.channel),
            to: Some(target.to),
            account_id: target.account,
            indicator_type: Some(indicator),
            ..status
        }
    }

    async fn deliver(&self, target: &Target, text: &str, run: &str) -> Result<(), SendError> {
        let request = SendRequest {
            key: format!("heartbeat:{run}"),
            channel: target.channel.clone(),
            account: target.account.clone(),
            to: target.to.clone(),
            thread_id: target.thread_id.clone(),
            reply_to: None,
            text: text.to_owned(),
        };
        self.parts.channels.send(request).await.map(|_| ())
    }

    fn failed(&self, why: &str) -> Heartbeat {
        Heartbeat {
            indicator_type: Some(HeartbeatIndicator::Error),
            ..self.outcome(HeartbeatStatus::Failed, why)
        }
    }

    fn outcome(&self, status: HeartbeatStatus, reason: &str) -> Heartbeat {
        Heartbeat {
            ts: self.parts.clock.now_ms(),
            status,
            to: None,
            account_id: None,
            preview: None,
            duration_ms: None,
            has_media: None,
            reason: Some(reason.to_owned()),
            channel: None,
            silent: None,
            indicator_type: None,
        }
    }
}

/// Something beside headings and empty check boxes.
fn has_content(list: &str) -> bool {
    let line_counts = |line: &str| {
        let rest = line.trim().trim_start_matches(['-', '*']).trim();
        !rest.is_empty() && !rest.starts_with('#') && rest != "[ ]"
    };
    list.lines().any(line_counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_no_work() {
        assert!(!has_content("# Heartbeat\n\n- [ ]\n"));
        assert!(has_content("# Heartbeat\n- water the plants\n"));
    }
}
