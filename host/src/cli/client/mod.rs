//! A client of the gateway: one connection, requests in turn, then a polite close.
//!
//! Every command that needs a gateway comes through [`with_gateway`]. It resolves the address,
//! proves who this device is, and says in words what stood in the way. One thread, no schema.

mod address;
mod door;
mod refusal;
mod secure;
mod settings;
mod talk;
mod target;
mod tokens;
mod wire;

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{CliError, CliResult, Kind};
use crate::config::{Paths, env};
pub use settings::paths;
pub use talk::read_answer;
use talk::{Line, Listener, Patience};
use target::Source;
pub use target::{Flags, Target};
pub use wire::Hello;

/// Who calls whom, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The address and secrets of the command line.
    pub flags: Flags,
    /// How long everything may take; `None` for ever.
    pub timeout: Option<Duration>,
    /// Whether this machine's own gateway may be asked through its local socket when the port
    /// lets nobody in.
    pub own_socket: bool,
}

/// An authenticated connection.
pub struct Client {
    line: Line,
    requests: u64,
    /// Where it leads.
    pub target: Target,
    /// What the gateway said at the door.
    pub hello: Hello,
    /// This device.
    pub device_id: String,
}

/// Connects, does the work, closes.
///
/// # Errors
/// Whatever stood in the way, with the address and where it came from.
pub fn with_gateway<T>(
    access: &Access,
    work: impl AsyncFnOnce(&mut Client) -> CliResult<T>,
) -> CliResult<T> {
    let target = Target::resolve(&access.flags, &env::var, settings::read)?;
    let paths = paths()?;
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let patience = Patience::start(access.timeout);
        let mut client = match door::connect(&target, &paths.state_dir, patience).await {
            Err(error) if access.own_socket && leads_here(&target, &error) => {
                let own = door::connect_local(&paths.local_socket(), &target, patience).await;
                // Without such a gateway the first obstacle is the one to tell.
                own.map_err(|_| error)?
            }
            client => client?,
        };
        let done = work(&mut client).await;
        client.line.close().await;
        done
    });
    // A name that is still being looked up must not hold the process back.
    runtime.shutdown_background();
    done.map_err(|error| match error.kind() {
        Kind::Connection | Kind::Timeout | Kind::Auth | Kind::Protocol => target.explain(error),
        _ => error,
    })
}

/// How long this machine's own gateway may take to answer.
const OWN_PATIENCE: Duration = Duration::from_secs(30);

/// Asks the gateway that runs on this machine's state folder, through its own socket. `None` when
/// none runs there.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn with_own_gateway<T>(
    paths: &Paths,
    work: impl AsyncFnOnce(&mut Client) -> CliResult<T>,
) -> CliResult<Option<T>> {
    let socket = paths.local_socket();
    if !somebody_listens(&socket) {
        return Ok(None);
    }
    let target = Target::own(&socket);
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let patience = Patience::start(Some(OWN_PATIENCE));
        let mut client = door::connect_local(&socket, &target, patience).await?;
        let done = work(&mut client).await;
        client.line.close().await;
        done
    });
    runtime.shutdown_background();
    done.map(Some)
}

fn somebody_listens(socket: &Path) -> bool {
    let way = crate::files::socket_path(socket);
    way.is_ok_and(|way| {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let answered = std::os::unix::net::UnixStream::connect(way.as_path());
        !matches!(answered, Err(error) if matches!(error.kind(), NotFound | ConnectionRefused))
    })
}

fn runtime() -> CliResult<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|cause| {
        CliError::new(
            Kind::Local,
            "RUNTIME",
            format!("cannot start the event loop: {cause}"),
        )
    })
}

/// Whether the gateway's own socket is another way to the same place: nobody named an address or
/// a secret, and the port let nobody in.
fn leads_here(target: &Target, error: &CliError) -> bool {
    target.source == Source::Local
        && target.secrets_from != Some(Source::Flag)
        && matches!(error.kind(), Kind::Auth | Kind::Connection | Kind::Protocol)
}

impl Client {
    /// Asks and takes the first answer; its JSON text.
    ///
    /// # Errors
    /// The gateway's refusal, a lost connection, or the end of patience.
    pub async fn request(&mut self, method: &str, params: &Value) -> CliResult<Box<RawValue>> {
        let id = self.next_id();
        let answer = self.line.ask(&id, method, params).await?;
        answer.map_err(|failure| refusal::failed(method, failure))
    }

    /// Asks and reads the answer into what a command shows.
    ///
    /// # Errors
    /// As [`Client::request`], or an answer of another shape.
    pub async fn read<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &Value,
    ) -> CliResult<T> {
        read_answer(method, &self.request(method, params).await?)
    }

    /// Asks for something that is accepted first and answered later under the same id; events
    /// in between go to the listener.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn request_final(
        &mut self,
        method: &str,
        params: &Value,
        listener: Listener<'_>,
    ) -> CliResult<Box<RawValue>> {
        let id = self.next_id();
        let answer = self.line.ask_final(&id, method, params, listener).await?;
        answer.map_err(|failure| refusal::failed(method, failure))
    }

    fn next_id(&mut self) -> String {
        self.requests += 1;
        self.requests.to_string()
    }
}
