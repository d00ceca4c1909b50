//! What `openclaw cron` is told.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::time::{milliseconds, seconds};
use super::{Reach, Tables};

/// `cron …`
#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// The jobs, the next one first
    #[command(after_help = "Example: openclaw cron list --all")]
    List(CronListArgs),
    /// Whether jobs run, and when the next one does
    #[command(after_help = "Example: openclaw cron status --json")]
    Status(CronStatusArgs),
    /// Make a job
    #[command(
        visible_alias = "create",
        after_help = "Example: openclaw cron add --name Morning --cron '0 8 * * *' --tz Europe/Berlin \\\n         \
                      --message 'What is on today?' --announce --channel telegram --to 123456\n         \
                      openclaw cron add --at 20m --system-event 'The tea is ready'"
    )]
    Add(Box<CronAddArgs>),
    /// Change a job
    #[command(after_help = "Example: openclaw cron edit JOB --every 30m --name 'Twice an hour'")]
    Edit(Box<CronEditArgs>),
    /// Let a job run by the clock
    #[command(after_help = "Example: openclaw cron enable JOB")]
    Enable(CronJobArgs),
    /// Keep a job and do not run it by the clock
    #[command(after_help = "Example: openclaw cron disable JOB")]
    Disable(CronJobArgs),
    /// Forget a job; its run log stays
    #[command(visible_alias = "remove", after_help = "Example: openclaw cron rm JOB")]
    Rm(CronJobArgs),
    /// Run a job now
    #[command(after_help = "Example: openclaw cron run JOB --due")]
    Run(CronRunArgs),
    /// The log of finished runs, the newest first
    #[command(after_help = "Example: openclaw cron runs JOB --limit 5")]
    Runs(CronRunsArgs),
}

/// `cron list`
#[derive(Debug, Args)]
pub struct CronListArgs {
    /// With those that are off
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `cron status`
#[derive(Debug, Args)]
pub struct CronStatusArgs {
    #[command(flatten)]
    pub reach: Reach,
}

/// When a job runs.
#[derive(Debug, Args)]
pub struct CronWhenArgs {
    /// Once: a time as 2026-12-24T18:00:00Z, or from now as 20m
    #[arg(long, value_name = "WHEN", help_heading = "When")]
    pub at: Option<String>,
    /// Again and again: 10m, 1h, 1d
    #[arg(long, value_name = "TIME", value_parser = milliseconds, help_heading = "When")]
    pub every: Option<Duration>,
    /// By the calendar: five fields, or six with seconds first
    #[arg(long, value_name = "EXPR", help_heading = "When")]
    pub cron: Option<String>,
    /// Time zone of the expression, such as Europe/Berlin [default: the gateway's]
    #[arg(long, value_name = "ZONE", requires = "cron", conflicts_with_all = ["at", "every"], help_heading = "When")]
    pub tz: Option<String>,
    /// Run exactly then; otherwise jobs of the full hour are spread over 5 minutes
    #[arg(long, requires = "cron", conflicts_with_all = ["at", "every"], help_heading = "When")]
    pub exact: bool,
}

/// What a job does.
#[derive(Debug, Args)]
pub struct CronWhatArgs {
    /// Ask the agent this, in a session of its own
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "system_event",
        help_heading = "What"
    )]
    pub message: Option<String>,
    /// Tell the main session this
    #[arg(long, value_name = "TEXT", help_heading = "What")]
    pub system_event: Option<String>,
    /// Model instead of the agent's
    #[arg(long, value_name = "MODEL", help_heading = "What")]
    pub model: Option<String>,
    /// Thinking level
    #[arg(long, value_name = "LEVEL", help_heading = "What")]
    pub thinking: Option<String>,
    /// Longest run; 0 for no limit
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "What")]
    pub timeout_run: Option<Duration>,
    /// Agent [default: the default one]
    #[arg(long, value_name = "ID", help_heading = "What")]
    pub agent: Option<String>,
    /// When the main session hears of it: now, or next-heartbeat
    #[arg(long, value_name = "MODE", value_parser = ["now", "next-heartbeat"], help_heading = "What")]
    pub wake: Option<String>,
}

/// Where the answer goes.
#[derive(Debug, Args)]
pub struct CronWhereArgs {
    /// Send the answer to a chat: --channel and --to, else where the agent was written to last
    #[arg(long, conflicts_with_all = ["no_deliver", "webhook"], help_heading = "Answer")]
    pub announce: bool,
    /// Keep the answer in the session
    #[arg(long, conflicts_with_all = ["webhook", "channel", "to"], help_heading = "Answer")]
    pub no_deliver: bool,
    /// Post the finished run to this address
    #[arg(long, value_name = "URL", conflicts_with_all = ["channel", "to"], help_heading = "Answer")]
    pub webhook: Option<String>,
    /// Channel of the chat, or last
    #[arg(long, value_name = "CHANNEL", help_heading = "Answer")]
    pub channel: Option<String>,
    /// The chat, as the channel spells it
    #[arg(long, value_name = "TARGET", help_heading = "Answer")]
    pub to: Option<String>,
    /// Account of the channel
    #[arg(long, value_name = "ACCOUNT", help_heading = "Answer")]
    pub account: Option<String>,
    /// An answer that does not arrive is no failure
    #[arg(long, help_heading = "Answer")]
    pub best_effort: bool,
}

/// `cron add`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("when").required(true).args(["at", "every", "cron"])))]
#[command(group(clap::ArgGroup::new("what").required(true).args(["message", "system_event"])))]
pub struct CronAddArgs {
    /// Name to show [default: the first words of what it does]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Make it, and do not run it by the clock yet
    #[arg(long)]
    pub disabled: bool,
    /// Keep a job that runs once after it ran
    #[arg(long, requires = "at")]
    pub keep_after_run: bool,
    #[command(flatten)]
    pub when: CronWhenArgs,
    #[command(flatten)]
    pub what: CronWhatArgs,
    #[command(flatten)]
    pub answer: CronWhereArgs,
    #[command(flatten)]
    pub reach: Reach,
}

/// `cron edit`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("when").args(["at", "every", "cron"])))]
pub struct CronEditArgs {
    /// The job's id
    #[arg(value_name = "JOB")]
    pub id: String,
    /// Name to show
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    #[command(flatten)]
    pub when: CronWhenArgs,
    #[command(flatten)]
    pub what: CronWhatArgs,
    #[command(flatten)]
    pub answer: CronWhereArgs,
    #[command(flatten)]
    pub reach: Reach,
}

/// `cron enable`, `disable`, `rm`
#[derive(Debug, Args)]
pub struct CronJobArgs {
    /// The job's id
    #[arg(value_name = "JOB")]
    pub id: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// `cron run`
#[derive(Debug, Args)]
pub struct CronRunArgs {
    /// The job's id
    #[arg(value_name = "JOB")]
    pub id: String,
    /// Only if its time has come
    #[arg(long)]
    pub due: bool,
    #[command(flatten)]
    pub reach: Reach,
}

/// `cron runs`
#[derive(Debug, Args)]
pub struct CronRunsArgs {
    /// The job's id [default: all jobs]
    #[arg(value_name = "JOB")]
    pub id: Option<String>,
    /// So many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub limit: u64,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

impl CronCommand {
    /// Which gateway, and whether tables may be as wide as they like.
    pub fn reach(&self) -> (&Reach, bool) {
        match self {
            Self::List(args) => (&args.reach, args.tables.wide),
            Self::Status(args) => (&args.reach, false),
            Self::Add(args) => (&args.reach, false),
            Self::Edit(args) => (&args.reach, false),
            Self::Enable(args) | Self::Disable(args) | Self::Rm(args) => (&args.reach, false),
            Self::Run(args) => (&args.reach, false),
            Self::Runs(args) => (&args.reach, args.tables.wide),
        }
    }
}
