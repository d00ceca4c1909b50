//! Adds messages up: one tally for each session, one for all of them.

use std::collections::BTreeMap;

use gateway_schemas::usage as wire;

use super::price::Price;
use super::{Answer, By, Days, Entry};

/// Longest time that still counts as waiting for an answer, ms: half a day.
const LATENCY_MS_MAX: u64 = 12 * 3_600_000;

/// Provider and model.
type ModelKey = (String, String);

/// What messages came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    first: Option<u64>,
    last: Option<u64>,
    /// Tokens and cost of all.
    pub totals: wire::UsageTotals,
    counts: wire::MessageCounts,
    tools: BTreeMap<String, u64>,
    models: BTreeMap<ModelKey, (u64, wire::UsageTotals)>,
    latencies: Vec<u64>,
    days: BTreeMap<String, Day>,
}

#[derive(Clone, Debug, Default)]
struct Day {
    totals: wire::UsageTotals,
    counts: wire::MessageCounts,
    models: BTreeMap<ModelKey, (u64, wire::UsageTotals)>,
    latencies: Vec<u64>,
}

impl Tally {
    /// Adds the messages of one session, oldest first.
    pub fn add(&mut self, entries: &[Entry], days: &Days) {
        let mut asked = None;
        for entry in entries {
            self.first = Some(self.first.map_or(entry.at, |first| first.min(entry.at)));
            self.last = Some(self.last.map_or(entry.at, |last| last.max(entry.at)));
            let day = self.days.entry(days.of(entry.at)).or_default();
            match &entry.by {
                By::User => {
                    asked = Some(entry.at);
                    count(&mut self.counts, |counts| counts.user += 1);
                    count(&mut day.counts, |counts| counts.user += 1);
                }
                By::Tool { failed } => {
                    for counts in [&mut self.counts, &mut day.counts] {
                        counts.tool_results += 1;
                        counts.errors += u64::from(*failed);
                    }
                }
                By::Assistant(answer) => {
                    for counts in [&mut self.counts, &mut day.counts] {
                        count(counts, |counts| counts.assistant += 1);
                        counts.errors += u64::from(answer.failed);
                        counts.tool_calls += answer.tools.len() as u64;
                    }
                    for tool in &answer.tools {
                        *self.tools.entry(tool.clone()).or_default() += 1;
                    }
                    for totals in [&mut self.totals, &mut day.totals] {
                        add(totals, answer);
                    }
                    let Some(model) = &answer.model else { continue };
                    for models in [&mut self.models, &mut day.models] {
                        let (count, totals) = models.entry(model.clone()).or_default();
                        *count += 1;
                        add(totals, answer);
                    }
                    let waited = asked.take().map(|asked| entry.at.saturating_sub(asked));
                    if let Some(waited) = waited.filter(|ms| *ms <= LATENCY_MS_MAX) {
                        self.latencies.push(waited);
                        day.latencies.push(waited);
                    }
                }
            }
        }
    }

    /// Adds what this came to to `sum`.
    pub fn add_to(&self, sum: &mut wire::UsageTotals) {
        sum_up(sum, &self.totals);
    }

    /// As one session's usage; none when nothing was said.
    pub fn session(&self, session_id: &str, file: String) -> Option<wire::SessionUsage> {
        let (first, last) = (self.first?, self.last?);
        Some(wire::SessionUsage {
            session_id: session_id.to_owned(),
            session_file: file,
            first_activity: Some(first),
            last_activity: Some(last),
            duration_ms: Some(last - first),
            activity_dates: self.days.keys().cloned().collect(),
            daily_breakdown: self.by_day(|date, day| {
                (day.counts.assistant > 0).then_some(wire::UsageOfDay {
                    date,
                    tokens: day.totals.total_tokens,
                    cost: day.totals.total_cost,
                })
            }),
            daily_message_counts: self.by_day(|date, day| {
                Some(wire::MessagesOfDay {
                    date,
                    counts: day.counts,
                })
            }),
            daily_latency: self.daily_latency(),
            daily_model_usage: self.model_daily(),
            message_counts: self.counts,
            tool_usage: (!self.tools.is_empty()).then(|| self.tools()),
            model_usage: self.by_model(),
            latency: latency(&self.latencies),
            totals: self.totals,
        })
    }

    /// As the usage of several sessions; by agent and channel as `by_agent` and `by_channel` say.
    pub fn aggregates(
        &self,
        by_agent: BTreeMap<String, wire::UsageTotals>,
        by_channel: BTreeMap<String, wire::UsageTotals>,
    ) -> wire::UsageAggregates {
        let mut agents: Vec<_> = by_agent
            .into_iter()
            .map(|(agent_id, totals)| wire::AgentUsage { agent_id, totals })
            .collect();
        agents.sort_by(|a, b| dearer(&a.totals, &b.totals));
        let mut channels: Vec<_> = by_channel
            .into_iter()
            .map(|(channel, totals)| wire::ChannelUsage { channel, totals })
            .collect();
        channels.sort_by(|a, b| dearer(&a.totals, &b.totals));
        wire::UsageAggregates {
            messages: self.counts,
            tools: self.tools(),
            by_model: self.by_model(),
            by_provider: self.by_provider(),
            by_agent: agents,
            by_channel: channels,
            latency: latency(&self.latencies),
            daily_latency: self.daily_latency(),
            model_daily: self.model_daily(),
            daily: self.by_day(|date, day| {
                Some(wire::DayUsage {
                    date,
                    tokens: day.totals.total_tokens,
                    cost: day.totals.total_cost,
                    messages: day.counts.total,
                    tool_calls: day.counts.tool_calls,
                    errors: day.counts.errors,
                })
            }),
        }
    }

    /// Tokens and cost of each day on which something was used.
    pub fn cost_by_day(&self) -> Vec<wire::CostOfDay> {
        self.by_day(|date, day| {
            (day.counts.assistant > 0).then_some(wire::CostOfDay {
                date,
                totals: day.totals,
            })
        })
    }

    fn by_day<T>(&self, shown: impl Fn(String, &Day) -> Option<T>) -> Vec<T> {
        let days = self.days.iter();
        days.filter_map(|(date, day)| shown(date.clone(), day))
            .collect()
    }

    fn tools(&self) -> wire::ToolUsage {
        let tools = self.tools.iter();
        let mut tools: Vec<_> = tools
            .map(|(name, count)| wire::ToolCount {
                name: name.clone(),
                count: *count,
            })
            .collect();
        tools.sort_by_key(|tool| std::cmp::Reverse(tool.count));
        wire::ToolUsage {
            total_calls: tools.iter().map(|tool| tool.count).sum(),
            unique_tools: tools.len() as u64,
            tools,
        }
    }

    fn by_model(&self) -> Vec<wire::ModelUsage> {
        let models = self.models.iter();
        let models = models.map(|((provider, model), (count, totals))| wire::ModelUsage {
            provider: Some(provider.clone()),
            model: Some(model.clone()),
            count: *count,
            totals: *totals,
        });
        let mut models: Vec<_> = models.collect();
        models.sort_by(|a, b| dearer(&a.totals, &b.totals));
        models
    }

    fn by_provider(&self) -> Vec<wire::ModelUsage> {
        let mut providers: BTreeMap<&str, (u64, wire::UsageTotals)> = BTreeMap::new();
        for ((provider, _), (count, totals)) in &self.models {
            let sum = providers.entry(provider).or_default();
            sum.0 += count;
            sum_up(&mut sum.1, totals);
        }
        let providers = providers.into_iter();
        let mut providers: Vec<_> = providers
            .map(|(provider, (count, totals))| wire::ModelUsage {
                provider: Some(provider.to_owned()),
                model: None,
                count,
                totals,
            })
            .collect();
        providers.sort_by(|a, b| dearer(&a.totals, &b.totals));
        providers
    }

    fn model_daily(&self) -> Vec<wire::ModelOfDay> {
        let of_day = |(date, day): (&String, &Day)| {
            let mut models: Vec<_> = day
                .models
                .iter()
                .map(|((provider, model), (count, totals))| wire::ModelOfDay {
                    date: date.clone(),
                    provider: Some(provider.clone()),
                    model: Some(model.clone()),
                    tokens: totals.total_tokens,
                    cost: totals.total_cost,
                    count: *count,
                })
                .collect();
            models.sort_by(|a, b| b.cost.total_cmp(&a.cost));
            models
        };
        self.days.iter().flat_map(of_day).collect()
    }

    fn daily_latency(&self) -> Vec<wire::LatencyOfDay> {
        self.by_day(|date, day| {
            let latency = latency(&day.latencies)?;
            Some(wire::LatencyOfDay { date, latency })
        })
    }
}

fn count(counts: &mut wire::MessageCounts, who: impl FnOnce(&mut wire::MessageCounts)) {
    counts.total += 1;
    who(counts);
}

/// Adds one answer.
fn add(totals: &mut wire::UsageTotals, answer: &Answer) {
    let tokens = &answer.tokens;
    totals.input += tokens.input;
    totals.output += tokens.output;
    totals.cache_read += tokens.cache_read;
    totals.cache_write += tokens.cache_write;
    totals.total_tokens += tokens.total;
    let Some(price) = answer.price else {
        totals.missing_cost_entries += 1;
        return;
    };
    let Price {
        input,
        output,
        cache_read,
        cache_write,
    } = price;
    totals.input_cost += input;
    totals.output_cost += output;
    totals.cache_read_cost += cache_read;
    totals.cache_write_cost += cache_write;
    totals.total_cost += price.total();
}

/// Adds what was added up already.
fn sum_up(sum: &mut wire::UsageTotals, more: &wire::UsageTotals) {
    sum.input += more.input;
    sum.output += more.output;
    sum.cache_read += more.cache_read;
    sum.cache_write += more.cache_write;
    sum.total_tokens += more.total_tokens;
    sum.total_cost += more.total_cost;
    sum.input_cost += more.input_cost;
    sum.output_cost += more.output_cost;
    sum.cache_read_cost += more.cache_read_cost;
    sum.cache_write_cost += more.cache_write_cost;
    sum.missing_cost_entries += more.missing_cost_entries;
}

fn dearer(a: &wire::UsageTotals, b: &wire::UsageTotals) -> std::cmp::Ordering {
    b.total_cost.total_cmp(&a.total_cost)
}

fn latency(waits: &[u64]) -> Option<wire::Latency> {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let (min, max) = (*waits.first()?, *waits.last()?);
    let sum: u64 = waits.iter().sum();
    let place = (waits.len() * 95).div_ceil(100).saturating_sub(1);
    Some(wire::Latency {
        count: waits.len() as u64,
        avg_ms: sum as f64 / waits.len() as f64,
        p95_ms: waits[place] as f64,
        min_ms: min as f64,
        max_ms: max as f64,
    })
}
