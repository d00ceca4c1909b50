//! `qr`: a setup code for a phone.

use std::time::Duration;

use clap::Args;

use super::time::milliseconds;
use crate::cli::client::{Access, Flags};

/// `qr`
#[derive(Debug, Args)]
pub struct QrArgs {
    /// Address that the phone shall use, wss://HOST or ws://HOST:PORT [default: the gateway's own]
    #[arg(long, alias = "url", value_name = "URL")]
    pub public_url: Option<String>,
    /// Prefer gateway.remote.url to the gateway's own address
    #[arg(long, conflicts_with = "public_url")]
    pub remote: bool,
    /// Print the setup code and nothing else
    #[arg(long)]
    pub setup_code_only: bool,
    /// Do not draw the QR code
    #[arg(long)]
    pub no_ascii: bool,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    /// Give up after this long: milliseconds, or 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "10000", value_parser = milliseconds)]
    pub timeout: Duration,
}

impl QrArgs {
    /// The configured gateway; this machine's own by its local socket when the port is shut.
    pub fn access(&self) -> Access {
        Access {
            flags: Flags::default(),
            timeout: Some(self.timeout),
            own_socket: true,
        }
    }
}
