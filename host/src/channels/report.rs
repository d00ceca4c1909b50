//! What clients are told about channels: `channels.status`, the summaries of the health snapshot,
//! and the lines of `status`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_schemas::channels::{ChannelAccount, ChannelMeta, ChannelSummary, ChannelsStatus};

use super::{Channel, Channels, catalogue};

/// The channels' part of a health snapshot: configured channels only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Summary of the default account, with all accounts inside.
    pub channels: BTreeMap<String, ChannelSummary>,
    /// Display order.
    pub order: Vec<String>,
    /// Name for people, by channel.
    pub labels: BTreeMap<String, String>,
}

impl Channels {
    /// The result of `channels.status`; with a deadline, running accounts are probed first.
    pub async fn status(&self, probe: Option<Duration>) -> ChannelsStatus {
        if let Some(deadline) = probe {
            self.probe_all(deadline).await;
        }
        let board = self.board();
        let mut order: Vec<String> = board.channels.keys().cloned().collect();
        order.sort_by_key(|id| catalogue::rank(id));
        let mut status = ChannelsStatus {
            ts: self.inner.clock.now_ms(),
            channel_order: order,
            channel_labels: BTreeMap::new(),
            channel_detail_labels: BTreeMap::new(),
            channel_system_images: BTreeMap::new(),
            channel_meta: Vec::new(),
            channels: BTreeMap::new(),
            channel_accounts: BTreeMap::new(),
            channel_default_account_id: BTreeMap::new(),
        };
        for id in status.channel_order.clone() {
            let channel = &board.channels[&id];
            let meta = meta(&id, channel);
            status.channel_labels.insert(id.clone(), meta.label.clone());
            status
                .channel_detail_labels
                .insert(id.clone(), meta.detail_label.clone());
            if let Some(image) = &meta.system_image {
                status
                    .channel_system_images
                    .insert(id.clone(), image.clone());
            }
            status.channel_meta.push(meta);
            status.channels.insert(id.clone(), summary(channel));
            status.channel_accounts.insert(id.clone(), rows(channel));
            status
                .channel_default_account_id
                .insert(id, channel.default_account.clone());
        }
        status
    }

    /// The channels' part of a health snapshot.
    pub fn health(&self) -> Health {
        let board = self.board();
        let order = board.configured();
        let mut health = Health {
            order,
            ..Health::default()
        };
        for id in &health.order {
            let channel = &board.channels[id];
            let mut own = summary(channel);
            own.account_id = Some(channel.default_account.clone());
            let accounts = channel.accounts.iter().map(|(account_id, account)| {
                let mut summary = account.status().summary(&account.plan());
                summary.account_id = Some(account_id.clone());
                (account_id.clone(), summary)
            });
            own.accounts = Some(accounts.collect());
            health.channels.insert(id.clone(), own);
            health.labels.insert(id.clone(), channel.label.clone());
        }
        health
    }

    /// Asks every running account's provider how it is doing, side by side.
    pub async fn probe_all(&self, deadline: Duration) {
        let board = self.board();
        let accounts = board.channels.values().flat_map(|c| c.accounts.values());
        join_all(accounts.map(|account| account.probe(deadline, &self.inner.clock))).await;
    }

    /// Channels with an account that is meant to run and serves nobody at the moment.
    pub fn failing(&self) -> Vec<String> {
        let failing = |channel: &Channel| {
            channel.accounts.values().any(|account| {
                let plan = account.plan();
                plan.enabled && !account.status().phase.serves()
            })
        };
        let board = self.board();
        let channels = board.channels.iter();
        let channels = channels.filter(|(_, c)| c.configured && failing(c));
        channels.map(|(id, _)| id.clone()).collect()
    }

    /// One line per channel and account for `status`, such as `Telegram: configured`.
    pub fn summary_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let board = self.board();
        for id in board.configured() {
            let channel = &board.channels[&id];
            lines.push(format!("{}: configured", channel.label));
            for (account_id, account) in &channel.accounts {
                let source = account.plan().token_source;
                let source = source.map_or_else(String::new, |s| format!(" (token:{s})"));
                lines.push(format!("  - {account_id}{source}"));
            }
        }
        lines
    }
}

fn meta(id: &str, channel: &Channel) -> ChannelMeta {
    let known = catalogue::find(id);
    ChannelMeta {
        id: id.to_owned(),
        label: channel.label.clone(),
        detail_label: known.map_or_else(|| channel.label.clone(), |k| k.detail_label.to_owned()),
        system_image: known.map(|k| k.system_image.to_owned()),
    }
}

fn summary(channel: &Channel) -> ChannelSummary {
    match channel.accounts.get(&channel.default_account) {
        Some(account) => account.status().summary(&account.plan()),
        None => ChannelSummary {
            running: Some(false),
            last_start_at: Some(None),
            last_stop_at: Some(None),
            last_error: Some(None),
            last_probe_at: Some(None),
            ..ChannelSummary::default()
        },
    }
}

/// A channel without configuration shows its default account as not configured.
fn rows(channel: &Channel) -> Vec<ChannelAccount> {
    if channel.accounts.is_empty() {
        return vec![ChannelAccount {
            account_id: channel.default_account.clone(),
            enabled: Some(false),
            configured: Some(false),
            running: Some(false),
            last_error: Some(None),
            last_start_at: Some(None),
            last_stop_at: Some(None),
            last_inbound_at: Some(None),
            last_outbound_at: Some(None),
            ..ChannelAccount::default()
        }];
    }
    channel
        .accounts
        .iter()
        .map(|(id, a)| a.status().account_row(id, &a.plan()))
        .collect()
}
