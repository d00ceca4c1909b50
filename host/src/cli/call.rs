//! `call METHOD`: the way to every method that has no command of its own.

use serde_json::Value;

use super::args::CallArgs;
use super::client::with_gateway;
use super::error::{CliError, CliResult};
use super::output::Screen;

/// Calls the method and prints the answer as JSON, in the gateway's own order.
///
/// # Errors
/// Parameters that are no JSON object, or what the gateway says.
pub fn run(args: &CallArgs, screen: &Screen) -> CliResult<()> {
    let params = params(&args.params)?;
    let access = args.reach.access();
    let payload = with_gateway(&access, async |client| {
        if args.expect_final {
            client
                .request_final(&args.method, &params, &mut |_, _| {})
                .await
        } else {
            client.request(&args.method, &params).await
        }
    })?;
    screen.raw_json(payload.get());
    Ok(())
}

fn params(text: &str) -> CliResult<Value> {
    let wrong = |why: &str| {
        CliError::usage(format!("--params is not a JSON object: {why}"))
            .fix("write it like --params '{\"limit\":5}'")
    };
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(wrong("it is another kind of value")),
        Err(cause) => Err(wrong(&cause.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_an_object() {
        assert!(params("{\"a\":1}").is_ok());
        for wrong in ["", "[]", "7", "{a:1}"] {
            let error = params(wrong).err().map(|e| e.kind().exit_code());
            assert_eq!(error, Some(2), "{wrong}");
        }
    }
}
