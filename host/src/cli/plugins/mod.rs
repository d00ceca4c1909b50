//! `openclaw plugins`: what is installed, and what an operator does with it. One file for each
//! command; called by [`cli::main`](super::main).

mod list;

use super::args::PluginsCommand;
use super::error::CliResult;
use super::output::Screen;

/// Runs one of the commands.
///
/// # Errors
/// As the command says.
pub fn run(command: &PluginsCommand, screen: &Screen) -> CliResult<()> {
    match command {
        PluginsCommand::List(args) => list::run(args, screen),
    }
}
