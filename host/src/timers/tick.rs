//! The tick that tells clients the gateway is alive, and the sweep of idempotency keys.

use gateway_schemas::system::Tick;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::clock::Clock;
use crate::dedupe::Dedupe;
use crate::hub::{Event, Hub};
use crate::limits::{DEDUPE_SWEEP_INTERVAL, TICK_INTERVAL};
use crate::shutdown::Tasks;

/// Starts both until `tasks` stop.
pub fn start(hub: Hub, clock: Clock, dedupe: Dedupe, tasks: &Tasks) {
    let stop = tasks.stop_token().clone();
    tasks.spawn("tick", async move {
        let mut ticks = interval_at(Instant::now() + TICK_INTERVAL, TICK_INTERVAL);
        let mut sweeps = interval_at(
            Instant::now() + DEDUPE_SWEEP_INTERVAL,
            DEDUPE_SWEEP_INTERVAL,
        );
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => hub.publish(Event::new("tick", &Tick { ts: clock.now_ms() })),
                _ = sweeps.tick() => dedupe.sweep(),
            }
        }
    });
}
