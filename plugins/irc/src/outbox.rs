//! What is to be said on one connection: lines in the order and at the speed a server likes, and
//! what became of each message.
//!
//! Owned by `session`, told the time. IRC confirms nothing; but a server works off lines in order,
//! so a PING after a message is answered only once the message was taken, and an error about it
//! comes before that answer. A message whose connection ended first was not sent if none of its
//! lines went out, and may have been sent otherwise: whoever waits is told which.

use std::collections::VecDeque;
use std::time::Duration;

use gateway_plugin::message::{ErrorKind, SurfaceError};
use gateway_plugin::surface::Res;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::chunk;
use crate::config::{Config, SAY_MAX};
use crate::line::{Line, write};
use crate::pace::Pace;
use crate::text::Casemap;

/// Messages gone out and not confirmed, before a PING is put between others that wait.
const UNCONFIRMED_MAX: usize = 4;

/// A message to be said.
#[derive(Debug)]
pub struct Say {
    /// Nick or channel.
    pub target: String,
    /// The text as the gateway gave it.
    pub text: String,
    /// Who waits.
    pub reply: oneshot::Sender<Res<Said>>,
}

/// Proof that the server took a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// In so many lines.
    pub lines: usize,
    /// So many bytes of it were left out, being too long.
    pub cut_bytes: usize,
}

/// A message on its way.
#[derive(Debug)]
struct Going {
    number: u64,
    target: String,
    lines: VecDeque<String>,
    written: usize,
    said: Said,
    /// The PING whose answer proves it.
    proof: Option<u64>,
    reply: Option<oneshot::Sender<Res<Said>>>,
}

impl Going {
    fn end(mut self, result: Res<Said>) {
        if let Some(reply) = self.reply.take() {
            // Whoever waited may have given up.
            reply.send(result).ok();
        }
    }

    fn given_up(&self) -> bool {
        self.written == 0 && self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let error = if self.written == 0 {
            SurfaceError::new(
                ErrorKind::NotConnected,
                "the connection ended before it was sent",
            )
        } else {
            let (written, all) = (self.written, self.said.lines);
            let text = format!(
                "the connection ended after {written} of {all} lines; they may have arrived all \
                 the same"
            );
            SurfaceError::new(ErrorKind::Timeout, text)
        };
        reply.send(Err(error)).ok();
    }
}

/// A PING that was not answered yet.
#[derive(Debug)]
struct Asked {
    number: u64,
    at: Instant,
    reply: Option<oneshot::Sender<()>>,
}

/// Everything that waits to be said on a connection.
#[derive(Debug)]
pub struct Outbox {
    pace: Pace,
    casemap: Casemap,
    control: VecDeque<String>,
    going: VecDeque<Going>,
    unconfirmed: VecDeque<Going>,
    asked: VecDeque<Asked>,
    last: u64,
}

impl Outbox {
    /// Nothing to say.
    pub fn new(config: &Config, now: Instant) -> Outbox {
        Outbox {
            pace: Pace::new(config.flood.burst, config.interval(), now),
            casemap: Casemap::default(),
            control: VecDeque::new(),
            going: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            asked: VecDeque::new(),
            last: 0,
        }
    }

    /// The server said which letters are the same.
    pub fn set_casemap(&mut self, casemap: Casemap) {
        self.casemap = casemap;
    }

    /// A line of ours (JOIN, NICK, a word to a service): before all messages.
    pub fn control(&mut self, line: String) {
        self.control.push_back(line);
    }

    /// Takes a message, or refuses it: without words, or with too much to be said before it.
    pub fn say(&mut self, say: Say, config: &Config, mask_bytes: usize, now: Instant) {
        let room = chunk::room(mask_bytes, &say.target).min(config.text_chunk_limit.max(1));
        let (parts, cut_bytes) = parts(&say.text, room, config);
        let refusal = if parts.is_empty() {
            Some(SurfaceError::new(
                ErrorKind::InvalidRequest,
                "the message has no text",
            ))
        } else {
            self.too_busy(parts.len(), now)
        };
        if let Some(refusal) = refusal {
            say.reply.send(Err(refusal)).ok();
            return;
        }
        let line = |part: &String| write("PRIVMSG", &[&say.target, part]);
        self.last += 1;
        self.going.push_back(Going {
            number: self.last,
            lines: parts.iter().map(line).collect(),
            written: 0,
            said: Said {
                lines: parts.len(),
                cut_bytes,
            },
            proof: None,
            reply: Some(say.reply),
            target: say.target,
        });
    }

    fn too_busy(&mut self, lines: usize, now: Instant) -> Option<SurfaceError> {
        let before: usize = self.going.iter().map(|going| going.lines.len()).sum();
        if before == 0 {
            return None;
        }
        let wait = self.pace.wait_for(self.control.len() + before + lines, now);
        if wait <= SAY_MAX {
            return None;
        }
        let free = self.pace.wait_for(self.control.len() + before, now);
        let text = format!(
            "{before} lines wait to be sent at the speed the server allows, this message would be \
             through only in {} s",
            wait.as_secs()
        );
        let ms = u64::try_from(free.as_millis()).unwrap_or(u64::MAX);
        Some(SurfaceError::new(ErrorKind::RateLimited, text).retry_after(ms))
    }

    /// How long until [`Outbox::next_line`] has something; `None` while there is nothing to say.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.going.retain(|going| !going.given_up());
        let waiting = !self.control.is_empty() || !self.going.is_empty();
        waiting.then(|| self.pace.wait(now))
    }

    /// The next line that may go now. It must be written: it counts as gone.
    pub fn next_line(&mut self, now: Instant) -> Option<String> {
        if self.wait(now)? > Duration::ZERO {
            return None;
        }
        let line = match self.control.pop_front() {
            Some(line) => line,
            None => self.next_of_messages()?,
        };
        self.pace.spend(now);
        Some(line)
    }

    /// Chats take turns, so that a long text to one does not hold up the others. Inside a chat
    /// the order stays.
    fn next_of_messages(&mut self) -> Option<String> {
        let first = |going: &Going| {
            let same = |other: &Going| {
                other.number < going.number && self.casemap.same(&other.target, &going.target)
            };
            !self.going.iter().any(same)
        };
        let place = self.going.iter().position(first)?;
        let mut going = self.going.remove(place)?;
        let line = going.lines.pop_front();
        going.written += 1;
        if going.lines.is_empty() {
            self.unconfirmed.push_back(going);
        } else {
            self.going.push_back(going);
        }
        line
    }

    /// The PING that is due to prove messages which have gone out.
    pub fn proof(&mut self, now: Instant) -> Option<String> {
        let open = |going: &&Going| going.proof.is_none();
        let count = self.unconfirmed.iter().filter(open).count();
        if count == 0 || (count < UNCONFIRMED_MAX && !self.going.is_empty()) {
            return None;
        }
        let line = self.ping(now, None);
        for going in self
            .unconfirmed
            .iter_mut()
            .filter(|going| going.proof.is_none())
        {
            going.proof = Some(self.last);
        }
        Some(line)
    }

    /// A PING of its own, for one who asks whether the connection is good.
    pub fn ping(&mut self, now: Instant, reply: Option<oneshot::Sender<()>>) -> String {
        self.last += 1;
        self.pace.spend(now);
        self.asked.push_back(Asked {
            number: self.last,
            at: now,
            reply,
        });
        write("PING", &[&format!("{TOKEN}{}", self.last)])
    }

    /// An answer that cannot wait goes out.
    pub fn urgent(&mut self, now: Instant) {
        self.pace.spend(now);
    }

    /// Since when the oldest PING waits for its answer.
    pub fn asked_since(&self) -> Option<Instant> {
        self.asked.front().map(|asked| asked.at)
    }

    /// A PONG came: everything up to its PING was taken.
    pub fn pong(&mut self, line: &Line) {
        let ours = line
            .params
            .iter()
            .rev()
            .find_map(|p| p.strip_prefix(TOKEN)?.parse().ok());
        // A server that does not say which answers in order.
        let Some(number) = ours.or(self.asked.front().map(|asked| asked.number)) else {
            return;
        };
        let answered = |asked: &Asked| asked.number <= number;
        while self.asked.front().is_some_and(answered) {
            if let Some(reply) = self.asked.pop_front().and_then(|asked| asked.reply) {
                reply.send(()).ok();
            }
        }
        let proved = |going: &Going| going.proof.is_some_and(|proof| proof <= number);
        while self.unconfirmed.front().is_some_and(proved) {
            if let Some(going) = self.unconfirmed.pop_front() {
                let said = going.said;
                going.end(Ok(said));
            }
        }
    }

    /// An error came about a nick or channel: it is about the oldest message to it.
    pub fn refused(&mut self, target: &str, error: SurfaceError) -> bool {
        let casemap = self.casemap;
        let of = |going: &Going| going.written > 0 && casemap.same(&going.target, target);
        let found = match self.unconfirmed.iter().position(of) {
            Some(place) => self.unconfirmed.remove(place),
            None => {
                let place = self.going.iter().position(of);
                place.and_then(|place| self.going.remove(place))
            }
        };
        let Some(going) = found else { return false };
        // Said again as a whole, lines that arrived would arrive twice.
        let error = match error.kind {
            ErrorKind::RateLimited if going.written > 1 => SurfaceError {
                kind: ErrorKind::Other,
                ..error
            },
            _ => error,
        };
        going.end(Err(error));
        true
    }
}

/// What our PINGs say.
const TOKEN: &str = "gw-";

/// The text in parts, and how many bytes were left out because there are too many.
fn parts(text: &str, room: usize, config: &Config) -> (Vec<String>, usize) {
    let mut parts = chunk::split(text, room, config.chunk_mode);
    let most = config.lines_max();
    if parts.len() <= most {
        return (parts, 0);
    }
    let left_out = |parts: &[String]| parts[most - 1..].iter().map(String::len).sum::<usize>();
    let cut = left_out(&parts);
    parts.truncate(most - 1);
    let note = format!("[… {cut} more bytes are not shown: too long for IRC]");
    parts.extend(
        chunk::split(&note, room, config.chunk_mode)
            .into_iter()
            .next(),
    );
    (parts, cut)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
