//! Accepts sockets and speaks HTTP on each, within the bounds for clients that nobody knows yet.
//!
//! A socket takes a place first, then has a bounded time for each step: its first byte, its TLS
//! handshake, its request head. `connection` goes on from the upgrade with its own timer.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::local::LocalSocket;
use super::stream::MeteredStream;
use super::{Peer, Server, handle};
use crate::connection::{Meter, Place};
use crate::limits::{
    FLOOD_CHECK_INTERVAL, FLOOD_OVER_MAX, HEAD_BYTES_MAX, HEAD_TIMEOUT, TLS_HANDSHAKE_TIMEOUT,
};
use crate::memory;
use crate::shutdown::Tasks;

/// What a socket is told for which there is no place.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n\
    Content-Length: 32\r\n\r\ntoo many handshakes: try later\r\n";
/// What a socket is told that speaks plain text where TLS is spoken.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 56\r\n\r\n\
    this port speaks TLS: use a wss:// or https:// address\r\n";
/// First byte of every TLS connection: a record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Accepts until `closed`; the connections are served until `tasks` stop.
pub(super) async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    closed: CancellationToken,
    tasks: Tasks,
) {
    let stop = tasks.stop_token().clone();
    while let Some((stream, address)) = closed.run_until_cancelled(next(&listener)).await {
        let Some(place) = server.places.take(address.ip()) else {
            // Whoever floods us may read this or not: nothing waits for it.
            if server.tls().is_none() {
                stream.try_write(FULL).ok();
            }
            continue;
        };
        let (server, stop) = (server.clone(), stop.clone());
        tasks.spawn("http", one(server, stream, address, place, stop));
    }
}

/// Accepts the gateway's own user until `tasks` stop.
pub(super) async fn accept_local(socket: LocalSocket, server: Arc<Server>, tasks: Tasks) {
    let stop = tasks.stop_token().clone();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    while let Some(stream) = stop.run_until_cancelled(socket.accept()).await {
        let Some(place) = server.local_places.take(address.ip()) else {
            stream.try_write(FULL).ok();
            continue;
        };
        let peer = Peer {
            address,
            meter: Meter::default(),
            place: Arc::new(place),
            own_user: true,
        };
        tasks.spawn(
            "local http",
            http(stream, peer, server.clone(), stop.clone()),
        );
    }
}

/// Names in the log, now and then, how many sockets found no place; once that is over, the memory
/// of the flood goes back to the system.
pub(super) async fn watch(server: Arc<Server>) {
    let mut flooded = false;
    loop {
        tokio::time::sleep(FLOOD_CHECK_INTERVAL).await;
        let (taken, refused) = server.places.look();
        if refused > 0 {
            flooded = true;
            tracing::warn!(
                refused,
                "sockets were turned away: too many that have not said hello"
            );
        } else if flooded && taken < FLOOD_OVER_MAX {
            flooded = false;
            memory::give_back();
        }
    }
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Out of descriptors or memory: give others time to end.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn one(
    server: Arc<Server>,
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    stop: CancellationToken,
) {
    // Nothing is set up for a socket that says nothing.
    let first = timeout(HEAD_TIMEOUT, stream.readable());
    if !matches!(stop.run_until_cancelled(first).await, Some(Ok(Ok(())))) {
        return;
    }
    // Small frames shall not wait for more.
    stream.set_nodelay(true).ok();
    let peer = Peer {
        address,
        meter: Meter::default(),
        place: Arc::new(place),
        own_user: false,
    };
    if let Some(tls) = server.tls() {
        let mut byte = [0];
        if matches!(stream.peek(&mut byte).await, Ok(1)) && byte[0] != TLS_HANDSHAKE {
            peer.meter.linger();
            let stream = metered(stream, &peer, &server);
            return say(stream, PLAIN).await;
        }
        let shaken = tls.acceptor().accept(metered(stream, &peer, &server));
        let shaken = timeout(TLS_HANDSHAKE_TIMEOUT, shaken);
        match stop.run_until_cancelled(shaken).await {
            Some(Ok(Ok(stream))) => http(stream, peer, server.clone(), stop).await,
            Some(Ok(Err(error))) => tracing::debug!(%error, "no TLS handshake"),
            Some(Err(_)) | None => {}
        }
    } else {
        let stream = metered(stream, &peer, &server);
        http(stream, peer, server, stop).await;
    }
}

fn metered(stream: TcpStream, peer: &Peer, server: &Server) -> MeteredStream {
    MeteredStream::new(stream, peer.meter.clone(), server.connections.clone())
}

async fn say(mut stream: MeteredStream, text: &[u8]) {
    let said = async {
        stream.write_all(text).await?;
        stream.shutdown().await
    };
    timeout(HEAD_TIMEOUT, said).await.ok();
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: Peer,
    server: Arc<Server>,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (server, peer) = (server.clone(), peer.clone());
        async move { Ok::<_, Infallible>(handle(&server, peer, request.map(Body::new)).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
