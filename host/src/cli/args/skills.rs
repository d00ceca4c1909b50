//! `skills`: folders of instructions that agents have.

use clap::{Args, Subcommand};

use super::{Reach, Tables};

/// `skills …`
#[derive(Debug, Subcommand)]
pub enum SkillsCommand {
    /// The skills of an agent, and whether it can use them
    #[command(after_help = "Example: openclaw skills list --usable")]
    List(SkillsListArgs),
    /// One skill: where it lies, what it needs, what is missing
    #[command(after_help = "Example: openclaw skills info weather")]
    Info(SkillsInfoArgs),
    /// What is missing, skill by skill; exit code 1 when something is
    #[command(after_help = "Example: openclaw skills check")]
    Check(SkillsCheckArgs),
}

/// `skills list`
#[derive(Debug, Args)]
pub struct SkillsListArgs {
    /// Of this agent instead of the default one
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Only those that can be used
    #[arg(long)]
    pub usable: bool,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `skills info`
#[derive(Debug, Args)]
pub struct SkillsInfoArgs {
    /// Name of the skill
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Of this agent instead of the default one
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// `skills check`
#[derive(Debug, Args)]
pub struct SkillsCheckArgs {
    /// Of this agent instead of the default one
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

impl SkillsCommand {
    /// Which gateway, and whether a table may be wide.
    pub fn reach(&self) -> (&Reach, bool) {
        match self {
            SkillsCommand::List(a) => (&a.reach, a.tables.wide),
            SkillsCommand::Info(a) => (&a.reach, false),
            SkillsCommand::Check(a) => (&a.reach, false),
        }
    }

    /// The agent that is asked for.
    pub fn agent(&self) -> Option<&str> {
        let agent = match self {
            SkillsCommand::List(a) => &a.agent,
            SkillsCommand::Info(a) => &a.agent,
            SkillsCommand::Check(a) => &a.agent,
        };
        agent.as_deref()
    }
}
