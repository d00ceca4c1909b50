//! The channels an account has to be in, and whether it is.
//!
//! Pure; owned by `session`. A channel that could not be joined is asked for again at the
//! session's leisure; what is wrong with it is told to the operator.

use crate::line::write;
use crate::text::Casemap;

/// Names asked for in one line, in bytes: well below what a line holds.
const JOIN_BYTES_MAX: usize = 400;

/// Where we stand with a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Wanted,
    Asked,
    Joined,
    Out(String),
}

/// The channels of one session.
#[derive(Debug)]
pub struct Rooms {
    rooms: Vec<(String, State)>,
    casemap: Casemap,
}

impl Rooms {
    /// None of these is joined yet.
    pub fn new(names: &[String]) -> Rooms {
        let wanted = |name: &String| (name.clone(), State::Wanted);
        Rooms {
            rooms: names.iter().map(wanted).collect(),
            casemap: Casemap::default(),
        }
    }

    /// The server said which letters are the same.
    pub fn set_casemap(&mut self, casemap: Casemap) {
        self.casemap = casemap;
    }

    /// The lines that ask for every channel we are not in.
    pub fn ask(&mut self) -> Vec<String> {
        let mut lists: Vec<String> = Vec::new();
        for (name, state) in &mut self.rooms {
            if matches!(state, State::Joined | State::Asked) {
                continue;
            }
            *state = State::Asked;
            match lists.last_mut() {
                Some(list) if list.len() + name.len() < JOIN_BYTES_MAX => {
                    list.push(',');
                    list.push_str(name);
                }
                _ => lists.push(name.clone()),
            }
        }
        lists.iter().map(|list| write("JOIN", &[list])).collect()
    }

    /// We are in.
    pub fn joined(&mut self, name: &str) {
        self.set(name, State::Joined);
    }

    /// We are out, or were not let in.
    pub fn out(&mut self, name: &str, why: String) {
        self.set(name, State::Out(why));
    }

    /// Is it one we should be in and are not?
    pub fn lacks(&self, name: &str) -> bool {
        let mut rooms = self.rooms.iter();
        rooms.any(|(room, state)| self.casemap.same(room, name) && *state != State::Joined)
    }

    fn set(&mut self, name: &str, state: State) {
        let casemap = self.casemap;
        let mut rooms = self.rooms.iter_mut();
        if let Some((_, old)) = rooms.find(|(room, _)| casemap.same(room, name)) {
            *old = state;
        }
    }

    /// What is wrong, if anything.
    pub fn trouble(&self) -> Option<String> {
        let out = self.rooms.iter().filter_map(|(name, state)| match state {
            State::Out(why) => Some(format!("not in {name}: {why}")),
            _ => None,
        });
        let all: Vec<_> = out.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_asked_for_until_we_are_in() {
        let mut rooms = Rooms::new(&["#a".into(), "#B{".into()]);
        assert_eq!(rooms.ask(), ["JOIN #a,#B{"]);
        assert!(rooms.ask().is_empty() && rooms.trouble().is_none());
        rooms.joined("#b[");
        rooms.out("#A", "it is full".into());
        assert_eq!(rooms.trouble().as_deref(), Some("not in #a: it is full"));
        assert!(rooms.lacks("#a") && !rooms.lacks("#b[") && !rooms.lacks("#other"));
        assert_eq!(rooms.ask(), ["JOIN #a"]);
        rooms.set_casemap(Casemap::Ascii);
        rooms.out("#b[", "another channel".into());
        assert!(rooms.trouble().is_none());
    }

    #[test]
    fn many_channels_go_in_several_lines() {
        let names: Vec<String> = (0..100).map(|n| format!("#channel-{n}")).collect();
        let lines = Rooms::new(&names).ask();
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 410));
        assert_eq!(lines.join(",").matches('#').count(), 100);
    }
}
