//! `openclaw plugins`: what is installed, and what an operator does with it. One file for each
//! command; called by [`cli::main`](super::main).
//!
//! `place` where things lie · `edit` changes plugins.toml · `tell` asks the running gateway to take
//! a change · `sheet` a library shown to a person · `fetch` downloads.

mod check;
mod dev;
mod edit;
mod fetch;
mod index;
mod inspect;
mod install;
mod key;
mod list;
mod logs;
mod new;
mod place;
mod remove;
mod restart;
mod search;
mod sheet;
mod switch;
mod target;
mod tell;
mod test;
mod trial;
mod upgrade;

use std::process::ExitCode;

use super::args::{IndexCommand, KeyCommand, OperatorCommand, PluginsCommand};
use super::error::CliResult;
use super::output::Screen;

/// Runs one of the commands; the exit code of one that was done but found something wrong is 1.
///
/// # Errors
/// As the command says.
pub fn run(command: &PluginsCommand, screen: &Screen) -> CliResult<ExitCode> {
    match command {
        PluginsCommand::List(args) => list::run(args, screen),
        PluginsCommand::Dev(args) => dev::run(args, screen),
        PluginsCommand::New(args) => new::run(args, screen),
        PluginsCommand::Restart(args) => restart::run(args, screen),
        PluginsCommand::Logs(args) => logs::run(args, screen),
        PluginsCommand::Test(args) => return test::run(args, screen),
        PluginsCommand::Operator(command) => operate(command, screen),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn operate(command: &OperatorCommand, screen: &Screen) -> CliResult<()> {
    match command {
        OperatorCommand::Inspect(args) => inspect::run(args, screen),
        OperatorCommand::Install(args) => install::run(args, screen),
        OperatorCommand::Remove(args) => remove::run(args, screen),
        OperatorCommand::Upgrade(args) => upgrade::run(args, screen),
        OperatorCommand::Enable(args) => switch::run(args, true, screen),
        OperatorCommand::Disable(args) => switch::run(args, false, screen),
        OperatorCommand::Check(args) => check::run(args, screen),
        OperatorCommand::Search(args) => search::run(args, screen),
        OperatorCommand::Index(IndexCommand::Build(args)) => index::run(args, screen),
        OperatorCommand::Sign(args) => key::sign(args, screen),
        OperatorCommand::Key(KeyCommand::New(args)) => key::new(args, screen),
    }
}
