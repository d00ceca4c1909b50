//! A fake IRC server that does what a test tells it to, line by line.
//!
//! A real server is used elsewhere (`tests/e2e/irc.rs` of the gateway); this one is for what a
//! real one does only on a bad day.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what has to happen.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}

/// A port that clients may connect to.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    pub async fn start() -> Server {
        Server {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// The next connection, as it is.
    pub async fn accept_raw(&self) -> tokio::net::TcpStream {
        within("a connection", self.listener.accept())
            .await
            .unwrap()
            .0
    }

    /// The next connection.
    pub async fn accept(&self) -> Client {
        Client::new(self.accept_raw().await)
    }

    /// The next connection, let in under the nick it asks for, with `#bench` joined if it asks.
    pub async fn welcome(&self) -> Client {
        let mut client = self.accept().await;
        let nick = client.register().await;
        client.let_in(&nick).await;
        client
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection, seen from the server.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    /// Answer a PING with its PONG, as servers do.
    pub answers: bool,
}

impl Client {
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Client {
        Client {
            stream: BufReader::new(Box::new(stream)),
            answers: true,
        }
    }

    /// The next line, PINGs answered and left out; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            let read = within("a line", self.stream.read_line(&mut line)).await;
            if read.unwrap_or(0) == 0 {
                return None;
            }
            assert!(line.len() <= 512 && line.ends_with("\r\n"), "{line:?}");
            let line = line.trim_end();
            match line.strip_prefix("PING ") {
                Some(token) if self.answers => self.send(&format!(":srv PONG srv {token}")).await,
                _ => return Some(line.to_owned()),
            }
        }
    }

    pub async fn line(&mut self) -> String {
        self.next().await.expect("the client is still there")
    }

    /// Lines up to one that begins so.
    pub async fn until(&mut self, start: &str) -> String {
        loop {
            let line = self.line().await;
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Reads on until everything sent so far was read and answered.
    pub async fn settle(&mut self) {
        self.send("PING settled").await;
        assert_eq!(self.line().await, "PONG settled");
    }

    pub async fn send(&mut self, line: &str) {
        self.bytes(format!("{line}\r\n").as_bytes()).await;
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// Reads everything up to USER, as a server without capabilities; gives the nick.
    pub async fn register(&mut self) -> String {
        let nick = self.until("NICK ").await;
        self.until("USER ").await;
        nick["NICK ".len()..].to_owned()
    }

    pub async fn let_in(&mut self, nick: &str) {
        self.send(&format!(":srv 001 {nick} :Welcome {nick}!~claw@host"))
            .await;
        self.send(&format!(":srv 005 {nick} CASEMAPPING=ascii :are supported"))
            .await;
        self.send(&format!(":srv 376 {nick} :End of MOTD")).await;
    }

    /// The connection ends.
    pub async fn close(mut self) {
        self.stream.get_mut().shutdown().await.unwrap();
    }
}
