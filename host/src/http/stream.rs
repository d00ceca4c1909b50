//! A TCP stream that counts what is read and lingers when asked to.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::connection::Meter;
use crate::limits::{LINGER_BYTES_MAX, SOCKET_CLOSE_TIMEOUT};
use crate::shutdown::Tasks;

/// The stream; encryption, where there is some, lies above it.
pub(super) struct MeteredStream {
    stream: Option<TcpStream>,
    meter: Meter,
    tasks: Tasks,
}

impl MeteredStream {
    /// What is left to read at the end is read in `tasks`.
    pub(super) fn new(stream: TcpStream, meter: Meter, tasks: Tasks) -> Self {
        MeteredStream {
            stream: Some(stream),
            meter,
            tasks,
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(
            self.get_mut()
                .stream
                .as_mut()
                .expect("the stream is there until it is dropped"),
        )
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take().filter(|_| self.meter.wants_linger()) else {
            return;
        };
        self.tasks.spawn("linger", async move {
            stream.shutdown().await.ok();
            let mut scratch = vec![0; 64 * 1024];
            let read_on = async {
                let mut total = 0;
                while total < LINGER_BYTES_MAX {
                    match stream.read(&mut scratch).await {
                        Ok(read) if read > 0 => total += read,
                        _ => break,
                    }
                }
            };
            tokio::time::timeout(SOCKET_CLOSE_TIMEOUT, read_on)
                .await
                .ok();
        });
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.as_mut().stream().poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && !self.meter.count(buffer.filled().len() - before)
        {
            return Poll::Ready(Err(io::Error::other("too much was sent before hello-ok")));
        }
        read
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
