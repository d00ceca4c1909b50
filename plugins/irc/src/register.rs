//! From a fresh connection to `001`: capabilities, password, nick, SASL.
//!
//! Pure: `session` gives it the server's lines and sends what it answers. A nick that is taken is
//! followed by others, but not for ever; what only a person can mend is a refusal.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::Config;
use crate::line::{Line, floor_boundary, write};

/// What we ask a server for, where it has it.
const CAPABILITIES: [&str; 3] = ["server-time", "message-tags", "account-tag"];
/// Nicks tried before the connection is given up for a while.
const NICKS_MAX: u32 = 8;
/// Any server takes nicks of this length.
const NICK_BYTES: usize = 9;
/// SASL answers go in pieces of this size.
const SASL_BYTES: usize = 400;

/// What follows from a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these; go on.
    Go(Vec<String>),
    /// Registered.
    Done,
    /// Not before a person changes something.
    Refused(String),
    /// Not now.
    Lost(String),
}

/// One registration.
#[derive(Debug)]
pub struct Register<'a> {
    config: &'a Config,
    nick: String,
    tries: u32,
    offered: Vec<String>,
    logged_in: bool,
}

impl<'a> Register<'a> {
    /// Nothing said yet.
    pub fn new(config: &'a Config) -> Self {
        Register {
            config,
            nick: config.nick.clone(),
            tries: 0,
            offered: Vec::new(),
            logged_in: false,
        }
    }

    /// What a connection begins with.
    pub fn hello(&self) -> Vec<String> {
        let config = self.config;
        let username = config.username.as_ref().unwrap_or(&config.nick);
        let realname = config.realname.as_ref().unwrap_or(&config.nick);
        let mut lines = vec![write("CAP", &["LS", "302"])];
        if !config.password.is_empty() {
            lines.insert(0, format!("PASS :{}", config.password.expose()));
        }
        lines.push(write("NICK", &[&self.nick]));
        lines.push(write("USER", &[username, "0", "*", realname]));
        lines
    }

    /// Takes one line of the server.
    pub fn take(&mut self, line: &Line) -> Step {
        let said = line.last();
        let server = self.config.server();
        match line.command.as_str() {
            "CAP" => self.capabilities(line),
            "AUTHENTICATE" if line.param(0) == "+" => Step::Go(self.credentials()),
            "903" => {
                self.logged_in = true;
                Step::Go(vec![write("CAP", &["END"])])
            }
            "902" | "904" | "905" | "906" => Step::Refused(format!(
                "{server} does not accept the sasl account or password: {said}"
            )),
            "433" | "436" | "437" => self.other_nick(said),
            "432" if self.tries > 0 => self.other_nick(said),
            "432" => Step::Refused(format!(
                "{server} does not accept nick {:?}: {said}",
                self.nick
            )),
            "464" => Step::Refused(format!("{server} does not accept the password: {said}")),
            "465" => Step::Refused(format!("{server} has banned us: {said}")),
            // Some say it only so.
            "ERROR" if said.to_ascii_lowercase().contains("password") => {
                Step::Refused(format!("{server} does not accept the password: {said}"))
            }
            "ERROR" => Step::Lost(format!("{server} closed the connection: {said}")),
            "001" if self.config.sasl.is_some() && !self.logged_in => Step::Lost(no_sasl(&server)),
            "001" => Step::Done,
            _ => Step::Go(Vec::new()),
        }
    }

    /// The nick that was asked for last.
    pub fn nick(&self) -> &str {
        &self.nick
    }

    fn capabilities(&mut self, line: &Line) -> Step {
        let end = || write("CAP", &["END"]);
        let names = line.last().split_whitespace();
        match line.param(1).to_ascii_uppercase().as_str() {
            "LS" => {
                self.offered.extend(names.take(200).map(str::to_owned));
                if line.param(2) == "*" && line.params.len() > 3 {
                    return Step::Go(Vec::new());
                }
                let wanted = self.wanted();
                if self.config.sasl.is_some() && !wanted.contains(&"sasl") {
                    return Step::Lost(no_sasl(&self.config.server()));
                }
                Step::Go(vec![if wanted.is_empty() {
                    end()
                } else {
                    write("CAP", &["REQ", &wanted.join(" ")])
                }])
            }
            "ACK" if self.config.sasl.is_some() => {
                Step::Go(vec![write("AUTHENTICATE", &["PLAIN"])])
            }
            "NAK" if self.config.sasl.is_some() => Step::Lost(no_sasl(&self.config.server())),
            "ACK" | "NAK" => Step::Go(vec![end()]),
            _ => Step::Go(Vec::new()),
        }
    }

    fn wanted(&self) -> Vec<&'static str> {
        let offers = |name: &str| self.offered.iter().any(|offer| offer == name);
        let mut wanted: Vec<_> = CAPABILITIES
            .into_iter()
            .filter(|name| offers(name))
            .collect();
        let plain = |offer: &String| {
            offer == "sasl"
                || offer
                    .strip_prefix("sasl=")
                    .is_some_and(|ways| ways.split(',').any(|way| way == "PLAIN"))
        };
        if self.config.sasl.is_some() && self.offered.iter().any(plain) {
            wanted.push("sasl");
        }
        wanted
    }

    fn credentials(&self) -> Vec<String> {
        let Some(sasl) = &self.config.sasl else {
            return vec![write("AUTHENTICATE", &["*"])];
        };
        let account = sasl.account.as_ref().unwrap_or(&self.config.nick);
        let text = STANDARD.encode(format!("{account}\0{account}\0{}", sasl.password.expose()));
        let mut lines: Vec<_> = text
            .as_bytes()
            .chunks(SASL_BYTES)
            .map(|piece| write("AUTHENTICATE", &[&String::from_utf8_lossy(piece)]))
            .collect();
        if text.len() % SASL_BYTES == 0 {
            lines.push(write("AUTHENTICATE", &["+"]));
        }
        lines
    }

    fn other_nick(&mut self, said: &str) -> Step {
        self.tries += 1;
        if self.tries >= NICKS_MAX {
            return Step::Lost(format!(
                "{} takes neither nick {:?} nor another like it: {said}",
                self.config.server(),
                self.config.nick
            ));
        }
        self.nick = fallback(&self.config.nick, self.tries, number());
        Step::Go(vec![write("NICK", &[&self.nick])])
    }
}

fn no_sasl(server: &str) -> String {
    format!("{server} offers no login by SASL PLAIN: use nickserv, or remove sasl")
}

/// The nick to try after so many were taken: with `_`, with two, then with a number. No longer
/// than what the server has shown to take.
fn fallback(nick: &str, tries: u32, number: u32) -> String {
    let tail = match tries {
        1 => "_".to_owned(),
        2 => "__".to_owned(),
        _ => format!("{:04}", number % 10_000),
    };
    let room = nick.len().max(NICK_BYTES) - tail.len();
    format!("{}{tail}", &nick[..floor_boundary(nick, room)])
}

fn number() -> u32 {
    // Without randomness all of ours would try the same number, which only costs a try.
    getrandom::u32().unwrap_or(4711)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn config(more: Value) -> Config {
        let mut all = json!({ "host": "h", "tls": false, "nick": "claw" });
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn take(register: &mut Register<'_>, line: &str) -> Step {
        register.take(&Line::parse(line).unwrap())
    }

    fn go(lines: &[&str]) -> Step {
        Step::Go(lines.iter().map(|&line| line.to_owned()).collect())
    }

    #[test]
    fn the_usual_order() {
        let config = config(json!({ "password": "p w", "realname": "The Claw" }));
        let mut register = Register::new(&config);
        let hello = [
            "PASS :p w",
            "CAP LS 302",
            "NICK claw",
            "USER claw 0 * :The Claw",
        ];
        assert_eq!(register.hello(), hello);
        assert_eq!(
            take(&mut register, ":s CAP * LS * :account-tag a=b"),
            go(&[])
        );
        let request = take(&mut register, ":s CAP * LS :server-time sasl=PLAIN");
        assert_eq!(request, go(&["CAP REQ :server-time account-tag"]));
        assert_eq!(
            take(&mut register, ":s CAP claw ACK :server-time account-tag"),
            go(&["CAP END"])
        );
        assert_eq!(take(&mut register, ":s NOTICE * :*** Looking up"), go(&[]));
        assert_eq!(take(&mut register, ":s 001 claw :Welcome"), Step::Done);
    }

    #[test]
    fn a_server_without_capabilities() {
        let config = config(json!({}));
        let mut register = Register::new(&config);
        assert_eq!(
            take(&mut register, ":s 421 * CAP :Unknown command"),
            go(&[])
        );
        assert_eq!(take(&mut register, ":s 001 claw :Welcome"), Step::Done);
        assert_eq!(take(&mut register, ":s CAP * LS :"), go(&["CAP END"]));
    }

    #[test]
    fn sasl_goes_before_the_end() {
        let config = config(json!({ "sasl": { "account": "jilles", "password": "sesame" } }));
        let mut register = Register::new(&config);
        assert_eq!(
            take(&mut register, ":s CAP * LS :sasl=EXTERNAL,PLAIN"),
            go(&["CAP REQ sasl"])
        );
        assert_eq!(
            take(&mut register, ":s CAP * ACK :sasl"),
            go(&["AUTHENTICATE PLAIN"])
        );
        let credentials = go(&["AUTHENTICATE amlsbGVzAGppbGxlcwBzZXNhbWU="]);
        assert_eq!(take(&mut register, "AUTHENTICATE +"), credentials);
        assert_eq!(take(&mut register, ":s 903 * :done"), go(&["CAP END"]));
        assert_eq!(take(&mut register, ":s 001 claw :Welcome"), Step::Done);
        let wrong = take(&mut register, ":s 904 * :SASL authentication failed");
        assert!(matches!(wrong, Step::Refused(why) if why.contains("sasl account")));
    }

    #[test]
    fn without_the_login_that_was_asked_for_we_do_not_go_in() {
        let config = config(json!({ "sasl": { "password": "x" } }));
        for line in [
            ":s CAP * LS :sasl=EXTERNAL",
            ":s CAP * NAK :sasl",
            ":s 001 claw :Welcome",
        ] {
            let step = take(&mut Register::new(&config), line);
            assert!(
                matches!(&step, Step::Lost(why) if why.contains("SASL")),
                "{line}: {step:?}"
            );
        }
    }

    #[test]
    fn long_credentials_go_in_pieces() {
        for (password, expected) in [(288, 2), (300, 2), (280, 1)] {
            let password = "x".repeat(password);
            let config = config(json!({ "sasl": { "account": "accts", "password": password } }));
            let lines = Register::new(&config).credentials();
            assert_eq!(lines.len(), expected, "{lines:?}");
            assert!(lines.iter().all(|line| line.len() <= 14 + SASL_BYTES));
        }
    }

    #[test]
    fn taken_nicks_are_followed_by_others_but_not_for_ever() {
        let config = config(json!({}));
        let mut register = Register::new(&config);
        let taken = ":s 433 * claw :Nickname is already in use";
        assert_eq!(take(&mut register, taken), go(&["NICK claw_"]));
        assert_eq!(take(&mut register, taken), go(&["NICK claw__"]));
        let mut steps = (0..20).map(|_| take(&mut register, taken));
        assert!(steps.any(|step| matches!(step, Step::Lost(why) if why.contains("claw"))));
    }

    #[test]
    fn fallbacks_are_no_longer_than_what_the_server_takes() {
        assert_eq!(fallback("openclaw", 1, 0), "openclaw_");
        assert_eq!(fallback("openclaws", 2, 0), "opencla__");
        assert_eq!(fallback("openclaws", 3, 70_007), "openc0007");
        assert_eq!(fallback("a-long-nick-it-is", 1, 0), "a-long-nick-it-i_");
        assert_eq!(fallback("éééé", 3, 1), "éé0001");
    }

    #[test]
    fn refusals_that_need_a_person() {
        let config = config(json!({}));
        for (line, word) in [
            (":s 464 * :Password incorrect", "password"),
            ("ERROR :Access denied: Bad password?", "password"),
            (":s 465 * :You are banned", "banned"),
            (
                ":s 432 * claw :Nickname too long, max. 3 characters",
                "max. 3",
            ),
        ] {
            let step = take(&mut Register::new(&config), line);
            assert!(
                matches!(&step, Step::Refused(why) if why.contains(word)),
                "{step:?}"
            );
        }
        let full = take(&mut Register::new(&config), "ERROR :Too many connections");
        assert!(matches!(full, Step::Lost(why) if why.contains("Too many")));
    }
}
