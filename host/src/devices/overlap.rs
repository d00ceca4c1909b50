//! Rotated tokens that still work for a while: their end, and the end of the connections that came
//! with them. Part of the devices task.

use std::sync::atomic::{AtomicU64, Ordering};

use super::request;
use super::task::DevicesTask;
use crate::limits::TOKEN_RETURN_MS;
use crate::store::devices::{DeviceChanges, DeviceRecord};

/// What the task remembers of them.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    /// When the last one ends, ms; nothing has to be watched after it.
    end_ms: AtomicU64,
    /// When they were looked at last, ms.
    looked_ms: AtomicU64,
}

impl Overlaps {
    /// Whether there is anything to watch.
    pub(super) fn any(&self) -> bool {
        self.end_ms.load(Ordering::Relaxed) > 0
    }
}

impl DevicesTask {
    /// Remembers until when the rotated tokens of a device have to be watched.
    pub(super) fn watch(&self, device: &DeviceRecord) {
        let ends = device.tokens.values().filter_map(|t| t.previous.as_ref());
        if let Some(end) = ends.map(|p| p.until_ms).max() {
            self.overlaps.end_ms.fetch_max(end, Ordering::Relaxed);
        }
    }

    /// Ends the rotated tokens whose time is up. Connections that came with one are closed a
    /// little earlier, so that they can come back and be given the new one.
    pub(super) async fn end_rotated(&self) {
        let now = self.clock.now_ms();
        let looked = self.overlaps.looked_ms.swap(now, Ordering::Relaxed);
        let mut changes = DeviceChanges::default();
        for device in self.shared.read().devices.values() {
            for (role, token) in &device.tokens {
                let near = |until: u64| {
                    let time = until.saturating_sub(TOKEN_RETURN_MS);
                    looked < time && time <= now
                };
                if let Some(old) = token.previous.as_ref().filter(|p| near(p.until_ms)) {
                    self.close_generation(&device.device_id, role, old.generation);
                }
            }
            changes
                .put_devices
                .extend(request::without_ended(device, now));
        }
        if let Err(error) = self.commit(changes).await {
            // It works no more all the same: whether it does is decided by its time.
            tracing::error!(%error, "rotated device tokens stay in the store");
        }
        if self.overlaps.end_ms.load(Ordering::Relaxed) <= now {
            self.overlaps.end_ms.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn close_generation(&self, device_id: &str, role: &str, generation: u64) {
        self.hub.close_device("device token rotated", |caller| {
            caller.device_id.as_deref() == Some(device_id)
                && caller.role_name() == role
                && caller.token_generation == Some(generation)
        });
    }

    /// Rotated tokens that work no more after `changes`.
    pub(super) fn ended_by(&self, changes: &DeviceChanges) -> Vec<(String, String, u64)> {
        let book = self.shared.read();
        let mut ended = Vec::new();
        for new in &changes.put_devices {
            let Some(old) = book.devices.get(&new.device_id) else {
                continue;
            };
            for (role, token) in &old.tokens {
                let after = new.tokens.get(role).and_then(|t| t.previous.as_ref());
                if let Some(gone) = token.previous.as_ref().filter(|p| Some(*p) != after) {
                    ended.push((new.device_id.clone(), role.clone(), gone.generation));
                }
            }
        }
        ended
    }
}
