//! The outbox, told the time.
#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::{Value, json};

type Answer = oneshot::Receiver<Res<Said>>;

struct Desk {
    outbox: Outbox,
    config: Config,
    now: Instant,
}

impl Desk {
    fn new(config: Value) -> Desk {
        let config: Config = serde_json::from_value(config).unwrap();
        let now = Instant::now();
        Desk {
            outbox: Outbox::new(&config, now),
            config,
            now,
        }
    }

    fn say(&mut self, target: &str, text: &str) -> Answer {
        let (reply, answer) = oneshot::channel();
        let say = Say {
            target: target.to_owned(),
            text: text.to_owned(),
            reply,
        };
        self.outbox.say(say, &self.config, 20, self.now);
        answer
    }

    /// All that may go now, proofs among it.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.extend(self.outbox.proof(self.now));
            match self.outbox.next_line(self.now) {
                Some(line) => lines.push(line),
                None => return lines,
            }
        }
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn hears(&mut self, line: &str) {
        let line = Line::parse(line).unwrap();
        match crate::refusal::of_message(&line) {
            Some((target, error)) => _ = self.outbox.refused(target, error),
            None => self.outbox.pong(&line),
        }
    }
}

fn ended(answer: &mut Answer) -> Option<Res<Said>> {
    answer.try_recv().ok()
}

const SAID: Said = Said {
    lines: 1,
    cut_bytes: 0,
};

#[test]
fn a_message_is_proved_by_the_pong_behind_it() {
    let mut desk = Desk::new(json!({}));
    let mut answer = desk.say("#c", "hi there");
    assert_eq!(desk.lines(), ["PRIVMSG #c :hi there", "PING gw-2"]);
    assert_eq!(ended(&mut answer), None);
    desk.hears(":s PONG s :gw-1");
    assert_eq!(ended(&mut answer), None, "the answer to an older question");
    desk.hears(":s PONG s :gw-2");
    assert_eq!(ended(&mut answer), Some(Ok(SAID)));
    assert_eq!(desk.outbox.asked_since(), None);
}

#[test]
fn a_server_that_answers_without_the_token_answers_in_order() {
    let mut desk = Desk::new(json!({}));
    let mut answer = desk.say("#c", "hi");
    desk.lines();
    desk.hears("PONG");
    assert_eq!(ended(&mut answer), Some(Ok(SAID)));
    desk.hears("PONG :gw-99999999999999999999999");
}

#[test]
fn an_error_before_the_pong_is_about_the_oldest_message_to_that_name() {
    let mut desk = Desk::new(json!({}));
    let mut gone = desk.say("Ann", "hi");
    let mut good = desk.say("#c", "hi");
    let mut again = desk.say("ann", "still there?");
    desk.lines();
    desk.hears(":s 401 me ann :No such nick");
    assert_eq!(
        ended(&mut gone).unwrap().unwrap_err().kind,
        ErrorKind::NotFound
    );
    desk.hears(":s 401 me ann :No such nick");
    assert_eq!(
        ended(&mut again).unwrap().unwrap_err().kind,
        ErrorKind::NotFound
    );
    desk.hears(":s 401 me ann :No such nick");
    assert_eq!(ended(&mut good), None);
    desk.hears(":s PONG s :gw-9");
    assert_eq!(ended(&mut good), Some(Ok(SAID)));
}

#[test]
fn a_burst_then_one_line_each_interval_and_control_lines_first() {
    let mut desk = Desk::new(json!({ "flood": { "burst": 3, "intervalMs": 2000 } }));
    let text = "word ".repeat(350);
    let _answer = desk.say("#c", &text);
    desk.outbox.control("JOIN #c".to_owned());
    let first = desk.lines();
    assert_eq!((first.len(), first[0].as_str()), (3, "JOIN #c"));
    assert_eq!(desk.outbox.wait(desk.now), Some(Duration::from_secs(2)));
    desk.later(2);
    assert_eq!(desk.lines().len(), 1);
    desk.later(4);
    let rest = desk.lines();
    assert_eq!((rest.len(), rest[2].as_str()), (3, "PING gw-2"));
}

#[test]
fn chats_take_turns_and_a_chat_keeps_its_order() {
    let mut desk = Desk::new(json!({ "flood": { "burst": 100 }, "chunkMode": "newline" }));
    let _answers = [
        desk.say("#c", "c1\nc2\nc3"),
        desk.say("#C", "c4"),
        desk.say("ann", "a1\na2"),
    ];
    let lines = desk.lines();
    let said: Vec<_> = lines
        .iter()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(said, ["c1", "a1", "c2", "a2", "c3", "c4", "gw-4"]);
}

#[test]
fn many_messages_share_a_proof_but_not_too_many() {
    let mut desk = Desk::new(json!({ "flood": { "burst": 100 } }));
    let mut answers: Vec<_> = (0..6).map(|n| desk.say(&format!("#{n}"), "hi")).collect();
    let pings = desk
        .lines()
        .iter()
        .filter(|line| line.starts_with("PING"))
        .count();
    assert_eq!(pings, 2);
    desk.hears("PONG x gw-7");
    let done = answers.iter_mut().filter_map(ended).count();
    assert_eq!(done, UNCONFIRMED_MAX);
}

#[test]
fn a_connection_that_ends_tells_what_is_certain() {
    let mut desk = Desk::new(json!({ "flood": { "burst": 1 }, "chunkMode": "newline" }));
    let mut begun = desk.say("#c", "one\ntwo");
    let mut waiting = desk.say("ann", "hi");
    assert_eq!(desk.lines().len(), 1);
    drop(desk);
    let begun = ended(&mut begun).unwrap().unwrap_err();
    assert_eq!(begun.kind, ErrorKind::Timeout);
    assert!(begun.message.contains("1 of 2"), "{begun}");
    assert_eq!(
        ended(&mut waiting).unwrap().unwrap_err().kind,
        ErrorKind::NotConnected
    );
}

#[test]
fn what_nobody_waits_for_is_not_begun() {
    let mut desk = Desk::new(json!({}));
    drop(desk.say("#c", "hi"));
    assert_eq!(desk.outbox.wait(desk.now), None);
    assert!(desk.lines().is_empty());
}

#[test]
fn a_text_that_is_too_long_is_cut_with_a_note() {
    let mut desk = Desk::new(json!({ "maxLines": 3, "flood": { "burst": 9 } }));
    let text = "abcdefghi ".repeat(200);
    let mut answer = desk.say("#c", &text);
    let lines = desk.lines();
    assert_eq!(lines.len(), 4);
    assert!(lines[2].contains("more bytes are not shown"), "{lines:?}");
    desk.hears("PONG x gw-2");
    let said = ended(&mut answer).unwrap().unwrap();
    let sent: usize = lines[..2]
        .iter()
        .map(|line| line.len() - "PRIVMSG #c :".len())
        .sum();
    assert_eq!(said.lines, 3);
    assert!(
        said.cut_bytes + sent + 10 >= text.trim().len(),
        "{said:?} {sent}"
    );
}

#[test]
fn too_much_at_once_is_put_off_and_nothing_is_refused() {
    let mut desk = Desk::new(json!({ "chunkMode": "newline" }));
    let mut first = desk.say("#a", &"x\n".repeat(19));
    let mut second = desk.say("#b", &"x\n".repeat(19));
    assert_eq!(ended(&mut first), None);
    let error = ended(&mut second).unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after_ms, Some(28_000));
    let empty = ended(&mut desk.say("#c", " \u{2}\n")).unwrap().unwrap_err();
    assert_eq!(empty.kind, ErrorKind::InvalidRequest);
}

#[test]
fn lines_that_arrived_make_a_refusal_final() {
    let mut desk = Desk::new(json!({ "chunkMode": "newline" }));
    let mut answer = desk.say("#c", "one\ntwo");
    desk.lines();
    desk.hears(":s 439 me #c :Target change too fast");
    let error = ended(&mut answer).unwrap().unwrap_err();
    assert!(!error.retryable(), "{error:?}");
}
