//! Checks of what the plugin brings: order, refusals, back pressure.
//!
//! Messages are made to come in by the set-up's own means, else by sending to a target that gives
//! them back. A surface that can do neither in a test is skipped, and told what it would take.

use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};

use super::ready::{QUIET, Ready, Work, all, started};
use super::subject::{Account, Given, Subject};
use super::{Setup, Trouble, Verdict};
use crate::message::{Event, InboundMessage};

/// How many messages are made to come in, in order.
const IN_ORDER: usize = 8;
/// How many at a time: more than there are credits.
const AT_A_TIME: usize = 100;
/// How many events may be under way.
const CREDITS: usize = 64;

/// One message in, the first of all: is there a way at all?
async fn brought<A: Account>(
    ready: &Ready<'_, A>,
    setup: &Setup,
    text: &str,
) -> Result<Vec<InboundMessage>, Trouble> {
    ready.heard();
    ready.while_acking(ready.provoke(text)).await?;
    let (wait, own_means) = match setup.inbound {
        Some(_) => (setup.patience, true),
        None => (QUIET * 2, false),
    };
    let mut messages = ready.heard();
    if messages.is_empty() {
        if let Some((message, given)) = ready.next_message(wait).await {
            given.take();
            messages.push(message);
        }
    }
    if messages.is_empty() && own_means {
        return Err(Trouble::failed(format!(
            "nothing came in within {wait:?} after the provider was made to bring {text:?}"
        )));
    }
    if messages.is_empty() {
        return Err(Trouble::skipped(format!(
            "nothing comes in after a message to {:?}: give a target that gives back what it \
             gets, or Setup::inbound with a fake provider",
            setup.to
        )));
    }
    Ok(messages)
}

pub(super) async fn events<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "events").await?;
    let mut messages = Vec::new();
    for n in 0..IN_ORDER {
        messages.extend(brought(&ready, setup, &format!("in order {n};")).await?);
    }
    ready.settle().await;
    messages.extend(ready.heard());
    let mut ids = HashSet::new();
    for message in &messages {
        if message.id.is_empty() || message.chat.id.is_empty() {
            return Err(Trouble::failed(format!(
                "a message came without an id or without its chat's id: {message:?}"
            )));
        }
        if !ids.insert((message.chat.id.clone(), message.id.clone())) {
            return Err(Trouble::failed(format!(
                "the id {:?} came twice in chat {:?}: the gateway answers each id once",
                message.id, message.chat.id
            )));
        }
    }
    let place = |n: usize| {
        let text = format!("in order {n};");
        messages.iter().position(|m| m.text.contains(&text))
    };
    let places: Vec<usize> = (0..IN_ORDER).filter_map(place).collect();
    if places.len() < IN_ORDER || !places.is_sorted() {
        let texts: Vec<&str> = messages.iter().map(|m| m.text.as_str()).collect();
        return Err(Trouble::failed(format!(
            "\"in order 0;\" to \"in order {};\" were written, in this order, and came in as {texts:?}",
            IN_ORDER - 1
        )));
    }
    ready.end().await
}

pub(super) async fn refused_event<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "refused-event").await?;
    brought(&ready, setup, "is there a way").await?;
    ready.settle().await;
    let (told, refused) = {
        let mut work = pin!(ready.provoke("refused at first"));
        let mut refused = None;
        let told = loop {
            tokio::select! {
                told = &mut work => break told,
                given = ready.next_message(ready.patience), if refused.is_none() => {
                    let Some((message, given)) = given else { continue };
                    given.refuse();
                    refused = Some(message);
                }
                given = ready.next_message(ready.patience), if refused.is_some() => {
                    if let Some((message, given)) = given {
                        ready.hear(Event::Message(message));
                        given.take();
                    }
                }
            }
        };
        (told, refused)
    };
    let first = match (told, refused) {
        // Whoever wrote it was told: nothing is lost in silence.
        (Err(_), Some(_)) => return ready.end().await,
        (Err(trouble), None) => return Err(trouble),
        (Ok(()), Some(message)) => message,
        (Ok(()), None) => {
            let Some((message, given)) = ready.next_message(ready.patience).await else {
                return Err(Trouble::failed("nothing came in the second time"));
            };
            given.refuse();
            message
        }
    };
    let again = |m: &InboundMessage| m.id == first.id && m.chat.id == first.chat.id;
    let mut back = ready.heard().iter().any(again);
    let until = tokio::time::Instant::now() + ready.patience;
    while !back && tokio::time::Instant::now() < until {
        if let Some((message, given)) = ready.next_message(QUIET).await {
            back = again(&message);
            given.take();
        }
    }
    if !back {
        return Err(Trouble::failed(format!(
            "message {:?} was refused by the gateway and neither came again within {:?} nor \
             failed for whoever wrote it: it is lost",
            first.id, ready.patience
        )));
    }
    ready.end().await
}

pub(super) async fn back_pressure<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "back-pressure").await?;
    brought(&ready, setup, "is there a way").await?;
    ready.settle().await;
    let mut each = brought(&ready, setup, "how many").await?.len();
    ready.settle().await;
    each += ready.heard().len();

    let messages = while_slow(&ready, each).await?;
    let ids: HashSet<_> = messages.iter().map(|m| (&m.chat.id, &m.id)).collect();
    if ids.len() < messages.len() {
        return Err(Trouble::failed(format!(
            "{} messages came in with only {} different ids",
            messages.len(),
            ids.len()
        )));
    }
    ready.end().await
}

/// Makes messages come in while nothing is acknowledged, then takes them all; `each` events come
/// of one that is written.
async fn while_slow<A: Account>(
    ready: &Ready<'_, A>,
    each: usize,
) -> Result<Vec<InboundMessage>, Trouble> {
    let texts: Vec<String> = (0..AT_A_TIME).map(|n| format!("at a time {n};")).collect();
    let work = texts
        .iter()
        .map(|text| Box::pin(ready.provoke(text)) as Work<'_, Verdict>);
    let mut work = pin!(all(work.collect()));
    let (held, mut written) = hold_back(ready, work.as_mut()).await;
    if held.len() > CREDITS {
        return Err(Trouble::failed(format!(
            "{} events were under way with {CREDITS} credits",
            held.len()
        )));
    }
    for given in held {
        ready.hear(given.take());
    }
    if written.is_none() {
        written = Some(ready.while_acking(work).await);
    }
    let written = written.iter().flatten().filter(|one| one.is_ok()).count();
    let mut messages = ready.heard();
    while messages.len() < written * each {
        let Some((message, given)) = ready.next_message(ready.patience).await else {
            return Err(Trouble::failed(format!(
                "{written} messages were written while the gateway was slow, and only {} of {} \
                 came in",
                messages.len(),
                written * each
            )));
        };
        given.take();
        messages.push(message);
    }
    ready.settle().await;
    messages.extend(ready.heard());
    Ok(messages)
}

/// Takes events and acknowledges none, as a gateway whose disk is slow, until no more come.
async fn hold_back<A: Account, T>(
    ready: &Ready<'_, A>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> (Vec<Given>, Option<T>) {
    let (mut held, mut done) = (Vec::new(), None);
    loop {
        tokio::select! {
            written = &mut work, if done.is_none() => done = Some(written),
            given = ready.next(QUIET * 2) => match given {
                Some(given) => held.push(given),
                None => return (held, done),
            },
        }
    }
}
