//! What a session does with a line it heard: pings answered, messages handed on, channels and nicks
//! followed, refusals brought to what they are about.

use gateway_plugin::message::Event;
use gateway_plugin::tracing;
use tokio::time::Instant;

use super::{End, Session};
use crate::inbound;
use crate::line::{Line, write};
use crate::refusal;
use crate::text::{Casemap, plain};

impl Session<'_> {
    /// Takes one line of the server, once it knows us.
    pub(super) async fn take(&mut self, line: Line) -> Result<(), End> {
        match line.command.as_str() {
            "PING" => {
                self.outbox.urgent(Instant::now());
                return self.write(&write("PONG", &[line.last()])).await;
            }
            "PONG" => self.outbox.pong(&line),
            "ERROR" => {
                let server = self.config.server();
                return Err(End::Lost(format!(
                    "{server} closed the connection: {}",
                    line.last()
                )));
            }
            "PRIVMSG" => self.message(&line).await,
            "NOTICE" => self.notice(&line),
            "JOIN" | "PART" | "KICK" | "NICK" | "QUIT" | "INVITE" => self.people(&line).await,
            "CHGHOST" if self.is_me(line.nick()) && line.params.len() >= 2 => {
                self.me.address = Some(format!("{}@{}", line.param(0), line.param(1)));
            }
            "005" => self.supports(&line),
            "396" => self.hidden_host(line.param(1)),
            "465" => {
                let server = self.config.server();
                return Err(End::Refused(format!(
                    "{server} has banned us: {}",
                    line.last()
                )));
            }
            _ => self.number(&line).await,
        }
        Ok(())
    }

    async fn message(&mut self, line: &Line) {
        let message = inbound::message(line, &self.me, self.casemap, self.config, self.ids);
        match message {
            // Waits only when the gateway is so far behind that nothing more can be kept; then
            // the server waits too.
            Some(message) => _ = self.told.send(Event::Message(message)).await,
            None => tracing::debug!(from = line.nick(), "a line that is nobody's message"),
        }
    }

    /// Never answered. What a service says is for the operator, without what we told it.
    fn notice(&self, line: &Line) {
        let nickserv = &self.config.nickserv;
        let service = nickserv.service.split('@').next().unwrap_or_default();
        if !self.casemap.same(line.nick(), service) {
            return;
        }
        let password = nickserv.password.expose();
        let mut text = plain(line.last());
        if !password.is_empty() {
            text = text.replace(password, "***");
        }
        tracing::info!(service, text, "a service says");
    }

    async fn people(&mut self, line: &Line) {
        let (nick, room) = (line.nick().to_owned(), line.param(0).to_owned());
        let mine = self.is_me(&nick);
        match line.command.as_str() {
            "JOIN" if mine => {
                let address = line
                    .prefix
                    .as_ref()
                    .and_then(|prefix| prefix.address.clone());
                self.me.address = address.or(self.me.address.take());
                self.rooms.joined(&room);
                tracing::info!(channel = room, "joined");
            }
            "PART" if mine => self.rooms.out(&room, "we left it".to_owned()),
            "KICK" if self.is_me(line.param(1)) => {
                let why = format!("{nick} put us out: {}", line.last());
                tracing::warn!(channel = room, why, "kicked");
                self.rooms.out(&room, why);
            }
            "INVITE" if self.is_me(&room) && self.rooms.lacks(line.last()) => {
                self.outbox.control(write("JOIN", &[line.last()]));
            }
            "NICK" if mine => {
                self.me.nick = room;
                self.board.renamed(&self.me.nick);
                self.introduce().await;
            }
            // Who had our nick has it no longer.
            "NICK" | "QUIT" if self.casemap.same(&nick, &self.config.nick) => self.want_nick_back(),
            _ => {}
        }
        self.tell_trouble().await;
    }

    async fn number(&mut self, line: &Line) {
        if let Some((target, error)) = refusal::of_message(line) {
            let text = error.message.clone();
            if self.outbox.refused(target, error) {
                return;
            }
            tracing::debug!(text, "the server refuses something");
        }
        let refused = refusal::of_join(line).filter(|(room, _)| self.rooms.lacks(room));
        if let Some((room, why)) = refused {
            tracing::warn!(channel = room, why, "not joined");
            self.rooms.out(room, why);
            self.tell_trouble().await;
        }
    }

    fn supports(&mut self, line: &Line) {
        for token in &line.params {
            if let Some(name) = token.strip_prefix("CASEMAPPING=") {
                self.casemap = Casemap::named(name);
                self.rooms.set_casemap(self.casemap);
                self.outbox.set_casemap(self.casemap);
            }
        }
    }

    fn hidden_host(&mut self, host: &str) {
        if let Some((username, _)) = self.me.address.as_deref().and_then(|a| a.split_once('@')) {
            let host = host.rsplit('@').next().unwrap_or(host);
            self.me.address = Some(format!("{username}@{host}"));
        }
    }

    fn is_me(&self, nick: &str) -> bool {
        self.casemap.same(nick, &self.me.nick)
    }
}
