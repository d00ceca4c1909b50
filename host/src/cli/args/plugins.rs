//! What `openclaw plugins` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::time::milliseconds;
use super::{Connection, OperatorCommand, Reach, Tables};

/// `plugins …`
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// The plugins that plugins.toml names: state, accounts and generation when a gateway runs,
    /// else what their files say
    #[command(after_help = "Example: openclaw plugins list --json")]
    List(PluginsListArgs),
    /// Start a plugin's accounts anew in the running gateway; lifts a quarantine
    #[command(
        after_help = "Messages that are being sent end first, others wait.\n\nExample: openclaw plugins restart telegram/work"
    )]
    Restart(PluginsRestartArgs),
    /// What the gateway's log holds of one plugin; needs no running gateway
    #[command(after_help = "Example: openclaw plugins logs telegram --follow")]
    Logs(PluginsLogsArgs),
    /// Run the conformance checks of the SDK against a built library; its code runs
    #[command(
        after_help = "Example: openclaw plugins test target/debug/libbell.so --config '{\"minutes\":1}' --to ann"
    )]
    Test(PluginsTestArgs),
    /// Write a new plugin's project: it builds, passes its tests and answers messages as it stands
    #[command(
        after_help = "Example: openclaw plugins new bell --template polling --sdk ../openclaw/plugin-api"
    )]
    New(PluginsNewArgs),
    /// Build a plugin's project, run it without a gateway, reload it on each change; shows what it
    /// brings, and sends what you type: TARGET TEXT
    #[command(after_help = "Example: openclaw plugins dev bell --config bell.json")]
    Dev(PluginsDevArgs),
    #[command(flatten)]
    Operator(OperatorCommand),
}

/// `plugins dev`
#[derive(Debug, Args)]
pub struct PluginsDevArgs {
    /// The plugin's project
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// The account's configuration: JSON, or a file with it
    /// [default: the first example of the plugin's configSchema]
    #[arg(long, value_name = "JSON|FILE")]
    pub config: Option<String>,
    /// Where the library runs, as `isolation` in plugins.toml says it
    #[arg(long, value_enum, default_value_t = Place::Process)]
    pub isolation: Place,
}

/// `plugins new`
#[derive(Debug, Args)]
pub struct PluginsNewArgs {
    /// The channel's id: lower case letters, digits and '-'
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it begins as
    #[arg(long, value_enum, default_value_t = Template::Echo)]
    pub template: Template,
    /// Where the SDK is: the folder plugin-api of a checkout, or the URL of its git repository
    /// [default: the checkout this program was built in, or the one around this folder]
    #[arg(long, value_name = "PATH|URL")]
    pub sdk: Option<String>,
    /// The folder to be made [default: NAME, in this folder]
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<PathBuf>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// Where a library runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    /// In a child, as a plugin that nobody vouches for
    Process,
    /// In this process, as a trusted one
    InProcess,
}

/// What a new plugin begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// Gives back what it gets; no provider
    Echo,
    /// Asks a provider for what is new, again and again; with a small provider to try it with
    Polling,
}

/// `plugins test`
#[derive(Debug, Args)]
pub struct PluginsTestArgs {
    /// The built library
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The accounts' configuration: JSON, or a file with it
    /// [default: the first example of the plugin's configSchema]
    #[arg(long, value_name = "JSON|FILE")]
    pub config: Option<String>,
    /// To whom messages are sent; one that gives back what it gets (echo:ann) brings more checks
    #[arg(long, value_name = "TARGET", default_value = "conformance")]
    pub to: String,
    /// Where the library runs, as `isolation` in plugins.toml says it
    #[arg(long, value_enum, default_value_t = Place::Process)]
    pub isolation: Place,
    /// Run only these checks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tables: Tables,
}

/// `plugins list`
#[derive(Debug, Args)]
pub struct PluginsListArgs {
    /// Read this file instead of asking the gateway
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "token", "password"])]
    pub plugins: Option<PathBuf>,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `plugins restart`
#[derive(Debug, Args)]
pub struct PluginsRestartArgs {
    /// The plugin as plugins.toml names it, or one of its accounts
    #[arg(value_name = "NAME[/ACCOUNT]")]
    pub plugin: String,
    #[command(flatten)]
    pub connection: Connection,
    /// Give up after this long: milliseconds, or 10s, 2m. The gateway goes on
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = milliseconds, help_heading = "Gateway")]
    pub timeout: Duration,
}

/// `plugins logs`
#[derive(Debug, Args)]
pub struct PluginsLogsArgs {
    /// The plugin as plugins.toml names it, or one of its accounts
    #[arg(value_name = "NAME[/ACCOUNT]")]
    pub plugin: String,
    /// Go on with each line that comes, until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// Begin with this many lines of the past
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub lines: usize,
    /// Print each line as the JSON object that the log holds, one a line
    #[arg(long)]
    pub json: bool,
}

impl PluginsCommand {
    /// Whether the output is JSON, and whether tables may be as wide as they like.
    pub(super) fn wishes(&self) -> (bool, bool) {
        match self {
            PluginsCommand::List(args) => (args.reach.connection.json, args.tables.wide),
            PluginsCommand::Restart(args) => (args.connection.json, false),
            PluginsCommand::Logs(args) => (args.json, false),
            PluginsCommand::Test(args) => (args.json, args.tables.wide),
            PluginsCommand::New(args) => (args.json, false),
            PluginsCommand::Dev(_) => (false, false),
            PluginsCommand::Operator(command) => command.wishes(),
        }
    }
}
