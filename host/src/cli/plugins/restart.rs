//! `plugins restart NAME[/ACCOUNT]`: starts accounts of a plugin anew in the running gateway, also
//! those that were given up.

use gateway_schemas::plugins::{PluginsRestartParams, PluginsRestarted};
use serde_json::json;

use super::target::Target;
use crate::cli::args::PluginsRestartArgs;
use crate::cli::client::{read_answer, with_gateway};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen};

const METHOD: &str = "plugins.restart";

/// Asks for it and waits until the accounts serve again.
///
/// # Errors
/// No gateway, no such plugin or account, or one that does not start.
pub fn run(args: &PluginsRestartArgs, screen: &Screen) -> CliResult<()> {
    let target = Target::read(&args.plugin)?;
    let params = json!(PluginsRestartParams {
        name: target.name.to_owned(),
        account_id: target.account.map(str::to_owned),
    });
    let access = args.connection.access(Some(args.timeout));
    let answer = with_gateway(&access, async |client| {
        client.request(METHOD, &params).await
    });
    let payload = answer.map_err(|error| with_fix(error, &target))?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let done: PluginsRestarted = read_answer(METHOD, &payload)?;
    let done = format!("restarted {}: {}", target.name, done.restarted.join(", "));
    screen.line(screen.paint(Paint::Good, &done));
    Ok(())
}

/// What to do about a refusal of the gateway.
fn with_fix(error: CliError, target: &Target<'_>) -> CliError {
    if error.kind() != Kind::Gateway {
        return error;
    }
    let said = error.message().to_owned();
    if said.starts_with("unknown plugin") || said.starts_with("unknown account") {
        error.fix("see the plugins and their accounts: openclaw plugins list")
    } else if said.starts_with("not started") {
        error.fix(format!("see what it says: openclaw plugins logs {target}"))
    } else {
        error
    }
}
