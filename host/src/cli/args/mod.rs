//! The command line as typed: commands, flags, help. No decision is made here.
//!
//! A flag exists only on the commands where it has an effect; anywhere else it is an error.

mod approvals;
mod config;
mod cron;
mod devices;
mod gateway;
mod import;
mod messages;
mod nodes;
mod operator;
mod plugins;
mod qr;
mod sessions;
mod skills;
mod system;
mod time;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use approvals::*;
pub use config::*;
pub use cron::*;
pub use devices::{ApproveArgs, ClearArgs, DevicesCommand, RotateArgs, TokenArgs};
pub use gateway::{FingerprintArgs, GatewayArgs, GatewayCommand, RunArgs};
pub use import::ImportArgs;
pub use messages::{AgentArgs, CallArgs, SendArgs};
pub use nodes::*;
pub use operator::*;
pub use plugins::*;
pub use qr::QrArgs;
pub use sessions::*;
pub use skills::*;
pub use system::*;
use time::milliseconds;
pub use time::wait;

use super::client::{Access, Flags};
use super::output::Wishes;

const EXIT_CODES: &str = "\
Exit codes: 0 ok · 1 failure · 2 wrong command line · 78 wrong configuration

The gateway is found by --url, else OPENCLAW_GATEWAY_URL, else gateway.remote.url
(gateway.mode remote), else this machine's own port. The secret is taken from the
same place or a more explicit one: --token, OPENCLAW_GATEWAY_TOKEN, the configuration.";

/// A messaging gateway and its command line.
#[derive(Debug, Parser)]
#[command(
    name = "openclaw",
    version,
    about = "A messaging gateway: one daemon between chat surfaces, an agent and your clients",
    after_help = EXIT_CODES,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Never use colour
    #[arg(long, global = true, display_order = 999)]
    pub no_color: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway in the foreground, or call one
    #[command(
        after_help = "Example: openclaw gateway --port 18789 --verbose",
        args_conflicts_with_subcommands = true
    )]
    Gateway(GatewayArgs),
    /// Whether the gateway is well, with its channels and agents
    #[command(after_help = "Example: openclaw health --json")]
    Health(HealthArgs),
    /// One page about the gateway: reach, channels, sessions, devices
    #[command(after_help = "Example: openclaw status --all")]
    Status(StatusArgs),
    /// Call any method of the gateway; prints its answer as JSON
    #[command(
        after_help = "Example: openclaw call chat.history --params '{\"sessionKey\":\"main\",\"limit\":5}'"
    )]
    Call(CallArgs),
    /// Send a message through a channel
    #[command(
        after_help = "Example: openclaw send --channel telegram --to 123456 --message 'Hello'"
    )]
    Send(SendArgs),
    /// Give the agent a message and print its answer
    #[command(after_help = "Example: openclaw agent --message 'What is new?'")]
    Agent(AgentArgs),
    /// The conversations the agent remembers
    #[command(subcommand, after_help = "Example: openclaw sessions list")]
    Sessions(SessionsCommand),
    /// Folders of instructions that agents have
    #[command(subcommand, after_help = "Example: openclaw skills list")]
    Skills(SkillsCommand),
    /// Paired devices and pairing requests
    #[command(subcommand, after_help = "Example: openclaw devices list")]
    Devices(DevicesCommand),
    /// What may be run on the gateway's machine, and what waits for a decision
    #[command(
        subcommand,
        visible_alias = "exec-approvals",
        after_help = "Example: openclaw approvals pending"
    )]
    Approvals(ApprovalsCommand),
    /// The configuration file: values by their paths, checked and changed
    #[command(subcommand, after_help = "Example: openclaw config get gateway.port")]
    Config(ConfigCommand),
    /// Take in the state folder of the reference: conversations, devices, cron jobs
    #[command(after_help = "Example: openclaw import ~/.openclaw --dry-run")]
    Import(ImportArgs),
    /// A pairing code for a phone, as a QR code
    #[command(after_help = "Example: openclaw qr --public-url wss://gateway.example")]
    Qr(QrArgs),
    /// Devices that do things for the gateway
    #[command(subcommand, after_help = "Example: openclaw nodes list")]
    Nodes(NodesCommand),
    /// Installed plugins
    #[command(subcommand, after_help = "Example: openclaw plugins list")]
    Plugins(PluginsCommand),
    /// Jobs that run by the clock
    #[command(subcommand, after_help = "Example: openclaw cron list")]
    Cron(CronCommand),
    /// What the agent is told, its heartbeats, and who is here
    #[command(
        subcommand,
        after_help = "Example: openclaw system event --text 'The post came'"
    )]
    System(SystemCommand),
    /// Tell the main session something; the same as system event
    #[command(after_help = "Example: openclaw wake --text 'The post came' --mode now")]
    Wake(WakeArgs),
    /// The gateway's log
    #[command(after_help = "Example: openclaw logs --follow")]
    Logs(LogsArgs),
    /// Messaging channels and their accounts
    #[command(subcommand, after_help = "Example: openclaw channels status --probe")]
    Channels(ChannelsCommand),
}

/// Which gateway, and how long to wait.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// Address of the gateway, ws://HOST:PORT or wss://HOST:PORT
    #[arg(long, value_name = "URL", help_heading = "Gateway")]
    pub url: Option<String>,
    /// Certificate that a wss:// gateway must have, from openclaw gateway fingerprint
    #[arg(long, value_name = "SHA256", help_heading = "Gateway")]
    pub tls_fingerprint: Option<String>,
    /// Shared token of the gateway
    #[arg(long, value_name = "TOKEN", help_heading = "Gateway")]
    pub token: Option<String>,
    /// Shared password of the gateway
    #[arg(long, value_name = "PASSWORD", help_heading = "Gateway")]
    pub password: Option<String>,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

/// Which gateway, and the patience of a quick command.
#[derive(Clone, Debug, Args)]
pub struct Reach {
    #[command(flatten)]
    pub connection: Connection,
    /// Give up after this long: milliseconds, or 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "10000", value_parser = milliseconds, help_heading = "Gateway")]
    pub timeout: Duration,
}

impl Reach {
    /// The address, secrets and patience of the client.
    pub fn access(&self) -> Access {
        self.connection.access(Some(self.timeout))
    }

    /// The same, and this machine's own gateway by its local socket when the port is shut.
    pub fn own_access(&self) -> Access {
        Access {
            own_socket: true,
            ..self.access()
        }
    }
}

impl Connection {
    /// The address, secrets and patience of the client.
    pub fn access(&self, timeout: Option<Duration>) -> Access {
        Access {
            flags: Flags {
                url: self.url.clone(),
                token: self.token.clone(),
                password: self.password.clone(),
                tls_fingerprint: self.tls_fingerprint.clone(),
            },
            timeout,
            own_socket: false,
        }
    }
}

/// `health`
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Ask each channel's provider instead of using the last known state
    #[arg(long)]
    pub probe: bool,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// Tables for people.
#[derive(Clone, Copy, Debug, Args)]
pub struct Tables {
    /// Show all columns, however wide the terminal is
    #[arg(long)]
    pub wide: bool,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Everything worth pasting into a report: secrets are never part of it
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub tables: Tables,
}

/// `channels …`
#[derive(Debug, Subcommand)]
pub enum ChannelsCommand {
    /// Each account: configured, running, connected, last message, last error
    #[command(after_help = "Example: openclaw channels status --probe")]
    Status(HealthArgs),
}

impl Command {
    /// What the command says about output.
    pub fn wishes(&self, no_color: bool) -> Wishes {
        let (json, wide) = match self {
            Command::Gateway(args) => match &args.command {
                None | Some(GatewayCommand::Run(_)) => (false, false),
                Some(GatewayCommand::Call(call)) => (call.reach.connection.json, false),
                Some(GatewayCommand::Fingerprint(a)) => (a.json, false),
                Some(GatewayCommand::Health(a)) => (a.reach.connection.json, a.tables.wide),
            },
            Command::Health(a) | Command::Channels(ChannelsCommand::Status(a)) => {
                (a.reach.connection.json, a.tables.wide)
            }
            Command::Status(a) => (a.reach.connection.json, a.tables.wide),
            Command::Call(a) => (a.reach.connection.json, false),
            Command::Send(a) => (a.connection.json, false),
            Command::Agent(a) => (a.connection.json, false),
            Command::Qr(a) => (a.json, false),
            Command::Import(a) => (a.json, false),
            Command::Config(command) => (command.json(), false),
            Command::Plugins(command) => command.wishes(),
            Command::Sessions(command) => {
                let (reach, wide) = command.reach();
                (reach.connection.json, wide)
            }
            Command::Skills(command) => {
                let (reach, wide) = command.reach();
                (reach.connection.json, wide)
            }
            Command::Cron(command) => {
                let (reach, wide) = command.reach();
                (reach.connection.json, wide)
            }
            Command::Approvals(command) => {
                let (reach, wide) = command.reach();
                (reach.connection.json, wide)
            }
            Command::System(command) => (command.reach().connection.json, false),
            Command::Wake(a) => (a.reach.connection.json, false),
            Command::Logs(a) => (a.reach.connection.json, false),
            Command::Nodes(command) => {
                let (reach, wide) = command.reach();
                (reach.connection.json, wide)
            }
            Command::Devices(command) => {
                let (reach, wide) = command.reach();
                (reach.connection.json, wide)
            }
        };
        Wishes {
            json,
            no_color,
            wide,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_exist_only_where_they_act() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        for right in [
            "openclaw gateway --port 1 --verbose",
            "openclaw gateway run --token t",
            "openclaw gateway call health --url ws://h:1 --params {} --json",
            "openclaw health --json --no-color",
            "openclaw plugins list --url ws://h:1",
            "openclaw plugins restart echo/work --timeout 2m",
            "openclaw plugins logs echo -f --lines 5",
            "openclaw devices approve --latest",
            "openclaw devices clear --yes --pending",
            "openclaw sessions export main -o x.jsonl --json",
            "openclaw sessions compact main --keep 7",
            "openclaw qr --url wss://h --setup-code-only",
            "openclaw agent -m hi --deliver --channel telegram --to 1",
            "openclaw cron add --every 1h --message x --no-deliver --json",
            "openclaw cron edit j --name n",
            "openclaw cron remove j",
            "openclaw approvals get --gateway --json",
            "openclaw approvals allowlist add /bin/ls --agent main",
            "openclaw approvals approve 6f --always",
            "openclaw nodes status --wide",
            "openclaw nodes invoke mac system.which --params {} --invoke-timeout 5s --json",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "openclaw plugins list --url ws://h:1 --plugins f",
            "openclaw plugins logs echo --url ws://h:1",
            "openclaw plugins restart",
            "openclaw gateway --url ws://h:1",
            "openclaw gateway --port 1 health",
            "openclaw gateway --token t --password p",
            "openclaw health --frobnicate",
            "openclaw devices approve",
            "openclaw qr --remote --public-url wss://h",
            "openclaw agent -m hi --to 1",
            "openclaw send --to 1",
            "openclaw gateway --port 0",
            "openclaw sessions compact main --keep 0",
            "openclaw sessions preview",
            "openclaw cron add --every 1h",
            "openclaw cron add --message x",
            "openclaw cron add --every 1h --at 5m --message x",
            "openclaw cron add --every 1h --message x --tz UTC",
            "openclaw cron add --every 1h --message x --webhook http://x --to 1",
            "openclaw cron run",
            "openclaw approvals set",
            "openclaw approvals get --node n",
            "openclaw approvals deny 6f --always",
        ] {
            assert_eq!(
                parse(wrong).err().map(|e| e.exit_code()),
                Some(2),
                "{wrong}"
            );
        }
    }

    #[test]
    fn wrong_words_are_corrected() {
        let error = Cli::try_parse_from(["openclaw", "helth"])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("'health'"), "{error}");
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            for inner in command.get_subcommands() {
                let help = inner
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(help.contains("Example: openclaw"), "{}", inner.get_name());
                check(inner);
            }
        }
        check(&Cli::command());
    }
}
