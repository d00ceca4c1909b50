//! Plugins in processes of their own: how they end, what they can't do, and that none is left.

use super::*;
use crate::plugins::file::Isolation::Process;

/// A hang is seen within a second, and ends with the third: more on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// No process of this number: not running, not waiting to be reaped.
async fn gone(pid: u32) {
    let gone = async {
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let told = format!("process {pid} is gone");
    tokio::time::timeout(SOON, gone).await.expect(&told);
}

fn pid(instance: &Instance) -> u32 {
    instance.state().pid.expect("it has a process")
}

#[tokio::test]
async fn an_end_is_told_at_once_and_by_name() {
    let loaded = both(Process);
    for (fault, how) in [
        ("exit", "exited with code 7"),
        ("abort", "was ended by signal 6 (SIGABRT)"),
        ("segv", "was ended by signal 11 (SIGSEGV)"),
        ("overflow", "was ended by signal 11 (SIGSEGV)"),
        (
            "hog",
            "; it last said: memory allocation of 1048576 bytes failed",
        ),
    ] {
        let (instance, mut inbound) = loaded.started("faulty").await;
        let pid = pid(&instance);
        // Whatever is under way ends with the same words.
        let (other, error) = tokio::join!(
            failed(&instance, "never"),
            tokio::time::timeout(SOON, failed(&instance, fault)),
        );
        let error = error.expect(fault);
        assert_eq!(error.kind, ErrorKind::Cancelled, "{fault}: {error}");
        assert!(error.message.contains(how), "{fault}: {error}");
        assert_eq!(error, other);
        assert_eq!(instance.wrong().await, error.message);
        assert!(inbound.next().await.is_none());
        let late = failed(&instance, "late").await;
        assert_eq!(late.kind, ErrorKind::NotConnected, "it was never asked");
        assert!(late.message.contains(how), "{late}");
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_crash_at_start_is_the_plugins_fault() {
    let loaded = both(Process);
    let (instance, _inbound) = loaded.open("faulty", json!({ "fault": "abort" }), &Arc::default());
    let error = instance.start(SOON).await.unwrap_err();
    assert!(error.message.contains("SIGABRT"), "{error}");
    assert!(instance.wrong().await.contains("SIGABRT"));
}

#[tokio::test]
async fn a_hang_is_seen_and_ended() {
    let loaded = both(Process);
    let (instance, _inbound) = loaded.started("faulty").await;
    let pid = pid(&instance);
    let began = std::time::Instant::now();
    let (error, ()) = tokio::join!(failed(&instance, "spin"), async {
        while !instance.state().silent {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(began.elapsed() < SOON, "it is seen long before it is ended");
    });
    assert!(
        error.message.contains("3 pings in a row were not answered"),
        "{error}"
    );
    gone(pid).await;
}

/// One that is stopped does not read: operations are refused, and none of our threads waits.
#[tokio::test]
async fn one_that_does_not_read_is_busy() {
    let loaded = both(Process);
    let (instance, _inbound) = loaded.started("faulty").await;
    let pid = rustix::process::Pid::from_raw(pid(&instance) as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let media = Bytes::from(vec![0; 3 << 20]);
    let mut refused = 0;
    let mut asked = Vec::new();
    for _ in 0..8 {
        let op = Op::Send(OutboundMessage {
            text: "never".to_owned(),
            ..OutboundMessage::default()
        });
        let mut one = Box::pin(instance.request(op, media.clone(), SOON));
        match futures_util::poll!(&mut one) {
            std::task::Poll::Ready(Err(error)) => {
                assert_eq!(error.kind, ErrorKind::Transient, "{error}");
                refused += 1;
            }
            std::task::Poll::Ready(Ok(done)) => panic!("{done:?}"),
            std::task::Poll::Pending => asked.push(one),
        }
    }
    assert!(refused >= 5, "{refused} of 8 were refused");
    // It is killed for it; whoever was asked is told.
    for one in asked {
        let error = one.await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
    }
}

#[tokio::test]
async fn it_reaches_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (open, folder) = (
        listener.local_addr().unwrap().port(),
        tempfile::tempdir().unwrap(),
    );
    let unix = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&unix).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = closed.local_addr().unwrap().port();
    let entry = format!("isolation = \"process\"\nlimits = {{ tcp_ports = [{open}] }}");
    let loaded = load(
        "development = true",
        &[("faulty", &faulty_library(), &entry)],
    );
    let (instance, _inbound) = loaded.started("faulty").await;
    let confined = instance.state().confined.unwrap();
    assert!(confined.contains("landlock"), "{confined}");
    let denied = "Permission denied (os error 13)";
    let refused = "Operation not permitted (os error 1)";
    let file = folder.path().join("file");
    for (what, told) in [
        ("read:/etc/passwd".to_owned(), denied),
        ("read:/etc/hosts".to_owned(), "ok"),
        (format!("read:{}", faulty_library().display()), denied),
        ("list:/".to_owned(), denied),
        (format!("write:{}", file.display()), denied),
        ("run".to_owned(), refused),
        ("kill".to_owned(), refused),
        ("thread".to_owned(), "ok"),
        (format!("connect:{open}"), "ok"),
        (format!("connect:{other}"), denied),
        ("listen:0".to_owned(), denied),
        (
            format!("unix:{}", unix.display()),
            "Address family not supported by protocol (os error 97)",
        ),
    ] {
        let said = send(&instance, &what, PATIENCE).await.unwrap();
        assert_eq!(said, json!(told), "{what}");
    }
    let names = send(&instance, "environment", PATIENCE).await.unwrap();
    let names: Vec<String> = serde_json::from_value(names).unwrap();
    let passed = crate::config::env::FOR_PLUGINS;
    assert!(
        names.iter().all(|name| passed.contains(&name.as_str())),
        "{names:?}"
    );
}

#[tokio::test]
async fn files_come_through_and_too_much_waits() {
    let loaded = both(Process);
    let (instance, mut inbound) = loaded.started("faulty").await;
    let (sent, ()) = tokio::join!(send(&instance, "files:48", PATIENCE), async {
        for n in 0..4 {
            let next = inbound.next().await.unwrap();
            assert_eq!(next.blob.len(), 48 << 20);
            assert!(next.blob.iter().step_by(4_096).all(|byte| *byte == n));
            next.ack.done();
        }
    });
    assert_eq!(sent.unwrap(), json!(4));
}

#[tokio::test]
async fn what_it_writes_is_logged_and_bounded() {
    let loaded = both(Process);
    let (instance, _inbound) = loaded.started("faulty").await;
    send(&instance, "print:20000", PATIENCE).await.unwrap();
    let told = async {
        loop {
            let state = instance.state();
            if state.log_lines + state.log_dropped >= 20_000 {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let state = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(state.log_dropped > 10_000, "{state:?}");
}

/// However it is let go of, no process stays.
#[tokio::test]
async fn no_process_is_left() {
    use gateway_plugin::message::StopReason;
    let loaded = both(Process);
    let (stopped, _one) = loaded.started("echo").await;
    let first = pid(&stopped);
    stopped.stop(StopReason::Shutdown, PATIENCE).await;
    gone(first).await;
    let dropped = loaded.started("echo").await;
    let second = pid(&dropped.0);
    drop(dropped);
    gone(second).await;
    let (held, _two) = loaded.started("faulty").await;
    let third = pid(&held);
    // Its tasks are thrown away, as when a gateway's patience is over.
    loaded.tasks.stop(Duration::ZERO).await;
    gone(third).await;
}

/// A library that cannot be loaded is refused in its process as it would be in ours.
#[tokio::test]
async fn a_library_that_cannot_be_loaded() {
    let loaded = both(Process);
    let kept = loaded.plugins.get("echo").unwrap().library().to_owned();
    std::fs::remove_file(&kept).unwrap();
    let (instance, _inbound) = loaded.open("echo", json!({}), &Arc::default());
    let error = instance.start(SOON).await.unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Config,
        "trying again is no use: {error}"
    );
    assert!(
        error.message.starts_with("the plugin cannot be loaded: "),
        "{error}"
    );
}
