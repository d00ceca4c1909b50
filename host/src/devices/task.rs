//! The task that owns the book of devices: one decision at a time, written before it is answered.

use gateway_schemas::devices::{DevicePairList, DevicePairResolved, PairDecision, PairedDevice};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::request::{self, Book, Visitor};
use super::token::TokenKey;
use super::{Admission, DevicesError, Giver, Grant};
use crate::auth::scopes;
use crate::clock::Clock;
use crate::hub::{Event, Hub};
use crate::limits::DEVICES_MAX;
use crate::store::devices::{self as disk, DeviceChanges, DeviceRecord, PendingRecord};
use crate::store::{Store, StoreError};

type Answer<T> = oneshot::Sender<Result<T, DevicesError>>;

/// What the handle asks.
pub(super) enum Job {
    CheckToken {
        device_id: String,
        role: String,
        scopes: Vec<String>,
        token: String,
        answer: Answer<bool>,
    },
    Admit {
        visitor: Box<Visitor>,
        exempt: bool,
        answer: Answer<Admission>,
    },
    List {
        answer: Answer<DevicePairList>,
    },
    Approve {
        request_id: String,
        giver: Giver,
        answer: Answer<PairedDevice>,
    },
    Reject {
        request_id: String,
        answer: Answer<String>,
    },
    Remove {
        device_id: String,
        answer: Answer<String>,
    },
    Rotate {
        device_id: String,
        role: String,
        scopes: Option<Vec<String>>,
        giver: Giver,
        answer: Answer<Grant>,
    },
    Revoke {
        device_id: String,
        role: String,
        answer: Answer<u64>,
    },
}

pub(super) struct DevicesTask {
    clock: Clock,
    store: Store,
    hub: Hub,
    key: TokenKey,
    book: Book,
}

impl DevicesTask {
    pub(super) fn load(
        clock: Clock,
        store: Store,
        hub: Hub,
        key: TokenKey,
    ) -> Result<Self, StoreError> {
        let (devices, pending) = store.read(disk::load)?;
        let book = Book {
            devices: devices
                .into_iter()
                .map(|d| (d.device_id.clone(), d))
                .collect(),
            pending: pending
                .into_iter()
                .map(|p| (p.request_id.clone(), p))
                .collect(),
        };
        Ok(DevicesTask {
            clock,
            store,
            hub,
            key,
            book,
        })
    }

    /// Answers until it is stopped or the last handle is gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        while let Some(Some(job)) = stop.run_until_cancelled(queue.recv()).await {
            // An asker that left doesn't take its decision back.
            match job {
                Job::CheckToken {
                    device_id,
                    role,
                    scopes,
                    token,
                    answer,
                } => {
                    answer
                        .send(Ok(self.check_token(&device_id, &role, &scopes, &token)))
                        .ok();
                }
                Job::Admit {
                    visitor,
                    exempt,
                    answer,
                } => {
                    answer.send(self.admit(&visitor, exempt).await).ok();
                }
                Job::List { answer } => {
                    answer.send(self.list().await).ok();
                }
                Job::Approve {
                    request_id,
                    giver,
                    answer,
                } => {
                    answer.send(self.approve(&request_id, &giver).await).ok();
                }
                Job::Reject { request_id, answer } => {
                    answer.send(self.reject(&request_id).await).ok();
                }
                Job::Remove { device_id, answer } => {
                    answer.send(self.remove(device_id).await).ok();
                }
                Job::Rotate {
                    device_id,
                    role,
                    scopes,
                    giver,
                    answer,
                } => {
                    answer
                        .send(self.rotate(&device_id, &role, scopes, &giver).await)
                        .ok();
                }
                Job::Revoke {
                    device_id,
                    role,
                    answer,
                } => {
                    answer.send(self.revoke(&device_id, &role).await).ok();
                }
            }
        }
    }

    /// Writes, and only then believes.
    async fn commit(&mut self, changes: DeviceChanges) -> Result<(), DevicesError> {
        if !changes.is_empty() {
            let written = changes.clone();
            self.store
                .write(move |txn| written.write(txn))
                .await
                .map_err(DevicesError::Store)?;
            request::apply(&mut self.book, changes);
        }
        Ok(())
    }

    fn generation(&self) -> u64 {
        u64::from_be_bytes(self.clock.random())
    }

    fn check_token(
        &mut self,
        device_id: &str,
        role: &str,
        requested: &[String],
        sent: &str,
    ) -> bool {
        let Some(device) = self.book.devices.get_mut(device_id) else {
            return false;
        };
        let Some(token) = device.tokens.get_mut(role) else {
            return false;
        };
        let good = token.revoked_at_ms.is_none()
            && self
                .key
                .matches(device_id, role, token.generation, sent.trim())
            && scopes::allows(role, &token.scopes, &device.approved_scopes)
            && scopes::allows(role, requested, &token.scopes);
        if good {
            // Written along with the device's next change: not worth a commit for each connect.
            token.last_used_at_ms = Some(self.clock.now_ms());
        }
        good
    }

    async fn admit(&mut self, visitor: &Visitor, exempt: bool) -> Result<Admission, DevicesError> {
        let mut changes = self.purge();
        let device = self.book.devices.get(&visitor.device_id);
        if exempt {
            return self.welcome(visitor, device.cloned(), changes).await;
        }
        let Some(reason) = request::obstacle(device, visitor) else {
            let device = device.map(|d| request::touched(d, visitor));
            return self.welcome(visitor, device, changes).await;
        };
        let now = self.clock.now_ms();
        let asked = request::ask(&self.book, visitor, reason, now, self.clock.uuid());
        if asked.silent {
            self.room_for(&visitor.device_id)?;
            let record = request::approve(device, &asked.request, now, self.generation());
            changes.drop_pending.push(asked.request.request_id.clone());
            let admission = self.welcome(visitor, Some(record), changes).await?;
            self.publish_resolved(&asked.request, PairDecision::Approved);
            return Ok(admission);
        }
        changes.put_pending.push(asked.request.clone());
        self.commit(changes).await?;
        if asked.created {
            let shown = request::show_request(&asked.request);
            self.hub
                .publish(Event::new("device.pair.requested", &shown));
        }
        Ok(Admission::Pending {
            request_id: asked.request.request_id,
            reason,
        })
    }

    /// Makes sure that the role has a token that serves, writes what changed, admits.
    async fn welcome(
        &mut self,
        visitor: &Visitor,
        device: Option<DeviceRecord>,
        mut changes: DeviceChanges,
    ) -> Result<Admission, DevicesError> {
        let Some(mut device) = device else {
            self.commit(changes).await?;
            return Ok(Admission::Admitted {
                grant: None,
                pinned: (None, None),
            });
        };
        let entitled = scopes::allows(&visitor.role, &visitor.scopes, &device.approved_scopes);
        if entitled && !request::token_serves(&device, &visitor.role, &visitor.scopes) {
            let wanted = scopes::normalise_sorted(&visitor.scopes);
            let old = device.tokens.get(&visitor.role);
            let token = request::new_token(old, wanted, self.clock.now_ms(), self.generation());
            device.tokens.insert(visitor.role.clone(), token);
        }
        let grant = entitled
            .then(|| self.grant(&device, &visitor.role))
            .flatten();
        let pinned = (
            device.about.platform.clone(),
            device.about.device_family.clone(),
        );
        if self.book.devices.get(&device.device_id) != Some(&device) {
            changes.put_devices.push(device);
        }
        self.commit(changes).await?;
        Ok(Admission::Admitted { grant, pinned })
    }

    fn grant(&self, device: &DeviceRecord, role: &str) -> Option<Grant> {
        let token = device.tokens.get(role)?;
        Some(Grant {
            token: self.key.derive(&device.device_id, role, token.generation),
            scopes: token.scopes.clone(),
            issued_at_ms: token.rotated_at_ms.unwrap_or(token.created_at_ms),
        })
    }

    /// What has expired, as changes still to be written.
    fn purge(&self) -> DeviceChanges {
        let drop_pending = request::expired(&self.book, self.clock.now_ms());
        DeviceChanges {
            drop_pending,
            ..DeviceChanges::default()
        }
    }

    fn room_for(&self, device_id: &str) -> Result<(), DevicesError> {
        let known = self.book.devices.contains_key(device_id);
        if known || self.book.devices.len() < DEVICES_MAX {
            Ok(())
        } else {
            Err(DevicesError::TooMany)
        }
    }

    fn publish_resolved(&self, request: &PendingRecord, decision: PairDecision) {
        let resolved = DevicePairResolved {
            request_id: request.request_id.clone(),
            device_id: request.device_id.clone(),
            decision,
            ts: self.clock.now_ms(),
        };
        self.hub
            .publish(Event::new("device.pair.resolved", &resolved));
    }

    async fn list(&mut self) -> Result<DevicePairList, DevicesError> {
        let changes = self.purge();
        self.commit(changes).await?;
        let mut pending: Vec<_> = self.book.pending.values().collect();
        pending.sort_by_key(|p| std::cmp::Reverse(p.ts));
        let mut paired: Vec<_> = self.book.devices.values().collect();
        paired.sort_by_key(|d| std::cmp::Reverse(d.approved_at_ms));
        Ok(DevicePairList {
            pending: pending.into_iter().map(request::show_request).collect(),
            paired: paired.into_iter().map(request::show_device).collect(),
        })
    }

    async fn approve(
        &mut self,
        request_id: &str,
        giver: &Giver,
    ) -> Result<PairedDevice, DevicesError> {
        let mut changes = self.purge();
        let request = self
            .book
            .pending
            .get(request_id)
            .filter(|p| !changes.drop_pending.contains(&p.request_id))
            .cloned()
            .ok_or(DevicesError::UnknownRequest)?;
        if let Some(missing) = scopes::first_missing("operator", &request.scopes, &giver.scopes) {
            return Err(DevicesError::MissingScope(missing));
        }
        self.room_for(&request.device_id)?;
        let old = self.book.devices.get(&request.device_id);
        let record = request::approve(old, &request, self.clock.now_ms(), self.generation());
        let shown = request::show_device(&record);
        changes.put_devices.push(record);
        changes.drop_pending.push(request.request_id.clone());
        self.commit(changes).await?;
        self.publish_resolved(&request, PairDecision::Approved);
        Ok(shown)
    }

    async fn reject(&mut self, request_id: &str) -> Result<String, DevicesError> {
        let mut changes = self.purge();
        let request = self
            .book
            .pending
            .get(request_id)
            .cloned()
            .ok_or(DevicesError::UnknownRequest)?;
        if changes.drop_pending.contains(&request.request_id) {
            return Err(DevicesError::UnknownRequest);
        }
        changes.drop_pending.push(request.request_id.clone());
        self.commit(changes).await?;
        self.publish_resolved(&request, PairDecision::Rejected);
        Ok(request.device_id)
    }

    async fn remove(&mut self, device_id: String) -> Result<String, DevicesError> {
        if !self.book.devices.contains_key(&device_id) {
            return Err(DevicesError::UnknownDevice);
        }
        let mut changes = self.purge();
        changes.drop_devices.push(device_id.clone());
        self.commit(changes).await?;
        self.hub.close_device(&device_id, None, "device removed");
        Ok(device_id)
    }

    async fn rotate(
        &mut self,
        device_id: &str,
        role: &str,
        wanted: Option<Vec<String>>,
        giver: &Giver,
    ) -> Result<Grant, DevicesError> {
        let mut device = self
            .book
            .devices
            .get(device_id)
            .cloned()
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        let old = device.tokens.get(role);
        let wanted = wanted
            .or_else(|| old.map(|t| t.scopes.clone()))
            .unwrap_or_else(|| device.scopes.clone());
        let wanted = scopes::normalise_sorted(&wanted);
        if let Some(missing) = scopes::first_missing(role, &wanted, &giver.scopes) {
            return Err(DevicesError::MissingScope(missing));
        }
        let approved = device.roles.iter().any(|r| r == role)
            && scopes::allows(role, &wanted, &device.approved_scopes);
        if !approved {
            return Err(DevicesError::UnknownDeviceOrRole);
        }
        let token = request::new_token(old, wanted, self.clock.now_ms(), self.generation());
        device.tokens.insert(role.to_owned(), token);
        let grant = self
            .grant(&device, role)
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        self.commit(DeviceChanges {
            put_devices: vec![device],
            ..DeviceChanges::default()
        })
        .await?;
        Ok(grant)
    }

    async fn revoke(&mut self, device_id: &str, role: &str) -> Result<u64, DevicesError> {
        let now = self.clock.now_ms();
        let mut device = self
            .book
            .devices
            .get(device_id)
            .cloned()
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        let token = device
            .tokens
            .get_mut(role)
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        token.revoked_at_ms = Some(now);
        self.commit(DeviceChanges {
            put_devices: vec![device],
            ..DeviceChanges::default()
        })
        .await?;
        self.hub
            .close_device(device_id, Some(role), "device token revoked");
        Ok(now)
    }
}
