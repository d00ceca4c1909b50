//! The task that owns the book of devices: one decision at a time, written before it is answered.

use std::sync::Arc;

use gateway_schemas::devices::{DevicePairList, DevicePairResolved, PairDecision, PairedDevice};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::admit::{self, Decision};
use super::overlap::Overlaps;
use super::request::{self, Book, Visitor};
use super::setup::{self, CodeJob};
use super::{Admission, DevicesError, Giver, Grant, Shared};
use crate::auth::scopes;
use crate::clock::Clock;
use crate::hub::{Event, Hub};
use crate::limits::{ADMISSIONS_AT_ONCE, DEVICES_MAX, TOKEN_LOOK_INTERVAL};
use crate::store::devices::{self as disk, DeviceChanges, DeviceRecord, PendingRecord};
use crate::store::{Store, StoreError};

pub(super) type Answer<T> = oneshot::Sender<Result<T, DevicesError>>;

/// What the handle asks.
pub(super) enum Job {
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
    Code(CodeJob),
}

/// What is on disk.
pub(super) fn load(store: &Store) -> Result<Book, StoreError> {
    let loaded = store.read(disk::load)?;
    let devices = loaded.devices.into_iter().map(|d| (d.device_id.clone(), d));
    let pending = loaded
        .pending
        .into_iter()
        .map(|p| (p.request_id.clone(), p));
    let codes = loaded.codes.into_iter().map(|c| (c.hash.clone(), c));
    Ok(Book {
        devices: devices.collect(),
        pending: pending.collect(),
        codes: codes.collect(),
    })
}

/// A visitor that waits for its verdict.
struct Waiting {
    visitor: Box<Visitor>,
    exempt: bool,
    answer: Answer<Admission>,
}

pub(super) struct DevicesTask {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    store: Store,
    pub(super) hub: Hub,
    pub(super) overlaps: Overlaps,
}

impl DevicesTask {
    pub(super) fn new(shared: Arc<Shared>, store: Store, hub: Hub) -> Self {
        let clock = shared.clock;
        let task = DevicesTask {
            shared,
            clock,
            store,
            hub,
            overlaps: Overlaps::default(),
        };
        task.shared
            .read()
            .devices
            .values()
            .for_each(|d| task.watch(d));
        task
    }

    /// Answers until it is stopped or the last handle is gone.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut next = None;
        let mut looks = tokio::time::interval(TOKEN_LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(job) = next.take() {
                next = self.serve(job, &mut queue).await;
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = looks.tick(), if self.overlaps.any() => {
                    self.end_rotated().await;
                }
                job = queue.recv() => match job {
                    Some(job) => next = self.serve(job, &mut queue).await,
                    None => return,
                },
            }
        }
    }

    /// Serves a job; gives back one that was taken from the queue and is not served yet.
    async fn serve(&self, job: Job, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
        // An asker that left doesn't take its decision back.
        match job {
            Job::Admit {
                visitor,
                exempt,
                answer,
            } => {
                let first = Waiting {
                    visitor,
                    exempt,
                    answer,
                };
                let (visitors, next) = together(first, queue);
                self.admit(visitors).await;
                return next;
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
                let rotated = self.rotate(&device_id, &role, scopes, &giver).await;
                answer.send(rotated).ok();
            }
            Job::Revoke {
                device_id,
                role,
                answer,
            } => {
                answer.send(self.revoke(&device_id, &role).await).ok();
            }
            Job::Code(job) => self.serve_code(job).await,
        }
        None
    }

    /// Writes, and only then believes.
    pub(super) async fn commit(&self, changes: DeviceChanges) -> Result<(), DevicesError> {
        if !changes.is_empty() {
            let written = changes.clone();
            self.store.write(move |txn| written.write(txn)).await?;
            let ended = self.ended_by(&changes);
            changes.put_devices.iter().for_each(|d| self.watch(d));
            request::apply(&mut self.shared.write(), changes);
            for (device_id, role, generation) in ended {
                self.close_generation(&device_id, &role, generation);
            }
        }
        Ok(())
    }

    /// Decides on visitors of different devices, and writes all that follows in one commit.
    async fn admit(&self, visitors: Vec<Waiting>) {
        let mut changes = self.purge();
        let mut decided = Vec::with_capacity(visitors.len());
        {
            let book = self.shared.read();
            for waiting in visitors {
                let joining = changes.put_devices.len();
                let Waiting {
                    visitor, exempt, ..
                } = &waiting;
                match admit::decide(&book, visitor, *exempt, joining, &self.clock) {
                    Ok(decision) => {
                        note(&book, &decision, &mut changes);
                        decided.push((waiting, decision));
                    }
                    Err(error) => {
                        waiting.answer.send(Err(error)).ok();
                    }
                }
            }
        }
        let crowd = request::crowded_out(&self.shared.read(), &changes);
        changes.drop_pending.extend(crowd);
        let committed = self.commit(changes).await;
        for (waiting, decision) in decided {
            let answer = committed
                .clone()
                .map(|()| self.verdict(decision, &waiting.visitor));
            waiting.answer.send(answer).ok();
        }
    }

    /// Tells those who watch, and makes the answer.
    fn verdict(&self, decision: Decision, visitor: &Visitor) -> Admission {
        match decision {
            Decision::Admitted { device, approved } => {
                if let Some(request) = approved {
                    self.publish_resolved(&request, PairDecision::Approved);
                }
                admit::admission(device.as_deref(), visitor, &self.shared.key)
            }
            Decision::Waits {
                request,
                reason,
                is_new,
            } => {
                if is_new {
                    let shown = request::show_request(&request);
                    self.hub
                        .publish(Event::new("device.pair.requested", &shown));
                }
                Admission::Pending {
                    request_id: request.request_id,
                    reason,
                }
            }
        }
    }

    /// What has expired, as changes still to be written.
    pub(super) fn purge(&self) -> DeviceChanges {
        let (book, now) = (self.shared.read(), self.clock.now_ms());
        DeviceChanges {
            drop_pending: request::expired(&book, now),
            drop_codes: setup::expired(&book, now),
            ..DeviceChanges::default()
        }
    }

    fn device(&self, device_id: &str) -> Option<DeviceRecord> {
        self.shared.read().devices.get(device_id).cloned()
    }

    /// A request that waits and has not expired.
    fn waiting(
        &self,
        request_id: &str,
        changes: &DeviceChanges,
    ) -> Result<PendingRecord, DevicesError> {
        let book = self.shared.read();
        let request = book.pending.get(request_id);
        request
            .filter(|p| !changes.drop_pending.contains(&p.request_id))
            .cloned()
            .ok_or(DevicesError::UnknownRequest)
    }

    fn room_for(&self, device_id: &str) -> Result<(), DevicesError> {
        let book = self.shared.read();
        if book.devices.contains_key(device_id) || book.devices.len() < DEVICES_MAX {
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

    async fn list(&self) -> Result<DevicePairList, DevicesError> {
        let changes = self.purge();
        self.commit(changes).await?;
        let book = self.shared.read();
        let mut pending: Vec<_> = book.pending.values().collect();
        pending.sort_by_key(|p| std::cmp::Reverse(p.ts));
        let mut paired: Vec<_> = book.devices.values().collect();
        paired.sort_by_key(|d| std::cmp::Reverse(d.approved_at_ms));
        Ok(DevicePairList {
            pending: pending.into_iter().map(request::show_request).collect(),
            paired: paired.into_iter().map(request::show_device).collect(),
        })
    }

    async fn approve(&self, request_id: &str, giver: &Giver) -> Result<PairedDevice, DevicesError> {
        let mut changes = self.purge();
        let request = self.waiting(request_id, &changes)?;
        if let Some(missing) = scopes::first_missing("operator", &request.scopes, &giver.scopes) {
            return Err(DevicesError::MissingScope(missing));
        }
        self.room_for(&request.device_id)?;
        let old = self.device(&request.device_id);
        let record = request::approve(
            old.as_ref(),
            &request,
            self.clock.now_ms(),
            admit::generation(&self.clock),
        );
        if let Some(excess) = request::scopes_excess(&record.approved_scopes) {
            return Err(DevicesError::TooLarge(excess));
        }
        let shown = request::show_device(&record);
        changes.put_devices.push(record);
        changes.drop_pending.push(request.request_id.clone());
        self.commit(changes).await?;
        self.publish_resolved(&request, PairDecision::Approved);
        Ok(shown)
    }

    async fn reject(&self, request_id: &str) -> Result<String, DevicesError> {
        let mut changes = self.purge();
        let request = self.waiting(request_id, &changes)?;
        changes.drop_pending.push(request.request_id.clone());
        self.commit(changes).await?;
        self.publish_resolved(&request, PairDecision::Rejected);
        Ok(request.device_id)
    }

    async fn remove(&self, device_id: String) -> Result<String, DevicesError> {
        if self.device(&device_id).is_none() {
            return Err(DevicesError::UnknownDevice);
        }
        let mut changes = self.purge();
        let bound = setup::bound_to(&self.shared.read(), &device_id);
        changes.drop_codes.extend(bound);
        changes.drop_devices.push(device_id.clone());
        self.commit(changes).await?;
        self.hub.close_device("device removed", |caller| {
            caller.device_id.as_deref() == Some(&device_id)
        });
        Ok(device_id)
    }

    async fn rotate(
        &self,
        device_id: &str,
        role: &str,
        wanted: Option<Vec<String>>,
        giver: &Giver,
    ) -> Result<Grant, DevicesError> {
        let mut device = self
            .device(device_id)
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        let old = device.tokens.get(role);
        let wanted = wanted
            .or_else(|| old.map(|t| t.scopes.clone()))
            .unwrap_or_else(|| device.scopes.clone());
        if let Some(excess) = request::scopes_excess(&wanted) {
            return Err(DevicesError::TooLarge(excess));
        }
        let wanted = scopes::normalise_sorted(&wanted);
        if let Some(missing) = scopes::first_missing(role, &wanted, &giver.scopes) {
            return Err(DevicesError::MissingScope(missing));
        }
        let approved = device.roles.iter().any(|r| r == role)
            && scopes::allows(role, &wanted, &device.approved_scopes);
        if !approved {
            return Err(DevicesError::UnknownDeviceOrRole);
        }
        let token = request::rotated_token(
            old,
            wanted,
            self.clock.now_ms(),
            admit::generation(&self.clock),
        );
        device.tokens.insert(role.to_owned(), token);
        let grant = admit::grant(&device, role, &self.shared.key)
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        self.commit(DeviceChanges::of_device(device)).await?;
        Ok(grant)
    }

    async fn revoke(&self, device_id: &str, role: &str) -> Result<u64, DevicesError> {
        let now = self.clock.now_ms();
        let mut device = self
            .device(device_id)
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        let token = device
            .tokens
            .get_mut(role)
            .ok_or(DevicesError::UnknownDeviceOrRole)?;
        token.revoked_at_ms = Some(now);
        token.previous = None;
        self.commit(DeviceChanges::of_device(device)).await?;
        self.hub.close_device("device token revoked", |caller| {
            caller.device_id.as_deref() == Some(device_id) && caller.role_name() == role
        });
        Ok(now)
    }
}

/// The visitors that wait already and whose decisions don't touch each other: they share a commit.
/// With them the first job that has to wait for that commit.
fn together(first: Waiting, queue: &mut mpsc::Receiver<Job>) -> (Vec<Waiting>, Option<Job>) {
    let mut visitors = vec![first];
    while visitors.len() < ADMISSIONS_AT_ONCE {
        match queue.try_recv() {
            Ok(Job::Admit {
                visitor,
                exempt,
                answer,
            }) if visitors
                .iter()
                .all(|w| w.visitor.device_id != visitor.device_id) =>
            {
                visitors.push(Waiting {
                    visitor,
                    exempt,
                    answer,
                });
            }
            Ok(other) => return (visitors, Some(other)),
            Err(_) => break,
        }
    }
    (visitors, None)
}

/// What a decision changes on disk.
fn note(book: &Book, decision: &Decision, changes: &mut DeviceChanges) {
    match decision {
        Decision::Admitted { device, approved } => {
            let ids = approved.iter().map(|request| request.request_id.clone());
            changes.drop_pending.extend(ids);
            let changed = device
                .iter()
                .filter(|d| book.devices.get(&d.device_id) != Some(&***d));
            changes.put_devices.extend(changed.map(|d| (**d).clone()));
        }
        Decision::Waits { request, .. } => changes.put_pending.push((**request).clone()),
    }
}
