//! What `openclaw config` is told.

use clap::{Args, Subcommand};

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show a value; secrets are hidden
    #[command(after_help = "Example: openclaw config get agents.list[0].id")]
    Get(ConfigPathArgs),
    /// Change a value; comments and the rest of the file stay
    #[command(after_help = "Example: openclaw config set agents.defaults.heartbeat.every 2h")]
    Set(ConfigSetArgs),
    /// Take a value out
    #[command(after_help = "Example: openclaw config unset agents.defaults.model")]
    Unset(ConfigPathArgs),
    /// Whether a gateway could start with the file as it is
    #[command(after_help = "Example: openclaw config validate --json")]
    Validate(ConfigArgs),
    /// What keys there are, as JSON Schema; of one key if a path names it
    #[command(after_help = "Example: openclaw config schema gateway.auth")]
    Schema(ConfigSchemaArgs),
    /// Where the file lies
    #[command(after_help = "Example: openclaw config file")]
    File(ConfigArgs),
}

/// Commands that take nothing.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// Commands about one value.
#[derive(Debug, Args)]
pub struct ConfigPathArgs {
    /// Dotted path, items of lists in brackets
    #[arg(value_name = "PATH")]
    pub path: String,
    #[command(flatten)]
    pub output: ConfigArgs,
}

/// `config set`
#[derive(Debug, Args)]
pub struct ConfigSetArgs {
    /// Dotted path, items of lists in brackets
    #[arg(value_name = "PATH")]
    pub path: String,
    /// JSON5; what is none is taken as text
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
    /// Refuse a value that is no JSON5 instead of taking it as text
    #[arg(long)]
    pub strict_json: bool,
    /// As --strict-json; and print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// `config schema`
#[derive(Debug, Args)]
pub struct ConfigSchemaArgs {
    /// Dotted path
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    #[command(flatten)]
    pub output: ConfigArgs,
}

impl ConfigCommand {
    /// Whether programs read the answer.
    pub fn json(&self) -> bool {
        match self {
            Self::Get(args) | Self::Unset(args) => args.output.json,
            Self::Set(args) => args.json,
            Self::Validate(args) | Self::File(args) => args.json,
            Self::Schema(args) => args.output.json,
        }
    }
}
