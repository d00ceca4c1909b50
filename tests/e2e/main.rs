//! Behaviour through sockets, files and exit codes. One binary for all of it: one link, and the
//! tests share nothing but the programs they start. One file for each group of methods, named as
//! in `schemas/` and `host/src/methods/`.
#![allow(clippy::unwrap_used)]

mod agent;
mod agents;
mod attempts;
mod channels;
mod chat;
mod cli;
mod config;
mod config_cli;
mod config_methods;
mod connect;
mod crash;
mod cut_off;
mod cron;
mod cron_cli;
mod cron_faults;
mod credentials;
mod cron_tool;
mod devices;
mod events;
mod flood;
mod heartbeat;
mod hooks;
mod http_access;
mod http_api;
mod http_tools;
mod import;
mod irc;
mod local_socket;
mod logs;
mod models;
mod origins;
mod pairing_walk;
mod plugin_authors;
mod plugin_operators;
mod plugins;
mod programs;
mod proxies;
mod reload;
mod requests;
mod rights;
mod secrets;
mod send;
mod sessions;
mod sessions_cli;
mod sessions_removal;
mod setup_codes;
mod shutdown;
mod tailscale;
mod telegram;
mod tls;
mod tools;
mod voice;
mod usage;
