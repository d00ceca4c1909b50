//! One request: frame, method, rights, params, handler, answer.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::stream::FuturesUnordered;
use gateway_schemas::frame::{self, FrameError};
use gateway_schemas::validate;

use crate::error::GatewayError;
use crate::hub::{Client, Closing};
use crate::limits::{REQUESTS_IN_FLIGHT_MAX, UNAUTHORIZED_ANSWERS_MAX};
use crate::methods::{self, Method, Outcome, Parts};
use crate::shutdown::panic_text;

/// The requests of one connection.
#[derive(Default)]
pub(super) struct Requests {
    /// Those that aren't answered yet.
    pub(super) running: FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>,
    /// `unauthorized role` answers in a row.
    unauthorized: u32,
}

/// A finished request.
pub(super) struct Finished {
    id: String,
    method: &'static str,
    outcome: Outcome,
}

/// Starts what `text` asks for; answers at once what needs no waiting.
pub(super) fn start(text: &str, client: &Arc<Client>, parts: &Arc<Parts>, requests: &mut Requests) {
    let request = match frame::read_request(text) {
        Ok(request) => request,
        Err(FrameError::NotJson) => return,
        Err(FrameError::Invalid { id, message }) => {
            let error = GatewayError::invalid(format!("invalid request frame: {message}"));
            return refuse(client, &id, &error);
        }
    };
    let refused = |error: &GatewayError| refuse(client, &frame::quote(&request.id), error);
    if requests.running.len() >= REQUESTS_IN_FLIGHT_MAX {
        let text = format!("too many requests in flight: at most {REQUESTS_IN_FLIGHT_MAX}");
        return refused(&GatewayError::unavailable(text).retry_after(250));
    }
    let method = match methods::authorise(&client.caller, &request.method) {
        Ok(method) => method,
        Err(error) => {
            refused(&error);
            return count_unauthorized(client, &error, &mut requests.unauthorized);
        }
    };
    requests.unauthorized = 0;
    let name = method.spec().name;
    let in_order = methods::in_order(name, request.params.map(serde_json::value::RawValue::get));
    let text = in_order.as_deref().unwrap_or(request.params_text());
    if let Err(errors) = validate::params(name, text) {
        return refused(&GatewayError::invalid(format!(
            "invalid {name} params: {errors}"
        )));
    }
    let params = request.params.map(serde_json::value::RawValue::get);
    let params = in_order.as_deref().or(params);
    call(
        method,
        client,
        parts,
        request.id.into_owned(),
        params,
        requests,
    );
}

/// Most handlers are done at their first poll; only the others are kept.
fn call(
    method: Method,
    client: &Arc<Client>,
    parts: &Arc<Parts>,
    id: String,
    params: Option<&str>,
    requests: &mut Requests,
) {
    let name = method.spec().name;
    let handler = method.call(client, parts, id.clone(), params);
    let mut handler = AssertUnwindSafe(handler).catch_unwind();
    let mut idle = Context::from_waker(std::task::Waker::noop());
    match handler.poll_unpin(&mut idle) {
        Poll::Ready(result) => finish(
            client,
            Finished {
                id,
                method: name,
                outcome: settle(name, result),
            },
        ),
        // Polled again with the connection's waker as soon as it is among the running.
        Poll::Pending => requests.running.push(Box::pin(async move {
            let outcome = settle(name, handler.await);
            Finished {
                id,
                method: name,
                outcome,
            }
        })),
    }
}

fn settle(method: &'static str, result: std::thread::Result<Outcome>) -> Outcome {
    result.unwrap_or_else(|panic| {
        tracing::error!(method, panic = panic_text(panic), "a method panicked");
        Err(GatewayError::unavailable("Error: internal error"))
    })
}

/// Queues the answer of a finished request.
pub(super) fn finish(client: &Client, done: Finished) {
    match done.outcome {
        Ok(reply) => client
            .queue
            .push_own(frame::response_ok(&done.id, reply.as_str())),
        Err(error) => {
            if let Some(cause) = error.cause_text() {
                tracing::warn!(
                    method = done.method,
                    conn = client.caller.conn.0,
                    message = %error,
                    cause,
                    "request failed"
                );
            }
            refuse(client, &frame::quote(&done.id), &error);
        }
    }
}

fn refuse(client: &Client, id_json: &str, error: &GatewayError) {
    let payload = error.payload().map(ToString::to_string);
    client.queue.push_own(frame::response_err(
        id_json,
        error.shape(),
        payload.as_deref(),
    ));
}

/// A program that keeps calling what its role may not is cut off.
fn count_unauthorized(client: &Client, error: &GatewayError, unauthorized: &mut u32) {
    if !error.shape().message.starts_with("unauthorized role:") {
        *unauthorized = 0;
        return;
    }
    *unauthorized += 1;
    if *unauthorized > UNAUTHORIZED_ANSWERS_MAX {
        client.queue.close(Closing {
            code: 1008,
            reason: "repeated unauthorized calls".into(),
        });
    }
}
