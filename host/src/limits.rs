//! Every bound of the program: a number, its unit, and the reason for it.
//!
//! What a client can see (`max_payload` and so on) is told in `hello-ok.policy`. The first part
//! holds sizes and counts, the second times. Queues are listed together so that the tidy test can
//! compare them with the table in ARCHITECTURE.md.

use std::time::Duration;

#[path = "limits_clock.rs"]
mod clock;
#[path = "limits_exec.rs"]
mod exec;
#[path = "limits_config.rs"]
mod config;
#[path = "limits_http.rs"]
mod http;
#[path = "limits_past.rs"]
mod past;
#[path = "limits_skills.rs"]
mod skills;

pub use clock::*;
pub use config::*;
pub use exec::*;
pub use http::*;
pub use past::*;
pub use skills::*;

// ── frames ──────────────────────────────────────────────────────────────────────────────────

/// Largest message before hello-ok, bytes. A message of exactly this size is read.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Largest message after hello-ok, bytes; told as `policy.maxPayload`.
pub const FRAME_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Largest head of an HTTP request, bytes.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Longest reason text in a close frame, bytes of UTF-8 (the protocol allows 123).
pub const CLOSE_REASON_BYTES_MAX: usize = 120;
/// Consecutive `unauthorized role` answers before the connection is closed.
pub const UNAUTHORIZED_ANSWERS_MAX: u32 = 10;
/// First size of a connection's read buffer, bytes. Small, because most connections are idle.
pub const SOCKET_READ_BUFFER_BYTES: usize = 4 * 1024;
/// What is written to a socket between two looks at whether it should go on, bytes.
pub const SOCKET_WRITE_CHUNK_BYTES: usize = 64 * 1024;
/// What is still read from a client that was told 1009, so that it gets the close frame, bytes.
pub const LINGER_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

// ── queues ──────────────────────────────────────────────────────────────────────────────────

/// Frames read before hello-ok and kept for afterwards.
pub const HANDSHAKE_PENDING_FRAMES_MAX: usize = 15;
/// Requests of one connection that run at the same time; more are answered `UNAVAILABLE`.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// Events waiting for one client, bytes; told as `policy.maxBufferedBytes`.
pub const CLIENT_QUEUE_BYTES_MAX: usize = 50 * 1024 * 1024;
/// Events waiting for one client, count: bounds the queue's own memory for tiny events.
pub const CLIENT_QUEUE_EVENTS_MAX: usize = 65_536;
/// Jobs waiting for the store's writer thread; askers wait beyond it.
pub const STORE_QUEUE_JOBS_MAX: usize = 1_024;
/// Page cache of the database, bytes. Small: the hot state is in memory already.
pub const STORE_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Jobs that share one durable commit.
pub const STORE_BATCH_JOBS_MAX: usize = 256;
/// Requests waiting for the devices task.
pub const DEVICES_QUEUE_MAX: usize = 256;
/// Visitors the devices task decides on in one commit: a crowd that returns costs few of them.
pub const ADMISSIONS_AT_ONCE: usize = 64;
/// Sockets between accept and hello-ok, over all addresses; more are turned away. Each costs less
/// than 20 KiB, and on a host with few descriptors a quarter of them is the bound.
pub const SOCKETS_BEFORE_HELLO_MAX: usize = 1_024;
/// The same of one address (of IPv6: of one /64 network).
pub const SOCKETS_BEFORE_HELLO_EACH_MAX: usize = 256;
/// A flood is over when no more sockets than these have not said hello.
pub const FLOOD_OVER_MAX: usize = 64;
/// The same on the local socket, a place of its own: a flood at the port keeps nobody out there.
pub const LOCAL_HANDSHAKES_MAX: usize = 16;
/// Log lines waiting for the writer of the log; more are dropped and counted.
pub const LOG_QUEUE_LINES_MAX: usize = 4_096;

/// Size at which the log file is turned over to `.1`, bytes.
pub const LOG_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

// ── tables ──────────────────────────────────────────────────────────────────────────────────

/// Finished and running idempotency keys.
pub const DEDUPE_KEYS_MAX: usize = 1_000;
/// Presence entries; the oldest goes first.
pub const PRESENCE_ENTRIES_MAX: usize = 200;
/// Pending pairing requests over all devices; the oldest goes first.
pub const PAIRING_PENDING_MAX: usize = 256;
/// Setup codes that are good at the same time; the oldest goes first.
pub const SETUP_CODES_MAX: usize = 32;
/// Scopes of one request, token or device. The known ones are fewer than ten; a device that asks
/// again and again with others must not grow its request without end.
pub const DEVICE_SCOPES_MAX: usize = 64;
/// Longest scope, and longest name, platform and so on that a device says of itself, bytes: they
/// are stored and shown.
pub const DEVICE_TEXT_BYTES_MAX: usize = 512;
/// Paired devices. Far above any household, low enough to keep `device.pair.list` bounded.
pub const DEVICES_MAX: usize = 4_096;
/// System events waiting for the main session.
pub const SYSTEM_EVENTS_MAX: usize = 20;
/// Addresses whose failed authentication is remembered.
pub const RATE_LIMIT_ADDRESSES_MAX: usize = 10_000;
/// Failures in one window that may be allowed: the time of each is kept, 8 bytes.
pub const RATE_LIMIT_ATTEMPTS_MAX: u32 = 1_000;
/// Addresses of a tailnet whose user is remembered.
pub const WHOIS_KEPT_MAX: usize = 256;
/// Questions to Tailscale at a time: each is a process.
pub const WHOIS_AT_ONCE_MAX: usize = 4;
/// Longest answer of Tailscale, bytes.
pub const WHOIS_BYTES_MAX: u64 = 64 * 1024;
/// Longest text of one system event, characters.
pub const SYSTEM_EVENT_TEXT_CHARS_MAX: usize = 4_096;

// ── times ───────────────────────────────────────────────────────────────────────────────────

/// From accept to hello-ok. The reference's 3 s is too short on a busy small machine; protocol 4
/// uses this value.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for a socket's first byte, and again for a whole request head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at how many sockets were turned away: so often a flood is named in the log.
pub const FLOOD_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// After the start, until its accounts have come up too and its memory is given back.
pub const START_SETTLING: Duration = Duration::from_secs(2);
/// How long a certificate holds that the gateway made. Clients pin it, so it changes rarely.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(3_650 * 86_400);
/// How long before its end it is made anew.
pub const CERTIFICATE_RENEWAL: Duration = Duration::from_secs(30 * 86_400);
/// Between two looks at how long the certificate still holds.
pub const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(86_400);
/// Longest wait for a client that does not take what is written to it.
pub const SOCKET_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the close frame's way out.
pub const SOCKET_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two `tick` events; told as `policy.tickIntervalMs`. Clients give up after twice this.
pub const TICK_INTERVAL: Duration = Duration::from_secs(30);
/// Between two refreshes of the health snapshot without anybody asking.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two refreshes that clients caused: a burst of connects shares one.
pub const HEALTH_REFRESH_SPACING: Duration = Duration::from_millis(250);
/// How long a finished idempotency key is remembered, milliseconds.
pub const DEDUPE_TTL_MS: u64 = 300_000;
/// Between two sweeps of the idempotency keys.
pub const DEDUPE_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How far `device.signedAt` may differ from our clock, milliseconds, either way.
pub const SIGNATURE_SKEW_MS: u64 = 120_000;
/// How long a pending pairing request lives after its last merge, milliseconds.
pub const PAIRING_TTL_MS: u64 = 300_000;
/// How long a setup code is good, milliseconds: time to walk to the phone.
pub const SETUP_CODE_TTL_MS: u64 = 600_000;
/// How long a rotated device token works beside its successor, milliseconds: whoever comes with
/// it is given the new one in hello-ok.
pub const TOKEN_OVERLAP_MS: u64 = 60_000;
/// So long before the end of it the connections that came with the old token are closed,
/// milliseconds: they can come back and get the new one.
pub const TOKEN_RETURN_MS: u64 = 15_000;
/// Longest time between two looks at tokens that end soon; bounds what a changed clock does.
pub const TOKEN_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for an answer of Tailscale; below [`HANDSHAKE_TIMEOUT`].
pub const WHOIS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the user of an address is remembered, milliseconds.
pub const WHOIS_KEPT_MS: u64 = 60_000;
/// How long it is remembered that Tailscale gave no answer, milliseconds.
pub const WHOIS_FAILURE_KEPT_MS: u64 = 5_000;
/// How long a presence entry is shown after its last sign of life, milliseconds.
pub const PRESENCE_TTL_MS: u64 = 300_000;
/// Grace for agent runs to notice that they are cancelled. The graces of a stop add up to less
/// than the 10 s after which service managers commonly kill.
pub const RUNS_STOP_GRACE: Duration = Duration::from_secs(1);
/// Grace for sends in flight, and as much again for the plugin instances.
pub const CHANNELS_STOP_GRACE: Duration = Duration::from_millis(1_500);
/// Grace for the connections to take their last event and close frame.
pub const CONNECTIONS_STOP_GRACE: Duration = Duration::from_secs(2);

// ── channels and router ─────────────────────────────────────────────────────────────────────

/// Ids of inbound messages that are remembered, over all accounts; the oldest go first. Far more
/// than any provider keeps for a second delivery.
pub const SEEN_MESSAGES_MAX: usize = 20_000;
/// How far that may be exceeded before one sweep: a sweep reads the whole table.
pub const SEEN_PRUNE_SLACK: usize = 1_000;
/// Messages waiting for an answer on disk; beyond it plugins wait and providers are not
/// acknowledged.
pub const JOURNAL_OPEN_MAX: u64 = 10_000;
/// Open outbox entries of one account; beyond it a client is refused and a reply waits.
pub const OUTBOX_OPEN_MAX: usize = 1_000;
/// Finished outbox entries that are remembered under their idempotency key.
pub const OUTBOX_FINISHED_MAX: usize = 5_000;
/// How far that may be exceeded before one sweep: a sweep reads the whole table.
pub const OUTBOX_PRUNE_SLACK: usize = 500;
/// Sends of one account in flight at a time (a plugin takes as many requests).
pub const SENDS_IN_FLIGHT_MAX: usize = 64;
/// Largest file that may hold a credential, bytes.
pub const CREDENTIAL_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Strangers of one channel who may wait for access.
pub const SENDER_REQUESTS_MAX: usize = 3;
/// How long a stranger's request lives, milliseconds.
pub const SENDER_REQUEST_TTL_MS: u64 = 3_600_000;
/// Tries to find a pairing code that nobody has: two of 32^8 hardly ever meet.
pub const SENDER_CODE_TRIES: usize = 8;
/// Compiled size of one mention pattern, bytes.
pub const MENTION_PATTERN_BYTES_MAX: usize = 256 * 1024;
/// Journal entries the router holds in memory; the others wait on disk.
pub const ROUTER_WAITING_MAX: usize = 256;
/// Conversations the router serves at a time.
pub const ROUTER_SESSIONS_MAX: usize = 64;

/// Longest wait for a provider's word on one send: a long text is several calls, each of which
/// may be slowed down by the provider.
pub const SEND_DEADLINE: Duration = Duration::from_secs(60);
/// How long a client's message may wait for its channel, milliseconds.
pub const SEND_EXPIRES_MS: u64 = 60_000;
/// How long a reply may wait for its channel, milliseconds: longer than an outage of a night.
pub const REPLY_EXPIRES_MS: u64 = 24 * 3_600_000;
/// First pause before a message is sent again.
pub const OUTBOX_RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest such pause.
pub const OUTBOX_RETRY_MOST: Duration = Duration::from_secs(60);
/// From opening a plugin instance to its word that it serves: a provider may be slow to greet.
pub const ACCOUNT_START_DEADLINE: Duration = Duration::from_secs(30);
/// Time a plugin instance has to say goodbye; below [`CHANNELS_STOP_GRACE`].
pub const ACCOUNT_STOP_GRACE: Duration = Duration::from_secs(1);
/// Longest wait for the sends in flight before an account's plugin is changed; what has no answer
/// by then ends as unknown. Long enough for a provider's slow answer, short enough for a person.
pub const ACCOUNT_DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// Orders waiting for one account: the reload task waits for each.
pub const ACCOUNT_ORDERS_MAX: usize = 4;
/// Changes of plugins that wait for the reload task; further askers wait.
pub const PLUGIN_CHANGES_MAX: usize = 64;
/// An instance that served this long is well: the next pause before a restart is short again.
pub const ACCOUNT_WELL_AFTER: Duration = Duration::from_secs(60);
/// Between two pings of a plugin instance.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for a pong: a plugin answers from memory.
pub const PING_DEADLINE: Duration = Duration::from_secs(5);
/// The ping after which the provider is asked for the first time (a minute after the start).
pub const PROBE_FIRST_PING: u32 = 6;
/// Between two such questions, in pings (five minutes): each costs a call of the provider.
pub const PROBE_EVERY_PINGS: u32 = 30;
/// Longest wait for a probe that nobody asked for.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for a typing sign: late ones are worthless.
pub const TYPING_DEADLINE: Duration = Duration::from_secs(3);
/// How long a plugin may take to forget its login.
pub const LOGOUT_DEADLINE: Duration = Duration::from_secs(15);
/// Between two typing signs: providers show one for about five seconds.
pub const TYPING_INTERVAL: Duration = Duration::from_secs(4);
/// First pause before a turn is offered again to a session that can't take it.
pub const ROUTER_RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest such pause.
pub const ROUTER_RETRY_MOST: Duration = Duration::from_secs(30);

// ── plugins ─────────────────────────────────────────────────────────────────────────────────

/// Events of one instance that may be under way, granted as credits.
pub const PLUGIN_EVENTS_MAX: usize = 64;
/// Credits are given back in batches of so many: half as many frames, and never a dry instance.
pub const PLUGIN_CREDIT_BATCH: u64 = 16;
/// Operations of one instance that may be under way.
pub const PLUGIN_REQUESTS_MAX: usize = 64;
/// Calls to the host one instance may have waiting.
pub const PLUGIN_CALLS_MAX: usize = 64;
/// Calls of one instance that are served at a time: their writes share a commit.
pub const PLUGIN_CALLS_RUNNING_MAX: usize = 16;
/// Largest JSON body of a frame, bytes.
pub const PLUGIN_BODY_BYTES_MAX: usize = 1 << 20;
/// Largest bytes beside a body.
pub const PLUGIN_BLOB_BYTES_MAX: usize = 64 << 20;
/// Largest library file, bytes.
pub const LIBRARY_BYTES_MAX: u64 = 512 << 20;
/// Of a library this much is in memory at a time while it is hashed and copied, bytes.
pub const LIBRARY_PIECE_BYTES: usize = 64 << 10;
/// A copy of a plugin's library that nobody names is kept so long, for whoever installs it now.
pub const LIBRARY_UNUSED_AGE: Duration = Duration::from_secs(86_400);
/// What may be read of a library to inspect it, bytes: symbol tables of a development build are
/// some megabytes, a hostile file may ask for its own size many times over.
pub const INSPECT_BYTES_MAX: usize = 64 << 20;
/// Largest signature file, bytes: it has one line of 138.
pub const SIGNATURE_FILE_BYTES_MAX: u64 = 1_024;
/// Largest index of a registry, bytes: about 30,000 libraries.
pub const INDEX_BYTES_MAX: u64 = 16 << 20;
/// Longest wait for a connection to a registry.
pub const DOWNLOAD_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time a download may bring nothing.
pub const DOWNLOAD_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest download: the largest library at about 1 MB a second.
pub const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Redirects that are followed.
pub const DOWNLOAD_REDIRECTS_MAX: usize = 5;
/// State one account may keep if neither the manifest nor `plugins.toml` says otherwise, bytes.
pub const PLUGIN_KV_BYTES_DEFAULT: u64 = 16 << 20;
/// Longest key of that state, bytes.
pub const PLUGIN_KEY_BYTES_MAX: usize = 256;
/// Log lines an instance may write at once.
pub const PLUGIN_LOG_BURST: f64 = 200.0;
/// Log lines a second an instance may write in the long run.
pub const PLUGIN_LOG_PER_SECOND: f64 = 50.0;
/// Longest text of one log line of a plugin, bytes.
pub const PLUGIN_LOG_TEXT_BYTES_MAX: usize = 4_096;
/// Panics within [`PLUGIN_FAULT_WINDOW`] that end an instance.
pub const PLUGIN_PANICS_MAX: usize = 3;
/// How long a panic counts.
pub const PLUGIN_FAULT_WINDOW: Duration = Duration::from_secs(300);
/// Missed pings in a row that end an instance.
pub const PLUGIN_MISSED_PINGS_MAX: u32 = 3;
/// Bad frames that end an instance.
pub const PLUGIN_BAD_FRAMES_MAX: u32 = 100;
/// Restarts within [`PLUGIN_RESTART_WINDOW`] after which an account is given up.
pub const PLUGIN_RESTARTS_MAX: usize = 5;
/// How long a restart counts.
pub const PLUGIN_RESTART_WINDOW: Duration = Duration::from_secs(1_800);
/// The first wait before a restart; doubled each time.
pub const PLUGIN_BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait before a restart.
pub const PLUGIN_BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Bytes that may wait for a plugin's process that does not read; operations beyond it are
/// answered busy. One frame more may wait, however large.
pub const PLUGIN_SOCKET_QUEUE_BYTES: usize = 4 << 20;
/// Bytes of large blobs of one plugin's process that the gateway holds; beyond it nothing more is
/// read from its socket.
pub const PLUGIN_SOCKET_HELD_BYTES: usize = 128 << 20;
/// Read from a plugin's socket at once, bytes; a frame that is larger gets memory of its own.
pub const PLUGIN_SOCKET_READ_BYTES: usize = 64 << 10;
/// Memory of its own a plugin's process may use unless `limits.memory_mb` says otherwise, bytes.
pub const PLUGIN_CHILD_MEMORY_BYTES: u64 = 512 << 20;
/// Address space beyond that memory, bytes: code, and what allocators and threads only reserve.
pub const PLUGIN_CHILD_ADDRESS_SLACK_BYTES: u64 = 1 << 30;
/// Files and sockets a plugin's process may hold.
pub const PLUGIN_CHILD_FILES_MAX: u64 = 1_024;
/// Between two signs of life that a plugin's process is asked for. With the deadline below, one
/// that hangs is seen within a second, and killed after [`PLUGIN_MISSED_PINGS_MAX`] of them.
pub const PLUGIN_CHILD_PING_INTERVAL: Duration = Duration::from_millis(250);
/// Longest wait for such a sign.
pub const PLUGIN_CHILD_PING_DEADLINE: Duration = Duration::from_millis(750);
/// From the start of a plugin's process to an open instance in it: a large library on a cold disk.
pub const PLUGIN_CHILD_READY_DEADLINE: Duration = Duration::from_secs(10);
/// Time a plugin's process has to end by itself; below [`ACCOUNT_STOP_GRACE`].
pub const PLUGIN_CHILD_EXIT_GRACE: Duration = Duration::from_millis(300);
/// Between two looks at whether a plugin's process that must be gone is.
pub const PLUGIN_CHILD_REAP_INTERVAL: Duration = Duration::from_millis(1);
/// How much of a dead process's last line is told with its end, characters.
pub const PLUGIN_CHILD_LAST_WORDS_MAX: usize = 200;
/// Plugin processes waiting to be started or reaped.
pub const PLUGIN_SPAWNS_WAITING_MAX: usize = 64;

// ── agent ───────────────────────────────────────────────────────────────────────────────────

/// Longest session key, characters; the wire's own bound.
pub const SESSION_KEY_CHARS_MAX: usize = 512;
/// Longest name of a transcript that a client may choose, characters.
pub const SESSION_ID_CHARS_MAX: usize = 128;
/// Turns that wait in one session; more are refused.
pub const SESSION_RUNS_WAITING_MAX: usize = 32;
/// How long collected messages wait for more when the configuration names no time, milliseconds.
pub const QUEUE_DEBOUNCE_MS: u64 = 1_000;
/// Longest such time.
pub const QUEUE_DEBOUNCE_MAX: Duration = Duration::from_secs(60);
/// Sessions that have a run at the same time, running or waiting for a slot.
pub const SESSIONS_ACTIVE_MAX: usize = 1_024;
/// Runs that ask a model at the same time: each holds a prompt and a socket.
pub const RUNS_AT_ONCE_MAX: usize = 32;
/// Finished runs that can still be waited for.
pub const RUNS_KEPT_MAX: usize = 1_000;
/// How long a finished run is kept, milliseconds; the reference keeps 5 to 10 minutes.
pub const RUN_KEPT_MS: u64 = 600_000;
/// Longest run, also when no time limit is set.
pub const RUN_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Longest wait for a stopped run before its session is reset.
pub const RESET_WAIT: Duration = Duration::from_secs(15);
/// How much of an answer that came at once is shown by one event, bytes.
pub const DELTA_GATHERED_BYTES_MAX: usize = 4 * 1024;
/// Shortest time between two `chat` deltas of one run.
pub const CHAT_DELTA_SPACING: Duration = Duration::from_millis(150);
/// Messages of a transcript that a prompt may hold.
pub const PROMPT_MESSAGES_MAX: usize = 400;
/// Characters of a prompt when the model's context window is not known: about 100,000 tokens.
pub const PROMPT_CHARS_MAX: usize = 300_000;
/// Longest line and event of a model's stream, bytes.
pub const MODEL_EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Longest answer of a model, bytes.
pub const MODEL_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much of a model provider's error is read, bytes.
pub const MODEL_ERROR_BYTES_MAX: usize = 16 * 1024;
/// How often a model is asked before it counts as failed.
pub const MODEL_ATTEMPTS_MAX: u32 = 3;
/// Wait before the second attempt; doubled for each further one.
pub const MODEL_RETRY_WAIT: Duration = Duration::from_millis(500);
/// Longest `Retry-After` that is waited for; beyond it the model counts as failed at once.
pub const MODEL_RETRY_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a connection to a model provider.
pub const MODEL_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a model provider's response head; thinking models take their time.
pub const MODEL_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest answer that is asked for where the wire wants a number and the configuration has none,
/// tokens; every model of today can give that much.
pub const MODEL_ANSWER_TOKENS: u64 = 8_192;
/// Longest arguments of one tool call, bytes.
pub const TOOL_ARGUMENTS_BYTES_MAX: usize = 256 * 1024;
/// Tool calls of one answer that are looked at.
pub const TOOL_CALLS_MAX: usize = 32;
/// Largest file of an agent's folder that clients read and write, bytes.
pub const WORKSPACE_FILE_BYTES_MAX: u64 = 2 << 20;
/// Characters of one such file that a prompt holds, unless the configuration says otherwise.
pub const WORKSPACE_FILE_CHARS: usize = 20_000;
/// Characters of all of them together.
pub const WORKSPACE_CHARS: usize = 150_000;
/// How often a model may call tools before it has to have answered.
pub const TOOL_ROUNDS_MAX: usize = 32;
/// Longest wait for one tool.
pub const TOOL_TIME_MAX: Duration = Duration::from_secs(120);
/// Longest answer of a tool, characters; a prompt has to hold many of them.
pub const TOOL_TEXT_CHARS_MAX: usize = 30_000;
/// Conversations or messages that one tool call lists.
pub const TOOL_SESSIONS_MAX: usize = 100;
/// How many conversations may ask each other in a row.
pub const TOOL_CHAIN_MAX: usize = 5;
/// How long a complete answer waits for its token counts, or a refusal for its body.
pub const MODEL_TAIL_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that `chat.history` answers when it is not told how many, and at most.
pub const HISTORY_MESSAGES: usize = 200;
/// See [`HISTORY_MESSAGES`].
pub const HISTORY_MESSAGES_MAX: usize = 1_000;
/// Longest text in `chat.history`, characters.
pub const HISTORY_TEXT_CHARS_MAX: usize = 12_000;
/// Largest message in `chat.history`, bytes of JSON.
pub const HISTORY_MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Largest answer of `chat.history`, bytes of JSON.
pub const HISTORY_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Sessions that `sessions.preview` looks at.
pub const PREVIEW_SESSIONS_MAX: usize = 64;
/// Messages of a preview when it is not told how many, and at most.
pub const PREVIEW_MESSAGES: usize = 12;
/// See [`PREVIEW_MESSAGES`].
pub const PREVIEW_MESSAGES_MAX: usize = 50;
/// Characters of one message in a preview when it is not told how many, and at most.
pub const PREVIEW_CHARS: usize = 240;
/// See [`PREVIEW_CHARS`].
pub const PREVIEW_CHARS_MAX: usize = 2_000;
/// Messages that stay when a session is shortened and nobody says how many.
pub const COMPACT_MESSAGES: u64 = 400;
/// Messages that `sessions.get` answers when it is not told how many, and at most.
pub const GET_MESSAGES: usize = 200;
/// See [`GET_MESSAGES`].
pub const GET_MESSAGES_MAX: usize = 10_000;
/// Messages of a transcript read, and exported, at a time.
pub const EXPORT_MESSAGES: usize = 200;
/// How often a session that grows while it is kept as a file is tried to be deleted or shortened.
pub const ARCHIVE_TRIES_MAX: u32 = 3;
/// Sessions that `sessions.usage` looks at when it is not told how many, and at most.
pub const USAGE_SESSIONS: usize = 50;
/// See [`USAGE_SESSIONS`].
pub const USAGE_SESSIONS_MAX: usize = 1_000;
/// Days that usage is counted for when it is not told how many.
pub const USAGE_DAYS: u32 = 30;
/// Most days that may be asked for by number: ten years.
pub const USAGE_DAYS_MAX: u32 = 3_660;
/// Points of a session's usage over time.
pub const USAGE_POINTS_MAX: usize = 200;
/// Messages in `sessions.usage.logs` when it is not told how many, and at most.
pub const USAGE_LOGS: usize = 200;
/// See [`USAGE_LOGS`].
pub const USAGE_LOGS_MAX: usize = 1_000;
/// Longest text of one of them, characters.
pub const USAGE_LOG_CHARS_MAX: usize = 2_000;
/// Longest wait for a node's answer when the asker names none.
pub const NODE_INVOKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest attachment, bytes after base64.
pub const ATTACHMENT_BYTES_MAX: usize = 5_000_000;
/// Sessions whose newest and first messages `sessions.list` reads on request.
pub const SESSION_PREVIEWS_MAX: usize = 1_000;
const _: () = {
    assert!(HANDSHAKE_FRAME_BYTES_MAX < FRAME_BYTES_MAX);
    // Two frames of the largest size fit into a client's queue.
    assert!(2 * FRAME_BYTES_MAX <= CLIENT_QUEUE_BYTES_MAX);
    assert!(TOKEN_RETURN_MS < TOKEN_OVERLAP_MS);
    assert!(STORE_BATCH_JOBS_MAX <= STORE_QUEUE_JOBS_MAX);
    // The largest frame of a plugin's process fits into what of it may be held.
    assert!(PLUGIN_BLOB_BYTES_MAX <= PLUGIN_SOCKET_HELD_BYTES);
};
