//! What would be wrong with the accounts of a configuration, said before anything starts.
//!
//! `openclaw plugins check` asks. Nothing runs, nothing is opened.

use super::settings::{self, AccountPlan, SystemSources};
use crate::config::Config;
use crate::plugins::Plugins;

/// One configured account, or one configured channel without a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account: String,
    /// It is switched on.
    pub enabled: bool,
    /// Where it stands in the configuration, dotted.
    pub path: String,
    /// What is wrong, each with its key; empty if it is right.
    pub problems: Vec<String>,
}

/// Checks every account against the schema of the plugin that serves its channel.
pub fn audit(config: &Config, plugins: &Plugins) -> Vec<Audited> {
    let group_default = config.channel_defaults.group_policy.as_deref();
    let sources = SystemSources(config.dotenv.clone());
    let mut out = Vec::new();
    for (channel, block) in &config.channels {
        let plan = settings::plan(channel, Some(block), group_default, &sources);
        for (account, plan) in plan.into_iter().flat_map(|plan| plan.accounts) {
            out.push(Audited {
                problems: problems(channel, &plan, plugins),
                channel: channel.clone(),
                account,
                enabled: plan.enabled,
                path: plan.path,
            });
        }
    }
    out
}

fn problems(channel: &str, plan: &AccountPlan, plugins: &Plugins) -> Vec<String> {
    if let Some(problem) = &plan.problem {
        return vec![problem.clone()];
    }
    match plugins.get(channel) {
        Some(plugin) => plugin.check_config(&plan.config).err().unwrap_or_default(),
        None => vec![format!(
            "no plugin serves {channel}: install one, or remove {}",
            plan.path
        )],
    }
}
