//! Server-sent events: bytes in, `data` texts out.
//!
//! Called by the runners that speak HTTP. Pure and incremental: a line, or one character of it,
//! may be split anywhere between two chunks. Promises to hold at most one line and one event of
//! [`limits::MODEL_EVENT_BYTES_MAX`] bytes each.

use crate::limits;

/// The bound of a line or of an event was passed; the stream can't be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// An incremental parser of one event stream.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
}

impl SseParser {
    /// Takes the next bytes and returns the `data` of every event they complete. Fields other
    /// than `data`, comments and unknown lines are skipped; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`TooLong`] when a line or an event passes the bound.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()?),
                _ if self.line.len() >= limits::MODEL_EVENT_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The stream ended: an event whose last empty line is missing still counts.
    ///
    /// # Errors
    /// [`TooLong`] as for [`SseParser::feed`].
    pub fn finish(&mut self) -> Result<Option<String>, TooLong> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.end_event())
    }

    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        let Some(value) = text.strip_prefix(b"data") else {
            return Ok(None);
        };
        let value = match value {
            [] => value,
            [b':', b' ', rest @ ..] | [b':', rest @ ..] => rest,
            _ => return Ok(None),
        };
        if self.data.len() + value.len() > limits::MODEL_EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(None)
    }

    fn end_event(&mut self) -> Option<String> {
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then(|| String::from_utf8_lossy(&data).into_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// However the bytes are cut, the events are the same.
    fn check(input: &str, expected: &[&str]) {
        let bytes = input.as_bytes();
        for size in 1..=bytes.len().max(1) {
            let mut parser = SseParser::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(size) {
                got.extend(parser.feed(chunk).unwrap());
            }
            got.extend(parser.finish().unwrap());
            assert_eq!(got, expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata:b\r\r", &["a", "b"]);
        check("data: übergrößen 🦀\n\n", &["übergrößen 🦀"]);
        check("data: one\ndata: two\n\n", &["one\ntwo"]);
        check("data\n\n", &[""]);
        check("data:  two blanks\n\n", &[" two blanks"]);
    }

    #[test]
    fn other_lines_are_skipped() {
        check(": ping\n\nevent: x\nid: 3\nretry: 1\n\ndata: a\n\n", &["a"]);
        check("database: no\ngarbage\n\n\n\ndata: a\n\n", &["a"]);
        check("\u{feff}data: a\n\n", &["a"]);
        check("", &[]);
    }

    #[test]
    fn an_event_cut_off_at_the_end_counts() {
        check("data: a\n\ndata: [DONE]", &["a", "[DONE]"]);
    }

    #[test]
    fn broken_utf8_is_replaced() {
        let mut parser = SseParser::default();
        assert_eq!(
            parser.feed(b"data: a\xff\xfeb\n\n").unwrap(),
            ["a\u{fffd}\u{fffd}b"]
        );
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let mut parser = SseParser::default();
        let long = vec![b'x'; limits::MODEL_EVENT_BYTES_MAX + 1];
        assert_eq!(parser.feed(&long), Err(TooLong));
        let mut parser = SseParser::default();
        let line = [
            b"data:".to_vec(),
            vec![b'x'; limits::MODEL_EVENT_BYTES_MAX / 2],
            b"\n".into(),
        ];
        let line = line.concat();
        assert!(parser.feed(&line).is_ok());
        assert!(parser.feed(&line).is_ok());
        assert_eq!(parser.feed(&line), Err(TooLong));
    }
}
