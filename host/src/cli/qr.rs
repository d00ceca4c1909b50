//! `qr`: makes a setup code for one phone and draws it.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;
use serde_json::json;

use super::args::QrArgs;
use super::client::{read_answer, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::when::duration;
use crate::clock::Clock;

const METHOD: &str = "device.pair.setupCode";

/// The answer; only what is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Setup {
    setup_code: String,
    gateway_url: String,
    url_source: String,
    auth: String,
    expires_at_ms: u64,
}

/// Asks the gateway for a code and shows it.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(args: &QrArgs, screen: &Screen) -> CliResult<()> {
    let mut params = json!({ "preferRemote": args.remote });
    if let Some(url) = &args.public_url {
        params["url"] = json!(url);
    }
    let payload = with_gateway(&args.access(), async |client| {
        client.request(METHOD, &params).await
    })?;
    if args.setup_code_only && !args.json {
        screen.line(read_answer::<Setup>(METHOD, &payload)?.setup_code);
        return Ok(());
    }
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let setup: Setup = read_answer(METHOD, &payload)?;
    screen.line(screen.paint(Paint::Good, "pairing code for one phone"));
    if !args.no_ascii {
        screen.line("scan this with the OpenClaw app\n");
        screen.line(drawn(&setup.setup_code)?);
    }
    let left = setup.expires_at_ms.saturating_sub(Clock::system().now_ms());
    screen.line(format!("setup code: {}", setup.setup_code));
    screen.line(format!("gateway:    {}", setup.gateway_url));
    screen.line(format!("address by: {}", setup.url_source));
    screen.line(format!("stands for: the gateway's {}", setup.auth));
    screen.line(format!(
        "good for:   {}, for the first phone that shows it",
        duration(left)
    ));
    screen.line("\nthen approve the phone with\n  openclaw devices list\n  openclaw devices approve REQUEST_ID");
    Ok(())
}

/// Light on dark, as most terminals are; with the quiet border that scanners look for.
fn drawn(text: &str) -> CliResult<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|cause| {
        let text = format!("the setup code can't be drawn: {cause}");
        CliError::new(Kind::Local, "QR", text).fix("print it: openclaw qr --setup-code-only")
    })?;
    let mut image = code.render::<Dense1x2>();
    image
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true);
    Ok(image.build())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_fits_a_terminal() {
        let text = drawn(&"x".repeat(160)).unwrap();
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(
            widths.iter().all(|w| *w == widths[0] && *w <= 70),
            "{widths:?}"
        );
        // The border is light: nothing of the code touches the edge.
        assert!(text.lines().next().unwrap().chars().all(|c| c == '█'));
        assert!(drawn(&"x".repeat(5_000)).is_err());
    }
}
