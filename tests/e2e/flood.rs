//! What clients may do that nobody knows yet: sockets without end, heads without end, frames and
//! JSON without measure. The big flood is a bench (`cargo bench -p gateway-tests -- flood`).

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use support::flood::{Stop, answer, resident, socket};
use support::wait::{until, within};
use support::{Client, Close, Gateway, Login};

const EACH_MAX: usize = 256;
/// Another address of this host than the other clients come from.
const FLOODER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Linux has a whole network of loopback addresses; elsewhere there is one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_does_not_take_all_places() {
    let gateway = Gateway::start().await;
    let mut known = gateway.operator().await;
    let mut flood = Vec::new();
    for number in 0..EACH_MAX + 20 {
        let stop = [Stop::Silent, Stop::HalfHead, Stop::Upgraded][number % 3];
        flood.push(socket(FLOODER, gateway.port(), stop).await.unwrap());
    }
    let last = flood.last_mut().unwrap();
    let told = within("an answer", answer(last)).await;
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 503"),
        "{told}"
    );
    known.ok("health", json!({})).await;
    gateway.operator().await;
    drop(flood);
    until("its places to be free again", || async {
        let mut stream = socket(FLOODER, gateway.port(), Stop::Upgraded).await.ok()?;
        answer(&mut stream)
            .await
            .starts_with("HTTP/1.1 101")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_says_nothing_or_half_is_cut_off() {
    let gateway = Gateway::start().await;
    let cut = [Stop::Silent, Stop::HalfHead].map(|stop| {
        let port = gateway.port();
        async move {
            let mut stream = socket(Ipv4Addr::LOCALHOST, port, stop).await.unwrap();
            // The end of the stream, or a word that time is over.
            let told = within("the end", answer(&mut stream)).await;
            assert!(
                told.is_empty() || told.starts_with("HTTP/1.1 408"),
                "{told}"
            );
        }
    });
    futures_util::future::join_all(cut).await;
}

#[tokio::test]
async fn a_first_frame_of_16_mib_is_not_held() {
    const CLIENTS: usize = 8;
    let gateway = Gateway::start().await;
    let mut known = gateway.operator().await;
    let before = resident(gateway.pid());
    let frame = "x".repeat(16 << 20);
    for _ in 0..CLIENTS {
        let mut client = gateway.open().await;
        client.send_text(frame.clone()).await;
        assert_eq!(client.closed().await, Close::new(1009, ""));
    }
    // Their heads alone promise as much, and hold nothing while they wait.
    let mut waiting = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = gateway.open().await;
        client.send_frame_head(16 << 20).await;
        waiting.push(client);
    }
    known.ok("health", json!({})).await;
    let grown = resident(gateway.pid()).saturating_sub(before);
    assert!(grown < (CLIENTS as u64) << 20, "{grown} bytes more");
}

#[tokio::test]
async fn deep_json_is_refused_in_words() {
    const DEPTH: usize = 10_000;
    let gateway = Gateway::start().await;
    let deep = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let request = |method: &str, params: &str| {
        format!(r#"{{"type":"req","id":"d","method":"{method}","params":{params}}}"#)
    };
    let too_deep = "must be JSON of at most 127 levels";
    let objects = format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH));

    // Before hello-ok: in place of the params, in a field of them, in place of the frame.
    let reason = format!("invalid connect params: {too_deep}");
    for params in [
        deep.clone(),
        format!(r#"{{"auth":{deep}}}"#),
        format!(r#"{{"zzz":{deep}}}"#),
    ] {
        let mut client = gateway.open().await;
        client.send_text(request("connect", &params)).await;
        assert_eq!(
            client.response("d").await["error"]["message"],
            json!(reason)
        );
        assert_eq!(client.closed().await, Close::new(1008, &reason));
    }
    for frame in [deep.clone(), "[".repeat(DEPTH)] {
        let mut client = gateway.open().await;
        client.send_text(frame).await;
        let code = client.closed().await.code;
        assert!(code == 1000 || code == 1008, "{code}");
    }

    // After it the connection stays.
    let mut client = gateway.operator().await;
    client.send_text(deep.clone()).await;
    for params in [&deep, &objects] {
        client.send_text(request("send", params)).await;
        let error = client.response("d").await["error"]["message"].clone();
        assert_eq!(error, json!(format!("invalid send params: {too_deep}")));
    }
    client.ok("health", json!({})).await;
}

/// Whatever stands where a connect or a frame should be: an answer or a close, never an end.
#[tokio::test]
async fn mutated_frames_never_end_the_gateway() {
    const FRAMES: usize = 300;
    let gateway = Gateway::start().await;
    let mut known = gateway.operator().await;
    let seed = u64::from(gateway.pid());
    let mut random = Random(seed);
    for _ in 0..FRAMES {
        let mut client = gateway.open().await;
        let params = Login::fresh().signed(client.nonce());
        let frame = json!({ "type": "req", "id": "1", "method": "connect", "params": params });
        let mut bytes = frame.to_string().into_bytes();
        for _ in 0..=random.below(6) {
            mutate(&mut bytes, &mut random);
        }
        client.send_binary(bytes.clone()).await;
        client.request("health", Value::Null).await;
        let ended = or_hello(&mut client).await;
        assert!(ended, "seed {seed}: {}", String::from_utf8_lossy(&bytes));
    }
    known.ok("health", json!({})).await;
}

/// Whether the client was let in or closed with a code of the protocol.
async fn or_hello(client: &mut Client) -> bool {
    match client.next_or_close("an end").await {
        Ok(frame) if frame["ok"] == true => true,
        Ok(_) => [1002, 1008].contains(&client.closed().await.code),
        Err(close) => [1000, 1002, 1007, 1008, 1009].contains(&close.code),
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }
}

/// One small wrong: a byte changed, taken out, put in, a piece repeated or cut off.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len().max(1)).min(bytes.len());
    match random.below(5) {
        0 if at < bytes.len() => bytes[at] = b"\"{}[],:0\\n\x00\xff"[random.below(12)],
        1 if at < bytes.len() => _ = bytes.remove(at),
        2 => bytes.insert(at, b"\"{}[],:9"[random.below(8)]),
        3 => {
            let end = (at + random.below(40)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        _ if random.below(8) == 0 => bytes.truncate(at),
        _ => {}
    }
}
