//! A listener whose connections can be cut: by one call that must lose its answer, or all at once
//! when the fake Bot API goes away for a while.
//!
//! Used by `bot_api` only. A cut connection writes nothing more, so the client sees a connection
//! that closed without an answer, exactly as with a lost link.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The scissors for one connection.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<CutState>);

#[derive(Debug, Default)]
struct CutState {
    cut: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Cut {
    /// Ends the connection: what was not written yet never is.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader().take() {
            reader.wake();
        }
    }

    fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP listener that hands out cuttable connections and remembers them.
pub struct CutListener {
    inner: TcpListener,
    cuts: Arc<Mutex<Vec<Cut>>>,
}

impl CutListener {
    /// Listens with `inner`; every connection's scissors are put into `cuts`.
    pub fn new(inner: TcpListener, cuts: Arc<Mutex<Vec<Cut>>>) -> CutListener {
        CutListener { inner, cuts }
    }
}

impl Listener for CutListener {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.inner).await;
        let cut = Cut::default();
        self.cuts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(cut.clone());
        (Line { stream, cut }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Connected<IncomingStream<'_, CutListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Cut {
        stream.io().cut.clone()
    }
}

/// One connection that ends when its [`Cut`] says so.
pub struct Line {
    stream: TcpStream,
    cut: Cut,
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        *self.cut.reader() = Some(cx.waker().clone());
        if self.cut.is_cut() {
            return Poll::Ready(Err(gone()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cut() {
            return Poll::Ready(Err(gone()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
