//! A surface's type as the subject of the suite, behind the mock host; and the one line that makes
//! a test of each check.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;

use super::subject::{Account, Answer, Footprint, Given, Subject};
use super::{Check, Outcome, Setup};
use crate::manifest::Manifest;
use crate::message::{ErrorKind, HostReply, Media, SurfaceError};
use crate::surface::Surface;
use crate::testkit::{MockHost, check_manifest};

/// How long an account's remains may take to go.
const GONE: Duration = Duration::from_secs(5);

/// State of accounts, by the account's name.
type States = Arc<Mutex<BTreeMap<String, BTreeMap<String, Media>>>>;

/// A surface's type with its manifest, as a subject.
pub struct Mocked<S> {
    manifest: &'static str,
    states: States,
    surface: PhantomData<fn() -> S>,
}

impl<S: Surface> Mocked<S> {
    /// The surface `S` with the text of its `plugin.json`.
    pub fn new(manifest: &'static str) -> Self {
        Self {
            manifest,
            states: States::default(),
            surface: PhantomData,
        }
    }
}

impl<S: Surface> Subject for Mocked<S> {
    type Account = MockAccount<S>;

    fn manifest(&self) -> Result<Manifest, Vec<String>> {
        check_manifest::<S>(self.manifest)
    }

    fn check_config(&self, config: &Value) -> Result<(), Vec<String>> {
        // No JSON Schema here: that is asked by `openclaw plugins test`.
        let read = serde_json::from_value::<S::Config>(config.clone());
        read.map(|_| ()).map_err(|e| vec![e.to_string()])
    }

    fn open(&self, account: &str) -> Result<MockAccount<S>, String> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = states.get(account).cloned().unwrap_or_default();
        Ok(MockAccount {
            host: Arc::new(MockHost::with_kv(kept)),
            name: account.to_owned(),
            states: self.states.clone(),
        })
    }

    fn footprint(&self) -> Option<Footprint> {
        // Other tests run in this process at the same time.
        None
    }
}

/// An account of a mock host.
pub struct MockAccount<S: Surface> {
    host: Arc<MockHost<S>>,
    name: String,
    states: States,
}

impl<S: Surface> Account for MockAccount<S> {
    async fn request(&self, body: &[u8], media: Media, patience: Duration) -> Answer {
        self.host.request_body(body, media, patience).await
    }

    async fn event(&self) -> Option<Given> {
        let taken = self.host.taken().await;
        let (host, id) = (Arc::downgrade(&self.host), taken.id);
        let settle = move |kept: bool| {
            let Some(host) = host.upgrade() else { return };
            let (status, body) = if kept {
                (0, serde_json::to_vec(&HostReply::Done))
            } else {
                let error = SurfaceError::new(ErrorKind::Transient, "the host could not keep it");
                (1, serde_json::to_vec(&error))
            };
            host.settle(id, status, body.unwrap_or_default());
        };
        Some(Given {
            event: taken.event,
            media: taken.media,
            settle: Box::new(settle),
        })
    }

    fn complaints(&self) -> Vec<String> {
        self.host.complaints()
    }

    async fn close(self) -> Result<(), String> {
        self.host.close();
        let kept = self.host.kv();
        self.states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.name, kept);
        let remains = self.host.remains();
        drop(self.host);
        gone(&remains).await
    }
}

async fn gone(remains: &[Weak<dyn Any + Send + Sync>]) -> Result<(), String> {
    let until = tokio::time::Instant::now() + GONE;
    while remains.iter().any(|one| one.strong_count() > 0) {
        if tokio::time::Instant::now() > until {
            return Err(format!(
                "{GONE:?} after it was closed something of the account is still there: a thread \
                 or a task that holds its Cx (start what lasts with cx.spawn), or a circle of Arcs"
            ));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Runs one check as a test. For [`conformance!`](crate::conformance).
///
/// # Panics
/// When it does not pass.
pub fn check<S: Surface>(
    name: &str,
    manifest: &'static str,
    setup: impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Option<Setup>>>>,
) {
    let check = Check::named(name).expect("the macro names checks of the suite");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a test can have a runtime");
    let checked = runtime.block_on(async {
        let setup = match setup().await {
            Some(setup) => setup,
            None => Setup::of(&serde_json::from_str(manifest).unwrap_or_default()),
        };
        super::run(check, &Mocked::<S>::new(manifest), &setup).await
    });
    // A thread that the plugin blocks must not hold up the end of its test.
    runtime.shutdown_background();
    let found = checked.found.unwrap_or_default();
    match checked.outcome {
        Outcome::Passed => {}
        #[allow(clippy::print_stderr, reason = "shown by cargo test --nocapture")]
        Outcome::Skipped => eprintln!("{name} skipped: {found}"),
        Outcome::Failed => panic!("{found}\n(this matters because {})", checked.why),
    }
}

/// Makes a test of each check of the suite, for a surface of this crate.
///
/// The manifest is the `plugin.json` beside `Cargo.toml`. Without a second argument the checks run
/// with the first example of its `configSchema` and write to `conformance`; else with the given
/// [`Setup`](crate::conformance::Setup), which may come from an `async` block's worth of work, such
/// as starting a fake provider: it is made anew for each check.
///
/// ```no_run
/// # use gateway_plugin::prelude::*;
/// # struct Bell;
/// # impl Surface for Bell {
/// #     type Config = Value;
/// #     async fn start(_: Value, _: Cx) -> Res<Self> { Ok(Bell) }
/// #     async fn send(&self, _: OutboundMessage, _: Media) -> Res<SendReceipt> {
/// #         Err(SurfaceError::unsupported("send"))
/// #     }
/// # }
/// # mod first { use super::Bell;
/// gateway_plugin::conformance!(Bell);
/// # }
/// # mod second { use super::Bell; use gateway_plugin::conformance::Setup;
/// # use gateway_plugin::prelude::Value;
/// # struct FakeProvider;
/// # impl FakeProvider {
/// #     async fn start() -> Self { Self }
/// #     fn config(&self) -> Value { Value::Null }
/// # }
/// gateway_plugin::conformance!(Bell, {
///     let provider = FakeProvider::start().await;
///     Setup::new(provider.config(), "echo:ann").keep(provider)
/// });
/// # }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    ($surface:ty $(,)?) => {
        $crate::conformance!(@tests $surface, None);
    };
    ($surface:ty, $setup:expr $(,)?) => {
        $crate::conformance!(@tests $surface, Some($setup));
    };
    (@tests $surface:ty, $setup:expr) => {
        #[cfg(test)]
        mod conformance {
            #[allow(unused_imports)]
            use super::*;
            $crate::conformance!(@each $surface, $setup,
                manifest config_refused before_start start ping send side_by_side undeclared
                declared newer_gateway cancel events refused_event back_pressure two_accounts stop
                restart panic
            );
        }
    };
    (@each $surface:ty, $setup:expr, $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::check::<$surface>(
                    stringify!($name),
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.json")),
                    || Box::pin(async { $setup }),
                );
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macro_makes_a_test_of_every_check() {
        let (_, rest) = include_str!("mock.rs")
            .split_once("(@each $surface, $setup,")
            .expect("the macro lists the checks");
        let (list, _) = rest.split_once(')').expect("the list ends");
        let named: Vec<_> = list.split_whitespace().map(Check::named).collect();
        let all: Vec<_> = Check::ALL.iter().copied().map(Some).collect();
        assert_eq!(named, all);
    }
}
