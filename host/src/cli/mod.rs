//! The command line: the roof of the program, called by `main.rs` alone.
//!
//! [`main`] parses, runs one command and turns its error into words and an exit code. `--help`
//! and `--version` end inside the parser: no runtime, no file is touched for them.
//!
//! `args` what was typed · `client` the way to a gateway · `output`, `table`, `text`, `json`,
//! `when` how it is shown · one file for each command.

mod agent;
mod approvals;
mod args;
mod call;
mod channels;
mod client;
mod config;
mod cron;
mod devices;
mod error;
mod gateway;
mod health;
mod import;
mod json;
mod logs;
mod nodes;
mod output;
mod plugins;
mod qr;
mod send;
mod sessions;
mod skills;
mod status;
mod system;
mod table;
mod text;
mod when;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::env;
use crate::plugins::child::{RUNNER, runner};
use args::{ChannelsCommand, Cli, Command, GatewayCommand};
use error::{CliError, CliResult};
use output::{Screen, complain};

/// Runs the command of the process's own arguments.
///
/// Exit codes: 0 done, 1 failure, 2 wrong command line, 78 wrong configuration.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // Not for people, and before all else: it has no more than its socket, and no time to lose.
    if words.get(1).is_some_and(|word| word == RUNNER) {
        return runner::run();
    }
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(problem) => return refuse(&problem, &words),
    };
    let screen = Screen::of_process(cli.command.wishes(cli.no_color), &env::var);
    match run(&cli.command, &screen) {
        Ok(code) => code,
        Err(error) => {
            report(&error, &screen);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(command: &Command, screen: &Screen) -> CliResult<ExitCode> {
    match command {
        Command::Gateway(args) => match &args.command {
            None => return Ok(gateway::run(&args.run)),
            Some(GatewayCommand::Run(args)) => return Ok(gateway::run(args)),
            Some(GatewayCommand::Call(args)) => call::run(args, screen),
            Some(GatewayCommand::Health(args)) => health::run(args, screen),
            Some(GatewayCommand::Fingerprint(args)) => gateway::fingerprint(args, screen),
        },
        Command::Health(args) => health::run(args, screen),
        Command::Status(args) => status::run(args, screen),
        Command::Call(args) => call::run(args, screen),
        Command::Send(args) => send::run(args, screen),
        Command::Agent(args) => return agent::run(args, screen),
        Command::Sessions(command) => sessions::run(command, screen),
        Command::Skills(command) => skills::run(command, screen),
        Command::Devices(command) => devices::run(command, screen),
        Command::Approvals(command) => approvals::run(command, screen),
        Command::Nodes(command) => nodes::run(command, screen),
        Command::Cron(command) => cron::run(command, screen),
        Command::System(command) => system::run(command, screen),
        Command::Wake(args) => system::wake(args, screen),
        Command::Logs(args) => logs::run(args, screen),
        Command::Config(command) => return config::run(command, screen),
        Command::Import(args) => import::run(args, screen),
        Command::Qr(args) => qr::run(args, screen),
        Command::Plugins(command) => return plugins::run(command, screen),
        Command::Channels(ChannelsCommand::Status(args)) => channels::run(args, screen),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn report(error: &CliError, screen: &Screen) {
    if screen.json_wanted() {
        screen.value_json(&error.to_json());
    } else {
        complain(&error.to_text());
    }
}

/// Help and version on standard output; anything else is a wrong command line.
fn refuse(problem: &clap::Error, words: &[OsString]) -> ExitCode {
    let text = problem.render().to_string();
    if matches!(
        problem.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        Screen::bare(false).write(&text);
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--json") {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = lines
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let mut error = CliError::usage(message);
        for tip in lines.filter_map(|line| line.strip_prefix("tip: ")) {
            error = error.fix(tip);
        }
        let error = error.fix("see the flags and commands with --help");
        Screen::bare(true).value_json(&error.to_json());
    } else {
        complain(&text);
    }
    ExitCode::from(2)
}
