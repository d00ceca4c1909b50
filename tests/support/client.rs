//! A raw WebSocket client: frames are JSON values, nothing is validated or hidden, so that a test
//! sees what a client sees.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, http};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::canary;
use crate::login::Login;
use crate::strict;
use crate::wait::within;

/// How a connection ended: 1005 stands for a close without a code, 1006 for a broken socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code of the close frame.
    pub code: u16,
    /// Its reason.
    pub reason: String,
}

impl Close {
    /// What a test expects.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
        }
    }
}

/// One open connection.
pub struct Client {
    port: u16,
    socket: WebSocketStream<TcpStream>,
    waiting: VecDeque<Value>,
    closed: Option<Close>,
    requests: u64,
    /// The method of each request, by its id.
    asked: HashMap<String, String>,
    /// The challenge's payload.
    pub challenge: Value,
    /// The payload of hello-ok, once connected.
    pub hello: Value,
}

impl Client {
    /// Opens the socket and reads the challenge.
    pub async fn open(port: u16) -> Self {
        Self::open_with(port, "/", &[]).await
    }

    /// The same, or `None` where nobody listens.
    pub async fn try_open(port: u16) -> Option<Self> {
        let socket = upgrade(port, "/", &[]).await.ok()?;
        Some(Self::greeted(port, socket.0).await)
    }

    /// The same with a path and header fields of choice. A `host` field replaces the usual one.
    ///
    /// # Panics
    /// When the gateway refuses the upgrade or sends no challenge.
    pub async fn open_with(port: u16, path: &str, headers: &[(&str, &str)]) -> Self {
        let socket = upgrade(port, path, headers).await;
        Self::greeted(port, socket.expect("the gateway upgrades").0).await
    }

    /// The same by way of another address of this host, which the gateway sees as the peer's.
    ///
    /// # Panics
    /// When the gateway refuses the upgrade or sends no challenge.
    pub async fn open_at(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let socket = upgrade_at(address, "/", headers).await;
        Self::greeted(address.port(), socket.expect("the gateway upgrades").0).await
    }

    async fn greeted(port: u16, socket: WebSocketStream<TcpStream>) -> Self {
        let mut client = Self {
            port,
            socket,
            waiting: VecDeque::new(),
            closed: None,
            requests: 0,
            asked: HashMap::new(),
            challenge: Value::Null,
            hello: Value::Null,
        };
        let frame = client.frame().await;
        assert_eq!(frame["event"], "connect.challenge", "first frame: {frame}");
        client.challenge = frame["payload"].clone();
        client
    }

    /// Connects and expects hello-ok.
    pub async fn connect(port: u16, login: &Login) -> Self {
        let mut client = Self::open(port).await;
        client.log_in(login).await;
        client
    }

    /// Sends `connect` on an open socket and expects hello-ok.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn log_in(&mut self, login: &Login) {
        let answer = self.try_log_in(login).await;
        assert_eq!(answer["ok"], true, "connect was refused: {answer}");
        self.hello = answer["payload"].clone();
        canary::watch(self.port, &self.hello);
    }

    /// Sends `connect` and returns the response frame, whatever it says.
    pub async fn try_log_in(&mut self, login: &Login) -> Value {
        let params = login.signed(self.nonce());
        self.call("connect", params).await
    }

    /// The nonce of the challenge.
    ///
    /// # Panics
    /// When the challenge had none.
    #[must_use]
    pub fn nonce(&self) -> &str {
        self.challenge["nonce"]
            .as_str()
            .expect("a challenge carries a nonce")
    }

    /// Sends a request and returns its id.
    pub async fn request(&mut self, method: &str, params: Value) -> String {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        self.asked.insert(id.clone(), method.to_owned());
        let mut frame = json!({ "type": "req", "id": id, "method": method });
        if !params.is_null() {
            frame["params"] = params;
        }
        self.send(&frame).await;
        id
    }

    /// Sends a request and returns the next response frame with its id.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.response(&id).await
    }

    /// Sends a request that must succeed; returns the payload.
    ///
    /// # Panics
    /// When it fails.
    pub async fn ok(&mut self, method: &str, params: Value) -> Value {
        let frame = self.call(method, params).await;
        assert_eq!(frame["ok"], true, "{method} failed: {frame}");
        frame["payload"].clone()
    }

    /// Sends a request that must fail; returns the error object.
    ///
    /// # Panics
    /// When it succeeds.
    pub async fn refused(&mut self, method: &str, params: Value) -> Value {
        let frame = self.call(method, params).await;
        assert_eq!(
            frame["ok"], false,
            "{method} should have been refused: {frame}"
        );
        frame["error"].clone()
    }

    /// The next response with this id; frames that came before stay for later.
    pub async fn response(&mut self, id: &str) -> Value {
        self.find(&format!("the response {id}"), |frame| {
            frame["type"] == "res" && frame["id"] == id
        })
        .await
    }

    /// The next event with this name.
    pub async fn event(&mut self, name: &str) -> Value {
        self.event_where(name, |_| true).await
    }

    /// The next event with this name whose payload fits.
    pub async fn event_where(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.find(&format!("an event {name}"), |frame| {
            frame["event"] == name && fits(&frame["payload"])
        })
        .await
    }

    /// Waits until a channel runs. Accounts start beside the gateway; each connect and each change
    /// brings a new health snapshot.
    pub async fn sees_running(&mut self, channel: &str) {
        self.event_where("health", |p| p["channels"][channel]["running"] == true)
            .await;
    }

    /// The first frame that fits, of those that wait and those to come.
    ///
    /// # Panics
    /// When the connection ends first, or nothing comes.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.waiting.iter().position(&fits) {
            return self
                .waiting
                .remove(place)
                .expect("the place was just found");
        }
        within(what, async {
            loop {
                match self.read().await {
                    Some(frame) if fits(&frame) => return frame,
                    Some(frame) => self.waiting.push_back(frame),
                    None => panic!("closed ({:?}) while waiting for {what}", self.closed),
                }
            }
        })
        .await
    }

    /// The next frame of any kind.
    ///
    /// # Panics
    /// When the connection ends first, or nothing comes.
    pub async fn frame(&mut self) -> Value {
        self.find("a frame", |_| true).await
    }

    /// All frames that came before the gateway answered a `health` sent now: a way to say "and
    /// nothing else was sent".
    pub async fn settle(&mut self) -> Vec<Value> {
        let id = self.request("health", json!({})).await;
        self.response(&id).await;
        self.waiting.drain(..).collect()
    }

    /// The next frame that came or comes, or how the connection ended.
    ///
    /// # Errors
    /// The close, when there is no further frame.
    pub async fn next_or_close(&mut self, what: &str) -> Result<Value, Close> {
        if let Some(frame) = self.waiting.pop_front() {
            return Ok(frame);
        }
        match within(what, self.read()).await {
            Some(frame) => Ok(frame),
            None => Err(self.closed.clone().expect("it ended")),
        }
    }

    /// Sends the head of a text frame of `length` bytes, and nothing of the frame itself.
    ///
    /// # Panics
    /// When the gateway takes nothing.
    pub async fn send_frame_head(&mut self, length: u64) {
        use tokio::io::AsyncWriteExt as _;
        let mut head = vec![0x81, 0xff];
        head.extend(length.to_be_bytes());
        head.extend([0; 4]);
        let stream = self.socket.get_mut();
        stream.write_all(&head).await.expect("a live socket");
    }

    /// Reads until the connection ends; frames on the way stay for [`Client::frame`].
    pub async fn closed(&mut self) -> Close {
        within("the gateway to close", async {
            while let Some(frame) = self.read().await {
                self.waiting.push_back(frame);
            }
        })
        .await;
        self.closed
            .clone()
            .expect("reading ended because the connection did")
    }

    /// Frames received and not yet looked at.
    pub fn take_waiting(&mut self) -> Vec<Value> {
        self.waiting.drain(..).collect()
    }

    /// Drops the waiting events of this name.
    pub fn forget(&mut self, name: &str) {
        self.waiting.retain(|frame| frame["event"] != name);
    }

    /// Sends a frame as text.
    pub async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends any text. A gateway that has closed already is not an error here: the test will see
    /// the close.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.send_message(Message::text(text.into())).await;
    }

    /// Sends bytes as a binary message.
    pub async fn send_binary(&mut self, bytes: impl Into<Vec<u8>>) {
        self.send_message(Message::binary(bytes.into())).await;
    }

    /// Sends a WebSocket ping and waits for its pong.
    pub async fn ping(&mut self, body: &[u8]) {
        self.send_message(Message::Ping(body.to_vec().into())).await;
        within("a pong", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Pong(answer))) if answer == body => return,
                    Some(Ok(Message::Text(text))) => {
                        let frame = read_strictly(&self.asked, &text);
                        self.waiting.push_back(frame);
                    }
                    Some(Ok(_)) => {}
                    other => panic!("no pong but {other:?}"),
                }
            }
        })
        .await;
    }

    /// Closes from the client's side and waits for the end.
    pub async fn leave(mut self) {
        // A gateway that closed first leaves nothing to close: that is fine.
        _ = self.socket.close(None).await;
        self.closed().await;
    }

    async fn send_message(&mut self, message: Message) {
        match within("the gateway to take a frame", self.socket.send(message)).await {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_)) => {}
            Err(Error::Protocol(_)) => {}
            Err(other) => panic!("cannot send: {other}"),
        }
    }

    async fn read(&mut self) -> Option<Value> {
        while self.closed.is_none() {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Some(read_strictly(&self.asked, &text));
                }
                Some(Ok(Message::Binary(bytes))) => panic!("a binary frame: {bytes:?}"),
                Some(Ok(Message::Close(frame))) => {
                    self.closed = Some(frame.map_or(Close::new(1005, ""), |frame| Close {
                        code: frame.code.into(),
                        reason: frame.reason.to_string(),
                    }));
                    // Completes the closing handshake; the other side may be gone already.
                    _ = self.socket.close(None).await;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.closed = Some(Close::new(1006, "")),
            }
        }
        None
    }
}

/// A frame that a client with strict types can read; `asked` knows what a response answers.
fn read_strictly(asked: &HashMap<String, String>, text: &str) -> Value {
    let frame: Value =
        serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"));
    let id = frame["id"].as_str().unwrap_or_default();
    let problems = strict::problems(&frame, asked.get(id).map(String::as_str));
    assert!(
        problems.is_empty(),
        "strict clients drop this: {problems:?} in {text}"
    );
    frame
}

/// The WebSocket upgrade alone: the socket and the header fields of the answer.
///
/// # Errors
/// Whatever the gateway answered instead of upgrading.
pub async fn upgrade(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(WebSocketStream<TcpStream>, http::HeaderMap), Error> {
    upgrade_at(([127, 0, 0, 1], port).into(), path, headers).await
}

async fn upgrade_at(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(WebSocketStream<TcpStream>, http::HeaderMap), Error> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a header name");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a header value"));
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    upgrade_on(stream, request).await
}

/// The upgrade of a client whose system holds as little as it can for it, so that what it does
/// not read soon stays with the gateway.
///
/// # Errors
/// Whatever the gateway answered instead of upgrading.
pub async fn upgrade_narrow(port: u16) -> Result<WebSocketStream<TcpStream>, Error> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
    let request = format!("ws://127.0.0.1:{port}/").into_client_request()?;
    Ok(upgrade_on(stream, request).await?.0)
}

async fn upgrade_on(
    stream: TcpStream,
    request: http::Request<()>,
) -> Result<(WebSocketStream<TcpStream>, http::HeaderMap), Error> {
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let (socket, answer) = client_async_with_config(request, stream, Some(config)).await?;
    Ok((socket, answer.headers().clone()))
}
