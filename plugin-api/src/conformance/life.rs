//! Checks of an account's life: begin, end, again and again, beside others.

use std::pin::pin;

use super::ready::{QUIET, body, open, refused, started};
use super::subject::{Account, Footprint, Subject};
use super::{Setup, Trouble, Verdict};
use crate::message::{ErrorKind, Media, Op};

/// How often an account is started anew.
const ROUNDS: usize = 24;
/// After so many rounds everything that is built once has been built.
const WARM: usize = 6;
/// How many threads or files more are no leak: somebody else may be at work.
const STRAY: u64 = 4;
/// How much more memory is no leak: allocators keep some.
const STRAY_MEMORY: u64 = 16 << 20;

pub(super) async fn before_start<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = open(subject, setup, "before-start")?;
    let early = ready.ask(ready.message("too early")).await;
    let kinds = [ErrorKind::NotConnected, ErrorKind::InvalidRequest];
    refused(early, "a send before the start", &kinds)?;
    match ready.start(setup.config.clone(), "before-start").await {
        Ok(_) => {}
        Err(error) => {
            return Err(Trouble::failed(format!(
                "the start after an operation that came too early failed: {error}"
            )));
        }
    }
    ready.end().await
}

pub(super) async fn start<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "start").await?;
    let again = ready.start(setup.config.clone(), "start");
    let again = ready.while_acking(again).await;
    refused(again, "a second start", &[ErrorKind::InvalidRequest])?;
    ready.still_works("a second start").await?;
    ready.end().await
}

pub(super) async fn two_accounts<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let one = started(subject, setup, "one").await?;
    let two = started(subject, setup, "two").await?;
    one.send("from one").await?;
    two.send("from two").await?;
    one.end().await?;
    two.still_works("another account ended").await?;
    two.end().await
}

pub(super) async fn stop<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    // With nothing to do.
    let ready = started(subject, setup, "stop").await?;
    ready.settle().await;
    ready.say_stop().await?;
    ready.closed().await?;
    // With a send under way whose event, if it makes one, is never acknowledged.
    let ready = started(subject, setup, "stop").await?;
    let asked = body(&ready.message("at the end"));
    {
        let mut work = pin!(ready.account.request(&asked, Media::new(), ready.patience));
        let held = tokio::select! {
            _ = &mut work => None,
            given = ready.next(QUIET) => given,
        };
        let under_way = async { work.await.ok() };
        tokio::select! {
            stopped = ready.say_stop() => stopped?,
            // It ended by itself; the stop is asked for below.
            _ = under_way, if held.is_some() => ready.say_stop().await?,
        }
        // Never settled while the account lived.
        drop(held);
    }
    ready.closed().await?;
    // Without a word, as after a crash of the gateway's own.
    let ready = started(subject, setup, "stop").await?;
    ready.closed().await
}

pub(super) async fn restart<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let mut before = None;
    for round in 1..=ROUNDS {
        let nth = |trouble: Trouble| trouble.after(&format!("{round} starts"));
        let ready = started(subject, setup, "restart").await.map_err(nth)?;
        if let Err(error) = ready.ask(Op::Ping).await {
            return Err(Trouble::failed(format!(
                "no pong after {round} starts: {error}"
            )));
        }
        ready.end().await.map_err(nth)?;
        if round == WARM {
            before = subject.footprint();
        }
    }
    match before.zip(subject.footprint()) {
        Some((before, after)) => grown(before, after),
        // What is left of each account was looked at when it was closed.
        None => Ok(()),
    }
}

fn grown(before: Footprint, after: Footprint) -> Verdict {
    let rounds = ROUNDS - WARM;
    let more = |what: &str, before: u64, after: u64, stray: u64| {
        if after <= before + stray {
            return Ok(());
        }
        Err(Trouble::failed(format!(
            "{what} grew from {before} to {after} over {rounds} restarts"
        )))
    };
    more("its threads", before.threads, after.threads, STRAY)?;
    more("its open files", before.files, after.files, STRAY)?;
    let mib = |bytes: u64| bytes >> 20;
    more(
        "its memory (MiB)",
        mib(before.memory),
        mib(after.memory),
        mib(STRAY_MEMORY),
    )
}
