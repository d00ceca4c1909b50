//! `openclaw plugins`: what is installed, and what an operator does with it. One file for each
//! command; called by [`cli::main`](super::main).

mod list;
mod new;
mod test;
mod trial;

use std::process::ExitCode;

use super::args::PluginsCommand;
use super::error::CliResult;
use super::output::Screen;

/// Runs one of the commands; the exit code of one that was done but found something wrong is 1.
///
/// # Errors
/// As the command says.
pub fn run(command: &PluginsCommand, screen: &Screen) -> CliResult<ExitCode> {
    match command {
        PluginsCommand::List(args) => list::run(args, screen),
        PluginsCommand::New(args) => new::run(args, screen),
        PluginsCommand::Test(args) => return test::run(args, screen),
    }?;
    Ok(ExitCode::SUCCESS)
}
