//! Every table of the database in one list: name, key, value, who owns it and why it is there.
//!
//! Values are JSON of a private type in the owner's file of this folder, unless said otherwise.
//! All writes are durable (fsync) when [`super::Store::write`] resolves.

use super::JsonTable;

/// `layout` → version of the whole file (owner: `store::migrate`).
pub const META: JsonTable = JsonTable::new("meta");
/// Device id → paired device (owner: `devices`). Holds no token, only generations.
pub const DEVICES: JsonTable = JsonTable::new("devices");
/// Request id → pending pairing request (owner: `devices`).
pub const PENDING: JsonTable = JsonTable::new("pairing_pending");
/// Hash → setup code (owner: `devices`). Holds no code.
pub const SETUP_CODES: JsonTable = JsonTable::new("setup_codes");
/// Journal id → inbound message that waits for its answer (owner: `channels`, `router`).
pub const JOURNAL: JsonTable = JsonTable::new("journal");
/// Channel, account, chat and message id → when it came: a second delivery is dropped (owner:
/// `channels`).
pub const SEEN: JsonTable = JsonTable::new("seen");
/// Outbox id → message to the world, open or finished (owner: `channels`).
pub const OUTBOX: JsonTable = JsonTable::new("outbox");
/// Idempotency key → outbox id (owner: `channels`).
pub const OUTBOX_KEYS: JsonTable = JsonTable::new("outbox_keys");
/// Channel, account and sender → request for access (owner: `router`).
pub const SENDERS: JsonTable = JsonTable::new("senders");
/// Plugin, account and key → bytes of the plugin's own (owner: `plugins`; not JSON).
pub const PLUGIN_KV: JsonTable = JsonTable::new("plugin_kv");
/// Session key → session (owner: `sessions`).
pub const SESSIONS: JsonTable = JsonTable::new("sessions");
/// `<group>/<time from the end, 16 hex digits>/<session key>` → nothing: the newest sessions first, of
/// all and of each agent (owner: `sessions`; not JSON).
pub const SESSION_ORDER: JsonTable = JsonTable::new("session_order");
/// Group of [`SESSION_ORDER`] → how many sessions it has (owner: `sessions`).
pub const SESSION_COUNTS: JsonTable = JsonTable::new("session_counts");
/// `<session id>/<number, 16 hex digits>` → message (owner: `sessions`).
pub const TRANSCRIPTS: JsonTable = JsonTable::new("transcripts");
/// `<session id>/<append key>` → key in [`TRANSCRIPTS`], so that a repeated append finds the
/// first one (owner: `sessions`).
pub const TRANSCRIPT_KEYS: JsonTable = JsonTable::new("transcript_keys");
/// Job id → cron job (owner: `cron`).
pub const CRON_JOBS: JsonTable = JsonTable::new("cron_jobs");
/// `<job id>/<number>` → finished run (owner: `cron`).
pub const CRON_LOG: JsonTable = JsonTable::new("cron_log");
/// Number → job id of each entry in [`CRON_LOG`], so that all of them are in order (owner: `cron`;
/// not JSON).
pub const CRON_ORDER: JsonTable = JsonTable::new("cron_order");
/// Number → text that waits for the main session's next prompt (owner: `cron`, `sessions`).
pub const CRON_REMINDERS: JsonTable = JsonTable::new("cron_reminders");

/// Name → what clients chose for all of them, such as the words that wake a phone (owner:
/// `methods`).
pub const PREFERENCES: JsonTable = JsonTable::new("preferences");

/// `<time>/<number>`, 16 hex digits each → message of a client that is not answered yet (owner:
/// `sessions`).
pub const ACCEPTED: JsonTable = JsonTable::new("accepted");

/// All tables, so that each exists before the first reader asks for it.
pub const ALL: &[JsonTable] = &[
    META,
    DEVICES,
    PENDING,
    SETUP_CODES,
    JOURNAL,
    SEEN,
    OUTBOX,
    OUTBOX_KEYS,
    SENDERS,
    PLUGIN_KV,
    SESSIONS,
    SESSION_ORDER,
    SESSION_COUNTS,
    TRANSCRIPTS,
    TRANSCRIPT_KEYS,
    ACCEPTED,
    CRON_JOBS,
    CRON_LOG,
    CRON_ORDER,
    CRON_REMINDERS,
    PREFERENCES,
];
