//! One connection, from the first line to the last.
//!
//! `link` opens it and runs it. Two parts: [`Session::register`] until the server knows us, then
//! [`Session::serve`], which reads, says what waits in the outbox, answers pings, stays in its
//! channels and tries to get its nick back; `heard` is what becomes of each line. It never waits
//! for the gateway while lines can still be kept, and nothing a server sends makes it panic.

mod heard;

use std::collections::VecDeque;
use std::time::Duration;

use gateway_plugin::message::{AccountUpdate, ConnectionState, Event, Link, Peer};
use gateway_plugin::tracing;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::board::{Ask, Board};
use crate::config::Config;
use crate::inbound::{Ids, Me};
use crate::line::{Buffer, LINE_BYTES_MAX, Line, write};
use crate::outbox::Outbox;
use crate::register::{Register, Step};
use crate::rooms::Rooms;
use crate::text::Casemap;
use crate::wire::Stream;

/// Bytes read at a time.
const READ_BYTES: usize = 4096;

/// Why a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Not before a person changes something.
    Refused(String),
    /// The connection, the server, or its patience.
    Lost(String),
    /// We said goodbye.
    Quit,
}

/// What woke the session.
enum Wake {
    Read(std::io::Result<usize>),
    Asked(Option<Ask>),
    MaySay,
    Late,
}

/// One connection of one account.
pub struct Session<'a> {
    config: &'a Config,
    board: &'a Board,
    stream: Box<dyn Stream>,
    chunk: Box<[u8; READ_BYTES]>,
    buffer: Buffer,
    /// Where events go; the gateway takes them from there.
    told: &'a mpsc::Sender<Event>,
    ids: &'a mut Ids,
    me: Me,
    casemap: Casemap,
    rooms: Rooms,
    outbox: Outbox,
    heard: Instant,
    /// When channels and nick were looked after last.
    looked: Instant,
    /// What was said last of the connection.
    trouble: Option<String>,
}

impl<'a> Session<'a> {
    /// A connection on which nothing was said yet.
    pub fn new(
        config: &'a Config,
        board: &'a Board,
        stream: Box<dyn Stream>,
        told: &'a mpsc::Sender<Event>,
        ids: &'a mut Ids,
    ) -> Self {
        let now = Instant::now();
        Session {
            config,
            board,
            stream,
            chunk: Box::new([0; READ_BYTES]),
            buffer: Buffer::default(),
            told,
            ids,
            me: Me::default(),
            casemap: Casemap::default(),
            rooms: Rooms::new(&config.channels),
            outbox: Outbox::new(config, now),
            heard: now,
            looked: now,
            trouble: None,
        }
    }

    /// Until the server knows us.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn register(&mut self) -> Result<(), End> {
        let config = self.config;
        let mut register = Register::new(config);
        for line in register.hello() {
            self.write(&line).await?;
        }
        let deadline = Instant::now() + config.timeout();
        loop {
            let Some(text) = self.buffer.next_line() else {
                let read = self.stream.read(&mut self.chunk[..]);
                let late = || {
                    let server = config.server();
                    End::Lost(format!(
                        "{server} did not let us in within {:?}",
                        config.timeout()
                    ))
                };
                let read = tokio::time::timeout_at(deadline, read).await;
                self.took(read.map_err(|_| late())?)?;
                continue;
            };
            let Some(line) = Line::parse(&text) else {
                continue;
            };
            if line.command == "PING" {
                self.write(&write("PONG", &[line.last()])).await?;
                continue;
            }
            match register.take(&line) {
                Step::Go(lines) => {
                    for line in lines {
                        self.write(&line).await?;
                    }
                }
                Step::Refused(why) => return Err(End::Refused(why)),
                Step::Lost(why) => return Err(End::Lost(why)),
                Step::Done => {
                    let nick = line.params.first().filter(|nick| !nick.is_empty());
                    self.me.nick = nick.map_or(register.nick(), String::as_str).to_owned();
                    self.address_from_welcome(&line);
                    return Ok(());
                }
            }
        }
    }

    /// Many servers end their welcome with our mask.
    fn address_from_welcome(&mut self, line: &Line) {
        let last = line.last().rsplit(' ').next().unwrap_or_default();
        let mask = last
            .split_once('!')
            .filter(|(nick, _)| *nick == self.me.nick);
        self.me.address = mask.map(|(_, address)| address.to_owned());
    }

    /// From the welcome to the end of the connection.
    pub async fn serve(&mut self, register_nick: bool) -> End {
        let mut asked = self.board.up(&self.me.nick);
        self.begin(register_nick).await;
        loop {
            if let Err(end) = self.turn(&mut asked).await {
                return end;
            }
        }
    }

    async fn begin(&mut self, register_nick: bool) {
        if self.me.nick != self.config.nick {
            let (nick, wanted) = (&self.me.nick, &self.config.nick);
            tracing::warn!(
                nick,
                wanted,
                "the nick is taken, another one is used until it is free"
            );
        }
        self.introduce().await;
        self.identify(register_nick);
        for line in self.rooms.ask() {
            self.outbox.control(line);
        }
        self.tell(ConnectionState::of(Link::Connected)).await;
    }

    fn identify(&mut self, register_nick: bool) {
        let nickserv = &self.config.nickserv;
        let password = nickserv.password.expose();
        if !nickserv.enabled || password.is_empty() {
            return;
        }
        let words = match &nickserv.register_email {
            Some(email) if register_nick => format!("REGISTER {password} {email}"),
            _ if self.me.nick == self.config.nick => format!("IDENTIFY {password}"),
            _ => format!("IDENTIFY {} {password}", self.config.nick),
        };
        self.outbox
            .control(write("PRIVMSG", &[&nickserv.service, &words]));
    }

    /// Waits for something to happen and deals with it.
    async fn turn(&mut self, asked: &mut mpsc::Receiver<Ask>) -> Result<(), End> {
        while let Some(text) = self.buffer.next_line() {
            if let Some(line) = Line::parse(&text) {
                self.take(line).await?;
            }
        }
        let now = Instant::now();
        if let Some(line) = self.outbox.proof(now) {
            self.write(&line).await?;
        }
        let may_say = self.outbox.wait(now);
        let late = self.next_look(now);
        let wake = tokio::select! {
            read = self.stream.read(&mut self.chunk[..]) => Wake::Read(read),
            ask = asked.recv() => Wake::Asked(ask),
            () = tokio::time::sleep(may_say.unwrap_or_default()), if may_say.is_some() => Wake::MaySay,
            () = tokio::time::sleep_until(late) => Wake::Late,
        };
        match wake {
            Wake::Read(read) => self.took(read),
            Wake::Asked(ask) => self.asked(ask).await,
            Wake::MaySay => match self.outbox.next_line(Instant::now()) {
                Some(line) => self.write(&line).await,
                None => Ok(()),
            },
            Wake::Late => self.look_after().await,
        }
    }

    fn took(&mut self, read: std::io::Result<usize>) -> Result<(), End> {
        let server = || self.config.server();
        match read {
            Ok(0) => Err(End::Lost(format!("{} closed the connection", server()))),
            Ok(bytes) => {
                self.heard = Instant::now();
                self.buffer.push(&self.chunk[..bytes]);
                Ok(())
            }
            Err(e) => Err(End::Lost(format!(
                "the connection to {} broke: {e}",
                server()
            ))),
        }
    }

    async fn asked(&mut self, ask: Option<Ask>) -> Result<(), End> {
        let now = Instant::now();
        match ask {
            Some(Ask::Say(say)) => {
                let mask_bytes = self.me.mask_bytes();
                self.outbox.say(say, self.config, mask_bytes, now);
                Ok(())
            }
            Some(Ask::Ping(reply)) => {
                let line = self.outbox.ping(now, Some(reply));
                self.write(&line).await
            }
            Some(Ask::Quit(reply)) => {
                let gone = self.write(&write("QUIT", &["until later"])).await;
                // Written or not, this is the end.
                drop(gone);
                self.stream.shutdown().await.ok();
                reply.send(()).ok();
                Err(End::Quit)
            }
            None => Err(End::Quit),
        }
    }

    /// When to look next whether the server is there and all is as it should be.
    fn next_look(&self, now: Instant) -> Instant {
        let ping = self.config.ping();
        let look = (self.looked + ping).min(self.heard + ping);
        let look = match self.gone_at() {
            // Silent, but asked already.
            Some(gone) => (self.looked + ping).min(gone),
            None => look,
        };
        look.max(now + Duration::from_millis(1))
    }

    /// When the server counts as gone, if it was asked and says nothing; with others still to be
    /// heard it has longer, for some slow down whoever talked much.
    fn gone_at(&self) -> Option<Instant> {
        let (since, ping) = (self.outbox.asked_since()?, self.config.ping());
        Some((since.max(self.heard) + ping).min(since + 3 * ping))
    }

    async fn look_after(&mut self) -> Result<(), End> {
        let (now, ping) = (Instant::now(), self.config.ping());
        if let Some(gone) = self.gone_at() {
            if now >= gone {
                let why = format!("{} does not answer any more", self.config.server());
                return Err(End::Lost(why));
            }
        } else if now >= self.heard + ping {
            let line = self.outbox.ping(now, None);
            self.write(&line).await?;
        }
        if now >= self.looked + ping {
            self.looked = now;
            for line in self.rooms.ask() {
                self.outbox.control(line);
            }
            self.want_nick_back();
        }
        Ok(())
    }

    fn want_nick_back(&mut self) {
        if self.me.nick != self.config.nick {
            self.outbox.control(write("NICK", &[&self.config.nick]));
        }
    }

    async fn introduce(&self) {
        let me = Peer {
            id: self.me.nick.clone(),
            name: Some(self.me.nick.clone()),
            handle: Some(self.me.nick.clone()),
            is_bot: Some(true),
        };
        let native = json!({ "server": self.config.server() });
        let update = Event::Account(AccountUpdate { me, native });
        // The receiver goes only when the account ends.
        self.told.send(update).await.ok();
    }

    /// Says how the connection stands, once for each change.
    async fn tell_trouble(&mut self) {
        let trouble = self.rooms.trouble();
        if trouble == self.trouble {
            return;
        }
        self.trouble.clone_from(&trouble);
        self.tell(match trouble {
            Some(why) => ConnectionState::of(Link::Degraded).because(why),
            None => ConnectionState::of(Link::Connected),
        })
        .await;
    }

    async fn tell(&self, state: ConnectionState) {
        self.told.send(Event::Connection(state)).await.ok();
    }

    /// Writes one line, at most for as long as the server may be silent.
    async fn write(&mut self, line: &str) -> Result<(), End> {
        let mut bytes = line.as_bytes()[..line.len().min(LINE_BYTES_MAX)].to_vec();
        bytes.extend_from_slice(b"\r\n");
        let (server, ping) = (self.config.server(), self.config.ping());
        let writing = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(ping, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(End::Lost(self.last_words(&format!("{server}: {e}")).await)),
            Err(_) => Err(End::Lost(format!("{server} does not read any more"))),
        }
    }

    /// A server that throws us out says why before it stops reading.
    async fn last_words(&mut self, otherwise: &str) -> String {
        const PATIENCE: Duration = Duration::from_millis(200);
        let read = self.stream.read(&mut self.chunk[..]);
        if let Ok(Ok(bytes)) = tokio::time::timeout(PATIENCE, read).await {
            self.buffer.push(&self.chunk[..bytes]);
        }
        let mut lines: VecDeque<Line> = VecDeque::new();
        while let Some(text) = self.buffer.next_line() {
            lines.extend(Line::parse(&text));
        }
        let error = lines.iter().find(|line| line.command == "ERROR");
        let words = error.map(|line| line.last().to_owned());
        words.map_or_else(
            || format!("the connection broke: {otherwise}"),
            |words| format!("the server closed the connection: {words}"),
        )
    }
}
