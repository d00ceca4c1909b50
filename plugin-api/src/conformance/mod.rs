//! What every surface must do, as a list of checks with a name and a reason each.
//!
//! One line in a plugin's tests runs them against its type ([`conformance!`](crate::conformance)),
//! each as a test of its own; `openclaw plugins test FILE` runs the same list against a built
//! library. The checks ask only what can be asked of any surface; what they cannot see from
//! outside (does the provider really have the message?) stays with the plugin's own tests.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `subject` | the plugin under test, seen from a host |
//! | `ready` | one account in the hands of a check |
//! | `asked`, `inbound`, `life` | the checks |
//! | `mock` | a surface's type as a subject; the macro |

mod asked;
mod inbound;
mod life;
#[cfg(feature = "sdk")]
mod mock;
mod ready;
mod subject;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::manifest::Manifest;

#[cfg(feature = "sdk")]
pub use mock::{Mocked, check};
pub use subject::{Account, Answer, Footprint, Given, Subject};

/// How long one check may take as a whole.
const CHECK: Duration = Duration::from_secs(90);
/// How long one operation, a stop, or a message that was provoked may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a message with this text come in from the provider.
type Provoke = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// With what the checks work: a configuration, somebody to write to, and how to make the provider
/// bring something.
///
/// ```
/// use gateway_plugin::conformance::Setup;
/// use serde_json::json;
///
/// let setup = Setup::new(json!({ "token": "t" }), "chat-1");
/// assert_eq!(setup.to, "chat-1");
/// ```
pub struct Setup {
    /// The configuration of every account that is started.
    pub config: Value,
    /// To whom messages are sent. A target that gives back what it gets (`echo:ann`) is enough
    /// for the checks of incoming messages too.
    pub to: String,
    /// How long an operation, a stop, or a message that was provoked may take.
    pub patience: Duration,
    inbound: Option<Provoke>,
    _kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Setup {
    /// This configuration, and this target for messages.
    pub fn new(config: Value, to: impl Into<String>) -> Self {
        Self {
            config,
            to: to.into(),
            patience: PATIENCE,
            inbound: None,
            _kept: Vec::new(),
        }
    }

    /// The first example of the manifest's `configSchema` (else `{}`), and the target
    /// `conformance`.
    pub fn of(manifest: &Manifest) -> Self {
        let example = manifest.config_schema.pointer("/examples/0").cloned();
        Self::new(example.unwrap_or_else(|| json!({})), "conformance")
    }

    /// The same with a way to make a message with a given text come in from a fake provider. The
    /// text must be part of the message that the surface emits.
    ///
    /// ```
    /// # use gateway_plugin::conformance::Setup;
    /// # use std::sync::{Arc, Mutex};
    /// let provider = Arc::new(Mutex::new(Vec::<String>::new()));
    /// let fake = provider.clone();
    /// let setup = Setup::new(serde_json::json!({}), "ann").inbound(move |text| {
    ///     let fake = fake.clone();
    ///     async move { fake.lock().unwrap().push(text) }
    /// });
    /// # drop(setup);
    /// ```
    pub fn inbound<F, W>(mut self, provoke: F) -> Self
    where
        F: Fn(String) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        self.inbound = Some(Box::new(move |text| Box::pin(provoke(text))));
        self
    }

    /// Keeps something alive as long as the checks run, such as a fake provider.
    pub fn keep(mut self, what: impl Any + Send + Sync) -> Self {
        self._kept.push(Box::new(what));
        self
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration may hold secrets.
        write!(f, "Setup(to {:?})", self.to)
    }
}

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The plugin does something wrong.
    Failed(String),
    /// It cannot be asked of this plugin, or not with this set-up.
    Skipped(String),
}

impl Trouble {
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }

    pub(crate) fn after(self, what: &str) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("after {what}: {why}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

/// What a check gives.
pub(crate) type Verdict = Result<(), Trouble>;

macro_rules! checks {
    ($($check:ident $name:literal $why:literal)*) => {
        /// One thing every surface must do. In the order in which they are run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Check { $(#[doc = $why] $check,)* }

        impl Check {
            /// All of them.
            pub const ALL: &[Check] = &[$(Check::$check,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Check::$check => $name,)* }
            }

            /// Why it matters.
            pub fn why(self) -> &'static str {
                match self { $(Check::$check => $why,)* }
            }
        }
    };
}

checks! {
    Manifest "manifest" "the gateway builds its answers and the operator's form from plugin.json"
    ConfigRefused "config-refused" "a wrong configuration must stop the account, not be tried for ever"
    BeforeStart "before-start" "an operation that overtakes the start must not crash the plugin"
    Start "start" "an account starts within its time, and only once"
    Ping "ping" "a plugin that misses three pings is started anew"
    Send "send" "the receipt's id is what edits, reactions and replies refer to"
    SideBySide "side-by-side" "a slow chat must not hold up the others"
    Undeclared "undeclared" "what the manifest does not declare is answered unsupported"
    Declared "declared" "what the manifest declares, clients will be offered"
    NewerGateway "newer-gateway" "the plugin must outlive every later gateway of API 1"
    Cancel "cancel" "a gateway that gives up must not leave the plugin stuck"
    Events "events" "messages reach the agent in the order in which they were written"
    RefusedEvent "refused-event" "a message that the gateway could not keep must not be lost"
    BackPressure "back-pressure" "a slow gateway slows the provider's loop and loses nothing"
    TwoAccounts "two-accounts" "accounts share a library, and nothing else"
    Stop "stop" "a stop with work under way ends in time and leaves nothing behind"
    Restart "restart" "an account is restarted for years without a leak"
    Panic "panic" "a panic is an error of one operation, not the end of the gateway"
}

impl Check {
    /// The check of this name, with `-` or `_` between its words.
    pub fn named(name: &str) -> Option<Check> {
        let name = name.replace('_', "-");
        Check::ALL.iter().copied().find(|one| one.name() == name)
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// It could not be asked of this plugin, or not with this set-up.
    Skipped,
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The check's name.
    pub name: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, unless it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// Runs one check.
pub async fn run<S: Subject>(check: Check, subject: &S, setup: &Setup) -> Checked {
    let began = Instant::now();
    let late = || Trouble::failed(format!("it has not ended within {CHECK:?}"));
    let verdict = tokio::time::timeout(CHECK, perform(check, subject, setup))
        .await
        .unwrap_or_else(|_| Err(late()));
    let (outcome, found) = match verdict {
        Ok(()) => (Outcome::Passed, None),
        Err(Trouble::Failed(why)) => (Outcome::Failed, Some(why)),
        Err(Trouble::Skipped(why)) => (Outcome::Skipped, Some(why)),
    };
    Checked {
        name: check.name(),
        why: check.why(),
        outcome,
        found,
        ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

async fn perform<S: Subject>(check: Check, subject: &S, setup: &Setup) -> Verdict {
    match check {
        Check::Manifest => asked::manifest(subject, setup),
        Check::ConfigRefused => asked::config_refused(subject, setup).await,
        Check::BeforeStart => life::before_start(subject, setup).await,
        Check::Start => life::start(subject, setup).await,
        Check::Ping => asked::ping(subject, setup).await,
        Check::Send => asked::send(subject, setup).await,
        Check::SideBySide => asked::side_by_side(subject, setup).await,
        Check::Undeclared => asked::undeclared(subject, setup).await,
        Check::Declared => asked::declared(subject, setup).await,
        Check::NewerGateway => asked::newer_gateway(subject, setup).await,
        Check::Cancel => asked::cancel(subject, setup).await,
        Check::Events => inbound::events(subject, setup).await,
        Check::RefusedEvent => inbound::refused_event(subject, setup).await,
        Check::BackPressure => inbound::back_pressure(subject, setup).await,
        Check::TwoAccounts => life::two_accounts(subject, setup).await,
        Check::Stop => life::stop(subject, setup).await,
        Check::Restart => life::restart(subject, setup).await,
        Check::Panic => asked::panic(subject, setup).await,
    }
}
