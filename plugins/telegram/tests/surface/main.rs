//! The surface as the gateway drives it, against the fake Bot API.
//!
//! No test depends on time: polls are held as long as Telegram allows, delays after failures are a
//! millisecond, and every wait is for an event or a call.
#![allow(clippy::unwrap_used)]

mod inbound;
mod outbound;
mod world;

use gateway_plugin::conformance::Setup;
use gateway_plugin_telegram::Telegram;

gateway_plugin::conformance!(Telegram, {
    let world = world::World::new().await;
    let config = world.config(serde_json::json!({}));
    let bot = world.bot.clone();
    Setup::new(config, world::ANN.to_string())
        .inbound(move |text| {
            bot.push_text(world::ANN, world::ANN, &text);
            std::future::ready(())
        })
        .keep(world)
});
