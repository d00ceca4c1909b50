//! Instances of real libraries: what works, and what their faults do to us.

use std::sync::Arc;

use gateway_plugin::message::{ConnectionState, Link, StopReason};

use super::*;
use crate::limits::{PLUGIN_EVENTS_MAX, PLUGIN_REQUESTS_MAX};

/// Each of these holds wherever the plugin runs.
macro_rules! wherever_it_runs {
    ($($name:ident),* $(,)?) => {
        mod in_process {
            $(#[tokio::test] async fn $name() { super::$name(super::Isolation::InProcess).await })*
        }
        mod in_a_child {
            $(#[tokio::test] async fn $name() { super::$name(super::Isolation::Process).await })*
        }
    };
}

wherever_it_runs!(
    a_message_goes_out_and_comes_back,
    emit_ends_only_when_the_event_is_acknowledged,
    state_is_served_and_survives_the_instance,
    panics_are_contained_and_three_end_the_instance,
    a_dead_background_task_asks_for_a_restart,
    start_errors_keep_their_kind,
    a_blocked_plugin_times_out_while_another_answers,
    a_deadline_cancels_the_operation,
    only_so_many_operations_are_under_way,
    garbage_is_counted_and_dropped,
    credits_bound_the_honest_and_the_dishonest,
    logs_are_rated_and_undeclared_abilities_never_asked,
    a_dropped_instance_is_closed_and_many_live_side_by_side,
);

async fn message(inbound: &mut Inbound) -> (String, Ack) {
    let next = tokio::time::timeout(PATIENCE, inbound.next())
        .await
        .expect("an event comes");
    match next.expect("the instance is open") {
        InboundEvent {
            event: Event::Message(message),
            ack,
            ..
        } => (message.text, ack),
        other => panic!("no message: {other:?}"),
    }
}

async fn connected(inbound: &mut Inbound) {
    let next = tokio::time::timeout(PATIENCE, inbound.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        next.event,
        Event::Connection(ConnectionState::of(Link::Connected))
    );
    next.ack.done();
}

fn echo(text: &str) -> Op {
    let to = "echo:ann".to_owned();
    Op::Send(OutboundMessage {
        to,
        text: text.to_owned(),
        ..Default::default()
    })
}

async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let seen = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect(what);
}

async fn a_message_goes_out_and_comes_back(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, mut inbound) = loaded.started("echo").await;
    connected(&mut inbound).await;
    let media = Bytes::from_static(b"file");
    let address = media.as_ptr();
    let sent = instance.request(echo("hi"), media, PATIENCE);
    let back = async {
        let next = inbound.next().await.unwrap();
        assert_eq!(next.blob, "file");
        if isolation == Isolation::InProcess {
            assert_eq!(next.blob.as_ptr(), address, "the bytes were never copied");
        }
        next.ack.done();
    };
    let (sent, ()) = tokio::join!(sent, back);
    assert!(matches!(sent.unwrap(), OpResult::Sent(r) if r.chat.as_deref() == Some("ann")));
    instance.ping(PATIENCE).await.unwrap();
    instance.stop(StopReason::Shutdown, PATIENCE).await;
    assert!(
        inbound.next().await.is_none(),
        "nothing comes from a closed instance"
    );
    let late = instance
        .request(echo("late"), Bytes::new(), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(late.kind, ErrorKind::NotConnected);
}

async fn emit_ends_only_when_the_event_is_acknowledged(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, mut inbound) = loaded.started("echo").await;
    connected(&mut inbound).await;
    let sender = instance.clone();
    let (done, mut sent) = tokio::sync::oneshot::channel();
    loaded.tasks.spawn("send", async move {
        done.send(sender.request(echo("one"), Bytes::new(), PATIENCE).await)
            .unwrap();
    });
    let (text, ack) = message(&mut inbound).await;
    assert_eq!(text, "one");
    // Pings overtake: the plugin works, and its send still waits for our answer.
    for _ in 0..20 {
        instance.ping(PATIENCE).await.unwrap();
    }
    assert!(
        sent.try_recv().is_err(),
        "emit waits for the acknowledgement"
    );
    ack.done();
    sent.await.unwrap().unwrap();

    let (sent, ()) = tokio::join!(
        instance.request(echo("two"), Bytes::new(), PATIENCE),
        async {
            message(&mut inbound).await.1.refuse("disk full");
        }
    );
    assert_eq!(sent.unwrap_err().message, "disk full");
    let (sent, ()) = tokio::join!(
        instance.request(echo("three"), Bytes::new(), PATIENCE),
        async {
            drop(message(&mut inbound).await);
        }
    );
    assert_eq!(
        sent.unwrap_err().kind,
        ErrorKind::Transient,
        "a lost acknowledgement refuses"
    );
}

async fn state_is_served_and_survives_the_instance(isolation: Isolation) {
    let loaded = both(isolation);
    let kv = Arc::<MemoryKv>::default();
    for starts in ["1", "2"] {
        let (instance, mut inbound) = loaded.open("echo", json!({ "greeting": "hi" }), &kv);
        instance.start(PATIENCE).await.unwrap();
        connected(&mut inbound).await;
        if starts == "1" {
            let (text, ack) = message(&mut inbound).await;
            assert_eq!(text, "hi");
            ack.done();
            eventually("the greeting is remembered", || {
                kv.get("greeted").unwrap().is_some()
            })
            .await;
        }
        instance.stop(StopReason::Reload, PATIENCE).await;
        assert_eq!(kv.get("starts").unwrap().unwrap(), starts.as_bytes());
    }
    assert_eq!(kv.list("").unwrap(), ["greeted", "starts"]);
}

async fn panics_are_contained_and_three_end_the_instance(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, _inbound) = loaded.open("faulty", json!({ "fault": "panic" }), &Arc::default());
    let error = instance.start(PATIENCE).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Panic, "at start")
    );

    let (instance, _inbound) = loaded.started("faulty").await;
    let error = failed(&instance, "panic").await;
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Panic, "in send")
    );
    assert_eq!(failed(&instance, "bomb").await.kind, ErrorKind::Panic);
    send(&instance, "thread-panic", PATIENCE).await.unwrap();
    send(&instance, "all is well", PATIENCE).await.unwrap();
    assert_eq!(instance.state().panics, 2);
    let wrong = instance.wrong();
    tokio::pin!(wrong);
    assert!(futures_util::poll!(&mut wrong).is_pending());
    assert_eq!(failed(&instance, "panic").await.kind, ErrorKind::Panic);
    let why = tokio::time::timeout(PATIENCE, wrong).await.unwrap();
    assert_eq!(why, "3 panics within 5 minutes, the last: in send");
}

async fn a_dead_background_task_asks_for_a_restart(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, _inbound) = loaded.started("faulty").await;
    send(&instance, "task-panic", PATIENCE).await.unwrap();
    let why = tokio::time::timeout(PATIENCE, instance.wrong())
        .await
        .unwrap();
    assert_eq!(why, "task \"doomed\" panicked: in the background");
    assert_eq!(instance.state().fatals, 1);
}

async fn start_errors_keep_their_kind(isolation: Isolation) {
    let loaded = both(isolation);
    for (fault, kind) in [
        ("auth", ErrorKind::Auth),
        ("transient", ErrorKind::Transient),
    ] {
        let (instance, _inbound) =
            loaded.open("faulty", json!({ "fault": fault }), &Arc::default());
        assert_eq!(instance.start(PATIENCE).await.unwrap_err().kind, kind);
        instance.stop(StopReason::Restart, PATIENCE).await;
    }
}

async fn a_blocked_plugin_times_out_while_another_answers(isolation: Isolation) {
    let loaded = both(isolation);
    let (faulty, _one) = loaded.started("faulty").await;
    let (echo, _two) = loaded.started("echo").await;
    let short = Duration::from_millis(50);
    // Blocks the library's only thread, so nothing of it can answer.
    let error = send(&faulty, "block:1500", short).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert_eq!(
        faulty.ping(short).await.unwrap_err().kind,
        ErrorKind::Timeout
    );
    echo.ping(PATIENCE).await.unwrap();
    faulty.ping(PATIENCE).await.unwrap();
    assert_eq!(faulty.state().timeouts, 2);
}

async fn a_deadline_cancels_the_operation(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, _inbound) = loaded.started("faulty").await;
    let error = send(&instance, "never", Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    {
        let asked = send(&instance, "never", PATIENCE);
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending());
        // Answered after it by the library's only thread: the operation has begun.
        instance.ping(PATIENCE).await.unwrap();
    }
    let cancelled =
        async { while send(&instance, "dropped", PATIENCE).await.unwrap() != json!(2) {} };
    tokio::time::timeout(PATIENCE, cancelled)
        .await
        .expect("both futures were dropped");
    assert_eq!(instance.state().in_flight, 0);
}

async fn only_so_many_operations_are_under_way(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, _inbound) = loaded.started("faulty").await;
    let mut asked: Vec<_> = (0..PLUGIN_REQUESTS_MAX)
        .map(|_| Box::pin(send(&instance, "never", PATIENCE)))
        .collect();
    for request in &mut asked {
        assert!(futures_util::poll!(request).is_pending());
    }
    assert_eq!(instance.state().in_flight, PLUGIN_REQUESTS_MAX as u64);
    let error = send(&instance, "hello", Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Transient,
        "it was never asked, so it may be repeated"
    );
    drop(asked);
    send(&instance, "hello", PATIENCE).await.unwrap();
}

async fn garbage_is_counted_and_dropped(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, mut inbound) = loaded.started("faulty").await;
    assert_eq!(
        send(&instance, "garbage:4", PATIENCE).await.unwrap(),
        json!(4)
    );
    assert_eq!(send(&instance, "huge", PATIENCE).await.unwrap(), json!(-3));
    assert_eq!(
        send(&instance, "answer", PATIENCE).await.unwrap(),
        json!(-3)
    );
    // An event of the future is answered: it was seen, and nobody here can use it.
    let unknown = send(&instance, "unknown", PATIENCE);
    let (unknown, nothing) = tokio::join!(
        unknown,
        tokio::time::timeout(Duration::from_millis(100), inbound.next())
    );
    unknown.unwrap();
    assert!(nothing.is_err(), "nothing of it is an event");
    let state = instance.state();
    assert_eq!(
        (state.bad_frames, state.unknown_events, state.events),
        (6, 1, 0)
    );

    send(&instance, "garbage:60", PATIENCE).await.unwrap();
    let drained = tokio::time::timeout(Duration::from_millis(100), inbound.next()).await;
    assert!(drained.is_err());
    send(&instance, "garbage:60", PATIENCE).await.unwrap();
    let why = tokio::select! {
        why = instance.wrong() => why,
        event = inbound.next() => panic!("garbage became {event:?}"),
    };
    assert_eq!(why, "100 frames made no sense");
}

async fn credits_bound_the_honest_and_the_dishonest(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, mut inbound) = loaded.started("faulty").await;
    // 1,000 events through 64 credits: all arrive, in order.
    let sender = instance.clone();
    let receive = async {
        for n in 0..1_000 {
            let next = inbound.next().await.unwrap();
            let Event::Message(message) = next.event else {
                panic!("no message")
            };
            assert_eq!(message.id, n.to_string());
            next.ack.done();
        }
    };
    let (sent, ()) = tokio::join!(send(&sender, "emit:1000", PATIENCE), receive);
    assert_eq!(sent.unwrap(), json!(1_000));
    assert_eq!(instance.state().refused_events, 0);
    // Past all credits: 64 are taken, the rest is told to wait.
    assert_eq!(
        send(&instance, "flood:500", PATIENCE).await.unwrap(),
        json!(PLUGIN_EVENTS_MAX)
    );
    assert_eq!(instance.state().refused_events, 436);
    for _ in 0..PLUGIN_EVENTS_MAX {
        inbound.next().await.unwrap().ack.done();
    }
    let (sent, ()) = tokio::join!(send(&instance, "emit:1", PATIENCE), async {
        inbound.next().await.unwrap().ack.done();
    });
    assert_eq!(sent.unwrap(), json!(1), "the honest way still works");
}

async fn logs_are_rated_and_undeclared_abilities_never_asked(isolation: Isolation) {
    let loaded = both(isolation);
    let (instance, _inbound) = loaded.started("faulty").await;
    send(&instance, "log:5000", PATIENCE).await.unwrap();
    let state = instance.state();
    assert_eq!(state.log_lines + state.log_dropped, 5_000);
    assert!(state.log_dropped > 1_000, "{state:?}");
    let error = instance
        .request(Op::Logout, Bytes::new(), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.message, "login is not supported by faulty");
    let typing = Op::Typing {
        chat: "1".to_owned(),
        thread_id: None,
        on: true,
    };
    let error = instance
        .request(typing, Bytes::new(), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(
        error.message, "typing is not supported by this surface",
        "the plugin itself"
    );
}

async fn a_dropped_instance_is_closed_and_many_live_side_by_side(isolation: Isolation) {
    let loaded = both(isolation);
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(loaded.started("echo").await);
    }
    for (instance, _) in &open {
        instance.ping(PATIENCE).await.unwrap();
    }
    drop(open);
    let stopped = loaded.tasks.stop(PATIENCE).await;
    assert!(stopped, "the tasks that served their calls have ended");
}
