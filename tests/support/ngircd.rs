//! A real IRC server, Debian's `ngircd`, as a plain process on loopback, and people who chat on
//! it. Used by `e2e/irc.rs`; nothing here knows how the plugin works.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::gateway::free_port;
use crate::log::Log;
use crate::wait::{until, within};

/// Where packages put it; `/usr/sbin` is not on everybody's search path.
const PLACES: [&str; 3] = ["ngircd", "/usr/sbin/ngircd", "/usr/local/sbin/ngircd"];

/// The program, or nothing and a word on standard error that a test did not happen.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let starts = |place: &&&str| Command::new(place).arg("--version").output().is_ok();
    let found = PLACES.iter().find(starts).map(PathBuf::from);
    if found.is_none() {
        // A closed standard error takes the line with it; the test is no worse for that.
        _ = writeln!(
            std::io::stderr(),
            "skipped: ngircd not available (apt-get install ngircd)"
        );
    }
    found
}

/// A running server. Dropping it kills the process.
pub struct Ngircd {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    log: Log,
}

impl Ngircd {
    /// Starts one that wants this password, if any, of everybody.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn start(program: &Path, password: Option<&str>) -> Ngircd {
        let folder = tempfile::Builder::new().prefix("ngircd-").tempdir();
        let folder = folder.expect("a folder for a test");
        let port = free_port();
        let password = password.map_or_else(String::new, |word| format!("Password = {word}\n"));
        let config = format!(
            "[Global]\nName = irc.test.local\nInfo = of a test\nAdminInfo1 = a test\n\
             Listen = 127.0.0.1\nPorts = {port}\nMotdPhrase = hello\n{password}\
             [Limits]\nMaxConnectionsIP = 0\n\
             [Options]\nDNS = no\nIdent = no\nPAM = no\n"
        );
        std::fs::write(folder.path().join("ngircd.conf"), config).expect("a configuration file");
        let mut server = Ngircd {
            program: program.to_owned(),
            folder,
            port,
            child: None,
            log: Log::default(),
        };
        server.launch().await;
        server
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Starts it, on the same port as before.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn launch(&mut self) {
        let mut child = Command::new(&self.program)
            .arg("-n")
            .arg("-f")
            .arg(self.folder.path().join("ngircd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was found");
        self.log.follow(child.stdout.take().expect("piped"));
        self.log.follow(child.stderr.take().expect("piped"));
        self.child = Some(child);
        let port = self.port;
        until("ngircd to listen", || async move {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }

    /// kill -9: all connections end at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Ended already is as good as killed.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

impl Drop for Ngircd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Somebody who chats.
pub struct Person {
    stream: BufReader<TcpStream>,
    /// Their nick.
    pub nick: String,
    heard: Vec<String>,
}

impl Person {
    /// Connects and waits until the server lets them in.
    ///
    /// # Panics
    /// When it does not.
    pub async fn come(port: u16, nick: &str) -> Person {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let mut person = Person {
            stream: BufReader::new(stream.expect("the server listens")),
            nick: nick.to_owned(),
            heard: Vec::new(),
        };
        person.write(&format!("NICK {nick}")).await;
        person.write(&format!("USER {nick} 0 * :{nick}")).await;
        person
            .hears("the welcome", |line| line.contains(" 376 "))
            .await;
        person
    }

    /// Goes into a channel.
    pub async fn join(&mut self, channel: &str) {
        self.write(&format!("JOIN {channel}")).await;
        self.hears("the names", |line| line.contains(" 366 ")).await;
    }

    /// Waits until somebody is in the channel.
    pub async fn meets(&mut self, nick: &str, channel: &str) {
        loop {
            self.write(&format!("NAMES {channel}")).await;
            let names = self
                .hears("the names", |line| {
                    line.contains(" 353 ") || line.contains(" 366 ")
                })
                .await;
            let list = names.rsplit(':').next().unwrap_or_default();
            if list
                .split(' ')
                .any(|name| name.trim_start_matches(['@', '+']) == nick)
            {
                return;
            }
            // The server slows down whoever asks without pause; so do we.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Writes to a channel or nick.
    pub async fn say(&mut self, to: &str, text: &str) {
        self.write(&format!("PRIVMSG {to} :{text}")).await;
    }

    /// Sends one line as it is.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn write(&mut self, line: &str) {
        let bytes = format!("{line}\r\n");
        let written = self.stream.get_mut().write_all(bytes.as_bytes()).await;
        written.expect("the server is still there");
    }

    /// The next line that fits, as the server sent it. Pings are answered on the way.
    ///
    /// # Panics
    /// When it does not come; the panic shows what came.
    pub async fn hears(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let seen = self.heard.len();
        loop {
            let mut line = Vec::new();
            let read = self.stream.read_until(b'\n', &mut line);
            let what = format!(
                "{} to hear {what}; heard: {:#?}",
                self.nick,
                &self.heard[seen..]
            );
            let read = within(&what, read).await;
            assert!(read.is_ok_and(|bytes| bytes > 0), "the server left {what}");
            assert!(line.len() <= 512, "a line of {} bytes", line.len());
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some(token) = line.strip_prefix("PING ") {
                self.write(&format!("PONG {token}")).await;
            }
            self.heard.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    /// The text of the next message from `nick` to `to` (a channel, or this person).
    pub async fn told(&mut self, nick: &str, to: &str) -> String {
        let (from, command) = (format!(":{nick}!"), format!(" PRIVMSG {to} "));
        let line = self
            .hears(&format!("{nick} in {to}"), |line| {
                line.starts_with(&from) && line.contains(&command)
            })
            .await;
        let text = line.split_once(&command).map_or("", |(_, text)| text);
        text.strip_prefix(':').unwrap_or(text).to_owned()
    }

    /// Everything heard so far.
    #[must_use]
    pub fn heard(&self) -> &[String] {
        &self.heard
    }
}
